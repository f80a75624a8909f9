"""Thresholds that keep a promise: `precision>=0.99`, with a stated confidence, on documents like the held-out ones.

Spans of one document are not independent, so the number of spans is first divided by the design effect: how much wider
the spread between documents makes an interval than independent spans would (Korn and Graubard 1998). On the effective
number the one-sided bound of Clopper and Pearson (1934) is exact for independent spans. A few thresholds are tried,
and the confidence is shared among them (Bonferroni), so the one that is chosen keeps the promise although it was
chosen on the same documents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from ..errors import DataError, UsageError
from .curve import FloatArray
from .fitting import BoolArray, IntArray, Outcomes

TRIED = 8
"""Thresholds that are tried, evenly apart in the logarithm of how many spans they keep."""
NEVER = 2.0
"""The threshold of a label that cannot keep the promise: no probability reaches it."""
REST = "(rare labels)"
VARYING = 3
"""Documents with a fault from which on the spread between documents is believed."""
_TERMS, _TINY = 300, 1e-300
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Requirement:
    """A rate that must be kept: precision or recall."""

    rate: str
    least: float
    confidence: float = 0.95

    @classmethod
    def parse(cls, text: str, confidence: float = 0.95) -> Requirement:
        """From `precision>=0.99`. Raises UsageError."""
        match = re.fullmatch(r"\s*(precision|recall)\s*>=\s*(0?\.\d+)\s*", text)
        if match is None or not 0 < float(match[2]) < 1:
            raise UsageError(f"the requirement {text!r}", "precision>=0.99, or recall>=0.9", "write it like this")
        if not 0.5 <= confidence < 1:
            raise UsageError(f"confidence {confidence}", "a probability from 0.5 to below 1", "0.95 is usual")
        return cls(match[1], float(match[2]), confidence)

    def __str__(self) -> str:
        return f"{self.rate}>={self.least!r} with confidence {self.confidence!r}"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Thresholds under a name: per task and label, and the requirement that they keep."""

    requirement: str
    thresholds: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Promise:
    """A threshold for some labels, and what it was found on."""

    labels: tuple[str, ...]
    threshold: float
    """NEVER where the documents cannot support the requirement."""
    spans: int
    """Decoded spans that it keeps."""
    documents: int
    bound: float
    """Lower bound of the rate at this threshold."""
    precision: float
    recall: float


def promises(outcomes: Outcomes, probabilities: FloatArray, requirement: Requirement) -> tuple[Promise, ...]:
    """A promise for each label that has the spans for it; the others share one.

    Each promise holds with the confidence by itself. Raises DataError where no label can keep the requirement.
    """
    names = np.array(outcomes.labels, dtype=object)
    found, rare = [], []
    for label in sorted({*outcomes.labels, *outcomes.gold}):
        promise = _promise((label,), outcomes, probabilities, names == label, requirement)
        if promise.threshold < NEVER:
            found.append(promise)
        else:
            rare.append(label)
    if rare:
        found.append(_promise(tuple(rare), outcomes, probabilities, np.isin(names, rare), requirement))
    if all(promise.threshold == NEVER for promise in found):
        raise DataError(
            f"{len(outcomes)} decoded spans, {int(outcomes.right.sum())} of them right, in "
            f"{len(np.unique(outcomes.documents))} documents",
            f"enough of them to promise {requirement}: {_needed(requirement)} faultless spans of different documents, "
            "or many more with few faults",
            "ask for less, give more held-out documents, or train a better model",
        )
    return tuple(found)


def _needed(requirement: Requirement) -> int:
    """Faultless independent spans from which the requirement follows."""
    return math.ceil(math.log((1 - requirement.confidence) / TRIED) / math.log(requirement.least))


def _promise(
    labels: tuple[str, ...],
    outcomes: Outcomes,
    probabilities: FloatArray,
    mine: BoolArray,
    requirement: Requirement,
) -> Promise:
    p, right, documents = probabilities[mine], outcomes.right[mine], outcomes.documents[mine]
    counts = [outcomes.gold[label] for label in labels if label in outcomes.gold]
    gold = np.sum(counts, axis=0) if counts else np.zeros(int(documents.max(initial=-1)) + 1, dtype=np.int64)
    best = Promise(labels, NEVER, 0, 0, 0.0, 0.0, 0.0)
    for threshold in _tried(p, requirement):  # from strict to lax
        kept = p >= threshold
        hits = np.bincount(documents[kept & right], minlength=len(gold))
        told = np.bincount(documents[kept], minlength=len(gold))
        whole = told if requirement.rate == "precision" else gold
        bound = lower_bound(hits, whole, 1 - (1 - requirement.confidence) / TRIED)
        if bound < requirement.least:
            continue
        best = Promise(
            labels=labels,
            threshold=threshold,
            spans=int(kept.sum()),
            documents=int((told > 0).sum()),
            bound=bound,
            precision=float(hits.sum() / max(1, told.sum())),
            recall=float(hits.sum() / max(1, gold.sum())),
        )
        if requirement.rate == "recall":  # the strictest that finds enough keeps the best precision
            break
    return best


def _tried(probabilities: FloatArray, requirement: Requirement) -> list[float]:
    """At most TRIED thresholds, the first of which keeps about as many spans as are needed without a fault.

    The last keeps all; of a precision, those among which twice as many are expected to be wrong as may be: what is
    laxer has hardly a chance, and would cost the others theirs. Chosen by the probabilities alone, so that trying them
    all is paid for by Bonferroni's share. Each lies halfway between two, so that rounding moves no span across it.
    """
    falling = np.sort(probabilities)[::-1]
    if not len(falling):
        return []
    most = len(falling)
    if requirement.rate == "precision":
        expected = np.cumsum(falling) / np.arange(1, most + 1)  # which falls
        most = max(1, int((expected >= 2 * requirement.least - 1).sum()))
    places = np.geomspace(min(_needed(requirement), most), most, TRIED).astype(int) - 1
    distinct = np.append(np.unique(falling)[::-1], 0.0)
    lower = distinct[np.searchsorted(-distinct, -falling[places]) + 1]
    return sorted({float(value) for value in (falling[places] + lower) / 2}, reverse=True)


def lower_bound(hits: IntArray, of: IntArray, confidence: float) -> float:
    """One-sided lower bound of sum(hits) / sum(of), counts by document, at the effective number of items.

    With few documents their spread is itself uncertain: the effective number falls by the square of the quantile of
    Student's t over that of the normal distribution (Korn and Graubard 1998), and where fewer than VARYING documents
    have a fault, all items of a document count as one.
    """
    total, found = float(of.sum()), float(hits.sum())
    if not total or not found:
        return 0.0
    rate, documents = found / total, int((of > 0).sum())
    # all items of a document right or wrong together
    effect = worst = max(1.0, float((of.astype(np.float64) ** 2).sum()) / total)
    if (hits < of).sum() >= VARYING:
        between = float(((hits - rate * of) ** 2).sum()) * documents / (documents - 1) / total**2
        uncertain = student_t(confidence, documents - 1) / NormalDist().inv_cdf(confidence)
        effect = min(max(1.0, between / (rate * (1 - rate) / total)) * uncertain**2, worst)
    return clopper_pearson(found / effect, total / effect, confidence)


def clopper_pearson(hits: float, of: float, confidence: float) -> float:
    """The rate below which so many hits would be as improbable as 1 - confidence; counts need not be whole."""
    return _beta_quantile(hits, of - hits + 1, 1 - confidence, hits / of)


@lru_cache
def student_t(level: float, freedom: int) -> float:
    """The quantile of Student's t distribution at a level above 0.5, with so many degrees of freedom."""
    share = _beta_quantile(freedom / 2, 0.5, 2 * (1 - level), 1.0)
    return math.sqrt(freedom * (1 - share) / share)


def _beta_quantile(a: float, b: float, level: float, high: float) -> float:
    """Where the regularised incomplete beta function reaches a level, at most `high`; from below, by halving."""
    low = 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if incomplete_beta(a, b, middle) < level:
            low = middle
        else:
            high = middle
    return low


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz's method)."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    c, d = 1.0, 1.0 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _TERMS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1.0 / _away(1 + term * d), _away(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * value / a


def _away(value: float) -> float:
    """From zero, by which it is divided."""
    return value if abs(value) > _TINY else _TINY


def best_threshold(outcomes: Outcomes, probabilities: FloatArray) -> float:
    """The one to be used where nothing is required; it lies between two outcomes, so that rounding moves neither."""
    if outcomes.silence is None:
        return best_f1(outcomes, probabilities)
    return most_right(outcomes, probabilities, outcomes.silence)


def best_f1(outcomes: Outcomes, probabilities: FloatArray) -> float:
    """The threshold with the best F1 over all labels; 0.5 where nothing is right at any."""
    gold = sum(int(counts.sum()) for counts in outcomes.gold.values())
    order = np.argsort(-probabilities, kind="stable")
    hits, told = np.cumsum(outcomes.right[order]), np.arange(1, len(order) + 1)
    if not len(order) or not outcomes.right.any():
        return 0.5
    scores = np.where(_last_of_equals(probabilities[order]), 2 * hits / np.maximum(told + gold, 1), -1.0)
    return _below(probabilities[order], int(np.argmax(scores)))


def most_right(outcomes: Outcomes, probabilities: FloatArray, silence: BoolArray) -> float:
    """The threshold at which most of what is said or left unsaid is right, the lowest of such; `silence` as there."""
    order = np.argsort(-probabilities, kind="stable")
    gains = np.cumsum(outcomes.right[order].astype(np.int64) - silence[order])
    ends = np.flatnonzero(_last_of_equals(probabilities[order]))
    if not outcomes.right.any():
        return 0.5 if silence.any() else 0.0
    falling = probabilities[order]
    if (best := gains[ends].max()) < 0:
        return float((falling[0] + 1.0) / 2)  # it is better to say nothing
    at = int(ends[gains[ends] == best][-1])
    return 0.0 if at + 1 == len(order) else _below(falling, at)


def _last_of_equals(falling: FloatArray) -> BoolArray:
    """Equal probabilities stay or go together."""
    return np.append(np.diff(falling) != 0, True)


def _below(falling: FloatArray, at: int) -> float:
    """Halfway between this probability and the next."""
    return float((falling[at] + (falling[at + 1] if at + 1 < len(falling) else 0.0)) / 2)


def label_thresholds(found: Sequence[Promise]) -> Mapping[str, float]:
    """The threshold of each label."""
    return {label: promise.threshold for promise in found for label in promise.labels}
