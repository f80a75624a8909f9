"""SQuAD 1.1 and 2.0: data sets are read and written, predictions written as the official scripts read them.

A paragraph is a document, its title in `meta`. Answers that do not stand where the file says are moved to the nearest
place where they do; those that stand nowhere are kept as texts that count as right, and teach nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..documents import ANSWER, Document, Question, Span, check_text
from ..errors import DataError
from . import strict_json
from .format import not_held
from .repair import RawSpan, clean, whole_number
from .report import ReadReport
from .sinks import sink
from .sources import Source

SUFFIXES: tuple[str, ...] = ()
TITLE = "title"
_BEGINNING = re.compile(r'\s*\{\s*("version"\s*:\s*"?[^",]*"?\s*,\s*)?"data"\s*:\s*\[\s*(\{|\])')


def recognises(source: Source) -> bool:
    """A JSON object with a list `data`."""
    return _BEGINNING.match(source.head) is not None


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document for each paragraph, its id made of title and number. Raises DataError with its place."""
    with report.at(file=source.name):
        record = strict_json.mapping(strict_json.parse(source.text()), "the file")
        articles = [strict_json.mapping(article, "an article") for article in strict_json.items(record, "data")]
    ids: Counter[str] = Counter()
    asked = AskedBefore()
    for article in articles:
        title = str(article.get(TITLE, source.stem))
        with report.at(file=f"{source.name}, {title}"):
            paragraphs = [strict_json.mapping(p, "a paragraph") for p in strict_json.items(article, "paragraphs")]
        for paragraph in paragraphs:
            ids[title] += 1
            identifier = f"{title}-{ids[title]}"
            with report.at(file=source.name, document=identifier):
                text = strict_json.string(paragraph, "context", "a paragraph")
                check_text(text)
                questions = strict_json.items(paragraph, "qas")
                found = tuple(_question(strict_json.mapping(q, "a question"), text, asked, report) for q in questions)
                document = Document(identifier, text, questions=found, meta={TITLE: title})
            yield document


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """Predictions as one object of answers by question id; gold as a data set, by title."""
    lost: Counter[str] = Counter()
    predicted: dict[str, str] = {}
    articles: dict[str, list[object]] = {}
    for document in documents:
        lost += not_held(document, "questions", "coverages") + Counter({"spans": len(document.spans)})
        if TITLE in document.meta:
            lost["meta fields"] -= 1
        if document.coverage is not None:
            predicted |= {question.id: said(question, document.text) for question in document.questions}
        else:
            title = str(document.meta.get(TITLE, document.id))
            articles.setdefault(title, []).append(_paragraph(document))
    if predicted and articles:
        raise DataError("predictions and gold documents together", "one of the two", "write them to two files")
    data = [{TITLE: title, "paragraphs": paragraphs} for title, paragraphs in articles.items()]
    with sink(target) as stream:
        stream.write(strict_json.dump(predicted or {"version": "v2.0", "data": data}) + b"\n")
    return +lost


def said(question: Question, text: str) -> str:
    """The best answer that was given, empty where none was."""
    best = max(question.answers or (), key=lambda span: span.score or 0.0, default=None)
    return "" if best is None else text[best.start : best.end]


class AskedBefore:
    """Question ids that were read, to warn of the second of a kind: official scorers count one of them."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def note(self, identifier: str, report: ReadReport) -> None:
        if identifier in self._ids:
            report.warn("questions with the id of another", identifier)
        self._ids.add(identifier)


def identifier_of(record: Mapping[str, object], key: str, report: ReadReport) -> str:
    """The id of a question; a number becomes a string. Raises DataError."""
    value = record.get(key)
    if type(value) is int:
        report.repair("ids that are numbers (now strings)", str(value))
        return str(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"id {value!r} of a question", "a string that is not empty", "give each question its own id")
    return value


def asked_text(record: Mapping[str, object], report: ReadReport) -> str:
    """The question as it is; one without a word is warned of."""
    text = strict_json.string(record, "question", "a question")
    check_text(text)
    if not text.strip():
        report.warn("questions without text (never answered)")
    return text


def placed(text: str, answer: str, start: int, report: ReadReport) -> Span | None:
    """The span of an answer that should begin at `start`; None, with a warning, where it stands nowhere."""
    if answer.strip() and text[start : start + len(answer)] == answer and start >= 0:
        return clean(text, [RawSpan(start, start + len(answer), ANSWER)], [((start, start + len(answer)),)], report)[0]
    words = answer.split()
    if not words:
        report.warn("answers without text (left out)")
        return None
    pattern = r"\s+".join(map(re.escape, words))
    matches = list(re.finditer(pattern, text)) or list(re.finditer(pattern, text, re.IGNORECASE))
    if not matches:
        report.warn("answers that are not in their text (they count as right, and teach nothing)", answer[:40])
        return None
    nearest = min(matches, key=lambda match: (abs(match.start() - start), match.start()))
    report.repair("answers moved to where their text stands", answer[:40])
    return Span(nearest.start(), nearest.end(), ANSWER)


def _question(record: dict[str, object], text: str, asked: AskedBefore, report: ReadReport) -> Question:
    identifier = identifier_of(record, "id", report)
    asked.note(identifier, report)
    question = asked_text(record, report)
    if record.get("answers") is None and not record.get("is_impossible"):
        return Question(identifier, question)
    spans, texts = [], []
    for item in strict_json.items(record, "answers"):
        answer = strict_json.mapping(item, "an answer")
        said = strict_json.string(answer, "text", "an answer")
        start = whole_number(answer.get("answer_start"), "answer_start", report)
        found = placed(text, said, start, report)
        if found is not None:
            spans.append(found)
        elif said.strip():
            texts.append(said)
    if record.get("is_impossible") and spans:
        report.warn("questions said to be impossible that have answers (they keep them)", identifier)
    return Question(
        identifier, question, tuple(dict.fromkeys(spans)) if spans or not texts else None, texts=tuple(texts)
    )


def _paragraph(document: Document) -> dict[str, object]:
    return {"context": document.text, "qas": [_qa(question, document.text) for question in document.questions]}


def _qa(question: Question, text: str) -> dict[str, object]:
    record: dict[str, object] = {"id": question.id, "question": question.text}
    if question.answers is not None or question.texts:
        record["is_impossible"] = not question.answers and not question.texts
        places = [{"text": text[a.start : a.end], "answer_start": a.start} for a in question.answers or ()]
        record["answers"] = places + [{"text": each, "answer_start": 0} for each in question.texts]
    return record
