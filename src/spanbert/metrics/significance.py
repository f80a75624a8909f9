"""Whether one system is better than another on the same documents, or only luckier. Pure functions of counts.

Counts are those of `spans.count_documents`, one array a system, their last axis (correct, predicted, gold); or whatever
else adds up over documents, K numbers of which a rate makes one. Whole documents are drawn and swapped, since what
stands in one document is not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bootstrap import LEVEL, SAMPLES, Interval, bounds, resample, told, varies
from .spans import Rate, f1

SHUFFLES = 9_999
"""Random assignments; with the one that was observed they make 10,000, so p is at least 0.0001."""
ENUMERATED = 12
"""Up to so many documents that differ, all assignments are tried: at most 4,096."""
_CELLS = 4_000_000  # numbers that are held at a time, whatever the number of documents
_EQUAL = 1e-12  # differences of rates nearer than this are one difference, rounded twice


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much the F1 (or another rate) of the second system is higher, and whether that may be chance."""

    f1: float
    f1_interval: Interval | None
    """None with fewer than two documents: nothing varies."""
    p_value: float | None
    """Two-sided; None with fewer than two documents."""
    differing: int
    """Documents in which the two systems' counts are not the same; only these can tell the two apart."""

    @property
    def least_p(self) -> float:
        """The smallest p that so many differing documents can give, however large the difference.

        As they are and all swapped are two assignments of 2 ** differing that are always as extreme as the observed.
        """
        return min(1.0, 2.0 ** (1 - self.differing))


def differences(
    first: np.ndarray,
    second: np.ndarray,
    rate: Rate = f1,
    *,
    seed: int = 0,
    samples: int = SAMPLES,
    shuffles: int = SHUFFLES,
) -> tuple[Difference, ...]:
    """One for each column of the counts [documents, columns, K] of two systems; columns are labels, or all of them."""
    change = rate(second.sum(axis=0)) - rate(first.sum(axis=0))
    intervals = paired_intervals(first, second, rate, seed=seed, samples=samples)
    return tuple(
        Difference(
            f1=float(change[column]),
            f1_interval=None if intervals is None else intervals[column],
            p_value=randomisation(first[:, column], second[:, column], rate, seed=seed, shuffles=shuffles),
            differing=int((first[:, column] != second[:, column]).any(axis=-1).sum()),
        )
        for column in range(first.shape[1])
    )


def paired_intervals(
    first: np.ndarray, second: np.ndarray, rate: Rate = f1, *, seed: int = 0, samples: int = SAMPLES
) -> tuple[Interval | None, ...] | None:
    """Percentile intervals of the difference of a rate, second minus first, for each column of [documents, columns, K].

    The paired bootstrap: both systems are scored on the same draws of documents, so what makes a document easy or hard
    for both cancels out. The interval is the percentile interval (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13): the middle 95 % of the drawn differences, neither studentised nor corrected for bias.
    Draws in which a column has nothing are left out of it; None where fewer than two documents have anything.
    """
    if len(first) < 2:
        return None
    both = np.stack([first, second], axis=2)
    drawn = resample(both, seed=seed, samples=samples)  # [samples, columns, 2, K]
    return tuple(
        _change(told(drawn[:, column]), rate) if varies(both[:, column]) else None for column in range(both.shape[1])
    )


def _change(drawn: np.ndarray, rate: Rate) -> Interval:
    return bounds(rate(drawn[:, 1]) - rate(drawn[:, 0]), LEVEL)


def randomisation(
    first: np.ndarray, second: np.ndarray, rate: Rate = f1, *, seed: int = 0, shuffles: int = SHUFFLES
) -> float | None:
    """Two-sided p of the difference of a rate, from counts [documents, K] of two systems.

    If the systems were equally good, each document's two outputs could as well have come from the other system. So
    they are swapped at random, document by document, and p is how often the absolute difference is then at least the
    observed one (Noreen, Computer-Intensive Methods for Testing Hypotheses, 1989; for F1: Yeh, More accurate tests for
    the statistical significance of result differences, COLING 2000). Up to ENUMERATED differing documents p is exact:
    all assignments are tried. Beyond that it is (hits + 1) / (shuffles + 1): the observed assignment is one of them,
    so p is never 0. None for fewer than two documents, of which one swap changes the sign and nothing else.
    """
    if len(first) < 2:
        return None
    sums = np.stack([first.sum(axis=0), second.sum(axis=0)]).astype(np.float64)
    moved = (second - first)[(first != second).any(axis=-1)].astype(np.float64)  # [differing, K]: what a swap moves
    observed = abs(float(rate(sums[1]) - rate(sums[0])))
    draw = np.random.default_rng(seed)
    exact = len(moved) <= ENUMERATED
    wanted = 2 ** len(moved) if exact else shuffles
    hits = 0
    step = max(1, _CELLS // max(1, len(moved)))
    for begin in range(0, wanted, step):
        size = min(step, wanted - begin)
        if exact:
            swapped = (np.arange(begin, begin + size)[:, None] >> np.arange(len(moved))) & 1
        else:
            swapped = draw.integers(2, size=(size, len(moved)), dtype=np.int8)
        shift = swapped.astype(np.float64) @ moved
        change = np.abs(rate(sums[1] - shift) - rate(sums[0] + shift))
        hits += int((change >= observed - _EQUAL).sum())
    return hits / wanted if exact else (hits + 1) / (wanted + 1)


def holm(p_values: Sequence[float | None]) -> tuple[float | None, ...]:
    """p values of several questions at once, raised so that below 0.05 any false answer has a chance of at most 0.05.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none becomes smaller than one before it, or
    larger than 1 (Holm, A simple sequentially rejective multiple test procedure, 1979). None stays None, uncounted.
    """
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        adjusted[index] = highest
    return tuple(adjusted)
