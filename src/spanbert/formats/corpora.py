"""Texts without annotations, for pre-training: any number of documents of any length in constant memory.

JSON lines with the key `text` (other keys are passed over), Parquet files with a column `text`, plain text; each may be
packed with gzip, bzip2 or xz (Parquet packs itself). Folders are searched for such files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..documents import Document
from ..durable import is_folder
from ..errors import DataError, MachineError, UsageError, at, check_among, nearest
from . import strict_json
from .report import ReadReport
from .sources import Source, readable

BORDERS = ("file", "blank-line")
PART = 1_000_000
"""Characters of a plain text file that make a part of it: what is learnt from a file does not depend on it."""
ROWS = 1000
_PACKED = (".gz", ".bz2", ".xz")
_Texts = Iterator[tuple[int, str]]  # with the number of the line, row or part


@dataclass(frozen=True, kw_only=True)
class CorpusReading:
    """How the texts of a corpus are read."""

    text_key: str = "text"
    """Key of JSON lines or column of Parquet files that holds the text."""
    document_border: str = "file"
    """In plain text, file: a file is a document; blank-line: a blank line ends one."""

    def __post_init__(self) -> None:
        check_among("document_border", self.document_border, BORDERS)


def read_texts(
    paths: str | Path | Sequence[str | Path], reading: CorpusReading | None = None, report: ReadReport | None = None
) -> Iterator[Document]:
    """The texts, file by file in the order given, those of a folder in the order of their names.

    Documents without text are passed over and counted in `report`. Raises UsageError for a path that is not there,
    DataError for a file that is not of these kinds.
    """
    reading, report = reading or CorpusReading(), ReadReport() if report is None else report
    for path in files_of([paths] if isinstance(paths, str | Path) else paths, report):
        with at(file=str(path)):
            for number, text in _KINDS.get(_suffix(path), _plain)(path, reading, report):
                if text.strip():
                    report.documents += 1
                    yield Document(f"{readable(path.name)}:{number}", text)
                else:
                    report.warn("documents without text")


def files_of(paths: Sequence[str | Path], report: ReadReport | None = None) -> list[Path]:
    """The files themselves, and those with a known suffix in the folders; others there are counted in `report`.

    Raises UsageError where a folder has none that is known.
    """
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if not is_folder(path):
            found.append(path)
            continue
        inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        known = [p for p in inside if _suffix(p) in (*_KINDS, ".txt", ".text")]
        if not known:
            raise UsageError(f"{path} has no text files", ", ".join((*_KINDS, ".txt")), "name the files themselves")
        if report is not None and (others := {_suffix(p) or "no suffix" for p in inside} - set(map(_suffix, known))):
            report.warn(f"files in {path} passed over ({', '.join(sorted(others))})", times=len(inside) - len(known))
        found += known
    return found


def _suffix(path: Path) -> str:
    return (path.with_suffix("") if path.suffix.lower() in _PACKED else path).suffix.lower()


def _json_lines(path: Path, reading: CorpusReading, report: ReadReport, opened: Source | None = None) -> _Texts:
    source = opened or Source(path, report)
    for number, line in source.lines():
        if not line.strip():
            continue
        with report.at(file=source.name, line=number):
            record = strict_json.mapping(strict_json.parse(line), "a document")
            yield number, _text(record, reading.text_key)


def _parquet(path: Path, reading: CorpusReading, report: ReadReport) -> _Texts:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise MachineError("a Parquet file, and pyarrow is not installed", "pyarrow", "pip install pyarrow") from None
    if not path.is_file():
        Source(path, report)  # which says what is wrong
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            if reading.text_key not in file.schema_arrow.names:
                _text(dict.fromkeys(file.schema_arrow.names), reading.text_key)
            for batch in file.iter_batches(batch_size=ROWS, columns=[reading.text_key]):
                for value in batch.column(0):
                    number += 1
                    yield number, _text({reading.text_key: value.as_py()}, reading.text_key)
    except (ArrowException, OSError) as error:
        raise DataError(f"a damaged Parquet file ({error})", "a complete file", "copy or write it again") from None


def _text(record: Mapping[str, Any], key: str) -> str:
    text = record.get(key)
    if key not in record or text is not None and not isinstance(text, str):
        found = f"no key {key!r}" if key not in record else f"{key!r} holds a value of type {type(text).__name__}"
        others = record.keys() - {key}
        raise DataError(
            found, f"text under {key!r}", nearest(key, others, "name the key that holds it: --text-key KEY")
        )
    return text or ""


def _plain(path: Path, reading: CorpusReading, report: ReadReport) -> _Texts:
    """Documents of lines; of a long file parts of it, which end with lines. What has no name may be JSON lines."""
    source = Source(path, report)
    if not path.suffix and source.head.lstrip().startswith('{"'):
        yield from _json_lines(path, reading, report, source)
        return
    lines: list[str] = []
    size = number = 0
    for _, line in source.lines():
        ended = reading.document_border == "blank-line" and not line.strip()
        if not ended:
            lines.append(line)
            size += len(line)
        if lines and (ended or size > PART):
            number += 1
            yield number, "\n".join(lines)
            lines, size = [], 0
    if lines:
        yield number + 1, "\n".join(lines)


_KINDS: Mapping[str, Callable[[Path, CorpusReading, ReadReport], _Texts]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
    ".parquet": _parquet,
}
