"""Two systems on the same annotated documents: what the second does better, what worse, and whether it is chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..documents import JSON, Document, Span
from ..errors import DataError, at
from ..inference.span_model import SpanModel
from ..metrics import bootstrap, significance
from ..metrics.report import Report, span_report
from ..metrics.significance import Difference, differences, holm
from ..metrics.spans import SpanCounts, count_documents

LISTED = 100
"""Changed documents in JSON and on the page."""
_SHOWN = 10  # of them in text
_CHANCE = 0.05  # p up to here is called a difference


@dataclass(frozen=True, slots=True)
class Change:
    """A document that one system reads better. All spans: of annotated labels only, distinct, without scores."""

    document: Document
    """Its spans are gold."""
    a: tuple[Span, ...]
    b: tuple[Span, ...]
    fixed: tuple[Span, ...]
    """Errors of A that B does not make: gold spans that A missed, and others that A found."""
    broken: tuple[Span, ...]
    """Errors of B that A does not make."""

    def to_json(self) -> dict[str, JSON]:
        return {
            "document": self.document.id,
            "fixed": [self._row(span) for span in self.fixed],
            "broken": [self._row(span) for span in self.broken],
        }

    def _row(self, span: Span) -> dict[str, JSON]:
        record: dict[str, JSON] = {"start": span.start, "end": span.end, "label": span.label}
        if span.parts:
            record["parts"] = [list(part) for part in span.parts]
        error = "missed" if span in self.document.spans else "wrong"
        return {**record, "text": self.document.text[span.start : span.end], "error": error}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences are B minus A: above 0, B is better."""

    names: tuple[str, str]
    a: Report
    b: Report
    difference: Difference
    """Of micro F1."""
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
            "difference": {
                **_record(self.difference),
                "precision": self.b.micro.precision - self.a.micro.precision,
                "recall": self.b.micro.recall - self.a.micro.recall,
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

    def rows(self) -> list[tuple[str, ...]]:
        """A table: head, then F1, precision and recall of all spans, then F1 of each label."""
        fixed = Counter(span.label for change in self.changed for span in change.fixed)
        broken = Counter(span.label for change in self.changed for span in change.broken)
        a, b = self.a.micro, self.b.micro
        interval = f"{bootstrap.LEVEL:.0%} interval"
        return [
            ("", "A", "B", "B - A", interval, "p", "p adjusted", "fixed", "broken"),
            _row("F1", (a.f1, b.f1), self.difference, None, (fixed.total(), broken.total())),
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
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{side}: {name}" for side, name in zip("AB", self.names, strict=True)] + [""]
        lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
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
    seed: int = 0,
) -> Comparison:
    """Two systems' predictions for the gold documents, matched by `matched`, against each other.

    In a document with `annotated` only those labels are scored; a label that one side does not know is missed by it.
    """
    first, second = matched(gold, a, names[0]), matched(gold, b, names[1])
    counts = count_documents(gold, first), count_documents(gold, second)
    labels = tuple(sorted({label for each in counts for label in each.labels}))
    by_label = [_spread(each, labels) for each in counts]
    with_micro = (np.concatenate([each.sum(axis=1, keepdims=True), each], axis=1) for each in by_label)
    micro, *each_label = differences(*with_micro, seed=seed)
    changes = (_change(*three) for three in zip(gold, first, second, strict=True))
    return Comparison(
        names=names,
        a=span_report(gold, first, policy="as-predicted", seed=seed),
        b=span_report(gold, second, policy="as-predicted", seed=seed),
        difference=micro,
        per_label=dict(zip(labels, each_label, strict=True)),
        adjusted=dict(zip(labels, holm([each.p_value for each in each_label]), strict=True)),
        changed=tuple(
            sorted(
                (change for change in changes if change.fixed or change.broken),
                key=lambda change: -len(change.fixed) - len(change.broken),
            )
        ),
        signature=(
            f"spans:exact-set|paired:documents|interval:percentile-bootstrap,samples={bootstrap.SAMPLES},"
            f"level={bootstrap.LEVEL}|p:randomisation,two-sided,shuffles={significance.SHUFFLES},"
            f"exact<={significance.ENUMERATED}|adjusted:holm,labels={len(labels)}|seed={seed}|documents:{len(gold)}"
        ),
    )


def predicted_by(
    model: SpanModel, documents: Iterable[Document], *, threshold: float | None = None
) -> tuple[Document, ...]:
    """What a model finds in gold documents, of which it sees what its first task says is visible, as in `evaluate`.

    threshold: least probability; None: the model's own.
    """
    task = next(iter(model.bundle.tasks.values()))
    return tuple(model.predict_stream((task.visible(document) for document in documents), threshold=threshold))


def matched(gold: Sequence[Document], predicted: Sequence[Document], name: str = "predictions") -> list[Document]:
    """The predicted document of each gold one: of the same id, or in the same place where no ids agree.

    Documents that are not in gold are left out. Raises DataError where ids repeat, where a gold document has no
    prediction, and where texts are not the same, each with how many.
    """
    if not gold:
        raise DataError("no documents", "at least one annotated document", "check the file that was given")
    if not any(document.spans for document in gold) and any(d.questions or d.relations or d.clusters for d in gold):
        raise DataError(
            "gold documents with questions, relations or clusters and no spans",
            "annotated spans: these are what is compared",
            "evaluate each model by itself (spanbert evaluate --json)",
        )
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


def _spread(counts: SpanCounts, labels: Sequence[str]) -> np.ndarray:
    """Counts [documents, labels, 3] for more labels than occur: the others were neither in gold nor predicted."""
    spread = np.zeros((len(counts.by_label), len(labels), 3), dtype=counts.by_label.dtype)
    spread[:, [labels.index(label) for label in counts.labels]] = counts.by_label
    return spread


def _change(document: Document, a: Document, b: Document) -> Change:
    gold, first, second = (_scored(each, document.annotated) for each in (document, a, b))
    only_a, only_b = (gold ^ first) - (gold ^ second), (gold ^ second) - (gold ^ first)
    return Change(
        replace(document, spans=_sorted(gold), relations=(), clusters=()),
        *(_sorted(spans) for spans in (first, second, only_a, only_b)),
    )


def _scored(document: Document, annotated: frozenset[str] | None) -> set[Span]:
    """Distinct spans of labels that were looked for, without their scores."""
    return {replace(span, score=None) for span in document.spans if annotated is None or span.label in annotated}


def _sorted(spans: Iterable[Span]) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=lambda span: (span.start, span.end, span.label, span.parts)))


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
