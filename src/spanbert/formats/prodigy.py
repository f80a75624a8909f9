"""Prodigy: JSON lines of tasks with `spans`, read where they were accepted; several of one text are one document."""

from __future__ import annotations

from collections.abc import Iterator

from ..documents import Document, check_text
from ..errors import at
from . import strict_json
from .format import first_record, read_only
from .repair import RawSpan, merge_duplicates, settle, warn_of_crossing
from .report import ReadReport
from .sources import Source

SUFFIXES: tuple[str, ...] = ()
write = read_only("prodigy")


def recognises(source: Source) -> bool:
    """The hashes that it gives each task."""
    return bool(first_record(source).keys() & {"_input_hash", "_task_hash"})


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document for each text with an accepted task, in the order of the first; others are counted. Raises DataError.

    A binary rejection says that some spans are wrong, and not that there are no others: no gold can be made of it.
    """
    accepted: dict[object, tuple[str, str, dict[str, object], list[RawSpan]]] = {}
    for number, line in source.lines():
        with report.at(file=source.name, line=number):
            if not line.strip():
                report.warn("lines left blank")
                continue
            task = strict_json.mapping(strict_json.parse(line), "a task")
            if (answer := task.get("answer", "accept")) != "accept":
                report.warn("tasks that were not accepted (left out)", str(answer))
                continue
            text = strict_json.string(task, "text", "a task")
            check_text(text)
            meta = strict_json.mapping(task.get("meta") or {}, "'meta'")
            key = task.get("_input_hash"), text
            if key in accepted:
                report.warn("tasks on the text of another (joined)")
            *_, spans = accepted.setdefault(key, (f"{source.stem}-{number}", text, meta, []))
            spans += [_raw(strict_json.mapping(span, "a span")) for span in strict_json.items(task, "spans")]
    for identifier, text, meta, raw in accepted.values():
        with report.at(file=source.name, document=identifier), at(document=identifier):
            found = dict.fromkeys(merge_duplicates(settle(text, raw, report), report))
            warn_of_crossing(found, report)
            document = Document(identifier, text, tuple(found), meta=meta)
        yield document


def _raw(span: dict[str, object]) -> RawSpan:
    copy = None if span.get("text") is None else strict_json.string(span, "text", "a span")
    return RawSpan(span.get("start"), span.get("end"), span.get("label", "span"), copy=copy)
