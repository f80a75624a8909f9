"""Nested spans: any two are disjoint, or one contains the other, or they have the same boundaries.

A nesting matrix may say which labels may lie inside which, at any depth. Of two labels on the same boundaries one must
then be allowed inside the other.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .dense_nesting import row_totals
from .nesting import ANY, Boundaries, Nesting, narrow_totals, widths

_WORK = 30  # spans that end inside another, per span on average, above which rows are faster than lists


class Nested(NamedTuple):
    indices: np.ndarray
    """The candidates chosen."""
    gains: np.ndarray
    """Of every candidate: the greatest total of a legal set within its boundaries, them included; 0 where none."""


def best_nested(starts: np.ndarray, ends: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Indices of the candidates with the greatest total of positive logits among those that do not cross.

    Labels on the same boundaries do not compete: their positive logits add. Cost: see `solve`.
    """
    solved = solve(starts, ends, labels, logits)
    assert solved is not None  # without a matrix there is one state
    return solved.indices


def solve(
    starts: np.ndarray, ends: np.ndarray, labels: np.ndarray, logits: np.ndarray, inside: np.ndarray | None = None
) -> Nested | None:
    """The exact maximum; `inside[a, b]` (C x C): label b may lie inside label a. None: the matrix has too many states.

    A best set is a best disjoint set of outermost spans, each standing for its own logits and the best set inside it
    (`totals`). What may lie inside depends on the labels around it only by the set of labels that all of them admit:
    the state. Ties: at each depth as in `best_flat`; of several sets of labels on the same boundaries the first best.
    For n boundaries, s states and p pairs of a span and one that ends inside it: O(n log n + p s), in vector steps for
    spans with few inside; without a matrix at most O(n m) where m ends lie within one span (`dense_nesting`).
    """
    positive = np.flatnonzero(logits > 0)
    order = positive[np.lexsort((logits[positive], labels[positive], starts[positive], ends[positive]))]
    gains = np.zeros(len(logits))
    if not len(order):
        return Nested(order, gains)
    changes = (np.diff(starts[order]) != 0) | (np.diff(ends[order]) != 0)
    first = np.concatenate([[0], 1 + np.flatnonzero(changes), [len(order)]])
    weights = logits[order].astype(np.float64)
    if inside is None or inside.all():
        nesting: Nesting | None = Nesting.free(np.add.reduceat(weights, first[:-1]))
    else:
        nesting = Nesting.under(inside, first, labels[order], weights)
    if nesting is None:
        return None
    spans = Boundaries(starts[order][first[:-1]], ends[order][first[:-1]])
    totals = _totals(spans, nesting)
    gains[order] = np.repeat(np.maximum(totals[:, 0], 0.0), np.diff(first))
    bounds, names = list(pairwise(first.tolist())), labels[order].tolist()
    taken = [
        place
        for span, members in _outermost_inwards(spans, nesting, totals)
        for place in range(*bounds[span])
        if members == ANY or members >> names[place] & 1
    ]
    return Nested(order[np.sort(np.array(taken, dtype=np.int64))], gains)


def _totals(spans: Boundaries, nesting: Nesting) -> np.ndarray:
    """n x states: the greatest total of a legal set within the boundaries, them included; -inf: not allowed there."""
    size = widths(spans)
    if len(nesting.after) == 1 and nesting.is_free and size.mean() > _WORK:
        return row_totals(spans, nesting.weights)
    totals, wide = narrow_totals(spans, nesting, size)
    if not len(wide):
        return totals
    columns = totals.T.tolist()
    for span in wide[np.argsort((spans.ends - spans.starts)[wide], kind="stable")].tolist():  # narrow first
        region = spans.inside(span)
        best = {
            state: sum(columns[state][i] for i in spans.best_among(region, columns[state]))
            for state in nesting.states_inside(span)
        }
        for state, column in enumerate(columns):
            column[span] = max((w + best[after] for w, _, after in nesting.options(span, state)), default=-np.inf)
    return np.array(columns).T


def _outermost_inwards(spans: Boundaries, nesting: Nesting, totals: np.ndarray) -> list[tuple[int, int]]:
    """The chosen boundaries, each with the labels on them as bits."""
    columns: dict[int, list[float]] = {}
    chosen: list[tuple[int, int]] = []

    def best_of(region: Sequence[int], state: int) -> list[int]:
        column = columns[state] if state in columns else columns.setdefault(state, totals[:, state].tolist())
        return spans.best_among(region, column)

    todo = [(best_of(range(len(totals)), 0), 0)]
    while todo:
        picks, state = todo.pop()
        for span in picks:
            region = spans.inside(span)
            best_total, best = -np.inf, (0, state, picks)
            for weight, members, after in nesting.options(span, state):
                within = best_of(region, after) if region else []
                total = weight + sum(columns[after][i] for i in within)
                if total > best_total:
                    best_total, best = total, (members, after, within)
            members, after, within = best
            chosen.append((span, members))
            if within:
                todo.append((within, after))
    return chosen


class Laminar:
    """Spans that do not cross; knows whether another crosses one of them."""

    def __init__(self) -> None:
        self._by_start: list[tuple[int, int]] = []  # (start, end)
        self._by_end: list[tuple[int, int]] = []  # (end, start)

    def admits(self, start: int, end: int) -> bool:
        """O(log k), and as many steps more as spans start or end inside."""
        inside = slice(bisect_left(self._by_start, (start + 1,)), bisect_left(self._by_start, (end,)))
        if any(other_end > end for _, other_end in self._by_start[inside]):
            return False
        inside = slice(bisect_left(self._by_end, (start + 1,)), bisect_left(self._by_end, (end,)))
        return all(other_start >= start for _, other_start in self._by_end[inside])

    def add(self, start: int, end: int) -> None:
        insort(self._by_start, (start, end))
        insort(self._by_end, (end, start))
