"""Choosing and fitting a curve on held-out documents: by Brier score, cross-validated over documents.

Four kinds of curve, each alone and with an offset for each label; an offset is drawn towards 0, the more the fewer
spans the label has. Where nothing may be right too, one more, of two logits. The curves themselves are drawn a little
towards the identity, so that few spans do no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..documents import JSON
from ..errors import DataError
from .curve import Calibration, FloatArray, sigmoid, tails

BoolArray = np.ndarray[tuple[int], np.dtype[np.bool_]]
IntArray = np.ndarray[tuple[int], np.dtype[np.int64]]
FEWEST_SPANS, FEWEST_DOCUMENTS = 30, 5
"""Decoded spans and documents that a fit needs."""
FEWEST_WRONG = 10
"""Wrong ones that say how often nothing would have been right."""
FOLDS = 5
PULL = 1.0
"""Precision of the prior around the identity: as much as a handful of spans say."""
LABEL_PULL = 4.0
"""Precision of the prior of a label's offset: a standard deviation of a half in log-odds."""
_ROUNDS, _CLOSE, _TURNS = 50, 1e-9, 4


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What was decoded in held-out documents, and whether it was right. All arrays have length n."""

    logits: FloatArray
    right: BoolArray
    labels: tuple[str, ...]
    documents: IntArray
    """Number of the document each stands in."""
    gold: dict[str, IntArray]
    """Gold spans of each label in each document, for recall."""
    silence: BoolArray | None = None
    """Where saying nothing can be right too: whether it would be, in the place of each."""
    quiet: FloatArray | None = None
    """The logit of that against each."""

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def texts(self) -> int:
        """How many documents it was, those included in which nothing was decoded."""
        return max(map(len, self.gold.values()), default=0)

    def probabilities(self, calibration: Calibration) -> FloatArray:
        """n: what a curve says of each."""
        return calibration.probabilities(self.logits, self.labels, self.quiet)

    def to_json(self) -> dict[str, JSON]:
        """Plain numbers: labels and gold by the order of `gold`."""
        place = {label: number for number, label in enumerate(self.gold)}
        return {
            "logits": [round(logit, 4) for logit in self.logits.tolist()],
            "right": self.right.astype(int).tolist(),
            "labels": [place[label] for label in self.labels],
            "documents": self.documents.tolist(),
            "gold": {label: counts.tolist() for label, counts in self.gold.items()},
            **({} if self.silence is None else {"silence": self.silence.astype(int).tolist()}),
            **({} if self.quiet is None else {"quiet": [round(logit, 4) for logit in self.quiet.tolist()]}),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Outcomes:
        """The inverse of `to_json`. Raises ValueError, TypeError or KeyError for anything else."""
        gold = {str(label): np.array(counts, dtype=np.int64) for label, counts in record["gold"].items()}
        names, documents = list(gold), np.array(record["documents"], dtype=np.int64)
        found = cls(
            np.array(record["logits"], dtype=np.float64),
            np.array(record["right"], dtype=np.bool_),
            tuple(names[number] for number in record["labels"]),
            documents,
            gold,
            np.array(record["silence"], dtype=np.bool_) if "silence" in record else None,
            np.array(record["quiet"], dtype=np.float64) if "quiet" in record else None,
        )
        sizes = {len(counts) for counts in gold.values()}
        columns = found.right, found.labels, documents, found.silence, found.quiet
        if any(column is not None and len(column) != len(found) for column in columns) or len(sizes) != 1:
            raise ValueError("columns of unequal length")
        if len(documents) and not 0 <= documents.min() <= documents.max() < min(sizes):
            raise ValueError("a document that is not there")
        least = [*(counts.min(initial=0) for counts in gold.values()), *record["labels"]]
        known = found.logits if found.quiet is None else np.append(found.logits, found.quiet)
        if not np.isfinite(known).all() or min(least, default=0) < 0:
            raise ValueError("numbers that cannot be")
        return found

    def first(self, most: int) -> Outcomes:
        """Those of the first whole documents, at most so many."""
        if len(self) <= most:
            return self
        end = int(self.documents[most])  # the document that is no longer whole
        gold = {label: counts[:end] for label, counts in self.gold.items()}
        return replace(self.take(np.asarray(self.documents < end)), gold=gold)

    def take(self, chosen: BoolArray) -> Outcomes:
        """Some of them."""
        labels = tuple(label for label, is_in in zip(self.labels, chosen.tolist(), strict=True) if is_in)
        columns = self.logits[chosen], self.right[chosen], labels, self.documents[chosen], self.gold
        silence = None if self.silence is None else self.silence[chosen]
        return Outcomes(*columns, silence, None if self.quiet is None else self.quiet[chosen])


@dataclass(frozen=True, slots=True)
class Fit:
    """The curve that won, and the cross-validated Brier score of each."""

    calibration: Calibration
    method: str
    brier: dict[str, float]
    held_out: FloatArray
    """n: the probability of each outcome by the winner, fitted without that outcome's fold."""


def fit(outcomes: Outcomes, seed: int = 0) -> Fit:
    """The best of METHODS, fitted on all outcomes. Raises DataError where there are too few to say anything."""
    documents = np.unique(outcomes.documents)
    if len(outcomes) < FEWEST_SPANS or len(documents) < FEWEST_DOCUMENTS:
        raise DataError(
            f"{len(outcomes)} decoded spans in {len(documents)} documents to calibrate on",
            f"at least {FEWEST_SPANS} spans in {FEWEST_DOCUMENTS} documents that training has not seen",
            "give more held-out documents",
        )
    fold_of = np.random.default_rng(seed).permutation(len(documents)) % FOLDS
    folds = fold_of[np.searchsorted(documents, outcomes.documents)]
    told = {}
    for name, method in METHODS.items():
        if method is platt_and_quiet and outcomes.quiet is None:
            continue  # it would be Platt's again
        told[name] = np.zeros(len(outcomes))
        for fold in range(FOLDS):
            left_out = folds == fold
            if left_out.any() and not left_out.all():
                held, rest = outcomes.take(left_out), outcomes.take(~left_out)
                told[name][left_out] = held.probabilities(method(rest))
    brier = {name: float(np.mean((p - outcomes.right) ** 2)) for name, p in told.items()}
    best = min(brier, key=lambda name: brier[name])  # of equal ones the simplest, which comes first
    return Fit(replace(METHODS[best](outcomes), silence=_silence(outcomes)), best, brier, told[best])


def _silence(outcomes: Outcomes) -> tuple[float, float] | None:
    """Platt's curve for whether nothing is right, on what was decoded wrongly; None where that is too little."""
    wrong = ~outcomes.right
    if outcomes.silence is None or outcomes.quiet is None or int(wrong.sum()) < FEWEST_WRONG:
        return None
    rest = outcomes.take(wrong)
    assert rest.silence is not None and rest.quiet is not None
    curve = platt(replace(rest, logits=rest.quiet, right=rest.silence))
    return curve.slope, curve.offset


def temperature(outcomes: Outcomes) -> Calibration:
    """One factor (Guo et al. 2017)."""
    return Calibration(slope=max(0.0, float(_logistic(outcomes, [outcomes.logits], [1.0])[0])))


def platt(outcomes: Outcomes) -> Calibration:
    """A factor and an offset (Platt 1999)."""
    slope, offset = _logistic(outcomes, [outcomes.logits, np.ones(len(outcomes))], [1.0, 0.0]).tolist()
    return Calibration(slope, offset) if slope >= 0 else temperature(outcomes)


def beta(outcomes: Outcomes) -> Calibration:
    """A factor, an offset and a bend (Kull et al. 2017); Platt's where the bend would make the curve fall."""
    columns = [outcomes.logits, np.ones(len(outcomes)), tails(outcomes.logits)]
    slope, offset, bend = _logistic(outcomes, columns, [1.0, 0.0, 0.0]).tolist()
    return Calibration(slope, offset, bend) if abs(bend) <= slope else platt(outcomes)


def platt_and_quiet(outcomes: Outcomes) -> Calibration:
    """Platt's with the logit of nothing besides: what is no better than the next is doubtful in another way than what
    is no better than nothing. Platt's alone where the more probable nothing is, the surer the rest would be.
    """
    assert outcomes.quiet is not None
    columns = [outcomes.logits, np.ones(len(outcomes)), outcomes.quiet]
    slope, offset, quiet = _logistic(outcomes, columns, [1.0, 0.0, 0.0]).tolist()
    return Calibration(slope, offset, quiet=quiet) if slope >= 0 >= quiet else platt(outcomes)


def isotonic(outcomes: Outcomes) -> Calibration:
    """The rising steps nearest to the outcomes, joined by lines (Zadrozny and Elkan 2002; pool adjacent violators)."""
    order = np.argsort(outcomes.logits, kind="stable")
    blocks: list[list[float]] = []  # sum of logits, right ones, size
    for logit, right in zip(outcomes.logits[order].tolist(), outcomes.right[order].tolist(), strict=True):
        blocks.append([logit, float(right), 1.0])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    # half a span more of either kind: no block is so sure that one span could not surprise it
    knots = ((z / n, float(np.log((k + 0.5) / (n - k + 0.5)))) for z, k, n in blocks)
    rising: list[tuple[float, float]] = []
    for place, value in knots:
        if not rising or place > rising[-1][0]:
            rising.append((place, max(value, rising[-1][1]) if rising else value))
    return Calibration(knots=tuple(rising))


def with_labels(method: Callable[[Outcomes], Calibration]) -> Callable[[Outcomes], Calibration]:
    """The same with an offset for each label (those of the fit; others have none)."""

    def fitted(outcomes: Outcomes) -> Calibration:
        base = shared = method(outcomes)
        names, number = np.unique(np.array(outcomes.labels, dtype=str), return_inverse=True)
        if len(names) < 2:
            return base  # there is nothing to tell apart
        # stretched from here each time: a stretch upon a stretch would leave the prior behind
        offsets, raw = np.zeros(len(names)), base.log_odds(outcomes.logits)
        for _ in range(_TURNS):  # labels that differ make a curve over all of them too flat: it is stretched in turn
            odds = shared.log_odds(outcomes.logits)
            for label in range(len(names)):
                mine = number == label
                ones = np.ones(int(mine.sum()))
                offsets[label] = _newton([ones], outcomes.right[mine], [0.0], LABEL_PULL, odds[mine])[0]
            shared = _stretched(base, _newton([raw], outcomes.right, [1.0], PULL, offsets[number])[0])
        return replace(shared, labels=dict(zip(names.tolist(), offsets.tolist(), strict=True)))

    return fitted


_CURVES = {"temperature": temperature, "platt": platt, "beta": beta, "isotonic": isotonic}
METHODS: dict[str, Callable[[Outcomes], Calibration]] = {
    **_CURVES,
    "platt with no answer": platt_and_quiet,
    **{f"{name} by label": with_labels(curve) for name, curve in _CURVES.items()},
}
"""The simplest first."""


def _stretched(curve: Calibration, factor: float) -> Calibration:
    factor = max(0.0, float(factor))
    knots = tuple((place, factor * value) for place, value in curve.knots)
    return replace(
        curve, slope=factor * curve.slope, offset=factor * curve.offset, bend=factor * curve.bend, knots=knots
    )


def _logistic(outcomes: Outcomes, columns: Sequence[FloatArray], prior: Sequence[float]) -> FloatArray:
    return _newton(columns, outcomes.right, prior, PULL, np.zeros(len(outcomes)))


def _newton(
    columns: Sequence[FloatArray], right: BoolArray, prior: Sequence[float], pull: float, known: FloatArray
) -> FloatArray:
    """Logistic regression by Newton's method: weights of the columns, drawn to `prior`; `known` log-odds are added."""
    x, middle = np.stack(columns, axis=1), np.array(prior, dtype=np.float64)
    weights = middle.copy()
    loss = _loss(x, right, weights, middle, pull, known)
    for _ in range(_ROUNDS):
        p = sigmoid(x @ weights + known)
        gradient = x.T @ (p - right) + pull * (weights - middle)
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + pull * np.eye(len(middle)), gradient)
        size = 1.0
        while (after := _loss(x, right, weights - size * step, middle, pull, known)) > loss and size > _CLOSE:
            size /= 2
        weights, done, loss = weights - size * step, loss - after < _CLOSE, min(loss, after)
        if done:
            break
    return weights


def _loss(
    x: FloatArray, right: BoolArray, weights: FloatArray, middle: FloatArray, pull: float, known: FloatArray
) -> float:
    z = x @ weights + known
    return float((np.logaddexp(0.0, z) - right * z).sum() + pull * ((weights - middle) ** 2).sum() / 2)
