"""Documents written with their spans in them."""

from __future__ import annotations

import re

from spanbert.documents import Document, Span


def marked(identifier: str, text: str, annotated: frozenset[str] | None = None) -> Document:
    """`[Anna|PERSON] met [the [Bolt|ORG] man|PERSON]`: brackets are spans, and may lie in one another."""
    plain, opened, spans = "", [], []
    for part in re.findall(r"\[|\|\w+\]|[^\[|]+", text):
        if part == "[":
            opened.append(len(plain))
        elif part.startswith("|"):
            spans.append(Span(opened.pop(), len(plain), part[1:-1]))
        else:
            plain += part
    return Document(
        identifier, plain, tuple(sorted(spans, key=lambda s: (s.start, -s.end, s.label))), annotated=annotated
    )
