"""Everything that can be said of a model on annotated documents, as one JSON record and as a page for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson

from .. import __version__, durable
from ..documents import JSON, Document, only_documents
from ..errors import DataError, UsageError
from ..inference.predictor import Predictor
from ..inference.span_model import SpanModel
from ..metrics import bootstrap, breakdown
from ..metrics.breakdown import Differences, Group
from ..metrics.probabilities import risk_coverage
from ..metrics.report import Report, span_report
from ..metrics.scorers import side_by_side
from .borders import DISTANCES
from .evaluate import Examined, alone, examined
from .excerpts import worst, worst_by_errors
from .kinds import Kind, kind_named
from .page import page
from .score_page import score_page

FORM = 1
"""Of the record; grows when a key changes its meaning."""
_POINTS = 200  # of the risk-coverage curve


@dataclass(frozen=True, slots=True)
class FullReport:
    """`report` is what `evaluate` gives; `record` holds JSON values only, and no number that is not finite."""

    report: Report
    record: Mapping[str, JSON]

    @property
    def pages(self) -> Mapping[str, Mapping[str, Any]]:
        """Records of what a task finds beside spans, by kind: each is a page of its own."""
        return cast("Mapping[str, Mapping[str, Any]]", self.record.get("pages", {}))

    def write(self, folder: Path) -> Path:
        """Put report.json and report.html into a folder, which may hold other files; of a task that finds relations
        as well, relations.html beside it. Gives the page's path.
        """
        with durable.on_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
        durable.write(folder / "report.json", orjson.dumps(self.record, option=orjson.OPT_INDENT_2).decode() + "\n")
        shown = score_page if "kind" in self.record else page
        durable.write(folder / "report.html", shown(self.record))
        for kind, other in self.pages.items():
            durable.write(folder / f"{kind}.html", score_page(other))
        return folder / "report.html"


def full_report(
    model: SpanModel,
    documents: Iterable[Document],
    *,
    train: Sequence[Document] | None = None,
    threshold: float | None = None,
    operating_point: str | None = None,
    task: str | None = None,
    names: Mapping[str, str] | None = None,
) -> FullReport:
    """The report on one of the model's tasks. The documents are read by the model once.

    task: which one; None: the first. train: what the model learned from; its spans tell seen from unseen, so it is for
    tasks that find spans. names: of model, data and the like, for people.
    """
    listed = list(only_documents(documents))
    predictor = model.predictor(threshold=threshold, operating_point=operating_point)
    predictor = alone(predictor, next(iter(predictor.tasks)) if task is None else task)
    tells = next(iter(predictor.tasks.values())).tells
    if train is not None and "spans" not in tells:
        raise UsageError(
            f"training documents for a page about {' and '.join(tells)}",
            "a task that finds labelled spans, of which some were seen in training",
            "leave them out",
        )
    done = examined(predictor, listed)
    about = {**(names or {}), **_choices(predictor, operating_point), "precision": model.precision}
    (only,) = predictor.tasks.values()
    gold, predicted = only.scored(listed, done.predicted)
    if not gold:
        raise DataError(f"no document in which {tells[0]} were annotated", "some that were", "give others")
    pages = {
        kind: score_record(kind_named(gold, kind), gold, replace(done, predicted=tuple(predicted)), about)
        for kind in tells
        if kind != "spans"
    }
    if "spans" not in tells:
        return FullReport(done.report, pages[tells[0]])
    if not pages:
        return FullReport(done.report, record(listed, done, train, about))
    spans = replace(span_report(listed, done.predicted, policy="as-predicted"), unreachable=done.report.unreachable)
    spans = replace(spans, calibration=done.report.calibration)
    return FullReport(done.report, {**record(listed, replace(done, report=spans), train, about), "pages": pages})


def record(
    gold: Sequence[Document], done: Examined, train: Sequence[Document] | None, about: Mapping[str, JSON]
) -> dict[str, JSON]:
    """The JSON record; its keys are the sections of the page."""
    found = [breakdown.differences(document, other) for document, other in zip(gold, done.predicted, strict=True)]
    known = [breakdown.words(document) for document in gold]
    scorers, notes = side_by_side(gold, done.predicted, known)
    labels = sorted({span.label for each in found for side in (each.right, each.wrong, each.missed) for span in side})
    return {
        **_frame(gold, done, about),
        "overall": _table(found, lambda *_: 0, ["all spans"])[0],
        "macro_f1": done.report.macro.f1 if labels else None,
        "scorers": [scorer.to_json() for scorer in scorers],
        "scorer_notes": notes,
        "per_label": _table(found, lambda _, span: labels.index(span.label), labels),
        **_groups(gold, found, known, train),
        "by_window_position": None if done.border is None else _table(found, done.border, DISTANCES),
        "errors": _errors(found),
        "confusion": [
            {"gold": right, "predicted": answer, "count": count}
            for (right, answer), count in sorted(breakdown.confusion(found).items(), key=_alphabetical)
        ],
        "calibration": _calibration(done),
        "worst_documents": worst(gold, found),
        "unreachable": _unreachable(gold, done.report),
    }


def score_record(kind: Kind, gold: Sequence[Document], done: Examined, about: Mapping[str, JSON]) -> dict[str, JSON]:
    """Like `record`, of what is no span: the number that systems are compared by, and the scorers' own.

    Of gold and of predicted documents, what the task says is scored.
    """
    predicted, report = done.predicted, done.report
    table = kind.table(gold, predicted)
    errors = [kind.errors(document, other) for document, other in zip(gold, predicted, strict=True)]
    low, high = bootstrap.interval(table.counts[:, 0], kind.rate) or (None, None)
    value = float(kind.rate(table.counts[:, 0].sum(axis=0)))
    names = ["all", *table.labels]
    return {
        **_frame(gold, done, about),
        "kind": kind.name,
        "overall": {"name": kind.number, "value": value, "low": low, "high": high},
        "headline": report.headlines,
        "rates": [row.to_json() for row in breakdown.rows(table.counts, names)] if table.labels else [],
        "scores": {scorer: dict(scores) for scorer, scores in report.scores.items()},
        "groups": {name: [dict(part) for part in parts] for name, parts in report.groups.items()},
        "errors": dict(Counter(error.error for each in errors for error in each)),
        "calibration": _calibration(done),
        "worst_documents": worst_by_errors(gold, errors),
        "unreachable": _unreachable(gold, report),
    }


def _frame(gold: Sequence[Document], done: Examined, about: Mapping[str, JSON]) -> dict[str, JSON]:
    """What both records begin with."""
    return {
        "form": FORM,
        "version": __version__,
        "about": dict(about),
        "documents": len(gold),
        "characters": sum(len(document.text) for document in gold),
        "signature": done.report.signature,
        "bootstrap": {"method": "percentile", "level": bootstrap.LEVEL, "samples": bootstrap.SAMPLES, "seed": 0},
    }


def _choices(predictor: Predictor, operating_point: str | None) -> dict[str, JSON]:
    """What predicted, under which choices."""
    name, task = next(iter(predictor.tasks.items()))
    chosen: dict[str, JSON] = {"task": name, "threshold": predictor.decisions[name].threshold}
    if operating_point is not None:
        chosen |= {"operating_point": operating_point, "label_thresholds": dict(predictor.label_thresholds[name])}
    return {**chosen, "labels": list(task.settings.labels)}


def _groups(
    gold: Sequence[Document],
    found: Sequence[Differences],
    known: Sequence[breakdown.Words],
    train: Sequence[Document] | None,
) -> dict[str, JSON]:
    lengths = [len(document.text) for document in gold]
    quarter, names = breakdown.quarters(lengths)
    texts = [document.text for document in gold]
    return {
        "by_length": _table(found, breakdown.by_length(known), breakdown.LENGTHS),
        "by_position": _table(found, breakdown.by_position(lengths), breakdown.TENTHS),
        "by_document_length": _table(found, quarter, names),
        "by_mention": None if train is None else _table(found, breakdown.by_mention(texts, train), breakdown.SEEN),
        "train_documents": None if train is None else len(train),
    }


def _table(found: Sequence[Differences], group: Group, names: Sequence[str]) -> list[dict[str, JSON]]:
    return [row.to_json() for row in breakdown.rows(breakdown.count_groups(found, group, len(names)), names)]


def _errors(found: Sequence[Differences]) -> dict[str, JSON]:
    """How many errors of each kind there are among predicted spans (wrong), and among gold ones (missed)."""
    record: dict[str, JSON] = {}
    for side, lone in breakdown.ALONE.items():
        counts = Counter(kind for each in found for kind in breakdown.error_kinds(each, side))
        record[side] = {kind: counts[kind] for kind in (*breakdown.KINDS, lone)}
    return record


def _calibration(done: Examined) -> dict[str, JSON]:
    """The numbers of the report, and at most _POINTS of the curve [share answered, share of it that is wrong]."""
    said, documents = done.report.calibration, done.report.whole_documents
    if said is None or not said.count:
        return {"count": 0}
    record = {**said.to_json(), "risk_coverage": _curve(risk_coverage(done.probabilities, done.right))}
    if documents is not None and done.whole is not None:
        record["documents"] = {**documents.to_json(), "risk_coverage": _curve(risk_coverage(*done.whole))}
    return record


def _curve(risks: np.ndarray) -> list[list[float]]:
    kept = np.unique(np.linspace(1, len(risks), min(_POINTS, len(risks))).round().astype(np.int64))
    return [[int(k) / len(risks), float(risks[k - 1])] for k in kept]


def _unreachable(gold: Sequence[Document], report: Report) -> list[dict[str, JSON]]:
    several = Counter(document.id for document in gold)
    texts = {document.id: document.text for document in gold if several[document.id] == 1}
    return [
        {
            "document": document,
            "start": span.start,
            "end": span.end,
            "label": span.label,
            "text": texts[document][span.start : span.end] if document in texts else None,
            "reason": reason,
        }
        for document, span, reason in report.unreachable
    ]


def _alphabetical(item: tuple[tuple[str | None, str | None], int]) -> tuple[str, str]:
    (gold, predicted), _ = item
    return gold or "", predicted or ""
