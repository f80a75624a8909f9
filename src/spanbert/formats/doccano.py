"""Doccano: JSON lines of text with spans under `label`, or `entities` with relations; and what spaCy writes as `ents`.

Triples `[start, end, label]` or objects; offsets in code points, end exclusive. Further keys are the document's `meta`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..documents import Document, Relation, Span, check_text
from ..errors import DataError, at
from . import strict_json
from .format import first_record, not_held, read_lines
from .repair import RawSpan, clean_label, merge_duplicates, settle, warn_of_crossing
from .report import ReadReport
from .sinks import sink
from .sources import Source

SUFFIXES: tuple[str, ...] = ()
_SPANS = ("label", "labels", "entities", "ents")
_OWN = ("id", "text", "relations", *_SPANS)


def recognises(source: Source) -> bool:
    """The first line is an object with text and a list of spans under a name of theirs."""
    record = first_record(source)
    theirs = any(isinstance(record.get(key), list) for key in _SPANS)
    return theirs and "spans" not in record and isinstance(record.get("text"), str)


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document a line. Raises DataError with file and line."""
    yield from read_lines(source, report, "a document", _document)


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """Lines to import: spans as triples, with relations as entities; `meta` as further keys."""
    lost: Counter[str] = Counter()
    with sink(target) as stream:
        for document in documents:
            held = {key: value for key, value in document.meta.items() if key not in _OWN}
            with at(document=document.id):
                record = {"id": document.id, "text": document.text, **_annotations(document), **held}
                stream.write(strict_json.dump(record) + b"\n")
            lost += not_held(document, "relations") - Counter({"meta fields": len(held)})
    return +lost


def _document(record: dict[str, object], name: str, report: ReadReport) -> Document:
    text = strict_json.string(record, "text", "a document")
    check_text(text)
    identifier = str(record.get("id") or name)
    with at(document=identifier):
        return _annotated(identifier, text, record, report)


def _annotated(identifier: str, text: str, record: dict[str, object], report: ReadReport) -> Document:
    key = next((key for key in _SPANS if record.get(key) is not None), "label")
    items = strict_json.items(record, key)
    spans = merge_duplicates(settle(text, [_raw(item) for item in items], report), report)
    warn_of_crossing(dict.fromkeys(spans), report)
    ids = [item.get("id") if isinstance(item, dict) else None for item in items]
    named = {str(name): span for name, span in zip(ids, spans, strict=True) if name is not None}
    relations = [_relation(item, named, report) for item in strict_json.items(record, "relations")]
    return Document(
        identifier,
        text,
        tuple(dict.fromkeys(spans)),
        tuple(dict.fromkeys(relations)),
        meta={name: value for name, value in record.items() if name not in _OWN},
    )


def _raw(item: object) -> RawSpan:
    match item:
        case [start, end, label]:
            return RawSpan(start, end, label)
        case {"start_offset": start, "end_offset": end, "label": label}:
            return RawSpan(start, end, label)
        case {"start": start, "end": end, "label": label}:
            return RawSpan(start, end, label)
    raise DataError(
        f"a span written as {str(item)[:60]}",
        "[start, end, label], or an object with start_offset, end_offset and label",
        "export it as JSONL, with labels",
    )


def _relation(item: object, named: dict[str, Span], report: ReadReport) -> Relation:
    fields = strict_json.mapping(item, "a relation")
    head, tail = (named.get(str(fields.get(key))) for key in ("from_id", "to_id"))
    if head is None or tail is None:
        raise DataError(
            f"a relation from {fields.get('from_id')!r} to {fields.get('to_id')!r}",
            "from_id and to_id of two entities of the document",
            "export the entities too",
        )
    return Relation(head, tail, clean_label(fields.get("type"), "of a relation", report))


def _annotations(document: Document) -> dict[str, object]:
    if not document.relations:
        return {"label": [[span.start, span.end, span.label] for span in document.spans]}
    number = {span: place for place, span in enumerate(dict.fromkeys(document.spans), start=1)}
    return {
        "entities": [
            {"id": place, "label": span.label, "start_offset": span.start, "end_offset": span.end}
            for span, place in number.items()
        ],
        "relations": [
            {"id": place, "from_id": number[each.head], "to_id": number[each.tail], "type": each.label}
            for place, each in enumerate(document.relations, start=1)
        ],
    }
