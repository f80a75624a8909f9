"""Which pieces of a block to hide, for pre-training (Joshi et al. 2020, section 3.1).

A block of T pieces is given by `begins` (T, whether a piece begins a word). Every way of masking hides at most
`budget` pieces and says which as runs [first, last], disjoint and not adjacent: overlapping and adjacent spans are one
for the boundary objective. All randomness comes from `draw`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from .targets import BoolArray
from .tokenization import IntArray

FloatArray = npt.NDArray[np.float64]
MOST_IDLE = 20
"""Draws in vain, for each piece of the block, after which the budget is left as it is."""
Lengths = Callable[[int], FloatArray]
Spans = Iterator[tuple[int, int]]
"""Endless draws of (length in words, piece at which the span is anchored)."""


def budget_of(pieces: int, rate: float) -> int:
    """How many of so many pieces to hide: the share, rounded up."""
    return math.ceil(rate * pieces)


def geometric(most: int, p: float = 0.2) -> FloatArray:
    """P(1), ..., P(most) of the geometric distribution cut off at `most` and scaled to sum to one (not: with the rest
    of its mass on `most`)."""
    weights = p * (1.0 - p) ** np.arange(most)
    pmf: FloatArray = weights / weights.sum()
    return pmf


def uniform(most: int) -> FloatArray:
    """Every length alike."""
    return np.full(most, 1.0 / most)


LENGTHS: Mapping[str, Lengths] = {"geometric": geometric, "uniform": uniform}


def draws(pieces: int, lengths: FloatArray, draw: np.random.Generator) -> Spans:
    """Lengths from this distribution, anchors evenly over the pieces."""
    below = lengths.cumsum()
    below /= below[-1]
    while True:
        several = below.searchsorted(draw.random(32), side="right") + 1  # as `draw.choice`, which also checks them
        yield from zip(several.tolist(), draw.integers(pieces, size=32).tolist(), strict=True)


def spans_of_words(begins: BoolArray, budget: int, spans: Spans) -> BoolArray:
    """Spans of whole words; a word that no longer fits the budget ends its span. T, which pieces are hidden."""
    return _union(grown(begins, budget, spans, cut=False), len(begins))


def spans_to_the_budget(begins: BoolArray, budget: int, spans: Spans) -> BoolArray:
    """As the published program did: the span that uses up the budget ends there, inside a word if need be."""
    return _union(grown(begins, budget, spans, cut=True), len(begins))


BORDERS: Mapping[str, Callable[[BoolArray, int, Spans], BoolArray]] = {
    "strict": spans_of_words,
    "reference": spans_to_the_budget,
}


def words(begins: BoolArray, budget: int, draw: np.random.Generator) -> BoolArray:
    """Single words, each with all its pieces."""
    edges = _edges(begins)
    sizes = np.diff(edges)
    masked = np.zeros(len(begins), dtype=bool)
    for word in draw.permutation(len(sizes)).tolist():
        if sizes[word] <= budget:
            masked[edges[word] : edges[word + 1]] = True
            budget -= int(sizes[word])
        if not budget:
            break
    return masked


def tokens(begins: BoolArray, budget: int, draw: np.random.Generator) -> BoolArray:
    """Single pieces, wherever they stand in their words (Devlin et al. 2019)."""
    masked = np.zeros(len(begins), dtype=bool)
    masked[draw.permutation(len(begins))[:budget]] = True
    return masked


def runs(masked: BoolArray) -> IntArray:
    """R x 2, first and last of each run of hidden pieces."""
    framed = np.zeros(len(masked) + 2, dtype=bool)
    framed[1:-1] = masked
    edges = np.flatnonzero(framed[1:] != framed[:-1])
    edges[1::2] -= 1
    return edges.reshape(-1, 2)


def grown(begins: BoolArray, budget: int, spans: Spans, *, cut: bool) -> Iterator[tuple[int, int]]:
    """Spans [first, last] until the budget is used up, as they are drawn; they may touch and overlap.

    A span anchored inside a word begins with that word; one anchored at a hidden piece is passed over. Hidden words
    that it meets count towards its length and not towards the budget. cut: the last span may end inside a word.
    """
    total = len(begins)
    borders = _edges(begins)
    sizes = np.diff(borders)
    smallest = 1 if cut else int(sizes.min(initial=total))
    # lists, as a block is short and single numbers of arrays are slow
    edges, word_of = borders.tolist(), np.repeat(np.arange(len(sizes)), sizes).tolist()
    masked = bytearray(total)
    idle = 0
    for length, anchor in spans:
        if budget < smallest or idle > MOST_IDLE * total:  # what is left fits no word, or is too hard to find
            return
        idle += 1
        if masked[anchor]:
            continue
        word = word_of[anchor]
        begin = last = edges[word]
        for first, end in pairwise(edges[word : word + length + 1]):
            fresh = [piece for piece in range(first, end) if not masked[piece]]
            fits = len(fresh) <= budget
            if not fits:
                fresh = fresh[: budget if cut else 0]
            for piece in fresh:
                masked[piece] = True
            budget -= len(fresh)
            last = end if fits else max(fresh, default=first - 1) + 1
            if not fits or not budget:
                break
        if last > begin:
            idle = 0
            yield begin, last - 1


def _edges(begins: BoolArray) -> IntArray:
    """Where words begin, and the end of the last; a block may begin inside a word, which counts as one."""
    inside = np.flatnonzero(begins[1:]) + 1
    return np.concatenate([[0], inside, [len(begins)]])


def _union(spans: Iterable[tuple[int, int]], total: int) -> BoolArray:
    masked = np.zeros(total, dtype=bool)
    for first, last in spans:
        masked[first : last + 1] = True
    return masked
