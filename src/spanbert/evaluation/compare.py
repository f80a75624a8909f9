"""Two systems on the same annotated documents: what the second does better, what worse, and whether it is chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..documents import JSON, Document, Question, Span, only_documents
from ..errors import DataError, UsageError, at
from ..inference.span_model import SpanModel
from ..metrics import bootstrap, significance
from ..metrics.report import Report, aligned
from ..metrics.significance import Difference, differences, holm
from .evaluate import alone
from .kinds import Error, Kind, Table, kind_of, scored_spans

LISTED = 100
"""Changed documents in JSON and on the page."""
_SHOWN = 10  # of them in text
_CHANCE = 0.05  # p up to here is called a difference


@dataclass(frozen=True, slots=True)
class Change:
    """A document that one system reads better."""

    document: Document
    """Its spans are gold. All spans here: of annotated labels only, distinct, without scores."""
    a: tuple[Span, ...]
    b: tuple[Span, ...]
    fixed: tuple[Error, ...]
    """Errors of A that B does not make: gold that A missed, and what A made up."""
    broken: tuple[Error, ...]
    """Errors of B that A does not make."""

    def to_json(self) -> dict[str, JSON]:
        return {
            "document": self.document.id,
            "fixed": [error.to_json() for error in self.fixed],
            "broken": [error.to_json() for error in self.broken],
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences are B minus A: above 0, B is better."""

    names: tuple[str, str]
    kind: Kind
    """What is compared."""
    a: Report
    b: Report
    rates: tuple[float, float]
    """The number that is compared, of A and of B."""
    difference: Difference
    """Of this number."""
    per_label: Mapping[str, Difference]
    adjusted: Mapping[str, float | None]
    """The p values of `per_label`, raised for their number (Holm)."""
    changed: tuple[Change, ...]
    """Most changed first, then in the order of the data."""
    signature: str

    def to_json(self) -> dict[str, JSON]:
        """Of the changed documents the first LISTED; `changed_documents` counts them all."""
        return {
            "a": {"name": self.names[0], **self.a.to_json()},
            "b": {"name": self.names[1], **self.b.to_json()},
            "of": self.kind.name,
            "difference": {
                **_record(self.difference),
                **self._more(),
                "per_label": {
                    label: {**_record(each), "p_adjusted": self.adjusted[label]}
                    for label, each in self.per_label.items()
                },
            },
            "documents": self.a.documents,
            "changed_documents": len(self.changed),
            "changed": [change.to_json() for change in self.changed[:LISTED]],
            "signature": self.signature,
        }

    def _more(self) -> dict[str, JSON]:
        """Differences of precision and recall, where the number that is compared is made of them."""
        if not self.per_label:
            return {}
        return {rate: getattr(self.b.micro, rate) - getattr(self.a.micro, rate) for rate in ("precision", "recall")}

    def rows(self) -> list[tuple[str, ...]]:
        """A table: head, the number that is compared; of what has labels also precision, recall and F1 of each."""
        fixed = Counter(error.label for change in self.changed for error in change.fixed)
        broken = Counter(error.label for change in self.changed for error in change.broken)
        a, b = self.a.micro, self.b.micro
        interval = f"{bootstrap.LEVEL:.0%} interval"
        head = ("", "A", "B", "B - A", interval, "p", "p adjusted", "fixed", "broken")
        first = _row(self.kind.number, self.rates, self.difference, None, (fixed.total(), broken.total()))
        if not self.per_label:
            return [head, first]
        return [
            head,
            first,
            ("precision", *_rates(a.precision, b.precision), *["-"] * 5),
            ("recall", *_rates(a.recall, b.recall), *["-"] * 5),
            *(
                _row(
                    f"F1 {label}",
                    tuple(each.per_label[label].f1 if label in each.per_label else 0.0 for each in (self.a, self.b)),
                    found,
                    self.adjusted[label],
                    (fixed[label], broken[label]),
                )
                for label, found in self.per_label.items()
            ),
        ]

    @property
    def verdict(self) -> str:
        """Whether B is really better than A, in a sentence."""
        found = self.difference
        if found.p_value is None:
            return "whether the difference is chance cannot be said of one document: compare on more"
        chance = f"if they were equally good, a difference this large would come about with p = {found.p_value:.4f}"
        if found.p_value <= _CHANCE:
            return f"{'B' if found.f1 > 0 else 'A'} is better: {chance}"
        if found.least_p > _CHANCE:
            return (
                f"no difference can be shown: the counts differ in {found.differing} of {self.a.documents} documents, "
                f"so that p is at least {found.least_p:.4f} whatever the difference"
            )
        return f"no difference is shown: {chance}"

    def to_text(self) -> str:
        """A table for people of what got better and what worse; rates from 0 to 1."""
        lines = [f"{side}: {name}" for side, name in zip("AB", self.names, strict=True)] + [""]
        lines += aligned(self.rows())
        lines += ["", self.verdict]
        lines += ["", f"documents: {self.a.documents}, of which {len(self.changed)} have errors fixed or broken"]
        for change in self.changed[:_SHOWN]:
            lines.append(f"  {change.document.id}: {len(change.fixed)} fixed, {len(change.broken)} broken")
        if len(self.changed) > _SHOWN:
            lines.append(f"  … and {len(self.changed) - _SHOWN} more")
        return "\n".join([*lines, f"signature: {self.signature}"]) + "\n"


def compare(
    gold: Sequence[Document],
    a: Sequence[Document],
    b: Sequence[Document],
    *,
    names: tuple[str, str] = ("A", "B"),
    of: str | None = None,
    seed: int = 0,
) -> Comparison:
    """Two systems' predictions for the gold documents, matched by `matched`, against each other.

    of: spans, questions, relations or clusters; None: the first of these that the documents are annotated with. In a
    document with `annotated` only those labels are scored; a label that one side does not know is missed by it.
    """
    gold, a, b = (list(only_documents(side)) for side in (gold, a, b))
    kind = kind_of(gold, of)
    matches = [matched(gold, side, name) for side, name in zip((a, b), names, strict=True)]
    (gold, first), (_, second) = (kind.scored(gold, side) for side in matches)
    if not gold:
        raise DataError(f"no document in which {kind.name} were annotated", "some that were", "give others")
    tables = kind.table(gold, first), kind.table(gold, second)
    labels = tuple(sorted({label for each in tables for label in each.labels}))
    counts = _spread(tables[0], labels), _spread(tables[1], labels)
    whole, *each_label = differences(*counts, kind.rate, seed=seed)
    changes = (_change(kind, *three) for three in zip(gold, first, second, strict=True))
    return Comparison(
        names=names,
        kind=kind,
        a=kind.report(gold, first),
        b=kind.report(gold, second),
        rates=(float(kind.rate(counts[0][:, 0].sum(axis=0))), float(kind.rate(counts[1][:, 0].sum(axis=0)))),
        difference=whole,
        per_label=dict(zip(labels, each_label, strict=True)),
        adjusted=dict(zip(labels, holm([each.p_value for each in each_label]), strict=True)),
        changed=tuple(
            sorted(
                (change for change in changes if change.fixed or change.broken),
                key=lambda change: -len(change.fixed) - len(change.broken),
            )
        ),
        signature=(
            f"{kind.signature}|paired:documents|interval:percentile-bootstrap,samples={bootstrap.SAMPLES},"
            f"level={bootstrap.LEVEL}|p:randomisation,two-sided,shuffles={significance.SHUFFLES},"
            f"exact<={significance.ENUMERATED}|adjusted:holm,labels={len(labels)}|seed={seed}|documents:{len(gold)}"
        ),
    )


def predicted_by(
    model: SpanModel, documents: Sequence[Document], *, of: str | None = None, threshold: float | None = None
) -> tuple[Document, ...]:
    """What a model finds in gold documents, of which it sees what the task in question may see, as in `evaluate`.

    of: as in `compare`. threshold: least probability; None: the model's own. Raises UsageError for a model that tells
    nothing of the kind.
    """
    documents = list(only_documents(documents))
    kind = kind_of(documents, of)
    name = next((name for name, task in model.bundle.tasks.items() if kind.name in task.tells), None)
    if name is None:
        told = sorted({each for task in model.bundle.tasks.values() for each in task.tells})
        raise UsageError(
            f"a model that finds {' and '.join(told) or 'nothing'}",
            f"one that finds {kind.name}",
            f"compare others, or what it finds (--of {told[0]})" if told else "compare others",
        )
    predictor = alone(model.predictor(threshold=threshold), name)
    return tuple(predictor(predictor.tasks[name].visible(document) for document in documents))


def answered(gold: Sequence[Document], answers: Mapping[str, str]) -> list[Document]:
    """Gold documents with what another system says to their questions: texts by question id, as the official scorers
    read them; an empty text is no answer. Raises DataError where a question has none."""
    missing = [question.id for document in gold for question in document.questions if question.id not in answers]
    if missing:
        raise DataError(
            f"no answer to {len(missing)} questions (the first: {missing[0]!r})",
            "a text for the id of each question, empty for no answer",
            "answer all questions of the data",
        )
    return [
        Document(
            document.id,
            document.text,
            questions=tuple(
                Question(each.id, each.text, (), texts=(answers[each.id],) if answers[each.id] else ())
                for each in document.questions
            ),
        )
        for document in gold
    ]


def matched(gold: Sequence[Document], predicted: Sequence[Document], name: str = "predictions") -> list[Document]:
    """The predicted document of each gold one: of the same id, or in the same place where no ids agree.

    Documents that are not in gold are left out. Raises DataError where ids repeat, where a gold document has no
    prediction, and where texts are not the same, each with how many.
    """
    if not gold:
        raise DataError("no documents", "at least one annotated document", "check the file that was given")
    for whose, documents in (("the gold documents", gold), (name, predicted)):
        times = Counter(document.id for document in documents)
        repeated = [identifier for identifier, count in times.items() if count > 1]
        if repeated:
            raise DataError(
                f"{len(repeated)} ids stand more than once in {whose} (the first: {repeated[0]!r})",
                "an id of its own for every document",
                "rename or remove the repeated documents",
            )
    by_id = {document.id: document for document in predicted}
    missing = [document.id for document in gold if document.id not in by_id]
    if len(missing) < len(gold):
        if missing:
            raise DataError(
                f"{len(missing)} of {len(gold)} gold documents have no prediction in {name} "
                f"(the first: {missing[0]!r})",
                "a prediction for every gold document, also where nothing was found",
                "predict all of them, or compare on those that both systems have read",
            )
        found = [by_id[document.id] for document in gold]
    elif len(predicted) == len(gold):
        found = [replace(other, id=document.id) for document, other in zip(gold, predicted, strict=True)]
    else:
        raise DataError(
            f"{name} has {len(predicted)} documents, none with the id of one of the {len(gold)} gold documents",
            "the ids of the gold documents, or as many documents in the same order",
            "give each prediction the id of its document",
        )
    _check_texts(gold, found, name)
    return found


def _check_texts(gold: Sequence[Document], found: Sequence[Document], name: str) -> None:
    other = [(document, each) for document, each in zip(gold, found, strict=True) if document.text != each.text]
    if other:
        document, each = other[0]
        pairs = enumerate(zip(document.text, each.text, strict=False))
        place = next((n for n, (x, y) in pairs if x != y), min(len(document.text), len(each.text)))
        with at(document=document.id):
            raise DataError(
                f"{len(other)} of {len(gold)} texts of {name} are not those of the gold documents "
                f"(here from character {place} on)",
                "predictions on the very text of the gold documents: offsets mean nothing in another",
                "predict on the file that is given as gold, and keep white space as it is",
            )


def _spread(table: Table, labels: Sequence[str]) -> np.ndarray:
    """Counts [documents, 1 + labels, K] for more labels than occur: the others were neither in gold nor predicted."""
    counts = table.counts
    spread = np.zeros((len(counts), 1 + len(labels), counts.shape[-1]), dtype=counts.dtype)
    spread[:, [0, *(1 + labels.index(label) for label in table.labels)]] = counts
    return spread


def _change(kind: Kind, document: Document, a: Document, b: Document) -> Change:
    found = (scored_spans(document, each.spans) for each in (document, a, b))
    gold, first, second = (tuple(sorted(each, key=lambda s: (s.start, s.end, s.label, s.parts))) for each in found)
    errors = kind.errors(document, a), kind.errors(document, b)
    keys = [{error.key for error in each} for each in errors]
    return Change(
        replace(document, spans=gold, relations=(), clusters=(), questions=()),
        first,
        second,
        tuple(error for error in errors[0] if error.key not in keys[1]),
        tuple(error for error in errors[1] if error.key not in keys[0]),
    )


def _record(found: Difference) -> dict[str, JSON]:
    interval = None if found.f1_interval is None else list(found.f1_interval)
    return {"f1": found.f1, "f1_interval": interval, "p_value": found.p_value}


def _row(
    name: str, rates: tuple[float, ...], found: Difference, adjusted: float | None, errors: tuple[int, int]
) -> tuple[str, ...]:
    low_high = found.f1_interval
    interval = "-" if low_high is None else f"{low_high[0] + 0.0:+.3f} to {low_high[1] + 0.0:+.3f}"
    p_values = ("-" if p is None else f"{p:.4f}" for p in (found.p_value, adjusted))
    return (name, *_rates(*rates), interval, *p_values, *map(str, errors))


def _rates(a: float, b: float) -> tuple[str, str, str]:
    return f"{a:.3f}", f"{b:.3f}", f"{b - a:+.3f}"
