"""The same predictions as several scorers count them, each under its own name, with intervals by document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..documents import JSON, Document, Span
from ..tag_schemes import encode
from .breakdown import Row, Words, rows, word_range
from .partial_matches import SCHEMES, count_matches, worth
from .spans import count_documents
from .tags import score_tags

TAG_SCORERS = {
    "conlleval": "conlleval",
    "seqeval, default": "seqeval_default",
    "seqeval, strict, IOB2": "seqeval_strict_iob2",
}
NOT_FLAT = "not flat, not applicable"
_STRICT = "Strict set F1 counts a span as right if boundaries and label are those of a gold span; a repeat counts once."
_ORDER = (
    "nervaluate lets predictions choose a gold span one after another and takes no choice back, so a fragment can take "
    "the gold span of a right prediction that stands after it; here they choose in the order of the text. A span in "
    "several parts is taken as one from its first to its last character. Half of what is partial counts as correct."
)


@dataclass(frozen=True, slots=True)
class Scorer:
    """What one scorer says, or why it says nothing."""

    name: str
    row: Row | None
    reason: str = ""

    def to_json(self) -> dict[str, JSON]:
        return {"name": self.name, "reason": self.reason} if self.row is None else self.row.to_json()


def side_by_side(
    gold: Sequence[Document], predicted: Sequence[Document], known: Sequence[Words]
) -> tuple[list[Scorer], list[str]]:
    """All scorers, and notes on how they count. `known`: the words of each document, which is one sentence to tags."""
    pairs = [_scored(document, other) for document, other in zip(gold, predicted, strict=True)]
    sides = [spans for spans, _ in pairs], [spans for _, spans in pairs]
    strict = count_documents(gold, predicted)
    found = [_scorer("strict set", strict.by_label.sum(axis=1)), _scorer("boundaries alone", strict.boundaries)]
    tagged = [[_tags(spans, words) for spans, words in zip(side, known, strict=True)] for side in sides]
    conflicts = [
        f"two {name} spans of document {gold[number].id!r} share a word"
        for name, side in zip(("gold", "predicted"), tagged, strict=True)
        for number, tags in enumerate(side)
        if tags is None
    ]
    notes = [_STRICT, _ORDER]
    if conflicts:
        found += [Scorer(name, None, f"{NOT_FLAT}: {conflicts[0]}") for name in TAG_SCORERS]
    else:
        right, answers = ([tags for tags in side if tags is not None] for side in tagged)
        for name, reading in TAG_SCORERS.items():
            found.append(_scorer(name, score_tags(right, answers, reading).spans.by_label.sum(axis=1)))
        notes.insert(1, _tag_note(sides, known))
    counts = worth(count_matches(*sides).overall)
    found += [_scorer(f"nervaluate, {scheme}", counts[:, k]) for k, scheme in enumerate(SCHEMES)]
    return found, notes


def _scored(gold: Document, predicted: Document) -> tuple[list[Span], list[Span]]:
    """Spans of both with labels that were looked for, in the order of the text."""
    right, found = (
        sorted(
            (span for span in document.spans if gold.looked_for(span.label)),
            key=lambda span: (span.start, span.end, span.label),
        )
        for document in (gold, predicted)
    )
    return right, found


def _scorer(name: str, counts: np.ndarray) -> Scorer:
    """From counts [documents, 3]."""
    return Scorer(name, rows(counts[:, None], [name])[0])


def _tags(spans: Sequence[Span], words: Words) -> list[str] | None:
    """BIO tags of the words that spans touch; None: two spans share a word, or one is in several parts."""
    ranges = {(*word_range(words, span.start, span.end), span.label) for span in spans}
    flat = sorted(each for each in ranges if each[0] < each[1])
    if any(span.parts for span in spans) or any(b[0] < a[1] for a, b in zip(flat, flat[1:], strict=False)):
        return None
    return encode(flat, len(words[0]), "iob2")


def _tag_note(sides: Sequence[Sequence[Sequence[Span]]], known: Sequence[Words]) -> str:
    """How spans became tags, with what was changed."""
    note = "conlleval and seqeval read BIO tags of words, one sentence a document"
    touched = [
        (span, words, word_range(words, span.start, span.end))
        for side in sides
        for spans, words in zip(side, known, strict=True)
        for span in spans
    ]
    lost = sum(first >= end for _, _, (first, end) in touched)
    widened = sum(
        (words[0][first], words[1][end - 1]) != (span.start, span.end)
        for span, words, (first, end) in touched
        if first < end
    )
    if widened:
        note += f"; spans that were widened to whole words: {widened:,}"
    if lost:
        note += f"; spans without any word, which tags cannot write: {lost:,}"
    return note + "."
