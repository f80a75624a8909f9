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
    return [
        {
            "id": documents[k].id,
            "characters": len(documents[k].text),
            "wrong": sum(error.error == WRONG for error in errors[k]),
            "missed": sum(error.error == MISSED for error in errors[k]),
            "errors": [{**error.to_json(), **_around(documents[k].text, error)} for error in errors[k][:LISTED]],
            "more_errors": max(0, len(errors[k]) - LISTED),
        }
        for k in order[:DOCUMENTS]
        if errors[k]
    ]


def _around(text: str, error: Error) -> dict[str, JSON]:
    """The text before the stretch, in it and after it; a long stretch is cut."""
    end = min(error.end, error.start + WHOLE)
    start, stop = widen(max(0, error.start - AROUND), min(len(text), end + AROUND), borders(text))
    return {"before": text[start : error.start], "inside": text[error.start : end], "after": text[end:stop]}


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
