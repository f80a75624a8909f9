"""The documents with most errors, cut to the neighbourhood of the errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..documents import JSON, Document, Span
from ..graphemes import borders, widen
from ..metrics.breakdown import Differences, error_kinds
from .kinds import MISSED, WRONG, Error

DOCUMENTS = 10
EXCERPTS = 6
"""Of one document."""
AROUND = 90
"""Characters shown on both sides of where a wrong or missed span begins and ends."""
WHOLE = 600
"""Characters of a document that is shown whole."""
LISTED = 20
"""Errors of one document that are listed one by one."""


def worst(documents: Sequence[Document], found: Sequence[Differences]) -> list[dict[str, JSON]]:
    """The DOCUMENTS with most errors, most first, each with its excerpts; none without errors."""
    order = sorted(range(len(found)), key=lambda k: -len(found[k].wrong) - len(found[k].missed))
    chosen = [k for k in order[:DOCUMENTS] if found[k].wrong or found[k].missed]
    return [_document(documents[k], found[k]) for k in chosen]


def worst_by_errors(documents: Sequence[Document], errors: Sequence[Sequence[Error]]) -> list[dict[str, JSON]]:
    """The DOCUMENTS with most errors, most first, each with its first LISTED errors and the text around them."""
    order = sorted(range(len(errors)), key=lambda k: -len(errors[k]))
    return [_with_errors(documents[k], errors[k]) for k in order[:DOCUMENTS] if errors[k]]


def _with_errors(document: Document, errors: Sequence[Error]) -> dict[str, JSON]:
    known = borders(document.text)
    return {
        "id": document.id,
        "characters": len(document.text),
        "wrong": sum(error.error == WRONG for error in errors),
        "missed": sum(error.error == MISSED for error in errors),
        "errors": [{**error.to_json(), **_around(document.text, error, known)} for error in errors[:LISTED]],
        "more_errors": max(0, len(errors) - LISTED),
    }


def _around(text: str, error: Error, known: list[int] | None) -> dict[str, JSON]:
    """The text before the stretch, in it and after it; of a long stretch the beginning, and nothing after it."""
    start, stop = widen(max(0, error.start - AROUND), min(len(text), error.end + AROUND), known)
    before, inside = text[start : error.start], text[error.start : error.end]
    if len(inside) <= WHOLE:
        return {"before": before, "inside": inside, "after": text[error.end : stop]}
    _, end = widen(error.start, error.start + WHOLE, known)
    return {"before": before, "inside": text[error.start : end], "after": ""}


def _document(document: Document, found: Differences) -> dict[str, JSON]:
    spans = [_span(span, "right", None) for span in found.right]
    for side, own in (("wrong", found.wrong), ("missed", found.missed)):
        spans += [_span(span, side, kind) for span, kind in zip(own, error_kinds(found, side), strict=True)]
    ranges = _ranges(document.text, (*found.wrong, *found.missed))
    return {
        "id": document.id,
        "characters": len(document.text),
        "right": len(found.right),
        "wrong": len(found.wrong),
        "missed": len(found.missed),
        "excerpts": [
            {
                "start": start,
                "end": end,
                "text": document.text[start:end],
                "spans": [span for span in spans if span["start"] < end and span["end"] > start],
            }
            for start, end in ranges[:EXCERPTS]
        ],
        "more_excerpts": max(0, len(ranges) - EXCERPTS),
    }


def _span(span: Span, side: str, kind: str | None) -> dict[str, Any]:
    score = {} if span.score is None else {"score": span.score}
    return {"start": span.start, "end": span.end, "label": span.label, **score, "side": side, "kind": kind}


def _ranges(text: str, errors: Iterable[Span]) -> list[tuple[int, int]]:
    """Stretches [start, end) around the borders of errors, in order and apart; none cuts a grapheme."""
    if len(text) <= WHOLE:
        return [(0, len(text))]
    merged: list[tuple[int, int]] = []
    known = borders(text)
    for place in sorted(edge for span in errors for edge in (span.start, span.end)):
        start, end = widen(max(0, place - AROUND), min(len(text), place + AROUND), known)
        if merged and start <= merged[-1][1]:
            start, _ = merged.pop()
        merged.append((start, end))
    return merged
