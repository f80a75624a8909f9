"""Scores of tag sequences as conlleval and seqeval give them: their ways of reading, our way of counting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ..errors import DataError
from ..tag_schemes import Range, decode, decode_strict
from .spans import SpanCounts, count_items

Reading = Callable[[Sequence[str]], list[Range]]


def _seqeval(tags: Sequence[str], read: Callable[[Sequence[str], str], list[Range]], scheme: str) -> list[Range]:
    return [(start, end, label or "_") for start, end, label in read(tags, scheme)]  # its name for no label


READINGS: dict[str, Reading] = {
    "conlleval": partial(decode, scheme="iob2"),
    "seqeval_default": partial(_seqeval, read=decode, scheme="iobes"),
    "seqeval_strict_iob2": partial(_seqeval, read=decode_strict, scheme="iob2"),
    "seqeval_strict_iobes": partial(_seqeval, read=decode_strict, scheme="iobes"),
}
"""How each scorer reads the spans of a sentence."""


@dataclass(frozen=True, slots=True)
class TagScores:
    """Spans read from tags, counted per sentence, and how many tags agree."""

    gold: tuple[tuple[Range, ...], ...]
    predicted: tuple[tuple[Range, ...], ...]
    spans: SpanCounts
    tokens: int
    correct_tags: int

    @property
    def accuracy(self) -> float:
        return self.correct_tags / self.tokens if self.tokens else 0.0


def score_tags(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], scorer: str) -> TagScores:
    """Scores of sentences under one of `READINGS`; a span never crosses the end of a sentence."""
    if [len(tags) for tags in gold] != [len(tags) for tags in predicted]:
        raise DataError(
            "gold and predicted sentences of different lengths",
            "one predicted tag for every gold tag",
            "tag the very sentences that are evaluated",
        )
    read = READINGS[scorer]
    right, found = (tuple(tuple(read(tags)) for tags in side) for side in (gold, predicted))
    return TagScores(
        right,
        found,
        count_items(*([[((s, e), label) for s, e, label in spans] for spans in side] for side in (right, found))),
        sum(map(len, gold)),
        sum(a == b for tags, others in zip(gold, predicted, strict=True) for a, b in zip(tags, others, strict=True)),
    )
