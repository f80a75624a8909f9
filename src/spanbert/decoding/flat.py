"""Flat spans: no two overlap."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np


def best_flat(starts: np.ndarray, ends: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Indices of the disjoint candidates with the greatest total of positive logits. O(n log n).

    Of several labels on the same boundaries only the best can win. Ties: order the candidates by end, start, label;
    of two sets with the same total, the one without the last candidate in which they differ is taken.
    """
    positive = np.flatnonzero(logits > 0)
    order = positive[np.lexsort((logits[positive], labels[positive], starts[positive], ends[positive]))]
    chosen = best_disjoint(starts[order].tolist(), ends[order].tolist(), logits[order].tolist())
    return order[chosen]


def best_disjoint(starts: Sequence[int], ends: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Weighted interval scheduling over intervals sorted by end: ascending indices of the best disjoint ones.

    An interval is taken only where that is strictly better than to leave it out.
    """
    best = [0.0]  # best[i]: the greatest total among the first i intervals
    before = []  # how many intervals end where interval i starts, or earlier; -1: i is left out
    for i, start in enumerate(starts):
        fitting = bisect_right(ends, start, 0, i)
        total = best[fitting] + weights[i]
        before.append(fitting if total > best[i] else -1)
        best.append(max(total, best[i]))
    chosen = []
    i = len(before)
    while i:
        if before[i - 1] < 0:
            i -= 1
        else:
            chosen.append(i - 1)
            i = before[i - 1]
    return chosen[::-1]


def best_flat_counted(
    starts: np.ndarray, ends: np.ndarray, labels: np.ndarray, weights: np.ndarray, most: dict[int, int]
) -> np.ndarray:
    """Indices of the best disjoint candidates with no more than `most` of some labels; all weights are positive.

    O(n m) in vector steps, and 8 n m bytes; m: the product of all `most + 1`.
    """
    order = np.lexsort((weights, labels, starts, ends))
    fitting = np.searchsorted(ends[order], starts[order], "right").tolist()
    slots = {label: place for place, label in enumerate(most)}
    best = np.zeros((len(order) + 1, *(count + 1 for count in most.values())))  # by what is still allowed
    names = labels[order].tolist()
    for i, (weight, label) in enumerate(zip(weights[order].tolist(), names, strict=True)):
        into, out = _one_less(slots.get(label))
        best[i + 1] = best[i]
        np.maximum(best[i][into], best[fitting[i]][out] + weight, out=best[i + 1][into])
    chosen, left, i = [], list(most.values()), len(order)
    while i:
        i -= 1
        if best[i + 1][tuple(left)] > best[i][tuple(left)]:
            chosen.append(i)
            if names[i] in slots:
                left[slots[names[i]]] -= 1
            i = fitting[i]
    return order[chosen[::-1]]


def _one_less(axis: int | None) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """What is allowed before one of a label is taken, and after."""
    if axis is None:
        return (), ()
    every = (slice(None),) * axis
    return (*every, slice(1, None)), (*every, slice(None, -1))


class Disjoint:
    """Spans that do not overlap, in order; knows whether another fits between them."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def admits(self, start: int, end: int) -> bool:
        place = bisect_left(self._starts, end)
        return place == 0 or self._ends[place - 1] <= start

    def add(self, start: int, end: int) -> None:
        place = bisect_left(self._starts, end)
        self._starts.insert(place, start)
        self._ends.insert(place, end)
