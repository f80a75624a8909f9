"""JSON lists of tokenised sentences with entities and relations, as for CoNLL04 and FIRE. Read only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..documents import Document, Relation
from ..errors import DataError
from . import strict_json
from .format import read_items, read_only
from .repair import clean_label, once, whole_number
from .report import ReadReport
from .sources import Source
from .tokens import Joined

SUFFIXES: tuple[str, ...] = ()
write = read_only("spert")
_TOKENS, _ENTITIES = re.compile(r'"tokens"\s*:\s*\['), re.compile(r'"(entities|relations|orig_id)"\s*:')


def recognises(source: Source) -> bool:
    """A list of records that begin with `tokens`, entities or relations beside them."""
    head = source.head.lstrip()
    return head.startswith("[") and _TOKENS.search(head) is not None and _ENTITIES.search(head) is not None


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document a sentence; ends are exclusive, arguments are numbers of entities. Raises DataError."""
    return read_items(source, report, "a sentence", _document)


def _document(record: dict[str, object], name: str, report: ReadReport) -> Document:
    joined = Joined.of([record.get("tokens")], report)
    entities = [strict_json.mapping(item, "an entity") for item in strict_json.items(record, "entities")]
    spans = [
        joined.span(item.get("start"), whole_number(item.get("end"), "end", report) - 1, item.get("type"), report)
        for item in entities
    ]
    relations = []
    for item in strict_json.items(record, "relations"):
        relation = strict_json.mapping(item, "a relation")
        ends = [whole_number(relation.get(role), role, report) for role in ("head", "tail")]
        if not all(0 <= end < len(spans) for end in ends):
            raise DataError(
                f"a relation between entities {ends[0]} and {ends[1]} of {len(spans)}",
                "two of the entities",
                "count from 0",
            )
        label = clean_label(relation.get("type"), "of a relation", report)
        relations.append(Relation(spans[ends[0]], spans[ends[1]], label))
    identifier = record.get("orig_id") if isinstance(record.get("orig_id"), int | str) else None
    return Document(
        name if identifier is None else f"{name}-{identifier}",
        joined.text,
        once(spans, "spans", report),
        once(relations, "relations", report),
    )
