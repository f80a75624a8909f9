"""DyGIE, SciERC: a JSON line a document, tokenised sentences with entities, relations and clusters. Read only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..documents import MENTION, Document, Relation, Span
from ..errors import DataError
from . import strict_json
from .format import read_lines, read_only
from .repair import chains, clean_label, once
from .report import ReadReport
from .sources import Source
from .tokens import Joined

SUFFIXES: tuple[str, ...] = ()
write = read_only("dygie")
_KEYS = re.compile(r'"sentences"\s*:\s*\[\s*\[')


def recognises(source: Source) -> bool:
    """A line with `sentences` of tokens."""
    return source.head.lstrip().startswith("{") and _KEYS.search(source.head) is not None


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document a line; places count tokens of the whole document, ends inclusive. Raises DataError."""
    yield from read_lines(source, report, "a document", _document)


def _document(record: dict[str, object], name: str, report: ReadReport) -> Document:
    joined = Joined.of(strict_json.items(record, "sentences"), report)
    spans: dict[tuple[int, int], Span] = {}
    more: list[Span] = []
    for first, last, label in _rows(record, "ner", 3):
        span = joined.span(first, last, label, report)
        if (int(first), int(last)) in spans:  # type: ignore[call-overload]  # `span` has read them as numbers
            more.append(span)
        spans.setdefault((int(first), int(last)), span)  # type: ignore[call-overload]
    ambiguous = {(span.start, span.end) for span in more}
    relations = []
    for *ends, label in _rows(record, "relations", 5):
        pair = []
        for first, last in (ends[:2], ends[2:]):
            place = joined.span(first, last, MENTION, report)
            known = spans.get((int(first), int(last)))  # type: ignore[call-overload]
            if (place.start, place.end) in ambiguous:
                report.warn("arguments with several labels (the first is taken)", name)
            if known is None:
                report.repair("relations with arguments outside the entities (added as mentions)", name)
                spans[int(first), int(last)] = known = place  # type: ignore[call-overload]
            pair.append(known)
        relations.append(Relation(pair[0], pair[1], clean_label(label, "of a relation", report)))
    members = []
    for cluster in strict_json.items(record, "clusters"):
        if not isinstance(cluster, list):
            raise DataError("a cluster that is no list", "a list of [first, last]", "see the format's description")
        places = [_row(row, 2) for row in cluster]
        members.append([joined.span(first, last, MENTION, report) for first, last in places])
    if any(strict_json.items(record, "events")):
        report.warn("events (not read)", name)
    return Document(
        str(record.get("doc_key") or name),
        joined.text,
        once((*spans.values(), *more), "spans", report),
        once(relations, "relations", report),
        chains(members, report),
    )


def _rows(record: dict[str, object], key: str, length: int) -> Iterator[list[object]]:
    """Of all sentences."""
    for sentence in strict_json.items(record, key):
        if not isinstance(sentence, list):
            raise DataError(
                f"{key!r} that is no list of sentences", "a list a sentence", "see the format's description"
            )
        for row in sentence:
            yield _row(row, length)


def _row(row: object, length: int) -> list[object]:
    if not isinstance(row, list) or len(row) < length:
        raise DataError(f"{row!r}", f"a list of {length} values", "see the format's description")
    return row[:length]
