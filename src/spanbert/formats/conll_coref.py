"""CoNLL-2012 files of coreference (`_conll`, LitBank), with the token in column 4 and chains in the last one; and those
of OntoGUM, with a number, the token and chains.

Brackets of one chain number close the last that was opened; nested, crossing and repeated mentions are kept.
"""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..documents import MENTION, Cluster, Document, Span
from ..errors import DataError, at
from .format import not_held
from .repair import chains
from .report import ReadReport
from .sinks import sink
from .sources import Source
from .tokens import Joined

SUFFIXES: tuple[str, ...] = (".v4_gold_conll", ".v4_auto_conll")
_BEGIN = re.compile(r"# ?begin document \(?(.*?)\)?(?:; part (\d+))?\s*")
_END = re.compile(r"# ?end document.*")
_CHAIN = re.compile(r"\((\d+)\)|\((\d+)|(\d+)\)")
_CELL = re.compile(r"[-_*]?|(\(\d+\)?|\d+\))(\|?(\(\d+\)?|\d+\)))*")
_TOKEN, _SHORT = 3, 1
"""The column of the token; and in rows of three."""


def recognises(source: Source) -> bool:
    """It begins with `#begin document`."""
    return source.head.lstrip().startswith(("#begin document", "# begin document"))


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document a part, its id `NAME` or `NAME-part`. Raises DataError with file and line."""
    name = ""
    rows: list[str] = []
    sentences: list[list[str]] = [[]]
    for number, line in source.lines():
        with report.at(file=source.name, line=number):
            begin = _BEGIN.fullmatch(line)
            if begin is not None:
                if name:
                    report.warn("documents without #end document", name)
                    yield _document(name, [s for s in sentences if s], rows, report)
                part = int(begin[2] or 0)
                name, rows, sentences = begin[1] + (f"-{part}" if part else ""), [], [[]]
            elif _END.fullmatch(line):
                if not name:
                    raise DataError("#end document", "#begin document before it", "check that the file is whole")
                yield _document(name, [s for s in sentences if s], rows, report)
                name = ""
            elif not line.strip():
                sentences.append([])
            elif not line.startswith("#"):
                cells = line.rstrip("\n").split("\t") if "\t" in line else line.split()
                if not name:
                    raise DataError(f"{line[:60]!r}", "a row after #begin document", "check that the file is whole")
                sentences[-1].append(_token(cells, line))
                rows.append(cells[-1].strip())
    if name:
        with report.at(file=source.name):
            report.warn("documents without #end document", name)
            document = _document(name, [s for s in sentences if s], rows, report)
        yield document


def _token(cells: Sequence[str], line: str) -> str:
    """The token of a row whose chains are sound."""
    if len(cells) != 3 and len(cells) <= _TOKEN + 1:
        raise DataError(f"{line[:60]!r}", "three columns, or at least five", "check that the file is whole")
    if not _CELL.fullmatch(cells[-1].strip()):
        raise DataError(f"{cells[-1][:60]!r} in the last column", "chains such as (0)|1), or -", "correct the cell")
    return cells[_SHORT if len(cells) == 3 else _TOKEN]


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """Words as the text has them, split where a mention begins or ends; chains numbered in the order of the text."""
    lost: Counter[str] = Counter()
    with sink(target) as stream:
        for document in documents:
            with at(document=document.id):
                lost += not_held(document, "clusters", "coverages", "scores") + Counter({"spans": len(document.spans)})
                stream.write(_written(document, lost).encode("utf-8"))
    return +lost


def _document(name: str, sentences: Sequence[list[str]], rows: Sequence[str], report: ReadReport) -> Document:
    joined = Joined.of(sentences, report)
    members: dict[int, list[Span]] = {}
    opened: dict[int, list[int]] = {}
    for index, cell in enumerate(rows):
        for match in _CHAIN.finditer(cell):
            chain = int(match[1] or match[2] or match[3])
            if match[2]:
                opened.setdefault(chain, []).append(index)
                continue
            if not match[1] and not opened.get(chain):
                raise DataError(
                    f"chain {chain} ends at token {index} of {name} without having begun",
                    "a bracket for either end",
                    "check the last column",
                )
            begin = index if match[1] else opened[chain].pop()
            members.setdefault(chain, []).append(joined.span(begin, index, MENTION, report))
    if left := [chain for chain, places in opened.items() if places]:
        raise DataError(
            f"chain {left[0]} of {name} is never closed", "a bracket for either end", "check the last column"
        )
    in_order = (sorted(members[chain], key=lambda span: (span.start, span.end)) for chain in sorted(members))
    return Document(name, joined.text, clusters=chains(in_order, report))


def _written(document: Document, lost: Counter[str]) -> str:
    edges = sorted({edge for cluster in document.clusters for span in cluster.spans for edge in (span.start, span.end)})
    pieces: list[tuple[int, int]] = []
    for word in re.finditer(r"\S+", document.text):
        inside = edges[bisect.bisect_right(edges, word.start()) : bisect.bisect_left(edges, word.end())]
        cuts = [word.start(), *inside, word.end()]
        pieces += zip(cuts, cuts[1:], strict=False)
    opens: dict[int, list[tuple[int, str]]] = {}
    closes: dict[int, list[tuple[int, str]]] = {}
    chains = [_runs(cluster, pieces, lost) for cluster in document.clusters]
    for number, runs in enumerate(
        sorted((runs for runs in chains if runs), key=lambda runs: (runs[0][0], -runs[0][1]))
    ):
        for a, b in runs:
            if a == b:
                opens.setdefault(a, []).append((0, f"({number})"))
            else:
                opens.setdefault(a, []).append((a - b, f"({number}"))
                closes.setdefault(b, []).append((-a, f"{number})"))
    name = re.sub(r"\s|^#", "_", document.id)
    lost["ids of documents (white space becomes _)"] += name != document.id
    lost["texts between tokens"] += document.text.split() != [document.text[start:end] for start, end in pieces]
    lines = [f"#begin document ({name}); part 000"]
    before = 0
    for index, (start, end) in enumerate(pieces):
        if index and "\n" in document.text[before:start]:
            lines.append("")
        before = end
        marks = [mark for _, mark in sorted(opens.get(index, []))] + [mark for _, mark in sorted(closes.get(index, []))]
        lines.append("\t".join([name, "0", str(index), document.text[start:end], "|".join(marks) or "-"]))
    return "\n".join([*lines, "", "#end document", ""])


def _runs(cluster: Cluster, pieces: Sequence[tuple[int, int]], lost: Counter[str]) -> list[tuple[int, int]]:
    """First and last word of each mention; brackets of one number cannot write two that cross or touch in a word."""
    places = []
    for span in cluster.spans:
        first = bisect.bisect_left(pieces, span.start, key=lambda piece: piece[0])
        last = bisect.bisect_right(pieces, span.end, key=lambda piece: piece[1]) - 1
        if first <= last:
            places.append((first, last))
        else:
            lost["mentions without a word"] += 1
    runs: list[tuple[int, int]] = []
    around: list[int] = []  # last words of those that are open, the inmost at the end
    for first, last in sorted(places, key=lambda place: (place[0], -place[1])):
        while around and around[-1] < first:
            around.pop()
        if around and around[-1] < last:
            lost["mentions that cross another of their chain"] += 1
        else:
            around.append(last)
            runs.append((first, last))
    return runs
