"""From the raw logit of what was decoded to the probability that it is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
_FARTHEST = 700.0  # exp of more is no number


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = sigmoid(slope x logit + bend x (log p + log(1 - p)) + offset + offset of the label), p =
    sigmoid(logit): the identity on log-odds until it is fitted.

    With a bend of 0 it is Platt's (1999), with an offset of 0 as well a temperature (Guo et al. 2017), with all three
    the beta calibration of Kull et al. (2017). With `knots` it is a curve through them instead (isotonic).
    """

    slope: float = 1.0
    offset: float = 0.0
    bend: float = 0.0
    knots: tuple[tuple[float, float], ...] = ()
    """(logit, calibrated log-odds), both rising; straight lines between them, level outside."""
    labels: Mapping[str, float] = field(default_factory=dict)
    """What is added for a label."""
    quiet: float = 0.0
    """Where nothing may be right too: what the logit of that against what was decoded is multiplied by, and added."""
    silence: tuple[float, float] | None = None
    """Where nothing may be right too: slope and offset of the log-odds that it is, what was decoded being wrong."""

    def silent(self, wrong: float, logit: float) -> float | None:
        """The probability that nothing is right, given that of what was decoded being wrong, and the logit of nothing
        against it; None where it was not fitted.
        """
        if self.silence is None:
            return None
        slope, offset = self.silence
        return wrong * float(sigmoid(np.array(slope * logit + offset)))

    def probabilities(
        self, logits: Sequence[float] | FloatArray, labels: Sequence[str] = (), quiet: float | FloatArray | None = None
    ) -> FloatArray:
        """Probabilities of these logits; `labels` one for each, or none: then labels make no difference. quiet: the
        logit of nothing against each, or all; where a curve of both is not given it, logits stand as they are."""
        z = np.clip(np.asarray(logits, dtype=np.float64), -1e300, 1e300)
        if self.quiet:
            return sigmoid(z if quiet is None else self.log_odds(z) + self.quiet * np.asarray(quiet))
        odds = self.log_odds(z)
        if self.labels and len(labels):
            odds = odds + np.array([self.labels.get(label, 0.0) for label in labels])
        return sigmoid(odds)

    def log_odds(self, z: FloatArray) -> FloatArray:
        """Calibrated log-odds, labels left aside."""
        if self.knots:
            places, values = np.array(self.knots, dtype=np.float64).T
            return np.asarray(np.interp(z, places, values))
        straight = self.slope * z + self.offset
        return straight if self.bend == 0.0 else straight + self.bend * tails(z)


def sigmoid(z: FloatArray) -> FloatArray:
    """1 / (1 + exp(-z)), without overflow."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -_FARTHEST, _FARTHEST))))


def tails(z: FloatArray) -> FloatArray:
    """log p + log(1 - p) of p = sigmoid(z): -2 log 2 in the middle, -|z| far out."""
    return np.asarray(-np.abs(z) - 2.0 * np.log1p(np.exp(-np.abs(z))))
