"""brat stand-off: `.txt` with the text and `.ann` beside it with spans (T) and relations (R)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..documents import Document, Relation, Span
from ..errors import DataError
from .format import not_held
from .repair import RawSpan, clean_label, merge_duplicates, settle, warn_of_crossing
from .report import ReadReport
from .sinks import ODD_IDS, FileNames, new_folder, write_text
from .sources import Source, readable, refuse_link_out

SUFFIXES = (".ann",)
_RANGE = r"-?[0-9]{1,18} -?[0-9]{1,18}"
_SPAN = re.compile(rf"(T\S+)\t(\S+) ({_RANGE}(?:;{_RANGE})*)(?:\t(.*))?", re.DOTALL)
_RELATION = re.compile(r"R\S+\t(\S+) ([^\s:]+):(\S+) ([^\s:]+):(\S+)\s*")
_NOT_READ = {
    "E": "events",
    "A": "attributes",
    "M": "modifications",
    "N": "normalisations",
    "#": "notes",
    "*": "equivalences",
}
Raw = dict[str, RawSpan]  # by brat's id
RawRelations = list[tuple[int, str, str, str]]  # line, label, head's id, tail's id


def recognises(source: Source) -> bool:
    """An `.ann` file, a text with one beside it, or a folder with any in it."""
    if source.path is None:
        return False
    if source.is_folder:
        return bool(_annotation_files(source.path))
    return source.suffix == ".ann" or (source.suffix == ".txt" and _beside(source.path, ".ann") is not None)


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document per pair of files, named after them. Raises DataError with file and line."""
    if source.path is None:
        raise DataError("standard input", "an .ann file with its .txt, or a folder", "give the path")
    if source.is_folder:
        annotation_files, root = _annotation_files(source.path), source.path
        alone = [path for path in _files(root, ".txt") if _beside(path, ".ann") is None]
        for path in alone:
            with report.at(file=str(path)):
                report.warn("texts without an .ann file (not read)")
    else:
        annotation = source.path if source.suffix == ".ann" else _beside(source.path, ".ann")
        annotation_files, root = [annotation] if annotation else [], source.path.parent
    if not annotation_files:
        raise DataError("no .ann file", "an .ann file beside each .txt file", "name another --input-format")
    for path in annotation_files:
        yield _pair(path, root, report)


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """A new folder with `.txt`, `.ann` and `annotation.conf`."""
    names, lost = FileNames(), Counter[str]()
    labels: set[str] = set()
    relation_labels: set[str] = set()
    with new_folder(target) as folder:
        for document in documents:
            stem = names.name(document.id, ".txt").removesuffix(".txt")
            write_text(folder / f"{stem}.txt", document.text)
            write_text(folder / f"{stem}.ann", "".join(_lines(document)))
            labels.update(span.label for span in document.spans)
            relation_labels.update(relation.label for relation in document.relations)
            lost += not_held(document, "relations", "parts of discontinuous spans")
            lost[ODD_IDS] += stem != document.id
            lost["scores"] += sum(relation.score is not None for relation in document.relations)
        write_text(folder / "annotation.conf", _configuration(sorted(labels), sorted(relation_labels)))
    return +lost


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted([*folder.rglob(f"*{suffix}"), *folder.rglob(f"*{suffix}.gz")])


def _annotation_files(folder: Path) -> list[Path]:
    return _files(folder, ".ann")


def _beside(path: Path, suffix: str) -> Path | None:
    """The file of the same name with another suffix, packed or not."""
    plain = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    candidates = (plain.with_suffix(suffix), plain.with_suffix(f"{suffix}.gz"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _pair(annotation: Path, root: Path, report: ReadReport) -> Document:
    with report.at(file=str(annotation)):
        refuse_link_out(annotation, root)
    annotations = Source(annotation, report, may_be_empty=True)
    with report.at(file=annotations.name):
        path = _beside(annotation, ".txt")
        if path is None:
            raise DataError("no .txt file beside it", f"{annotation.stem}.txt in the same folder", "add the text")
        refuse_link_out(path, root)
    text = Source(path, report, may_be_empty=True).text()
    identifier = readable((annotation.parent / annotations.stem).relative_to(root).as_posix())
    raw, raw_relations = _parse(annotations, report)
    with report.at(file=annotations.name, document=identifier):
        spans = dict(zip(raw, merge_duplicates(settle(text, raw.values(), report), report), strict=True))
        warn_of_crossing(dict.fromkeys(spans.values()), report)
    relations = []
    for number, label, head, tail in raw_relations:
        with report.at(file=annotations.name, line=number, document=identifier):
            relations += _relation(label, head, tail, spans, report)
    with report.at(file=annotations.name, document=identifier):
        return Document(identifier, text, tuple(dict.fromkeys(spans.values())), tuple(relations))


def _parse(annotations: Source, report: ReadReport) -> tuple[Raw, RawRelations]:
    raw: Raw = {}
    relations: RawRelations = []
    for number, line in annotations.lines():
        with report.at(file=annotations.name, line=number):
            if not line.strip():
                continue
            if kind := _NOT_READ.get(line[0]):
                report.warn(f"lines of brat {kind} (not read)", line[:60])
            elif match := _RELATION.fullmatch(line):
                label, first_role, first, second_role, second = match.groups()
                swapped = (first_role, second_role) == ("Arg2", "Arg1")
                relations.append((number, label, *((second, first) if swapped else (first, second))))
            elif match := _SPAN.fullmatch(line):
                _add(raw, *match.groups())
            else:
                raise DataError(
                    f"a line that is not brat's: {line[:60]!r}",
                    "T1<tab>LABEL 0 5<tab>text, or R1<tab>LABEL Arg1:T1 Arg2:T2",
                    "check for spaces in place of tabs and for line ends inside the text column",
                )
    return raw, relations


def _add(raw: Raw, identifier: str, label: str, ranges: str, copy: str | None) -> None:
    if identifier in raw:
        raise DataError(f"{identifier} stands twice", "each id once", "give one of them another id")
    parts = [[int(offset) for offset in part.split(" ")] for part in ranges.split(";")]
    raw[identifier] = RawSpan(parts[0][0], parts[-1][1], label, None, parts if len(parts) > 1 else None, copy)


def _relation(label: str, head: str, tail: str, spans: dict[str, Span], report: ReadReport) -> list[Relation]:
    for argument in (head, tail):
        if argument.startswith("E"):
            report.warn("relations of brat events (not read)", f"{label} of {head} and {tail}")
            return []
        if argument not in spans:
            raise DataError(f"relation {label!r} of {argument}, which is not there", "ids of T lines", "add the T line")
    return [Relation(spans[head], spans[tail], clean_label(label, "of a relation", report))]


def _lines(document: Document) -> Iterator[str]:
    names: dict[Span, str] = {}
    for number, span in enumerate(sorted(document.spans, key=lambda span: (span.start, span.end, span.label)), start=1):
        parts = span.parts or ((span.start, span.end),)
        ranges = ";".join(f"{start} {end}" for start, end in parts)
        copy = re.sub(r"[\r\n]", " ", " ".join(document.text[start:end] for start, end in parts))
        names[span] = f"T{number}"
        yield f"T{number}\t{span.label} {ranges}\t{copy}\n"
    for number, relation in enumerate(document.relations, start=1):
        yield f"R{number}\t{relation.label} Arg1:{names[relation.head]} Arg2:{names[relation.tail]}\n"


def _configuration(labels: list[str], relation_labels: list[str]) -> str:
    relations = [f"{label}\tArg1:<ENTITY>, Arg2:<ENTITY>" for label in relation_labels]
    return "\n".join(["[entities]", *labels, "", "[relations]", *relations, "", "[events]", "", "[attributes]", ""])
