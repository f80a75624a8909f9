"""Intervals by drawing whole documents with replacement: spans of one document are not independent."""

from __future__ import annotations

import numpy as np

from ..errors import DataError
from .spans import Rate, f1

SAMPLES = 1000
LEVEL = 0.95
_CELLS = 4_000_000  # numbers that are held at a time, whatever the number of documents

Interval = tuple[float, float]


def resample(counts: np.ndarray, *, seed: int = 0, samples: int = SAMPLES) -> np.ndarray:
    """[documents, ...] to [samples, ...]: each a sum over as many documents, drawn with replacement.

    The draws depend on the seed and the number of documents only, so two systems get the same ones. Raises DataError
    for no documents.
    """
    documents = len(counts)
    if not documents:
        raise DataError("no documents", "at least one annotated document", "check what was given")
    flat = counts.reshape(documents, -1).astype(np.float64)
    draw = np.random.default_rng(seed)
    sums = np.empty((samples, flat.shape[1]))
    step = max(1, _CELLS // max(1, documents))
    for first in range(0, samples, step):
        times = np.zeros((min(step, samples - first), documents))  # how often each document was drawn
        for row in times:
            row += np.bincount(draw.integers(documents, size=documents), minlength=documents)
        sums[first : first + step] = times @ flat
    return sums.reshape(samples, *counts.shape[1:])


def interval(
    counts: np.ndarray,
    rate: Rate = f1,
    *,
    drawn: np.ndarray | None = None,
    best: float = 1.0,
    level: float = LEVEL,
) -> Interval | None:
    """(low, high) of a rate, from 0 to `best`, of summed counts [documents, ...]; None where nothing varies: fewer than
    two documents have anything to count.

    drawn: what `resample` gave, where that was done. Draws without anything to count are left out.

    Of documents that are all without a fault, every draw is too, which does not mean that the next one must be. The end
    that drawing cannot tell is then that of Clopper and Pearson (1934) for n documents, as if one with a fault had
    nothing right: `best` times (a / 2)^(1 / n), a = 1 - level. So with 0 where nothing is right.
    """
    if not varies(counts):
        return None
    low, high = bounds(rate(told(resample(counts) if drawn is None else drawn)), level)
    sure = ((1 - level) / 2) ** (1 / np.count_nonzero(_anything(counts)))
    if low >= best:
        low = best * sure
    elif high <= 0.0:
        high = best * (1 - sure)
    return float(low), float(high)


def varies(counts: np.ndarray) -> bool:
    """Whether two of the documents at least have anything to count."""
    return bool(np.count_nonzero(_anything(counts)) > 1)


def told(drawn: np.ndarray) -> np.ndarray:
    """The draws in which there is anything: 0/0 is no rate, and would pull an interval down to 0."""
    kept: np.ndarray = drawn[_anything(drawn)]
    return kept


def _anything(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts.any(axis=tuple(range(1, counts.ndim))))


def bounds(values: np.ndarray, level: float = LEVEL) -> Interval:
    """The range that holds `level` of the values, as much cut off below as above."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
