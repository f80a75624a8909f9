"""Annotation formats: one module each, found through the table, recognised from the content of a file."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from ..documents import Document, only_documents
from ..errors import DataError, at, check_among
from .composed import composed
from .format import Format
from .repair import made_id, survey_text
from .report import Note, Reading, ReadReport
from .sources import Source

__all__ = ["FORMATS", "Format", "Note", "ReadReport", "Reading", "format_named", "read_documents", "write_documents"]

# In the order in which they are asked whether they recognise a file: the most particular first.
FORMATS = {
    "brat": "spanbert.formats.brat",
    "docred": "spanbert.formats.docred",
    "label-studio": "spanbert.formats.label_studio",
    "squad": "spanbert.formats.squad",
    "squad-predictions": "spanbert.formats.squad_predictions",
    "mrqa": "spanbert.formats.mrqa",
    "tacred": "spanbert.formats.tacred",
    "spert": "spanbert.formats.spert",
    "dygie": "spanbert.formats.dygie",
    "gap": "spanbert.formats.gap",
    "prodigy": "spanbert.formats.prodigy",
    "doccano": "spanbert.formats.doccano",
    "jsonl": "spanbert.formats.jsonl",
    "semeval": "spanbert.formats.semeval",
    "conll-coref": "spanbert.formats.conll_coref",
    "conll": "spanbert.formats.conll",
    "text": "spanbert.formats.text",
}


def read_documents(
    paths: str | Path | Sequence[str | Path], input_format: str | None = None, report: ReadReport | None = None
) -> Iterator[Document]:
    """The documents of files, folders and standard input (`-`), one by one.

    `report` is filled while the documents are read. Raises UsageError for an unknown format or a missing path,
    DataError for what cannot be repaired, and for an id that two documents share.
    """
    given = None if input_format is None else format_named(input_format)
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    return _read(listed, given, ReadReport() if report is None else report)


def write_documents(documents: Iterable[Document], path: str | Path, output_format: str = "jsonl") -> Counter[str]:
    """Write documents to a file (`-`: standard output) or a new folder; count what the format cannot hold.

    Raises UsageError for an unknown format or a path that cannot be written to, DataError for spans it cannot hold.
    """
    return format_named(output_format).write(only_documents(documents), path)


def format_named(name: str) -> Format:
    """The module of a format. Raises UsageError with the nearest name."""
    check_among("unknown format", name, sorted(FORMATS))
    return cast(Format, importlib.import_module(FORMATS[name]))


def _read(paths: Sequence[str | Path], given: Format | None, report: ReadReport) -> Iterator[Document]:
    places: dict[str, str] = {}
    files: set[Path] = set()
    try:
        for path in paths:
            source, own = Source(path, report), set[str]()
            with at(file=source.name):
                if source.path is not None:
                    if (file := source.path.resolve()) in files:
                        raise DataError("a file that was read already", "each file once", "name it once")
                    files.add(file)
                for document in (given or _recognised(source)).read(source, report):
                    if document.id in places and document.id not in own:
                        document = _apart(document, source, report)
                    own.add(document.id)
                    if report.reading.normalise == "nfc":
                        document = _composed(document, report)
                    if report.reading.undirected:
                        document = _in_order(document, report)
                    _count(document, places, report)
                    yield document
    except DataError as error:
        report.reject(error)
        raise


def _apart(document: Document, source: Source, report: ReadReport) -> Document:
    """Under another id, where this one was made of what two files may well share: their name, or a title."""
    if document.id.startswith(source.stem):  # a file elsewhere has the same name: say where
        name = source.name.removesuffix(source.suffix) + document.id.removeprefix(source.stem)
    elif "title" in document.meta or document.id.startswith(made_id(document.text)):  # parts of one data set share both
        name = f"{source.stem}-{document.id}"
    else:
        return document
    report.repair("ids that an earlier file has too (renamed)", f"{document.id}, now {name}")
    return replace(document, id=name)


def _composed(document: Document, report: ReadReport) -> Document:
    result = composed(document)
    if result is not document:
        report.repair("texts composed (NFC)", document.id)
    return result


def _in_order(document: Document, report: ReadReport) -> Document:
    """With the relations of the labels without a direction in the order of the text."""
    labels = {label.strip() for label in report.reading.undirected.split(",")}
    turned = [r.label in labels and (r.tail.start, r.tail.end) < (r.head.start, r.head.end) for r in document.relations]
    if not any(turned):
        return document
    report.repair("relations without a direction turned round", times=sum(turned))
    relations = (
        replace(r, head=r.tail, tail=r.head) if turn else r for r, turn in zip(document.relations, turned, strict=True)
    )
    return replace(document, relations=tuple(dict.fromkeys(relations)))


def _count(document: Document, places: dict[str, str], report: ReadReport) -> None:
    with at(file=report.place, document=document.id):
        if document.id in places:
            raise DataError(
                f"a second document of this id; the first is at {places[document.id]}",
                "ids that differ within everything that is read together",
                "rename one of them, or read each file once",
            )
        survey_text(document.text, report)
        if times := len(document.relations) - len(set(document.relations)):
            report.warn("relations given twice", times=times)
        for relation in document.relations:
            if relation.head == relation.tail:  # no recipe reads a pair of one span
                report.warn("relations of a span with itself (not learnt)", relation.label)
        for question in document.questions:
            key = f"question {question.id}"  # beside the ids of documents
            if key in places:
                report.warn("questions with the id of another", f"{question.id}, the first at {places[key]}")
            places.setdefault(key, report.place)
    places[document.id] = report.place
    report.documents += 1
    report.spans += len(document.spans)


def _recognised(source: Source) -> Format:
    formats = [format_named(name) for name in FORMATS]
    by_content = (module for module in formats if module.recognises(source))
    by_suffix = (module for module in formats if not source.is_folder and source.suffix in module.SUFFIXES)
    module = next(by_content, None) or next(by_suffix, None)
    if module is None:
        raise DataError(
            "a folder without .ann or .txt files" if source.is_folder else "a format that is not recognised",
            f"one of {', '.join(sorted(FORMATS))}",
            "name the format with --input-format, or convert the file",
        )
    return module
