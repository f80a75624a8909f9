"""How far a span stands from where its text was cut into windows: are long documents read worse at the seams?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

from ..documents import Document, Span
from ..metrics.breakdown import Group
from ..tasks.task import Task
from ..tokenization import Pieces

DISTANCES = (
    "in one window",
    "up to 16 pieces away",
    "17–64 pieces away",
    "65–128 pieces away",
    "129 pieces away and more",
)
_LONGEST = (16, 64, 128)


def by_border(task: Task, documents: Sequence[Document], pieces: Sequence[Pieces]) -> Group:
    """`DISTANCES`: pieces between a span and the nearer end of the window that tells it, where text goes on beyond.

    For tasks whose windows are plain text. What has no piece, and so no window, counts with the documents of one.
    """

    @cache
    def windows(number: int) -> list[tuple[int, int, int, int]]:
        """First and last piece, and what is owned (`Window`)."""
        examples = task.examples(task.visible(documents[number]), pieces[number], None)
        return [(*each.bounds, each.low, each.high) for example in examples for each in example.windows]

    def group(number: int, span: Span) -> int:
        run = pieces[number].covering(span.start, span.end)
        if run is None:
            return 0
        end = len(pieces[number]) - 1
        for first, last, low, high in windows(number):
            if low < sum(run) <= high:
                apart = [run[0] - first] * (first > 0) + [last - run[1]] * (last < end)
                return 1 + bisect_left(_LONGEST, min(apart)) if apart else 0
        return 0

    return group
