"""What documents state, kind by kind: how two systems are measured against each other on it, and where they err."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..documents import ANSWER, JSON, MENTION, Document, Relation, Span
from ..errors import DataError, check_among
from ..metrics import coreference
from ..metrics.coreference_report import coreference_report, scored_clusters
from ..metrics.gap import pronoun_counts
from ..metrics.questions import ONE, accepted, answer_report, answer_table, said_of, scored_questions
from ..metrics.relation_report import relation_counts, relation_report
from ..metrics.relations import NO_RELATION
from ..metrics.report import Report, span_report
from ..metrics.spans import Rate, SpanCounts, count_documents, f1
from ..pronouns import coreferent, is_example, marked

MISSED, WRONG = "missed", "wrong"
_LONGEST, _QUESTION, _LISTED = 60, 200, 8  # characters of a quoted text and of a question, texts in a list


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
    scored: Callable[[Sequence[Document], Sequence[Document]], tuple[Sequence[Document], Sequence[Document]]] = (
        lambda gold, found: (gold, found)
    )
    """What of gold and of predicted documents counts, in the same order."""


def kind_of(gold: Sequence[Document], name: str | None = None) -> Kind:
    """The kind of this name; None: the first that the documents are annotated with, spans where there is nothing.

    Raises UsageError for a name that is none, DataError where no document has what was named.
    """
    if name is None:
        kinds = [*KINDS, "spans"] if not _of_pronouns(gold) else ["clusters"]
        name = next((kind for kind in kinds if any(getattr(document, kind) for document in gold)), kinds[-1])
        return kind_named(gold, name)
    check_among("kind", name, KINDS, "leave it out: spans first", where="to compare")
    if gold and not any(getattr(document, name) for document in gold) and not _of_pronouns(gold):
        raise DataError(
            f"no {name} in the annotated documents", f"documents with {name}", "give others, or another --of"
        )
    return kind_named(gold, name)


def kind_named(gold: Sequence[Document], name: str) -> Kind:
    """The kind of this name, whether the documents have any of it or not."""
    return _PRONOUNS if name == "clusters" and _of_pronouns(gold) else KINDS[name]


def _of_pronouns(gold: Sequence[Document]) -> bool:
    return bool(gold) and all(map(is_example, gold))


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
    return Table((), ratios.reshape(len(ratios), 1, 4 * len(coreference.METRICS)))


def _linked(gold: Sequence[Document], found: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Clusters of one mention count where gold has some; of CoNLL-2012 those that are predicted do not."""
    alone = any(len(cluster.spans) == 1 for document in gold for cluster in document.clusters)
    return scored_clusters(gold, found, singletons=alone)


def _pronouns(gold: Sequence[Document], found: Sequence[Document]) -> Table:
    return Table((), pronoun_counts(gold, found)[:, None])


def _conll(counts: np.ndarray) -> np.ndarray:
    return coreference.conll_f1(counts.reshape(*counts.shape[:-1], len(coreference.METRICS), 4))


def scored_spans(gold: Document, spans: Sequence[Span]) -> set[Span]:
    """Distinct ones of labels that were looked for in a gold document, without their scores."""
    return {replace(span, score=None) for span in spans if gold.looked_for(span.label)}


def _span_errors(gold: Document, found: Document) -> tuple[Error, ...]:
    right, told = scored_spans(gold, gold.spans), scored_spans(gold, found.spans)
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
            if r.label != NO_RELATION and gold.looked_for(r.label)
        }

    right, told = scored(gold.relations), scored(found.relations)
    errors = []
    for key in right.keys() ^ told.keys():
        head, tail, label = key
        said = [f"“{_shortened(gold.text[span.start : span.end])}” ({span.label})" for span in (head, tail)]
        where: dict[str, JSON] = {
            side: {"start": span.start, "end": span.end, "label": span.label}
            for side, span in (("head", head), ("tail", tail))
        }
        start, end = min(head.start, tail.start), max(head.end, tail.end)
        error = MISSED if key in right else WRONG
        errors.append(Error(key, start, end, label, " → ".join(said), error, where))
    return tuple(sorted(errors, key=lambda each: (each.start, each.end, each.label, each.text, each.error)))


def _question_errors(gold: Document, found: Document) -> tuple[Error, ...]:
    errors = []
    for number, (question, answered) in enumerate(zip(gold.questions, found.questions, strict=True)):
        if not question.judged:
            continue
        said, right = said_of(gold.text, question, answered)
        if right:
            continue
        places = [*(answered.answers or ()), *(question.answers or ())]
        start, end = (places[0].start, places[0].end) if places else (0, 0)
        wanted = " / ".join(map(_marks, accepted(gold.text, question)[:_LISTED])) or "no answer"
        text = f"{_shortened(question.text, _QUESTION)} Said: {_marks(said)}. Right: {wanted}"
        where: dict[str, JSON] = {"question": question.id}
        errors.append(Error((number, question.id), start, end, ANSWER, text, WRONG if said else MISSED, where))
    return tuple(errors)


def _cluster_errors(gold: Document, found: Document) -> tuple[Error, ...]:
    """Whole clusters: one that lacks a mention, or has one too many, is missed and made up at once."""
    right, told = (
        {frozenset(map(coreference.mention, cluster.spans)) for cluster in document.clusters if cluster.spans}
        for document in (gold, found)
    )
    errors = []
    for mentions in right ^ told:
        places = sorted(mentions)
        said = [_shortened(gold.text[a:b]) for a, b, *_ in places[:_LISTED]]
        more = f" … and {len(places) - _LISTED:,} more" if len(places) > _LISTED else ""
        error = MISSED if mentions in right else WRONG
        where: dict[str, JSON] = {"spans": [list(place[:2]) for place in places]}
        start, end, *_ = places[0]
        errors.append(Error(mentions, start, end, MENTION, ", ".join(said) + more, error, where))
    return tuple(sorted(errors, key=lambda each: (each.start, each.end, each.text, each.error)))


def _pronoun_errors(gold: Document, found: Document) -> tuple[Error, ...]:
    """Of each of the two names, whether the pronoun is it."""
    pronoun, *names = marked(gold)
    answers = zip(names, coreferent(gold, gold), coreferent(gold, found), strict=True)
    return tuple(
        Error(
            name.label,
            pronoun.start,
            pronoun.end,
            name.label,
            f"{_marks(gold.text[pronoun.start : pronoun.end])} is {_marks(gold.text[name.start : name.end])}",
            MISSED if true else WRONG,
        )
        for name, true, said in answers
        if true != said
    )


def _marks(text: str) -> str:
    return f"“{_shortened(text)}”" if text else "no answer"


def _shortened(text: str, most: int = _LONGEST) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= most else f"{plain[: most - 12]} … {plain[-9:]}"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "spans", "spans:exact-set", f1, "F1", partial(span_report, policy="as-predicted"),
            _counted(count_documents), _span_errors,
        ),
        Kind(
            "questions", "answers:official-f1", _mean, "F1 of answers",
            partial(answer_report, policy=ONE), _answers, _question_errors, scored_questions,
        ),
        Kind(
            "relations", "relations:exact-set", f1, "F1", partial(relation_report, asked=False),
            _counted(relation_counts), _relation_errors,
        ),
        Kind(
            "clusters", "clusters:conll-f1", _conll, "CoNLL F1", partial(coreference_report, singletons=True),
            _clusters, _cluster_errors, _linked,
        ),
    )
}  # fmt: skip
"""What can be compared; of a document with several the first is, unless another is asked for."""
_PRONOUNS = replace(
    KINDS["clusters"],
    signature="pronouns:gap-f1",
    rate=f1,
    number="F1 of pronouns",
    table=_pronouns,
    errors=_pronoun_errors,
)
"""Of GAP nothing but a pronoun and two names is annotated."""
