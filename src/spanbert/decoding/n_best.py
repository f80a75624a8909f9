"""The most probable flat sets, and how probable each is among all flat sets of the candidates.

A set weighs as much as the product of its members' odds: exp of the sum of their logits; the empty set weighs 1.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

import numpy as np

from ..errors import check_whole


@dataclass(frozen=True, slots=True)
class FlatSet:
    """Candidates no two of which overlap."""

    indices: tuple[int, ...]
    """In the order of their ends."""
    total: float
    """Sum of the logits."""
    probability: float
    """Share among all flat sets of the candidates, whatever their logits."""


@dataclass(frozen=True, slots=True)
class NBest:
    """The best sets and what holds over all sets."""

    sets: tuple[FlatSet, ...]
    """Best first; fewer than asked for where there are no more."""
    marginals: np.ndarray
    """n: the share of the sets that hold this candidate."""


def n_best_flat(starts: np.ndarray, ends: np.ndarray, labels: np.ndarray, logits: np.ndarray, count: int) -> NBest:
    """The `count` flat sets with the greatest totals. O(n (log n + count)) in Python.

    Ties as in `best_flat`: of two sets the one without the last candidate in which they differ comes first.
    """
    check_whole("count of best sets", count, 1, "1 gives the best set alone")
    order = np.lexsort((logits, labels, starts, ends))
    begins, stops, weights = starts[order].tolist(), ends[order].tolist(), logits[order].astype(np.float64).tolist()
    fitting = [bisect_right(stops, start, 0, i) for i, start in enumerate(begins)]
    shares, whole = _shares(begins, stops, weights, fitting)
    marginals = np.zeros(len(order))
    marginals[order] = shares
    ids = order.tolist()
    sets = []
    for total, trail in _best(weights, fitting, count):
        members = []
        while trail is not None:
            members.append(ids[trail[0]])
            trail = trail[1]
        sets.append(FlatSet(tuple(members[::-1]), total, math.exp(total - whole)))
    return NBest(tuple(sets), marginals)


_Trail = tuple[int, "_Trail"] | None  # the last member, and those before it
_Ranked = list[tuple[float, _Trail]]  # best first


def _best(weights: list[float], fitting: list[int], count: int) -> _Ranked:
    """The best sets of the first i candidates are among those of the first i - 1, and those that fit before i."""
    best: list[_Ranked] = [[(0.0, None)]]
    for i, weight in enumerate(weights):
        without = best[i]
        with_it: _Ranked = [(total + weight, (i, trail)) for total, trail in best[fitting[i]]]
        best.append(sorted(without + with_it, key=lambda each: -each[0])[:count])  # stable: without it comes first
    return best[-1]


def _shares(starts: list[int], ends: list[int], weights: list[float], fitting: list[int]) -> tuple[list[float], float]:
    """(for each candidate, sorted by end, the share of sets that hold it; the log of the weight of all sets)."""
    left = [0.0]  # left[i]: log weight of all sets of the first i
    for weight, before in zip(weights, fitting, strict=True):
        left.append(_log_sum(left[-1], left[before] + weight))
    by_start = sorted(range(len(starts)), key=starts.__getitem__)
    heads = [starts[i] for i in by_start]
    after = [bisect_left(heads, end) for end in ends]
    right = [0.0] * (len(heads) + 1)  # right[j]: log weight of all sets of those from the j-th start on
    for j in range(len(heads) - 1, -1, -1):
        i = by_start[j]
        right[j] = _log_sum(right[j + 1], weights[i] + right[after[i]])
    whole = left[-1]
    shares = [
        math.exp(min(0.0, left[before] + weight + right[then] - whole))
        for weight, before, then in zip(weights, fitting, after, strict=True)
    ]
    return shares, whole


def _log_sum(a: float, b: float) -> float:
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))
