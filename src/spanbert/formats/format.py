"""What every file format offers; the table of formats is in `formats/__init__.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from ..documents import Document
from ..errors import DataError, UsageError
from . import strict_json
from .report import ReadReport
from .sources import Source


class Format(Protocol):
    """A module of this package."""

    SUFFIXES: tuple[str, ...]
    """Suffixes that decide where the content does not."""

    def recognises(self, source: Source) -> bool:
        """Whether the content (`source.head`, or the files beside it) is of this format."""

    def read(self, source: Source, report: ReadReport) -> Iterator[Document]:
        """The documents, one by one. Raises DataError with file and line."""

    def write(self, documents: Iterable[Document], target: str | Path) -> Counter[str]:
        """Write them all; count what the format cannot hold. Raises DataError where it cannot hold a span."""


def read_only(name: str) -> Callable[[Iterable[Document], str | Path], Counter[str]]:
    """The `write` of a format that can only be read."""

    def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:  # noqa: ARG001
        raise UsageError(f"{name} to write", "a format that holds any text", "write jsonl")

    return write


def first_record(source: Source) -> dict[str, object]:
    """The object of the first line, to be recognised by its keys; empty where that is none, or longer than the head."""
    line, end, _ = source.head.lstrip().partition("\n")
    if not line.startswith("{") or not (end or source.head_is_all):
        return {}
    try:
        return strict_json.mapping(strict_json.parse(line), "a line")
    except DataError:
        return {}


def read_items(
    source: Source, report: ReadReport, what: str, made: Callable[[dict[str, object], str, ReadReport], Document]
) -> Iterator[Document]:
    """A document for each object of a JSON list, or of one object alone; errors name its place in the list.

    what: the name of such an object in errors. made: the document of an object, which may be called by the name given.
    """
    with report.at(file=source.name):
        records = strict_json.parse(source.text())
        rows = records if isinstance(records, list) else [records]
    for index, row in enumerate(rows, start=1):
        with report.at(file=f"{source.name}, item {index}"):
            document = made(strict_json.mapping(row, what), f"{source.stem}-{index}", report)
        yield document


def read_lines(
    source: Source,
    report: ReadReport,
    what: str,
    made: Callable[[dict[str, object], str, ReadReport], Document | None],
) -> Iterator[Document]:
    """Like `read_items`, for a JSON object a line; of a line of which None is made there is no document."""
    for number, line in source.lines():
        with report.at(file=source.name, line=number):
            if not line.strip():
                report.warn("lines left blank")
                continue
            document = made(strict_json.mapping(strict_json.parse(line), what), f"{source.stem}-{number}", report)
        if document is not None:
            yield document


def not_held(document: Document, *held: str) -> Counter[str]:
    """What `document` has that a format holding only text, spans and the fields `held` loses."""
    counts = {
        "scores": sum(span.score is not None for span in document.spans),
        "parts of discontinuous spans": sum(bool(span.parts) for span in document.spans),
        "relations": len(document.relations),
        "clusters": len(document.clusters),
        "questions": len(document.questions),
        "lists of annotated labels": int(document.annotated is not None),
        "coverages": int(document.coverage is not None),
        "meta fields": len(document.meta),
    }
    return Counter({what: count for what, count in counts.items() if count and what not in held})
