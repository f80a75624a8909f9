"""Plain text: a file is one document without annotations, a folder of `.txt` files is one each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..documents import Document
from ..errors import DataError
from .format import not_held
from .report import ReadReport
from .sinks import ODD_IDS, FileNames, new_folder, write_text
from .sources import Source, readable, refuse_link_out, unpacked

SUFFIXES = (".txt", ".text", ".md", "")


def recognises(source: Source) -> bool:
    """A folder with text in it; of files, any could be text: only the suffix decides."""
    return source.is_folder and source.path is not None and bool(_files(source.path))


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """The whole file as one document, named after the file. Raises DataError."""
    if not source.is_folder or source.path is None:
        with report.at(file=source.name):
            document = Document(source.stem, source.text())
        yield document
        return
    files = _files(source.path)
    if not files:
        raise DataError("a folder without .txt files", "text files", "give the files themselves, or another folder")
    for path in files:
        refuse_link_out(path, source.path)
        file = Source(path, report, may_be_empty=True)
        with report.at(file=file.name):
            document = Document(readable((path.parent / file.stem).relative_to(source.path).as_posix()), file.text())
        yield document


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """A folder with a `.txt` for each document. All annotations are lost, and counted."""
    names, lost = FileNames(), Counter[str]()
    with new_folder(target) as folder:
        for document in documents:
            name = names.name(document.id, ".txt")
            write_text(folder / name, document.text)
            lost[ODD_IDS] += name != f"{document.id}.txt"
            lost += not_held(document) + Counter(spans=len(document.spans))
    return +lost


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if unpacked(path).suffix.lower() == ".txt")
