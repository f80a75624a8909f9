"""Windows to packed batches under a budget of positions. Knows lengths and groups, nothing else.

A group is the windows of one example, which stay in one batch; a group larger than the budget is a batch of its own.
`longest_first` and `shuffled` say which groups share a batch, `lay_out` builds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .tokenization import IntArray
from .windows import Window

Groups = Sequence[Sequence[Window]]
_STRETCH = 16  # batches sorted by length together in training: long runs of one length, and still well shuffled


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows laid end to end in one row without padding. T positions, W windows, G groups; longest window first."""

    ids: IntArray
    positions: IntArray
    token_types: IntArray
    """T, what the encoder reads."""
    pieces: IntArray
    """T, index of the document's piece; -1 at special tokens, questions, markers and white space."""
    cu_seqlens: IntArray
    """W + 1, where each window begins."""
    low: IntArray
    high: IntArray
    unit: IntArray
    """W, as in `Window`."""
    groups: IntArray
    """W, index into `members`."""
    members: IntArray
    """G, index of the group in the sequence it was chosen from."""
    given: Mapping[int, IntArray] = field(default_factory=dict)
    """Of windows whose spans were given, these, as in `Window`."""

    @property
    def lengths(self) -> IntArray:
        """W, positions of each window."""
        return np.diff(self.cu_seqlens)

    @property
    def windows(self) -> IntArray:
        """T, the window each position stands in."""
        return np.repeat(np.arange(len(self.groups)), self.lengths)

    @property
    def bounds(self) -> IntArray:
        """W x 2, the first and the last piece of the document in each window; of one without any it says nothing."""
        real, edges = self._real
        return self.pieces[real[np.stack([edges[:-1], edges[1:] - 1], 1)]]

    @property
    def shift(self) -> IntArray:
        """W, by how much a piece's position in the batch exceeds its number: a window's pieces are consecutive."""
        real, edges = self._real
        first = real[edges[:-1]]
        return first - self.pieces[first]

    @property
    def _real(self) -> tuple[IntArray, IntArray]:
        """Positions of pieces of the document, and one more; and W + 1, where those of each window begin among them."""
        real = np.flatnonzero(self.pieces >= 0)
        return np.append(real, 0), np.searchsorted(real, self.cu_seqlens)

    @property
    def runs(self) -> list[tuple[int, int, int, int]]:
        """(first position, first window, number, length) of each run of neighbours of one length, in order."""
        lengths = self.lengths
        edges = np.flatnonzero(np.diff(lengths, prepend=-1))
        columns = self.cu_seqlens[edges], edges, np.diff(edges, append=len(lengths)), lengths[edges]
        return list(zip(*(column.tolist() for column in columns), strict=True))


def longest_first(groups: Groups, budget: int) -> list[list[int]]:
    """Members of each batch for prediction: windows of one length lie side by side."""
    order = sorted(range(len(groups)), key=lambda g: (-_longest(groups[g]), g))
    return _fill(order, groups, budget)


def shuffled(groups: Groups, budget: int, draw: np.random.Generator) -> list[list[int]]:
    """Members of each batch for training: shuffled, sorted by length inside stretches, batches shuffled again."""
    order = draw.permutation(len(groups)).tolist()
    batches: list[list[int]] = []
    for stretch in _fill(order, groups, budget * _STRETCH):
        batches.extend(_fill(sorted(stretch, key=lambda g: -_longest(groups[g])), groups, budget))
    return [batches[k] for k in draw.permutation(len(batches))]


def lay_out(groups: Groups, members: Sequence[int]) -> Batch:
    """The batch of these groups, its windows sorted by falling length."""
    rows = [(window, n) for n, member in enumerate(members) for window in groups[member]]
    rows.sort(key=lambda row: -len(row[0].ids))
    windows = [window for window, _ in rows]
    lengths = [len(window.ids) for window in windows]
    return Batch(
        ids=np.concatenate([window.ids for window in windows]),
        positions=np.concatenate([np.arange(length) for length in lengths]),
        token_types=np.concatenate([window.token_types for window in windows]),
        pieces=np.concatenate([window.pieces for window in windows]),
        cu_seqlens=np.cumsum([0, *lengths]),
        low=np.array([window.low for window in windows]),
        high=np.array([window.high for window in windows]),
        unit=np.array([window.unit for window in windows]),
        groups=np.array([n for _, n in rows]),
        members=np.array(members),
        given={k: window.given for k, window in enumerate(windows) if window.given is not None},
    )


def size(group: Sequence[Window]) -> int:
    """Positions of a group."""
    return sum(len(window.ids) for window in group)


def _longest(group: Sequence[Window]) -> int:
    return max(len(window.ids) for window in group)


def _fill(order: Iterable[int], groups: Groups, budget: int) -> list[list[int]]:
    """Cut `order` into runs of at most `budget` positions."""
    runs: list[list[int]] = []
    used = budget + 1
    for member in order:
        positions = size(groups[member])
        if used + positions > budget:
            runs.append([])
            used = 0
        runs[-1].append(member)
        used += positions
    return runs
