"""Whether probabilities mean what they say: of n decoded items, the probability of each and whether it was right."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from ..documents import JSON

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
BINS = 15
DRAWS = 200
_LEAST = 1e-12  # a probability of 0 that was right would cost infinitely much


@dataclass(frozen=True, slots=True)
class Bin:
    """Items of neighbouring probabilities."""

    probability: float
    """Mean of what was said."""
    right: float
    """Share of what was so."""
    count: int


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """See the functions of this file; all are None where nothing was decoded."""

    count: int
    ece: float | None = None
    ece_corrected: float | None = None
    brier: float | None = None
    log_loss: float | None = None
    aurc: float | None = None
    reliability: tuple[Bin, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        """As in the report of an evaluation."""
        return {**asdict(self), "reliability": [[b.probability, b.right, b.count] for b in self.reliability]}


def calibration_report(probabilities: FloatArray, right: BoolArray) -> CalibrationReport:
    """All of it."""
    if not len(right):
        return CalibrationReport(0)
    return CalibrationReport(
        count=len(right),
        ece=ece(probabilities, right),
        ece_corrected=corrected_ece(probabilities, right),
        brier=brier(probabilities, right),
        log_loss=log_loss(probabilities, right),
        aurc=aurc(probabilities, right),
        reliability=reliability(probabilities, right),
    )


def brier(probabilities: FloatArray, right: BoolArray) -> float:
    """Mean squared distance to what was so (Brier 1950); 0 is perfect, 0.25 is always saying a half."""
    return float(np.mean((probabilities - right) ** 2))


def log_loss(probabilities: FloatArray, right: BoolArray) -> float:
    """Mean of -log of the probability of what was so, in nats."""
    told = np.where(right, probabilities, 1 - probabilities)
    return float(-np.log(np.maximum(told, _LEAST)).mean())


def reliability(probabilities: FloatArray, right: BoolArray, bins: int = BINS) -> tuple[Bin, ...]:
    """Bins of equal mass, from the least probable on; equal probabilities may fall into two bins."""
    order = np.argsort(probabilities, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return tuple(Bin(float(probabilities[p].mean()), float(right[p].mean()), len(p)) for p in parts)


def ece(probabilities: FloatArray, right: BoolArray, bins: int = BINS) -> float:
    """Expected calibration error: mean over items of the gap in their bin (Naeini et al. 2015), bins of equal mass."""
    found = reliability(probabilities, right, bins)
    return sum(each.count * abs(each.probability - each.right) for each in found) / len(right)


def corrected_ece(probabilities: FloatArray, right: BoolArray, bins: int = BINS, seed: int = 0) -> float:
    """ECE less what a perfectly calibrated system with these probabilities would show by chance; at least 0.

    The chance part is the mean over DRAWS outcomes drawn from the probabilities themselves (Roelofs et al. 2022 show
    how large it is).
    """
    order = np.argsort(probabilities, kind="stable")
    p = probabilities[order]
    edges = np.cumsum([0, *(len(part) for part in np.array_split(p, min(bins, len(p)))[:-1])])
    told = np.add.reduceat(p, edges)
    draw = np.random.default_rng(seed)
    gaps = [np.abs(np.add.reduceat((draw.random(len(p)) < p).astype(np.float64), edges) - told) for _ in range(DRAWS)]
    chance = float(np.mean([gap.sum() for gap in gaps])) / len(p)
    return max(0.0, ece(probabilities, right, bins) - chance)


def risk_coverage(probabilities: FloatArray, right: BoolArray) -> FloatArray:
    """n: share of wrong items among the k most probable ones, for k = 1 to n; of equal ones each order is as likely."""
    values, inverse, counts = np.unique(-probabilities, return_inverse=True, return_counts=True)
    wrong = np.bincount(inverse, weights=~right, minlength=len(values)) / counts
    return np.asarray(np.cumsum(wrong[np.sort(inverse)]) / np.arange(1, len(right) + 1))


def aurc(probabilities: FloatArray, right: BoolArray) -> float:
    """Area under the risk-coverage curve (Geifman and El-Yaniv 2017): the lower, the better the order."""
    return float(risk_coverage(probabilities, right).mean())
