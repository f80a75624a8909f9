"""Our own lossless form: one JSON object a line (docs/data.md); also the form of the HTTP interface."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from ..documents import ANSWER, JSON, Cluster, Coverage, Document, Link, Question, Relation, Span, check_text
from ..errors import DataError, at
from . import strict_json
from .repair import (
    RawSpan,
    clean_label,
    made_id,
    merge_duplicates,
    probability,
    settle,
    settle_fitting,
    warn_of_crossing,
    warn_of_several_chains,
    whole_number,
)
from .report import ReadReport
from .sinks import sink
from .sources import Source
from .squad import asked_text, placed

SUFFIXES = (".jsonl", ".ndjson", ".json")
_BEGINNING = re.compile(r'\s*(\[\s*)?\{\s*["}]')
_DOCUMENT = ("id", "text", "meta", "spans", "relations", "clusters", "questions", "annotated", "coverage")
_SPAN = ("start", "end", "label", "score", "text", "parts")
_RELATION = ("head", "tail", "label", "score")
_CLUSTER = ("spans", "links", "score")
_LINK = ("from", "to", "score")
_QUESTION = ("id", "question", "answers", "no_answer", "n_best", "texts")
_COVERAGE = ("characters_read", "characters", "windows")
_GAP = ("start", "end")
_META = "put fields of your own under 'meta'"


def recognises(source: Source) -> bool:
    """It begins like a JSON object or a list of them."""
    return _BEGINNING.match(source.head) is not None


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """One document a line, or the items of one JSON array. Raises DataError with file and line."""
    made: set[str] = set()
    for place, number, record in _records(source, report):
        with report.at(file=place, line=number):
            document = from_json(record, report)
            if isinstance(record, dict) and record.get("id") is None:
                if document.id in made:
                    document = replace(document, id=f"{document.id}-{number or len(made)}")
                made.add(document.id)
        yield document


def write(documents: Iterable[Document], target: str | Path) -> Counter[str]:
    """One line per document; `-` is standard output. Nothing is lost."""
    with sink(target) as stream:
        for document in documents:
            with at(document=document.id):
                stream.write(strict_json.dump(to_json(document)) + b"\n")
    return Counter()


def from_json(record: object, report: ReadReport | None = None) -> Document:
    """The document of its JSON form, repaired where it can be; the inverse of `to_json`.

    Raises DataError for unknown keys, missing text, and what `repair` refuses.
    """
    report = ReadReport() if report is None else report
    fields = strict_json.known_keys(record, "a document", _DOCUMENT, _META)
    text = strict_json.string(fields, "text", "a document")
    check_text(text)
    identifier = _identifier(fields.get("id"), text, report)
    with at(document=identifier):
        return _document(identifier, text, fields, report)


def _records(source: Source, report: ReadReport) -> Iterator[tuple[str, int | None, object]]:
    """Place, line number and value of each record."""
    if source.head.lstrip().startswith("["):
        with report.at(file=source.name):
            report.warn("files with a JSON array instead of lines")
            array = strict_json.parse(source.text())
        for index, record in enumerate(array if isinstance(array, list) else [array], start=1):
            yield f"{source.name}, item {index}", None, record
        return
    for number, line in source.lines():
        with report.at(file=source.name, line=number):
            if not line.strip():
                report.warn("lines left blank")
                continue
            record = strict_json.parse(line)
        yield source.name, number, record


def _identifier(value: object, text: str, report: ReadReport) -> str:
    if value is None:
        identifier = made_id(text)
        report.repair("ids missing (made from the text)", identifier)
        return identifier
    if type(value) is int:
        report.repair("ids given as numbers (now strings)", str(value))
        return str(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"id {value!r}", "a string that is not empty", "give each document its own id, or none")
    return value


def _document(identifier: str, text: str, fields: dict[str, object], report: ReadReport) -> Document:
    clusters = [strict_json.known_keys(c, "a cluster", _CLUSTER, _META) for c in strict_json.items(fields, "clusters")]
    questions = [
        strict_json.known_keys(q, "a question", _QUESTION, _META) for q in strict_json.items(fields, "questions")
    ]
    groups = [_raw_spans(each, "spans", "span") for each in (fields, *clusters)]
    answers = [_raw_spans(question, key, ANSWER) for question in questions for key in ("answers", "n_best")]
    settled = iter(_settled(text, list(chain(*groups)), list(chain(*answers)), report))
    found = [list(islice(settled, len(group))) for group in (*groups, *answers)]
    spans, *owned = [merge_duplicates(filter(None, group), report) for group in found]
    asked = owned[len(clusters) :]
    left_out = [
        [answer for answer, span in zip(*pair, strict=True) if span is None]
        for pair in zip(answers, found[len(groups) :], strict=True)
    ]
    warn_of_crossing(dict.fromkeys(spans), report)
    return Document(
        identifier,
        text,
        tuple(dict.fromkeys(spans)),
        tuple(_relation(relation, spans, report) for relation in strict_json.items(fields, "relations")),
        _clusters(clusters, owned, report),
        tuple(
            _question(*row, identifier, report)
            for row in zip(questions, asked[::2], asked[1::2], left_out[::2], strict=True)
        ),
        _annotated(fields, report),
        _coverage(fields.get("coverage"), report),
        {} if fields.get("meta") is None else strict_json.mapping(fields["meta"], "'meta'"),
    )


def _settled(
    text: str, spans: Sequence[RawSpan], answers: Sequence[RawSpan], report: ReadReport
) -> Sequence[Span | None]:
    """All in one call, since the unit of the offsets is a property of the document; if an answer spoils it, those of
    the answers that stand where their copies do. Raises DataError."""
    try:
        with report.attempt():
            return settle(text, (*spans, *answers), report)
    except DataError:
        if not answers or report.reading.strict:
            raise
    own, found = settle_fitting(text, spans, answers, report)
    pairs = zip(answers, found, strict=True)
    return (*own, *(each if isinstance(each, Span) else _answer(text, raw, each, report) for raw, each in pairs))


def _answer(text: str, raw: RawSpan, start: int, report: ReadReport) -> Span | None:
    """Of one that does not stand at `start`: where its copy does; None, with a warning, where it has none."""
    told = f"[{raw.start}, {raw.end})"
    if raw.copy is None:
        report.warn("answers without a range in the text (left out)", told)
        return None
    found = placed(text, replace(raw, start=start), report)
    if found is not None and found.start == start:
        report.repair("answers with a wrong end (now that of their text)", told)
    return found


def _raw_spans(fields: dict[str, object], key: str, label: str) -> list[RawSpan]:
    raw = []
    for item in strict_json.items(fields, key):
        span = strict_json.known_keys(item, "a span", _SPAN, _META)
        copy = None if span.get("text") is None else strict_json.string(span, "text", "a span")
        named = label if span.get("label") is None else span["label"]
        raw.append(RawSpan(span.get("start"), span.get("end"), named, span.get("score"), span.get("parts"), copy))
    return raw


def _relation(item: object, spans: Sequence[Span], report: ReadReport) -> Relation:
    fields = strict_json.known_keys(item, "a relation", _RELATION, _META)
    label = clean_label(fields.get("label"), "of a relation", report)
    head, tail = (spans[_index(fields, key, len(spans), report)] for key in ("head", "tail"))
    return Relation(head, tail, label, probability(fields.get("score"), f"relation {label!r}"))


def _clusters(
    clusters: Sequence[dict[str, object]], owned: Sequence[Sequence[Span]], report: ReadReport
) -> tuple[Cluster, ...]:
    """Those of the record; owned: the spans of each, and further ones. What training cannot use is counted."""
    made = tuple(_cluster(*pair, report) for pair in zip(clusters, owned, strict=False))
    if empty := sum(not cluster.spans for cluster in made):
        report.warn("clusters without a mention", times=empty)
    warn_of_several_chains(made, report)
    return made


def _cluster(fields: dict[str, object], spans: Sequence[Span], report: ReadReport) -> Cluster:
    position = {span: index for index, span in enumerate(dict.fromkeys(spans))}
    links = []
    for item in strict_json.items(fields, "links"):
        link = strict_json.known_keys(item, "a link", _LINK, _META)
        head, tail = (position[spans[_index(link, key, len(spans), report)]] for key in ("from", "to"))
        links.append(Link(head, tail, probability(link.get("score"), "a link")))
    return Cluster(tuple(position), tuple(links), probability(fields.get("score"), "a cluster"))


def _question(
    fields: dict[str, object],
    answers: Sequence[Span],
    n_best: Sequence[Span],
    left_out: Sequence[RawSpan],
    document: str,
    report: ReadReport,
) -> Question:
    text = asked_text(fields, f"{fields.get('id') or document}", report)
    unsaid = fields.get("answers") is None or (left_out and not answers)  # that it has none, nobody has said
    return Question(
        _identifier(fields.get("id"), f"{document} {text}", report),
        text,
        None if unsaid else tuple(dict.fromkeys(answers)),
        probability(fields.get("no_answer"), f"question {text[:40]!r}"),
        tuple(dict.fromkeys(n_best)),
        (*strict_json.strings(fields, "texts"), *(raw.copy for raw in left_out if raw.copy)),
    )


def _index(fields: dict[str, object], key: str, length: int, report: ReadReport) -> int:
    index = whole_number(fields.get(key), key, report)
    if not 0 <= index < length:
        raise DataError(
            f"{key!r} is {index}, and there are {length} spans",
            f"the index of a span, from 0 to {length - 1}" if length else "no relation or link without spans",
            "count from 0, in the order in which the spans are written",
        )
    return index


def _annotated(fields: dict[str, object], report: ReadReport) -> frozenset[str] | None:
    if fields.get("annotated") is None:
        return None
    labels = strict_json.items(fields, "annotated")
    return frozenset(clean_label(label, "among 'annotated'", report) for label in labels)


def _coverage(value: object, report: ReadReport) -> Coverage | None:
    if value is None:
        return None
    fields = strict_json.known_keys(value, "'coverage'", (*_COVERAGE, "unread", "unknown"), _META)
    read, characters, windows = (whole_number(fields.get(key), key, report) for key in _COVERAGE)
    gaps = [strict_json.known_keys(gap, "'unread'", _GAP, _META) for gap in strict_json.items(fields, "unread")]
    unread = (
        (whole_number(gap.get("start"), "start", report), whole_number(gap.get("end"), "end", report)) for gap in gaps
    )
    unknown = 0 if fields.get("unknown") is None else whole_number(fields["unknown"], "unknown", report)
    return Coverage(read, characters, windows, tuple(unread), unknown)


def to_json(document: Document) -> dict[str, JSON]:
    """The JSON form of docs/data.md: keys without content are left out, `id` and `text` never."""
    text = document.text
    record: dict[str, JSON] = {"id": document.id, "text": text}
    if document.meta:
        record["meta"] = dict(document.meta)
    if document.spans or document.coverage is not None:  # a prediction says so when it found nothing
        record["spans"] = [_span_to_json(span, text) for span in document.spans]
    if document.relations:
        position = {span: index for index, span in reversed(list(enumerate(document.spans)))}
        record["relations"] = [
            _with_score({"head": position[r.head], "tail": position[r.tail], "label": r.label}, r.score)
            for r in document.relations
        ]
    if document.clusters:
        record["clusters"] = [_cluster_to_json(cluster, text) for cluster in document.clusters]
    if document.questions:
        record["questions"] = [_question_to_json(question, text) for question in document.questions]
    if document.annotated is not None:
        record["annotated"] = sorted(document.annotated)
    if document.coverage is not None:
        coverage = document.coverage
        unread = [{"start": start, "end": end} for start, end in coverage.unread]
        record["coverage"] = {
            "characters_read": coverage.characters_read,
            "characters": coverage.characters,
            "windows": coverage.windows,
            **({"unread": unread} if unread else {}),
            **({"unknown": coverage.unknown} if coverage.unknown else {}),
        }
    return record


def _with_score(record: dict[str, JSON], score: float | None) -> dict[str, JSON]:
    return record if score is None else {**record, "score": score}


def _span_to_json(span: Span, text: str) -> dict[str, JSON]:
    record: dict[str, JSON] = {"start": span.start, "end": span.end, "label": span.label}
    if span.parts:
        record["parts"] = [list(part) for part in span.parts]
    return {**_with_score(record, span.score), "text": text[span.start : span.end]}


def _cluster_to_json(cluster: Cluster, text: str) -> dict[str, JSON]:
    record: dict[str, JSON] = {"spans": [_span_to_json(span, text) for span in cluster.spans]}
    if cluster.links:
        record["links"] = [_with_score({"from": k.head, "to": k.tail}, k.score) for k in cluster.links]
    return _with_score(record, cluster.score)


def _question_to_json(question: Question, text: str) -> dict[str, JSON]:
    record: dict[str, JSON] = {"id": question.id, "question": question.text}
    if question.answers is not None:
        record["answers"] = [_span_to_json(span, text) for span in question.answers]
    if question.no_answer is not None:
        record["no_answer"] = question.no_answer
    if question.n_best:
        record["n_best"] = [_span_to_json(span, text) for span in question.n_best]
    if question.texts:
        record["texts"] = list(question.texts)
    return record
