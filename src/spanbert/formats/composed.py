"""Texts with letters and accents composed (Unicode NFC), on request: every offset moves with its character."""

from __future__ import annotations

import bisect
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

import regex

from ..documents import Coverage, Document, Span
from ..errors import DataError
from ..graphemes import borders

_MOST_ACCENTS = 1000  # composing takes their number squared
_ACCENTS = regex.compile(rf"\p{{M}}{{{_MOST_ACCENTS}}}")


def composed(document: Document) -> Document:
    """The document with its text in NFC; the same object where it is already.

    Composition never crosses a grapheme, so the text is composed one by one and their borders are the offset map;
    readers leave no span with an edge inside one.
    """
    if long := _ACCENTS.search(document.text):
        raise DataError(
            f"a letter with {_MOST_ACCENTS} accents at {long.start()}", "text", "take it out, or leave out --normalise"
        )
    text = unicodedata.normalize("NFC", document.text)
    others = (each for question in document.questions for each in question.texts)
    if text == document.text and all(unicodedata.is_normalized("NFC", each) for each in others):
        return document
    known = borders(document.text) or range(len(document.text) + 1)
    pieces = [unicodedata.normalize("NFC", document.text[a:b]) for a, b in zip(known, known[1:], strict=False)]
    after = [0, *accumulate(map(len, pieces))]

    def at(offset: int) -> int:
        return after[bisect.bisect_left(known, offset)]

    def moved(span: Span) -> Span:
        parts = tuple((at(start), at(end)) for start, end in span.parts)
        return replace(span, start=at(span.start), end=at(span.end), parts=parts)

    return replace(
        document,
        text="".join(pieces),
        spans=tuple(map(moved, document.spans)),
        relations=tuple(replace(r, head=moved(r.head), tail=moved(r.tail)) for r in document.relations),
        clusters=tuple(replace(c, spans=tuple(map(moved, c.spans))) for c in document.clusters),
        questions=tuple(
            replace(
                question,
                answers=None if question.answers is None else tuple(map(moved, question.answers)),
                n_best=tuple(map(moved, question.n_best)),
                texts=tuple(unicodedata.normalize("NFC", each) for each in question.texts),
            )
            for question in document.questions
        ),
        coverage=document.coverage and _covered(document.coverage, after[-1], at),
    )


def _covered(coverage: Coverage, characters: int, at: Callable[[int], int]) -> Coverage:
    """The same of the composed text."""
    unread = tuple((at(start), at(end)) for start, end in coverage.unread)
    read = characters - sum(end - start for start, end in unread)
    return replace(coverage, characters_read=read, characters=characters, unread=unread)
