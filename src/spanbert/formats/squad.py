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
from .repair import RawSpan, clean, whole, whole_number
from .report import ReadReport
from .sinks import sink
from .sources import Source

SUFFIXES: tuple[str, ...] = ()
TITLE = "title"
_TEXT = r'"(?:[^"\\]|\\.)*"'
_MEMBER = rf"{_TEXT}\s*:\s*(?:{_TEXT}|[-+.\w]+|\{{[^{{}}\[\]]*\}})\s*,\s*"
_BEGINNING = re.compile(rf'\s*\{{\s*(?:{_MEMBER})*"data"\s*:\s*\[\s*(?:\{{|\])')


def recognises(source: Source) -> bool:
    """A JSON object with a list `data`."""
    return _BEGINNING.match(source.head) is not None


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document for each paragraph, its id made of title and number. Raises DataError with its place."""
    with report.at(file=source.name):
        record = strict_json.mapping(strict_json.parse(source.text()), "the file")
        articles = [strict_json.mapping(article, "an article") for article in strict_json.items(record, "data")]
    ids: Counter[str] = Counter()
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
                found = tuple(_question(strict_json.mapping(q, "a question"), text, report) for q in questions)
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
            lost += tell(document, predicted)
        else:
            title = str(document.meta.get(TITLE, document.id))
            articles.setdefault(title, []).append(_paragraph(document))
            lost["ids of documents (they become title and number)"] += document.id != f"{title}-{len(articles[title])}"
    if predicted and articles:
        raise DataError("predictions and gold documents together", "one of the two", "write them to two files")
    data = [{TITLE: title, "paragraphs": paragraphs} for title, paragraphs in articles.items()]
    with sink(target) as stream:
        stream.write(strict_json.dump(predicted or {"version": "v2.0", "data": data}) + b"\n")
    return +lost


def tell(document: Document, predicted: dict[str, str]) -> Counter[str]:
    """Put the best answer to each question under its id; count what such a table cannot hold."""
    lost: Counter[str] = Counter()
    for question in document.questions:
        lost["answers beside the best"] += max(0, len(question.answers or ()) - 1)
        lost["lists of n-best answers"] += bool(question.n_best)
        lost["answers to questions with the id of another"] += question.id in predicted
        predicted.setdefault(question.id, said(question, document.text))
    return +lost


def said(question: Question, text: str) -> str:
    """The best answer that was given, empty where none was."""
    best = max(question.answers or (), key=lambda span: span.score or 0.0, default=None)
    return "" if best is None else text[best.start : best.end]


def identifier_of(record: Mapping[str, object], key: str, report: ReadReport) -> str:
    """The id of a question; a number becomes a string. Raises DataError."""
    value = record.get(key)
    if type(value) is int:
        report.repair("ids given as numbers (now strings)", str(value))
        return str(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"id {value!r} of a question", "a string that is not empty", "give each question its own id")
    return value


def asked_text(record: Mapping[str, object], identifier: str, report: ReadReport) -> str:
    """The question as it is; one without a word is warned of."""
    text = "" if record.get("question", False) is None else strict_json.string(record, "question", "a question")
    check_text(text)
    if not text.strip():
        report.warn("questions without text (never answered)", identifier)
    return text


def placed(text: str, answer: RawSpan, report: ReadReport) -> Span | None:
    """The span of an answer whose copy should begin at its start; None, with a warning, where it stands nowhere."""
    start, said = whole_number(answer.start, "start", report), answer.copy or ""
    end = start + len(said)
    if said.strip() and text[start:end] == said and start >= 0:
        return clean(text, [answer], [((start, end),)], report)[0]
    words = said.split()
    if not words:
        report.warn("answers without text (left out)")
        return None
    pattern = r"\s+".join(map(re.escape, words))
    whole = rf"(?<!\w){pattern}(?!\w)"  # inside other words only where nothing else is there
    tries = ((whole, re.NOFLAG), (whole, re.IGNORECASE), (pattern, re.NOFLAG), (pattern, re.IGNORECASE))
    matches = next((found for form, flags in tries if (found := list(re.finditer(form, text, flags)))), [])
    if not matches:
        report.warn("answers not found in the text (counted as right, not learnt from)", said[:40])
        return None
    nearest = min(matches, key=lambda match: (abs(match.start() - start), match.start()))
    report.repair("answers moved to where the words stand", said[:40])
    return clean(text, [answer], [(nearest.span(),)], report)[0]


def _question(record: dict[str, object], text: str, report: ReadReport) -> Question:
    identifier = identifier_of(record, "id", report)
    question = asked_text(record, identifier, report)
    impossible = _impossible(record, report)
    if record.get("answers") is None and not impossible:
        return Question(identifier, question)
    spans, texts = [], []
    for answer in _answers(record):
        said = strict_json.string(answer, "text", "an answer")
        found = placed(text, RawSpan(_start(answer, report), None, ANSWER, copy=said), report)
        if found is not None:
            spans.append(found)
        elif said.strip():
            texts.append(said)
    texts += strict_json.strings(record, "texts")
    if impossible and spans:
        report.warn("questions called impossible, with answers (kept)", identifier)
    unusable = not spans and (texts or (bool(record.get("answers")) and not impossible))
    answers = None if unusable else tuple(dict.fromkeys(spans))
    return Question(identifier, question, answers, texts=tuple(texts))


def _start(answer: Mapping[str, object], report: ReadReport) -> int:
    """Where an answer is said to begin; -1, where nothing stands, if nobody says it."""
    given = answer.get("answer_start")
    if given is not None and whole(given) is None:
        report.repair("answers with a start that is no number (found by the text)", repr(given)[:40])
        given = None
    return -1 if given is None else whole_number(given, "answer_start", report)


def _answers(record: Mapping[str, object]) -> list[dict[str, object]]:
    """One object each, also where they stand as columns, as in the `datasets` library. Raises DataError."""
    given = record.get("answers")
    if isinstance(given, dict):
        texts, starts = (strict_json.items(given, name) for name in ("text", "answer_start"))
        if len(texts) != len(starts):
            raise DataError(f"{len(texts)} texts of answers and {len(starts)} starts", "as many", "correct the record")
        return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    return [strict_json.mapping(item, "an answer") for item in strict_json.items(record, "answers")]


def _impossible(record: Mapping[str, object], report: ReadReport) -> bool:
    """Whether a question is said to have no answer; words are repaired. Raises DataError."""
    value = record.get("is_impossible")
    if isinstance(value, str) and value.lower() in ("true", "false"):
        report.repair("values of is_impossible in words", value)
        return value.lower() == "true"
    if value is not None and not isinstance(value, bool):
        raise DataError(f"is_impossible {value!r}", "true or false", "correct it, or leave it out")
    return bool(value)


def _paragraph(document: Document) -> dict[str, object]:
    return {"context": document.text, "qas": [_qa(question, document.text) for question in document.questions]}


def _qa(question: Question, text: str) -> dict[str, object]:
    record: dict[str, object] = {"id": question.id, "question": question.text}
    if question.judged:
        record["is_impossible"] = not question.answers and not question.texts
        record["answers"] = [{"text": text[a.start : a.end], "answer_start": a.start} for a in question.answers or ()]
        if question.texts:
            record["texts"] = list(question.texts)  # other programs leave it aside
    return record
