"""Totals of nested spans where very many lie inside one another, without a nesting matrix."""

from __future__ import annotations

import numpy as np

from .nesting import Boundaries

_REACH = 4096  # distinct ends that a row of `_short_totals` covers at most; wider spans are solved one by one


def row_totals(spans: Boundaries, weights: np.ndarray) -> np.ndarray:
    """n x 1: for each boundaries their weight and the greatest total inside them.

    Where at most m <= 4096 ends lie within one, O(n m) in vector steps; wider spans cost as much again as there are
    spans inside each.
    """
    starts, ends = spans.starts, spans.ends
    stops, columns = np.unique(ends, return_inverse=True)
    reach = columns - np.searchsorted(stops, starts, side="right") + 1
    totals = _short_totals(spans, weights.tolist(), columns, reach)
    wide = np.flatnonzero(reach > _REACH)
    for span in wide[np.argsort((ends - starts)[wide], kind="stable")].tolist():  # narrow first: inside is known
        best = spans.best_among(spans.inside(span), totals)
        totals[span] = float(weights[span]) + sum(totals[i] for i in best)
    return np.array(totals)[:, None]


def _short_totals(spans: Boundaries, weights: list[float], columns: np.ndarray, reach: np.ndarray) -> list[float]:
    """Totals of the boundaries that reach over at most `_REACH` distinct ends; zero for the others.

    From the last start to the first, a row holds the greatest total that lies between that start and each of the
    next ends. A span lifts its row from its end on: by its total, and by what the row of the first start after it
    adds there. Rows are dropped once no span before them ends in front of them, so only a stretch is in memory.
    """
    stops, totals = np.unique(spans.ends), [0.0] * len(reach)
    short = np.flatnonzero(reach <= _REACH)
    heads, of_head = np.unique(spans.starts[short], return_inverse=True)
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
            totals[span] = total = weights[span] + float(row[column])
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
