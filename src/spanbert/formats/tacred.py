"""TACRED: a JSON list of sentences, each with a subject, an object and their relation, or `no_relation`. Read only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..documents import Document, Relation
from .format import read_items, read_only
from .repair import clean_label
from .report import ReadReport
from .sources import Source
from .tokens import Joined

SUFFIXES: tuple[str, ...] = ()
write = read_only("tacred")
_KEYS = re.compile(r'"subj_start"\s*:|"subj_type"\s*:')


def recognises(source: Source) -> bool:
    """A list of records with `subj_start`."""
    return source.head.lstrip().startswith("[") and _KEYS.search(source.head) is not None


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document a sentence; subject and object are its spans, ends inclusive in the file. Raises DataError."""
    return read_items(source, report, "an example", _document)


def _document(record: dict[str, object], name: str, report: ReadReport) -> Document:
    joined = Joined.of([record.get("token")], report)
    subject, object_ = (
        joined.span(record.get(f"{role}_start"), record.get(f"{role}_end"), record.get(f"{role}_type"), report)
        for role in ("subj", "obj")
    )
    relations: tuple[Relation, ...] = ()
    if record.get("relation") is not None:
        label = clean_label(record["relation"], "of a relation", report)
        relations = (Relation(subject, object_, label),)
    spans = tuple(dict.fromkeys((subject, object_)))
    return Document(str(record.get("id") or name), joined.text, spans, relations)
