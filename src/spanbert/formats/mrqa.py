"""MRQA 2019: JSON lines, a header first, then a context with its questions a line (Fisch et al. 2019)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..documents import ANSWER, Document, Question, Span, check_text
from ..errors import DataError, at
from . import squad, strict_json
from .format import not_held, read_lines
from .repair import RawSpan, whole_number
from .report import ReadReport
from .sinks import sink
from .sources import Source

SUFFIXES: tuple[str, ...] = ()
_BEGINNING = re.compile(r'\s*\{\s*("header"\s*:\s*\{|"(id|qas|context)"\s*:)')
_QAS = re.compile(r'"qas"\s*:\s*\[')


def recognises(source: Source) -> bool:
    """A header line, or a context with `qas`."""
    match = _BEGINNING.match(source.head)
    return match is not None and ('"header"' in match[0] or _QAS.search(source.head) is not None)


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document for each context. Character ends of the file are inclusive, ours exclusive. Raises DataError."""
    yield from read_lines(source, report, "a context", _document)


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """Predictions as one object of answers by question id; gold as a header and a line a context."""
    lost: Counter[str] = Counter()
    predicted: dict[str, str] = {}
    with sink(target) as stream:
        begun = False
        for document in documents:
            lost += not_held(document, "questions", "coverages") + Counter({"spans": len(document.spans)})
            if document.coverage is not None:
                lost += squad.tell(document, predicted)
                continue
            if not begun:
                stream.write(strict_json.dump({"header": {"dataset": "spanbert", "split": "unnamed"}}) + b"\n")
            begun = True
            stream.write(strict_json.dump(_context(document)) + b"\n")
        if begun and predicted:
            raise DataError("predictions and gold documents together", "one of the two", "write them to two files")
        if not begun:
            stream.write(strict_json.dump(predicted) + b"\n")
    return +lost


def _document(record: dict[str, object], name: str, report: ReadReport) -> Document | None:
    """Of a context; the header is none."""
    if "header" in record:
        return None
    text = strict_json.string(record, "context", "a context")
    check_text(text)
    identifier = str(record.get("id") or name)
    questions = strict_json.items(record, "qas")
    with at(document=identifier):
        found = [_question(strict_json.mapping(q, "a question"), text, report) for q in questions]
    return Document(identifier, text, questions=tuple(found))


def _question(record: dict[str, object], text: str, report: ReadReport) -> Question:
    identifier = squad.identifier_of(record, "qid" if "qid" in record else "id", report)
    question = squad.asked_text(record, identifier, report)
    if record.get("answers") is None and record.get("detected_answers") is None:
        return Question(identifier, question)
    spans: list[Span] = []
    nowhere: list[str] = []
    for item in strict_json.items(record, "detected_answers"):
        answer = strict_json.mapping(item, "a detected answer")
        said, before = strict_json.string(answer, "text", "a detected answer"), len(spans)
        for place in strict_json.items(answer, "char_spans"):
            if not isinstance(place, list) or len(place) != 2:
                raise DataError(f"char_spans with {place!r}", "[start, end] pairs, end inclusive", "correct the place")
            start, last = (whole_number(value, "char_spans", report) for value in place)
            written = text[start : last + 1] if 0 <= start <= last < len(text) else ""
            copy = written if written.split() == said.split() and said.strip() else said
            found = squad.placed(text, RawSpan(start, None, ANSWER, copy=copy), report)
            spans.extend([] if found is None else [found])
        nowhere += [said] if len(spans) == before and said.strip() else []
    texts = tuple(dict.fromkeys((*strict_json.strings(record, "answers"), *nowhere)))
    own = {text[span.start : span.end] for span in spans}
    kept = tuple(each for each in texts if each not in own)
    return Question(identifier, question, tuple(dict.fromkeys(spans)) if spans or not kept else None, texts=kept)


def _context(document: Document) -> dict[str, object]:
    qas = []
    for question in document.questions:
        record: dict[str, object] = {"qid": question.id, "question": question.text}
        if question.judged:
            places: dict[str, list[list[int]]] = {}
            for answer in question.answers or ():
                said = document.text[answer.start : answer.end]
                places.setdefault(said, []).append([answer.start, answer.end - 1])
            record["answers"] = list(dict.fromkeys((*places, *question.texts)))
            record["detected_answers"] = [{"text": said, "char_spans": spans} for said, spans in places.items()]
        qas.append(record)
    return {"id": document.id, "context": document.text, "qas": qas}
