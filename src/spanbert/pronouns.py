"""The three spans of a GAP example, and what clusters say of them (Webster et al. 2018, "Mind the GAP")."""

from __future__ import annotations

from .documents import Document, Span
from .errors import DataError

PRONOUN, A, B = "gap:pronoun", "gap:A", "gap:B"
"""Labels of the pronoun and of the two names that it may stand for."""


def is_example(document: Document) -> bool:
    """Whether it has a pronoun and two names."""
    return sorted(span.label for span in document.spans) == sorted((PRONOUN, A, B))


def marked(document: Document) -> tuple[Span, Span, Span]:
    """Pronoun, A and B. Raises DataError where they are not there."""
    if not is_example(document):
        raise DataError(
            f"document {document.id!r} without a pronoun and two names", "the three spans", "read a GAP file"
        )
    by_label = {span.label: span for span in document.spans}
    return by_label[PRONOUN], by_label[A], by_label[B]


def coreferent(document: Document, predicted: Document) -> tuple[bool, bool]:
    """Whether the pronoun of `document` is A, and B, by the clusters of `predicted`.

    It is where one cluster has the very pronoun and a mention that holds the name (and not the pronoun).
    """
    pronoun, *names = marked(document)
    own = [c for c in predicted.clusters if any((s.start, s.end) == (pronoun.start, pronoun.end) for s in c.spans)]
    held = [
        any(
            span.start <= name.start and name.end <= span.end and not span.start <= pronoun.start < span.end
            for cluster in own
            for span in cluster.spans
        )
        for name in names
    ]
    return held[0], held[1]
