"""Pieces to overlapping windows that know what they own, and rows of window scores back to the document.

Every span belongs to exactly one window: the one where it has most context on its nearer side. With windows of
equal size that is the window for which `low < first + last <= high`, so a window knows alone what it owns, heads
emit owned rows only, and merging is a concatenation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .documents import Coverage
from .tokenization import Frame, IntArray, Pieces

GIVEN = 1e4
"""Log-odds of a span that was given: beyond doubt."""
HEAD_BEGINS, TAIL_BEGINS = -2, -3
"""In `Window.pieces`: where what marks the arguments of a pair begins."""
Table = Mapping[str, npt.NDArray[Any]]
"""Named columns of equal length; the column `window` says which window of the batch a row comes from."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A run of pieces with its special tokens, of length L."""

    ids: IntArray
    """L, what the encoder reads."""
    token_types: IntArray
    """L, segment of each position."""
    pieces: IntArray
    """L, index of the document's piece at each position; below 0 at special tokens, questions, markers, white space."""
    low: int
    high: int
    """Spans owned, in pieces of the document: low < first + last <= high."""
    unit: int = 0
    """Which question or pair of the document it reads."""
    given: IntArray | None = None
    """S x 3: first piece, last piece and label of the spans that the document was given with; None: they are to be
    found."""

    def __reduce__(self) -> tuple[type[Window], tuple[object, ...]]:
        """For other processes, in less than half of the time that the default takes."""
        return Window, (self.ids, self.token_types, self.pieces, self.low, self.high, self.unit, self.given)

    @property
    def bounds(self) -> tuple[int, int]:
        """First and last piece of the document that stands in this window."""
        real = self.pieces[self.pieces >= 0]
        return int(real[0]), int(real[-1])


def cut(pieces: Pieces, size: int, overlap: int, frame: Frame, unit: int = 0) -> list[Window]:
    """Windows of at most `size` positions, pieces in their frame, neighbours sharing about `overlap` pieces.

    The windows of one document are equally long and evenly spread, so their real overlap is at least the wanted
    one; a span of up to `overlap` + 1 pieces lies whole in some window. Without visible pieces there is no window.
    """
    room, total = size - len(frame), len(pieces)
    overlap = min(overlap, room // 2)
    count = min(total, 1) if total <= room else -(-(total - overlap) // (room - overlap))
    firsts = np.linspace(0, max(total - room, 0), count).round().astype(np.int64)
    lasts = np.minimum(firsts + room, total) - 1
    numbers = np.where(pieces.visible, np.arange(total), -1)
    windows = []
    for k, (a, b) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True)):
        low = a + int(lasts[k - 1]) if k else -1
        high = b + int(firsts[k + 1]) if k + 1 < count else 2 * total
        window = _framed(pieces.ids[a : b + 1], numbers[a : b + 1], frame, low, high, unit)
        if window.pieces.max() >= 0:
            windows.append(window)
    return windows


def split(pieces: Pieces, size: int, frame: Frame) -> list[Window]:
    """Windows like those of `cut` that do not overlap and are nearly equally long; each owns what lies inside it."""
    total = len(pieces)
    edges = np.linspace(0, total, -(-total // (size - len(frame))) + 1).round().astype(np.int64)
    numbers = np.where(pieces.visible, np.arange(total), -1)
    return [
        _framed(pieces.ids[a:end], numbers[a:end], frame, 2 * a - 1, 2 * end) for a, end in pairwise(edges.tolist())
    ]


def _framed(ids: IntArray, numbers: IntArray, frame: Frame, low: int, high: int, unit: int = 0) -> Window:
    """The window of these pieces in their frame."""
    behind = np.full(len(ids) + len(frame.after), frame.type_of_pieces)
    return Window(
        np.concatenate([frame.before, ids, frame.after]),
        np.concatenate([frame.types, behind]),
        np.concatenate([np.full(len(frame.before), -1), numbers, np.full(len(frame.after), -1)]),
        low,
        high,
        unit,
    )


def concatenate(tables: Sequence[Table]) -> Table:
    """Rows of several tables, in their order; no tables give a table without columns."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]} if tables else {}


def coverage(text: str, pieces: Pieces, read: npt.NDArray[np.bool_], windows: int, unknown: int) -> Coverage:
    """How much of a text was read.

    read: T, whether the piece stood in any of the `windows`. unknown: id of the piece for what the vocabulary does not
    know. White space and deleted characters between neighbours that were read count as read.
    """
    seen = read | ~pieces.visible
    strange = pieces.ids == unknown
    lost = int((pieces.ends - pieces.starts)[strange & pieces.visible].sum())
    if seen.all():
        return Coverage(len(text), len(text), windows, unknown=lost)
    known = np.zeros(len(text), dtype=bool)
    for begin, end in np.flatnonzero(np.diff(seen, prepend=False, append=False)).reshape(-1, 2):
        known[pieces.starts[begin] : pieces.ends[end - 1]] = True  # pieces of one grapheme share its characters
    gaps = np.flatnonzero(np.diff(~known, prepend=False, append=False)).reshape(-1, 2)
    return Coverage(int(known.sum()), len(text), windows, tuple((a, b) for a, b in gaps.tolist()), lost)
