"""GAP: a table of texts with a pronoun and two names, and whether it is either of them (Webster et al. 2018).

The three are spans `gap:pronoun`, `gap:A` and `gap:B`; what the table says is clusters. Predictions are written as its
official scorer takes them: id, tab, whether A, tab, whether B.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..documents import MENTION, Cluster, Document, Span
from ..errors import DataError
from ..pronouns import PRONOUN, A, B, coreferent
from .format import not_held
from .repair import whole_number
from .report import ReadReport
from .sinks import sink
from .sources import Source

SUFFIXES: tuple[str, ...] = ()
_COLUMNS = ("ID", "Text", "Pronoun", "Pronoun-offset", "A", "A-offset", "A-coref", "B", "B-offset", "B-coref")
_ROLES = ((PRONOUN, "Pronoun"), (A, "A"), (B, "B"))


def recognises(source: Source) -> bool:
    """The header of the table."""
    first = source.head.lstrip("\ufeff").split("\n", 1)[0]
    return first.rstrip("\r").split("\t")[: len(_COLUMNS)] == list(_COLUMNS)


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document a row. Raises DataError for a row without these columns, and text that is not where it should be."""
    for number, line in source.lines():
        with report.at(file=source.name, line=number):
            cells = line.rstrip("\r").split("\t")
            if not line.strip() or number == 1 and cells[: len(_COLUMNS)] == list(_COLUMNS):
                continue
            if len(cells) < len(_COLUMNS):
                raise DataError(f"{len(cells)} columns", f"the columns {', '.join(_COLUMNS)}", "check the row")
            document = _document(dict(zip(_COLUMNS, cells, strict=False)), report)
        yield document


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """A line a document that has the three spans. Raises DataError for one that has not."""
    lost: Counter[str] = Counter()
    with sink(target) as stream:
        for document in documents:
            lost += not_held(document, "clusters", "coverages", "scores")
            said = "\t".join(str(each).upper() for each in coreferent(document, document))
            stream.write(f"{document.id}\t{said}\n".encode())
    return +lost


def _document(row: dict[str, str], report: ReadReport) -> Document:
    text, spans = row["Text"], []
    for label, column in _ROLES:
        start = whole_number(_number(row[f"{column}-offset"]), f"{column}-offset", report)
        span = Span(start, start + len(row[column]), label)
        if text[span.start : span.end] != row[column]:
            raise DataError(
                f"{text[span.start : span.end]!r} at {start}", f"{row[column]!r}", "count characters of the text from 0"
            )
        spans.append(span)
    mentions = [Span(span.start, span.end, MENTION) for span in spans]
    true = [mention for mention, column in zip(mentions[1:], "AB", strict=True) if _said(row[f"{column}-coref"])]
    clusters = (Cluster((mentions[0], *true)),) if true else ()
    return Document(row["ID"], text, tuple(spans), clusters=clusters)


def _number(cell: str) -> object:
    return int(cell) if cell.isascii() and cell.isdigit() else cell


def _said(cell: str) -> bool:
    if cell.upper() not in ("TRUE", "FALSE"):
        raise DataError(f"{cell!r}", "TRUE or FALSE", "check the row")
    return cell.upper() == "TRUE"
