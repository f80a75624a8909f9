"""What tasks about relations share: which of a document's relations there are to find, and how much text they span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..documents import Document, Relation, Span
from ..errors import UsageError
from ..metrics.relations import NO_RELATION

FLOOR = -4.0  # log-odds below which a relation is not worth keeping


def known(document: Document) -> list[Relation]:
    """All but those that say there is none."""
    return [relation for relation in document.relations if relation.label != NO_RELATION]


def learnable(document: Document) -> list[Relation]:
    """Those between two spans: one of a span with itself can never be found."""
    return [relation for relation in known(document) if relation.head != relation.tail]


def wanted(document: Document) -> list[Relation]:
    """Of these, those whose label was looked for."""
    return [relation for relation in known(document) if document.looked_for(relation.label)]


def stretch(relation: Relation) -> Span:
    """From one argument to the other, under the relation's label."""
    head, tail = relation.head, relation.tail
    return Span(min(head.start, tail.start), max(head.end, tail.end), relation.label)


def types(relation: Relation) -> str:
    """As HEAD>TAIL."""
    return f"{relation.head.label}>{relation.tail.label}"


def several(documents: Sequence[Document]) -> bool:
    """Whether some pair has relations of more than one label."""
    return any(
        count > 1
        for document in documents
        for count in Counter((h, t) for h, t, _ in {(r.head, r.tail, r.label) for r in learnable(document)}).values()
    )


def check_settings(labels: Sequence[str], pairs: Sequence[object]) -> None:
    """Labels and types that a model of relations may be set to. Raises UsageError."""
    for pair in pairs:
        if not isinstance(pair, str) or pair.count(">") != 1:
            raise UsageError(f"types {pair!r}", "HEAD>TAIL, as in PERSON>ORG", "write it like this")
    if NO_RELATION in labels:
        raise UsageError(f"label {NO_RELATION}", "labels of relations", "leave it out: it is always known")
