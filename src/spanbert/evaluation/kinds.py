"""What documents state, kind by kind: how two systems are measured against each other on it, and where they err."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..documents import ANSWER, JSON, MENTION, Document, Question, Relation, Span
from ..errors import UsageError, nearest
from ..metrics import coreference
from ..metrics.coreference_report import coreference_report, without_singletons
from ..metrics.questions import ONE, answer_report, answer_table, is_right
from ..metrics.relation_report import relation_counts, relation_report
from ..metrics.relations import NO_RELATION
from ..metrics.report import Report, span_report
from ..metrics.spans import Rate, SpanCounts, count_documents, f1

MISSED, WRONG = "missed", "wrong"
_LONGEST = 60  # characters of a text that is quoted in a list


@dataclass(frozen=True, slots=True)
class Error:
    """Something that one system has wrong in a document: gold that it missed, or what it made up."""

    key: Hashable
    """Two systems with the same key make the same error."""
    start: int
    end: int
    """The stretch of the text that it is about."""
    label: str
    text: str
    """What it is, for people."""
    error: str
    where: Mapping[str, JSON] = field(default_factory=dict)
    """Further places in JSON, by the name that the kind gives them."""

    def to_json(self) -> dict[str, JSON]:
        record: dict[str, JSON] = {"start": self.start, "end": self.end, "label": self.label}
        return {**record, **self.where, "text": self.text, "error": self.error}


@dataclass(frozen=True, slots=True)
class Table:
    """What a difference is computed from: of all, then of each label, [documents, 1 + labels, K]."""

    labels: tuple[str, ...]
    counts: np.ndarray


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of annotation."""

    name: str
    """That of the field of a document."""
    signature: str
    rate: Rate
    """From counts [..., K] to the number that is compared, 0 to 1."""
    number: str
    """Its name."""
    report: Callable[[Sequence[Document], Sequence[Document]], Report]
    table: Callable[[Sequence[Document], Sequence[Document]], Table]
    errors: Callable[[Document, Document], tuple[Error, ...]]
    """Of one predicted document (second) against gold, in the order of the text, each once."""
    comparable: Callable[[Sequence[Document], Sequence[Document]], Sequence[Document]] = lambda _, found: found
    """What of the predicted documents counts."""


def kind_of(gold: Sequence[Document], name: str | None = None) -> Kind:
    """The kind of this name; None: the first that the documents are annotated with, spans where there is nothing."""
    if name is None:
        name = next((kind for kind in KINDS if any(getattr(document, kind) for document in gold)), "spans")
    if name not in KINDS:
        raise UsageError(
            f"{name!r} to compare", f"one of {', '.join(KINDS)}", nearest(name, KINDS) or "leave it out: spans first"
        )
    return KINDS[name]


def _counted(count: Callable[[Sequence[Document], Sequence[Document]], SpanCounts]) -> Callable[..., Table]:
    def table(gold: Sequence[Document], found: Sequence[Document]) -> Table:
        counts = count(gold, found)
        whole = counts.by_label.sum(axis=1, keepdims=True)
        return Table(counts.labels, np.concatenate([whole, counts.by_label], axis=1))

    return table


def _answers(gold: Sequence[Document], found: Sequence[Document]) -> Table:
    return Table((), answer_table(gold, found)[:, None])


def _mean(counts: np.ndarray) -> np.ndarray:
    """[..., 2], sums and how many: 0 where there are none."""
    mean: np.ndarray = np.divide(
        counts[..., 0], counts[..., 1], out=np.zeros(counts.shape[:-1]), where=counts[..., 1] > 0
    )
    return mean


def _clusters(gold: Sequence[Document], found: Sequence[Document]) -> Table:
    ratios = coreference.count_documents(gold, found).ratios
    return Table((), ratios.reshape(len(ratios), 1, -1))


def _as_gold_does(gold: Sequence[Document], found: Sequence[Document]) -> Sequence[Document]:
    """Clusters of one mention count where gold has some; of CoNLL-2012 those that are predicted do not."""
    alone = any(len(cluster.spans) == 1 for document in gold for cluster in document.clusters)
    return found if alone else [without_singletons(document) for document in found]


def _conll(counts: np.ndarray) -> np.ndarray:
    return coreference.conll_f1(counts.reshape(*counts.shape[:-1], len(coreference.METRICS), 4))


def _span_errors(gold: Document, found: Document) -> tuple[Error, ...]:
    def scored(spans: Sequence[Span]) -> set[Span]:
        return {replace(s, score=None) for s in spans if gold.annotated is None or s.label in gold.annotated}

    right, told = scored(gold.spans), scored(found.spans)
    return tuple(
        Error(
            span,
            span.start,
            span.end,
            span.label,
            gold.text[span.start : span.end],
            MISSED if span in right else WRONG,
            {"parts": [list(part) for part in span.parts]} if span.parts else {},
        )
        for span in sorted(right ^ told, key=lambda s: (s.start, s.end, s.label, s.parts))
    )


def _relation_errors(gold: Document, found: Document) -> tuple[Error, ...]:
    def scored(relations: Sequence[Relation]) -> dict[tuple[Span, Span, str], Relation]:
        return {
            (replace(r.head, score=None), replace(r.tail, score=None), r.label): r
            for r in relations
            if r.label != NO_RELATION and (gold.annotated is None or r.label in gold.annotated)
        }

    right, told = scored(gold.relations), scored(found.relations)
    errors = []
    for key in right.keys() ^ told.keys():
        head, tail, label = key
        said = [f"“{_quoted(gold.text, span)}”" for span in (head, tail)]
        where: dict[str, JSON] = {"head": [head.start, head.end], "tail": [tail.start, tail.end]}
        start, end = min(head.start, tail.start), max(head.end, tail.end)
        error = MISSED if key in right else WRONG
        errors.append(Error(key, start, end, label, " → ".join(said), error, where))
    return tuple(sorted(errors, key=lambda each: (each.start, each.end, each.label, each.text)))


def _question_errors(gold: Document, found: Document) -> tuple[Error, ...]:
    errors = []
    for number, (question, answered) in enumerate(zip(gold.questions, found.questions, strict=True)):
        if (question.answers is None and not question.texts) or is_right(gold.text, question, answered):
            continue
        places = [*(answered.answers or ()), *(question.answers or ())]
        start, end = (places[0].start, places[0].end) if places else (0, 0)
        said = f"{question.text} Said: {_said(gold.text, answered)}. Right: {_said(gold.text, question)}"
        error = WRONG if answered.answers else MISSED
        errors.append(Error((number, question.id), start, end, ANSWER, said, error, {"question": question.id}))
    return tuple(errors)


def _cluster_errors(gold: Document, found: Document) -> tuple[Error, ...]:
    """Whole clusters: one that lacks a mention, or has one too many, is missed and made up at once."""
    right, told = (
        {frozenset((span.start, span.end) for span in cluster.spans) for cluster in document.clusters}
        for document in (gold, found)
    )
    errors = []
    for mentions in right ^ told:
        places = sorted(mentions)
        said = ", ".join(_shortened(gold.text[a:b]) for a, b in places)
        error = MISSED if mentions in right else WRONG
        where: dict[str, JSON] = {"spans": [list(place) for place in places]}
        errors.append(Error(mentions, places[0][0], max(b for _, b in places), MENTION, said, error, where))
    return tuple(sorted(errors, key=lambda each: (each.start, each.end, each.text)))


def _said(text: str, question: Question) -> str:
    spans = [text[span.start : span.end] for span in question.answers or ()]
    return " / ".join(f"“{_shortened(said)}”" for said in dict.fromkeys((*spans, *question.texts))) or "no answer"


def _quoted(text: str, span: Span) -> str:
    return _shortened(text[span.start : span.end])


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 12]} … {plain[-9:]}"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "spans", "spans:exact-set", f1, "F1", partial(span_report, policy="as-predicted"),
            _counted(count_documents), _span_errors,
        ),
        Kind(
            "questions", "answers:official-f1", _mean, "F1 of answers",
            partial(answer_report, policy=ONE), _answers, _question_errors,
        ),
        Kind(
            "relations", "relations:exact-set", f1, "F1", partial(relation_report, asked=False),
            _counted(relation_counts), _relation_errors,
        ),
        Kind(
            "clusters", "clusters:conll-f1", _conll, "CoNLL F1", partial(coreference_report, singletons=True),
            _clusters, _cluster_errors, _as_gold_does,
        ),
    )
}  # fmt: skip
"""What can be compared; of a document with several the first is, unless another is asked for."""
