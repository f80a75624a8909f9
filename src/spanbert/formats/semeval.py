"""SemEval-2010 Task 8: a numbered sentence with `<e1>` and `<e2>`, its relation on the next line, then a comment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..documents import Document, Relation
from ..errors import DataError, at
from .format import not_held
from .repair import RawSpan, clean
from .report import ReadReport
from .sinks import sink
from .sources import Source

SUFFIXES: tuple[str, ...] = ()
OTHER, NONE = "Other", "no_relation"
_SENTENCE = re.compile(r'(\d+)\t"(.*)"\s*')
_TAGS = re.compile(r"</?e[12]>")
_LABEL = re.compile(r"Other|[A-Za-z-]+\(e[12],e[12]\)")


def recognises(source: Source) -> bool:
    """A numbered sentence in quotes with both tags."""
    first = source.head.lstrip("\ufeff").lstrip().split("\n", 1)[0]
    return _SENTENCE.fullmatch(first.rstrip("\r")) is not None and "<e1>" in first and "<e2>" in first


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document a sentence, its nominals spans `e1` and `e2`; `Other` becomes `no_relation`. Raises DataError.

    The relation goes from e1 to e2 whatever its direction, which the label says.
    """
    waiting: Document | None = None
    for number, line in source.lines():
        with report.at(file=source.name, line=number):
            sentence = _SENTENCE.fullmatch(line)
            if sentence is not None:
                if waiting is not None:
                    yield waiting
                waiting = _document(sentence[1], sentence[2], report)
            elif _LABEL.fullmatch(line.strip()) and waiting is not None:
                label = NONE if line.strip() == OTHER else line.strip()
                waiting = Document(
                    waiting.id, waiting.text, waiting.spans, (Relation(waiting.spans[0], waiting.spans[1], label),)
                )
            elif line.strip() and not line.startswith("Comment"):
                raise DataError(
                    f"{line[:60]!r}",
                    "a numbered sentence in quotes, its relation, or a comment",
                    "check that the file is whole",
                )
    if waiting is not None:
        yield waiting


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """Predictions as `id, tab, label` a line, as the official scorer reads them; gold as the data set is.

    Raises DataError for what could not be read again.
    """
    lost: Counter[str] = Counter()
    with sink(target) as stream:
        for document in documents:
            with at(document=document.id):
                held = ("relations", "coverages", "scores")
                lost += not_held(document, *held)
                best = max(document.relations, key=lambda r: r.score or 0.0, default=None)
                lost["relations"] += max(0, len(document.relations) - 1)
                lost[f"documents without a relation (now {OTHER})"] += best is None and document.coverage is None
                label = OTHER if best is None or best.label == NONE else best.label
                _check(document.id, label)
                if document.coverage is not None:
                    stream.write(f"{document.id}\t{label}\n".encode())
                else:
                    stream.write(f'{document.id}\t"{_tagged(document)}"\n{label}\nComment:\n\n'.encode())
    return +lost


def _check(identifier: str, label: str) -> None:
    for what, value, form, pattern in (("id", identifier, "a number", r"\d+"), ("label", label, "Name(e1,e2)", _LABEL)):
        if not re.fullmatch(pattern, value):
            raise DataError(f"{what} {value[:40]!r}", f"{form}, as this format has them", "write another format")


def _document(identifier: str, tagged: str, report: ReadReport) -> Document:
    text, places = "", {}
    last = 0
    for tag in _TAGS.finditer(tagged):
        text += tagged[last : tag.start()]
        if tag[0] in places:
            raise DataError(f"{tag[0]} twice in a sentence", "one <e1>…</e1> and one <e2>…</e2>", "mark each once")
        places[tag[0]] = len(text)
        last = tag.end()
    text += tagged[last:]
    try:
        ends = [(places[f"<{name}>"], places[f"</{name}>"]) for name in ("e1", "e2")]
    except KeyError as error:
        raise DataError(f"a sentence without {error.args[0]}", "<e1>…</e1> and <e2>…</e2>", "mark both") from None
    raw = [RawSpan(start, end, name) for (start, end), name in zip(ends, ("e1", "e2"), strict=True)]
    return Document(identifier, text, tuple(clean(text, raw, [(place,) for place in ends], report)))


def _tagged(document: Document) -> str:
    spans = {span.label: span for span in document.spans}
    if spans.keys() != {"e1", "e2"}:
        raise DataError("spans that are not e1 and e2", "one of each", "write another format")
    edges = [(s.start, 1, f"<{s.label}>") for s in spans.values()] + [
        (s.end, 0, f"</{s.label}>") for s in spans.values()
    ]
    text = document.text
    if _TAGS.search(text) or len(text.splitlines()) > 1:
        raise DataError("a text of several lines, or with tags", "one line without <e1>", "write another format")
    for place, _, tag in sorted(edges, reverse=True):
        text = text[:place] + tag + text[place:]
    return text
