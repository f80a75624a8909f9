"""Columns: a token and its tag a line, a blank line between sentences; IOB1, IOB2, IOBES and BILOU tags.

The original text is not in such a file. It is rebuilt with a space between tokens and a line end between sentences;
`meta` says so (`detokenised`) and keeps the tokens' offsets (`tokens`), from which `write` gives the same tokens.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import tag_schemes
from ..documents import Document, Span
from ..errors import DataError, at
from .format import not_held
from .offset_units import Ranges
from .repair import RawSpan, clean, merge_duplicates
from .report import ReadReport
from .sinks import sink
from .sources import Source

SUFFIXES = (".conll", ".conll03", ".iob", ".iob2", ".bio", ".bioes", ".tsv")
SCHEME = "iob2"  # what `write` writes: every tool reads it
_TAG = re.compile(r"O|[BIESLU]-\S+")
_SPACES = re.compile(" +")  # not \s: a token may hold U+00A0
_TOKEN = re.compile(r"\S+")
_LINE_OR_TAB = re.compile(r"[\r\n\t]")
_DOCUMENT_START = "-DOCSTART-"
_ID = re.compile(r"# id = (.+)")
Tokens = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column is which."""

    tabs: bool
    columns: int
    token: int
    tag: int
    other_tags: int = 0
    """Further columns that look like tags: other layers, which are not read."""

    def cells(self, line: str) -> list[str]:
        return line.split("\t") if self.tabs else _SPACES.split(line.strip(" "))

    def is_comment(self, line: str) -> bool:
        """A line of prose after '#'; a row whose token is '#' has the columns of a row."""
        if not line.startswith("#"):
            return False
        cells = self.cells(line)
        if self.tabs:
            return len(cells) == 1
        return len(cells) != self.columns or not _is_tag(cells[self.tag])


@dataclass
class _Block:
    """The sentences of one document: rows of (token, tag)."""

    line: int
    id: str | None = None
    sentences: list[list[tuple[str, str]]] = field(default_factory=list)


def recognises(source: Source) -> bool:
    """Two rows or more that nearly all have a tag in the same column, and a label in one of them."""
    if source.head.startswith(_DOCUMENT_START):
        return True
    lines = _beginning(source)
    layout = _layout(lines)
    if layout is None:
        return False
    rows = [row for row in map(layout.cells, lines) if len(row) == layout.columns]
    tags = [row[layout.tag] for row in rows if _is_tag(row[layout.tag])]
    return len(tags) >= max(2, 0.9 * len(lines)) and any(tag != "O" for tag in tags)


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document for each `-DOCSTART-`, or, in a file without any, for each sentence. Reads the file twice.

    Raises DataError with file and line for a row of another width or a value that is no tag.
    """
    with report.at(file=source.name):
        layout = _layout(_beginning(source))
        if layout is None:
            raise DataError(
                "no column that holds tags",
                "a token and a tag (O, B-PER, I-PER) on each line, parted by tabs or spaces",
                "check the format, or name another with --input-format",
            )
        if layout.other_tags:
            report.warn("columns that look like tags too (not read)", times=layout.other_tags)
    scheme = tag_schemes.detect(_tags(source, layout))
    for number, block in enumerate(_blocks(source, layout), start=1):
        identifier = block.id or f"{source.stem}-{number}"
        with report.at(file=source.name, line=block.line, document=identifier):
            document = _document(identifier, block, scheme, report)
        yield document


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """Token, tab, IOB2 tag; `-DOCSTART-` and the id before each document. Raises DataError for overlapping spans."""
    lost: Counter[str] = Counter()
    with sink(target) as stream:
        for document in documents:
            with at(document=document.id):
                written, split = _written(document)
                stream.write(written.encode("utf-8"))
            lost["words in one piece (a span ends inside)"] += split
            lost += not_held(document) - Counter({"meta fields": len({"detokenised", "tokens"} & document.meta.keys())})
            lost["white space at the border of spans"] += sum(
                text != text.strip() for text in (document.text[span.start : span.end] for span in document.spans)
            )
            lost["ids with tabs, line ends or white space around them"] += not _holds(document.id)
            lost["texts between tokens"] += not document.meta.get("detokenised")
    return +lost


def _beginning(source: Source) -> list[str]:
    """The first rows, from which the layout is seen: what begins with '#' may be a comment, unless all rows do."""
    lines = source.head.split("\n")
    whole = (line.removesuffix("\r") for line in (lines if source.head_is_all else lines[:-1]))
    rows = [line for line in whole if line.strip() and not line.startswith(_DOCUMENT_START)]
    return [line for line in rows if not line.startswith("#")] or [line for line in rows if "\t" in line]


def _layout(lines: Sequence[str]) -> _Layout | None:
    """The usual number of columns, and the last column that mostly holds tags; a row that differs is found later."""
    if not lines:
        return None
    tabs = "\t" in lines[0]
    cells = [_Layout(tabs, 0, 0, 0).cells(line) for line in lines]
    ((width, _),) = Counter(map(len, cells)).most_common(1)
    rows = [row for row in cells if len(row) == width]
    tags = [column for column in range(width) if 2 * sum(_is_tag(row[column]) for row in rows) > len(rows)]
    if width < 2 or not tags:
        return None
    tag = tags[-1]
    numbered = tag > 1 and _counts([row[0] for row in rows])
    labelled = sum(any(row[column] != "O" for row in rows) for column in tags[:-1])
    return _Layout(tabs, width, int(numbered) if tag else width - 1, tag, labelled)


def _counts(cells: Sequence[str]) -> bool:
    """Whether a column numbers the rows, anew in each sentence or not."""
    if not all(cell.isdecimal() and len(cell) < 10 for cell in cells):
        return False
    numbers = [-1, *map(int, cells)]
    return max(numbers) > numbers[1] and all(b in (0, 1, a + 1) for a, b in zip(numbers, numbers[1:], strict=False))


def _is_tag(value: str) -> bool:
    return _TAG.fullmatch(value) is not None


def _blocks(source: Source, layout: _Layout) -> Iterator[_Block]:
    """One block per `-DOCSTART-`; without any, one per sentence."""
    block: _Block | None = None
    marked = sentence_open = False
    for number, line in source.lines():
        if line.startswith(_DOCUMENT_START):
            if block is not None:
                yield block
            block, marked, sentence_open = _Block(number), True, False
        elif not line.strip(" \t"):
            sentence_open = False
        elif layout.is_comment(line):
            if block is not None and not block.sentences and (match := _ID.fullmatch(line)):
                block.id = match[1]
        else:
            if block is not None and not (marked or sentence_open):
                yield block
                block = None
            block = block or _Block(number)
            if not sentence_open:
                block.sentences.append([])
            sentence_open = True
            with at(file=source.name, line=number):
                block.sentences[-1].append(_row(line, layout))
    if block is not None:
        yield block


def _row(line: str, layout: _Layout) -> tuple[str, str]:
    cells = layout.cells(line)
    if len(cells) != layout.columns:
        raise DataError(
            f"{len(cells)} columns: {line[:60]!r}",
            f"{layout.columns} columns parted by {'tabs' if layout.tabs else 'spaces'}, as in the lines before",
            "correct the line",
        )
    token, tag = cells[layout.token], cells[layout.tag]
    if not token:
        raise DataError(f"a row without a token: {line[:60]!r}", "a token on each row", "remove the row")
    if not _is_tag(tag):
        raise DataError(
            f"{tag!r} in column {layout.tag + 1}", "a tag: O, or B-, I-, E-, S-, L-, U- and a label", "correct the tag"
        )
    return token, tag


def _tags(source: Source, layout: _Layout) -> Iterator[list[str]]:
    for block in _blocks(source, layout):
        for sentence in block.sentences:
            yield [tag for _, tag in sentence]


def _document(identifier: str, block: _Block, scheme: str, report: ReadReport) -> Document:
    raw: list[RawSpan] = []
    ranges: list[Ranges] = []
    tokens: Tokens = []
    offset = 0
    for sentence in block.sentences:
        tags = [tag for _, tag in sentence]
        if illegal := tag_schemes.repairs(tags, scheme):
            report.repair(f"tags against the scheme {scheme} (read as conlleval does)", times=illegal)
        first = len(tokens)
        for token, _ in sentence:
            tokens.append((offset, offset + len(token)))
            offset += len(token) + 1
        for start, end, label in tag_schemes.decode(tags, scheme):
            place = tokens[first + start][0], tokens[first + end - 1][1]
            raw.append(RawSpan(*place, label))
            ranges.append((place,))
    text = "\n".join(" ".join(token for token, _ in sentence) for sentence in block.sentences)
    return Document(
        identifier,
        text,
        tuple(merge_duplicates(clean(text, raw, ranges, report), report)),
        meta={"detokenised": True, "tokens": [list(token) for token in tokens]},
    )


def _holds(identifier: str) -> bool:
    """Whether a comment can say this id."""
    return identifier == identifier.strip() and "\t" not in identifier and bool(_ID.fullmatch(f"# id = {identifier}"))


def _written(document: Document) -> tuple[str, int]:
    """The lines of a document, and how many words were split for them."""
    spans = sorted(document.spans, key=lambda span: (span.start, span.end))
    known = _known_tokens(document)
    tokens = known or _split(document.text, spans)
    split = 0 if known else len(tokens) - len(_TOKEN.findall(document.text))
    lines = [f"{_DOCUMENT_START}\tO"]
    if _holds(document.id):
        lines.append(f"# id = {document.id}")
    for start, _ in tokens:
        if document.text.startswith(_DOCUMENT_START, start):
            raise DataError(
                f"a word that begins with {_DOCUMENT_START}, which columns cannot hold: it begins a document",
                "text without such a word",
                "write another format (jsonl, brat, label-studio)",
            )
    tags = _encoded(spans, tokens)
    before = 0
    for (start, end), tag in zip(tokens, tags, strict=True):
        # A sentence ends where a line does, unless a span goes on.
        if before == 0 or ("\n" in document.text[before:start] and not tag.startswith("I-")):
            lines.append("")
        lines.append(f"{document.text[start:end]}\t{tag}")
        before = end
    return "\n".join(lines) + "\n\n", split


def _encoded(spans: Sequence[Span], tokens: Tokens) -> list[str]:
    starts, ends = [start for start, _ in tokens], [end for _, end in tokens]
    for left, right in zip(spans, spans[1:], strict=False):
        if left.end > right.start:
            raise DataError(
                f"span [{right.start}, {right.end}) {right.label} overlaps [{left.start}, {left.end}) {left.label}",
                "spans side by side: a token has one tag only",
                "write another format (jsonl, brat, label-studio), or choose among the spans first",
            )
    # a span may begin or end with white space, which is in no token: a space may be one character with what follows
    ranges = [(bisect_left(starts, span.start), bisect_right(ends, span.end), span.label) for span in spans]
    for span, (first, end, _) in zip(spans, ranges, strict=True):
        if first >= end:
            raise DataError(
                f"span [{span.start}, {span.end}) {span.label} of white space, which columns cannot hold",
                "spans of words",
                "write another format (jsonl, brat, label-studio), or leave it out",
            )
    return tag_schemes.encode(ranges, len(tokens), SCHEME)


def _known_tokens(document: Document) -> Tokens | None:
    """The tokens of `meta`, if spans begin and end with them; they may be of another text or tool."""
    listed = document.meta.get("tokens")
    if not isinstance(listed, list):
        return None
    tokens: Tokens = []
    end = 0
    for item in listed:
        match item:
            case [int(start), int(stop)] if end <= start < stop <= len(document.text):
                tokens.append((start, stop))
                end = stop
            case _:
                return None
    starts, ends = {start for start, _ in tokens}, {stop for _, stop in tokens}
    fits = all(span.start in starts and span.end in ends for span in document.spans)
    whole = not any(_LINE_OR_TAB.search(document.text, start, stop) for start, stop in tokens)
    return tokens if fits and whole else None


def _split(text: str, spans: Sequence[Span]) -> Tokens:
    """Runs without white space, split where a span begins or ends."""
    borders = sorted({border for span in spans for border in (span.start, span.end)})
    tokens: Tokens = []
    for match in _TOKEN.finditer(text):
        cuts = [match.start(), *(b for b in borders if match.start() < b < match.end()), match.end()]
        tokens += zip(cuts, cuts[1:], strict=False)
    return tokens
