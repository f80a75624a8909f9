"""Nested spans: any two are disjoint, or one contains the other, or they have the same boundaries."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .flat import best_disjoint

_REACH = 4096  # distinct ends that a row of `_short_totals` covers at most; wider spans are solved one by one


@dataclass(frozen=True, slots=True)
class _Boundaries:
    """Distinct boundaries, sorted by end and start; `weights` sums the logits of their labels."""

    starts: list[int]
    ends: list[int]
    weights: list[float]

    def inside(self, span: int) -> list[int]:
        """Ascending indices of those within the boundaries of `span`, without itself."""
        start, end = self.starts[span], self.ends[span]
        ending = range(bisect_right(self.ends, start), bisect_right(self.ends, end))
        return [other for other in ending if self.starts[other] >= start and other != span]

    def best_among(self, region: Sequence[int], totals: Sequence[float]) -> list[int]:
        """The best disjoint ones of a region (ascending indices), each standing for its total."""
        starts, ends = [self.starts[i] for i in region], [self.ends[i] for i in region]
        return [region[i] for i in best_disjoint(starts, ends, [totals[i] for i in region])]


def best_nested(starts: np.ndarray, ends: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Indices of the candidates with the greatest total of positive logits among those that do not cross.

    Labels on the same boundaries do not compete: their positive logits add. A best set is a best disjoint set of
    outermost spans, each standing for its own logits and the best set inside it (`totals`). Ties: at each depth as
    in `best_flat`. For n boundaries, of which at most m <= 4096 ends lie within one, O(n m) in vector steps
    and O(n log n) for the rest; wider spans cost as much again as there are spans inside each.
    """
    positive = np.flatnonzero(logits > 0)
    order = positive[np.lexsort((logits[positive], labels[positive], starts[positive], ends[positive]))]
    if not len(order):
        return order
    changes = (np.diff(starts[order]) != 0) | (np.diff(ends[order]) != 0)
    first = np.concatenate([[0], 1 + np.flatnonzero(changes)])
    weights = np.add.reduceat(logits[order].astype(np.float64), first)
    spans = _Boundaries(starts[order][first].tolist(), ends[order][first].tolist(), weights.tolist())
    chosen = _outermost_inwards(spans, _totals(spans))
    sizes = np.diff(np.append(first, len(order)))
    taken = np.zeros(len(first), dtype=bool)
    taken[chosen] = True
    indices: np.ndarray = order[np.repeat(taken, sizes)]
    return indices


def _outermost_inwards(spans: _Boundaries, totals: list[float]) -> list[int]:
    chosen: list[int] = []
    regions: list[Sequence[int]] = [range(len(totals))]
    while regions:
        best = spans.best_among(regions.pop(), totals)
        chosen += best
        regions += filter(None, map(spans.inside, best))
    return chosen


def _totals(spans: _Boundaries) -> list[float]:
    """For each boundaries: their weight and the greatest total inside them."""
    starts, ends = np.array(spans.starts), np.array(spans.ends)
    stops, columns = np.unique(ends, return_inverse=True)
    reach = columns - np.searchsorted(stops, starts, side="right") + 1
    totals = _short_totals(spans, stops, columns, reach)
    wide = np.flatnonzero(reach > _REACH)
    for span in wide[np.argsort((ends - starts)[wide], kind="stable")].tolist():  # narrow first: inside is known
        best = spans.best_among(spans.inside(span), totals)
        totals[span] = spans.weights[span] + sum(totals[i] for i in best)
    return totals


def _short_totals(spans: _Boundaries, stops: np.ndarray, columns: np.ndarray, reach: np.ndarray) -> list[float]:
    """Totals of the boundaries that reach over at most `_REACH` distinct ends; zero for the others.

    From the last start to the first, a row holds the greatest total that lies between that start and each of the
    next ends. A span lifts its row from its end on: by its total, and by what the row of the first start after it
    adds there. Rows are dropped once no span before them ends in front of them, so only a stretch is in memory.
    """
    totals = [0.0] * len(reach)
    short = np.flatnonzero(reach <= _REACH)
    heads, of_head = np.unique(np.array(spans.starts)[short], return_inverse=True)
    by_head = np.split(short[np.argsort(of_head, kind="stable")], np.cumsum(np.bincount(of_head))[:-1])
    lows = np.searchsorted(stops, heads, side="right").tolist()
    after = np.searchsorted(heads, spans.ends)  # the first start after each span
    readers = np.bincount(after[short], minlength=len(heads) + 1).tolist()
    column_of, after_of = columns.tolist(), after.tolist()
    width = int(reach[short].max(initial=0))
    rows: dict[int, np.ndarray] = {}
    row, row_low = np.zeros(0), len(stops)
    for head in range(len(heads) - 1, -1, -1):
        low = lows[head]
        size = min(width, len(stops) - low)
        fresh = np.zeros(size)
        if row_low < low + size:
            fresh[row_low - low :] = row[: low + size - row_low]
        row, row_low = fresh, low
        for span in by_head[head].tolist():  # the nearest end first
            column, following = column_of[span] - low, after_of[span]
            totals[span] = total = spans.weights[span] + float(row[column])
            gap = min(lows[following] - low, size) if following < len(heads) else size
            np.maximum(row[column:gap], total, out=row[column:gap])
            if gap < size:
                np.maximum(row[gap:], rows[following][: size - gap] + total, out=row[gap:])
            readers[following] -= 1
            if not readers[following]:
                rows.pop(following, None)
        if readers[head]:
            rows[head] = row
    return totals


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
