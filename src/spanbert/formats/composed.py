"""Texts with letters and accents composed (Unicode NFC), on request: every offset moves with its character."""

from __future__ import annotations

import bisect
import unicodedata
from dataclasses import replace
from itertools import accumulate

import regex

from ..documents import Document, Span
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
    if text == document.text:
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
            replace(q, answers=None if q.answers is None else tuple(map(moved, q.answers))) for q in document.questions
        ),
    )
