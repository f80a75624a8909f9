"""What an evaluation says: rates with their intervals, what was out of reach, and held-out losses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..documents import JSON, Document, Span
from ..errors import check_among
from . import bootstrap
from .bootstrap import Interval
from .probabilities import CalibrationReport
from .spans import count_documents, f1, macro, precision, recall

RATES = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Three rates, the counts they come from, and the interval of F1 (None with fewer than two documents)."""

    precision: float
    recall: float
    f1: float
    support: int
    predicted: int
    correct: int
    f1_interval: Interval | None = None

    def to_json(self) -> dict[str, JSON]:
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "support": self.support,
            "predicted": self.predicted,
            "f1_interval": None if self.f1_interval is None else list(self.f1_interval),
        }


@dataclass(frozen=True, slots=True)
class LossReport:
    """What can be said of a model that finds nothing: losses on held-out text, and exp of them, the perplexities."""

    documents: int
    losses: Mapping[str, float]
    frequencies: float
    """The loss of one who knows nothing but how often each piece occurs in what was learnt from."""

    def value(self, name: str) -> float:
        """The number called `loss/masked`, ..."""
        values = {f"loss/{loss}": value for loss, value in self.losses.items()}
        check_among("the report has no number", name, values)
        return values[name]

    @property
    def summary(self) -> str:
        """In one line."""
        values = "  ".join(f"perplexity {name} {_exp(loss):.2f}" for name, loss in self.losses.items())
        return f"{values}  (of frequencies alone {_exp(self.frequencies):.0f})"

    def to_json(self) -> dict[str, JSON]:
        """Losses in nats, and perplexities."""
        perplexities: dict[str, JSON] = {name: _exp(loss) for name, loss in self.losses.items()}
        losses = {"losses": dict(self.losses), "perplexities": perplexities, "frequencies": self.frequencies}
        return {"documents": self.documents, **losses}


def _exp(loss: float) -> float:
    """Of a loss at which one has stopped counting: infinity is no number in JSON."""
    return math.exp(min(loss, 700.0))


class Unreachable(NamedTuple):
    """A gold span that no prediction can match, and why; it counts as missed."""

    document: str
    span: Span
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    micro: Estimate
    macro: Estimate
    """Plain means over the labels that occur in gold or predictions; the counts are those of `micro`."""
    per_label: Mapping[str, Estimate]
    boundaries: Estimate
    """Labels ignored."""
    documents: int
    signature: str
    """How the numbers were made: scorer, policy, bootstrap, documents."""
    unreachable: tuple[Unreachable, ...] = ()
    losses: Mapping[str, float] = field(default_factory=dict)
    calibration: CalibrationReport | None = None
    whole_documents: CalibrationReport | None = None
    """The same of documents: whether all that is told is right and nothing is missed."""
    scores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Official scores under the scorer's name, on its own scale: numbers, or rates under the name of a metric."""
    intervals: Mapping[str, Mapping[str, Interval | None]] = field(default_factory=dict)
    """Of some of the official scores, by the same names."""
    groups: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Parts of the data, each with its scores, by what they are parted by."""
    headline: tuple[str, ...] = ()
    """Numbers that say most, where `micro` does not."""

    def value(self, name: str) -> float:
        """The number called `micro/f1`, `per_label/ORG/recall`, `loss/spans`, …; `headline`: what says most."""
        if name == "headline":  # where a scorer had nothing to measure it is 0
            scorer, _, key = (self.headline or ("micro/f1",))[0].partition("/")
            return float(self.scores[scorer][key] or 0.0) if self.headline else self.micro.f1
        values = {f"loss/{loss}": value for loss, value in self.losses.items()}
        for section, estimate in self._sections().items():
            values |= {f"{section}/{rate}": getattr(estimate, rate) for rate in RATES}
        for scorer, scores in self.scores.items():
            values |= {f"{scorer}/{key}": value for key, value in scores.items() if isinstance(value, int | float)}
        check_among("the report has no number", name, values, "choose a number that this task reports")
        return values[name]

    @property
    def headlines(self) -> dict[str, float | None]:
        """The numbers of `headline`; None where there was nothing to measure."""
        parts = {name: name.partition("/") for name in self.headline}
        return {name: self.scores[scorer][key] for name, (scorer, _, key) in parts.items()}

    @property
    def summary(self) -> str:
        """In one line."""
        if self.headline:
            shown = {name: "-" if value is None else f"{value:.1f}" for name, value in self.headlines.items()}
            return "  ".join(f"{name.partition('/')[2]} {value}" for name, value in shown.items())
        micro = self.micro
        interval = "" if micro.f1_interval is None else f" [{micro.f1_interval[0]:.3f}, {micro.f1_interval[1]:.3f}]"
        return f"P {micro.precision:.3f}  R {micro.recall:.3f}  F1 {micro.f1:.3f}{interval}"

    def to_json(self) -> dict[str, JSON]:
        record: dict[str, JSON] = {
            "micro": self.micro.to_json(),
            "macro": self.macro.to_json(),
            "per_label": {label: estimate.to_json() for label, estimate in self.per_label.items()},
            "boundaries": self.boundaries.to_json(),
            "unreachable": len(self.unreachable),
            "unreachable_spans": [
                {"document": document, "start": span.start, "end": span.end, "label": span.label, "reason": reason}
                for document, span, reason in self.unreachable
            ],
            "documents": self.documents,
            "signature": self.signature,
        }
        if self.headline:
            record["headline"] = self.headlines
        record |= {scorer: dict(scores) for scorer, scores in self.scores.items()}
        if self.intervals:
            record["intervals"] = {name: dict(each) for name, each in self.intervals.items()}
        if self.groups:
            record["groups"] = {name: [dict(part) for part in parts] for name, parts in self.groups.items()}
        if self.losses:
            record["losses"] = dict(self.losses)
        if self.calibration is not None:
            documents = {} if self.whole_documents is None else {"documents": self.whole_documents.to_json()}
            record["calibration"] = {**self.calibration.to_json(), **documents}
        return record

    def to_text(self) -> str:
        """A table for people; rates from 0 to 1."""
        head = ("", "precision", "recall", "F1", f"{bootstrap.LEVEL:.0%} interval", "correct", "predicted", "gold")
        rows = [head, *(_row(name.removeprefix("per_label/"), estimate) for name, estimate in self._sections().items())]
        lines = aligned(rows)
        for scorer, scores in self.scores.items():
            drawn = {
                key: f" [{ends[0]:.4g}, {ends[1]:.4g}]" for key, ends in self.intervals.get(scorer, {}).items() if ends
            }
            shown = (
                f"{key} {value:.4g}{drawn.get(key, '')}"
                for key, value in scores.items()
                if isinstance(value, int | float)
            )
            rates = (f"{key} F1 {value['f1']:.4g}" for key, value in scores.items() if isinstance(value, dict))
            lines += ["", f"{scorer}: " + "  ".join([*shown, *rates])]
        for name, parts in self.groups.items():
            lines += ["", *aligned(group_rows(name, parts))]
        lines += ["", f"documents: {self.documents}", f"unreachable gold spans: {len(self.unreachable)}"]
        lines += [f"loss {name}: {loss:.4f}" for name, loss in self.losses.items()]
        if self.calibration is not None and self.calibration.count:
            said = self.calibration
            lines.append(
                f"calibration: error {said.ece:.4f} ({said.ece_corrected:.4f} less chance), Brier {said.brier:.4f}"
            )
        if self.whole_documents is not None and self.whole_documents.count > 1:
            said = self.whole_documents
            share = sum(each.right * each.count for each in said.reliability) / said.count
            lines.append(f"documents without any error: {share:.3f}, calibration error {said.ece:.4f}")
        return "\n".join([*lines, f"signature: {self.signature}"]) + "\n"

    def _sections(self) -> dict[str, Estimate]:
        per_label = {f"per_label/{label}": estimate for label, estimate in self.per_label.items()}
        return {"micro": self.micro, "macro": self.macro, "boundaries": self.boundaries, **per_label}


def span_report(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    *,
    policy: str,
    unreachable: Sequence[Unreachable] = (),
    seed: int = 0,
    samples: int = bootstrap.SAMPLES,
) -> Report:
    """The report on the spans of documents matched by position."""
    counts = count_documents(gold, predicted)
    by_label = np.concatenate([counts.by_label, counts.boundaries[:, None]], axis=1)  # boundaries: one label more
    report = counted_report(by_label, counts.labels, "spans:exact-set", policy, seed=seed, samples=samples)
    return replace(report, unreachable=tuple(unreachable))


def counted_report(
    counts: np.ndarray,
    labels: Sequence[str],
    kind: str,
    policy: str,
    *,
    seed: int = 0,
    samples: int = bootstrap.SAMPLES,
) -> Report:
    """A report on counts [documents, labels + 1, 3], labels ignored in the last; `kind`: of what, counted how."""
    total = counts.sum(axis=0)
    drawn = bootstrap.resample(counts, seed=seed, samples=samples)
    per_label = {label: _estimate(counts[:, index], drawn[:, index]) for index, label in enumerate(labels)}
    micro = _estimate(counts[:, :-1].sum(axis=1), drawn[:, :-1].sum(axis=1))
    return Report(
        micro=micro,
        macro=replace(
            micro,
            precision=float(macro(total[:-1], precision)),
            recall=float(macro(total[:-1], recall)),
            f1=float(macro(total[:-1], f1)),
            f1_interval=bootstrap.interval(counts[:, :-1], macro, drawn=drawn[:, :-1]),
        ),
        per_label=per_label,
        boundaries=_estimate(counts[:, -1], drawn[:, -1]),
        documents=len(counts),
        signature=(
            f"{kind}|policy:{policy}|bootstrap:documents,samples={samples},seed={seed},"
            f"level={bootstrap.LEVEL}|documents:{len(counts)}"
        ),
    )


def group_rows(name: str, parts: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The cells of a table of groups, its heads first; the interval is that of 95 % of draws."""
    columns = [key for key in parts[0] if key not in ("group", "f1_interval")] if parts else []
    rows = [[name, *columns, "interval"]]
    for part in parts:
        cells = [f"{part[key]:.1f}" if isinstance(part[key], float) else f"{part[key]:,}" for key in columns]
        bounds = part.get("f1_interval")
        rows.append([str(part["group"]), *cells, "-" if bounds is None else f"{bounds[0]:.1f} to {bounds[1]:.1f}"])
    return rows


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row, in columns: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def _estimate(counts: np.ndarray, drawn: np.ndarray) -> Estimate:
    """Rates of counts [documents, 3]; the interval from drawn sums [samples, 3]."""
    total = counts.sum(axis=0)
    correct, predicted, support = map(int, total)
    return Estimate(
        precision=float(precision(total)),
        recall=float(recall(total)),
        f1=float(f1(total)),
        support=support,
        predicted=predicted,
        correct=correct,
        f1_interval=bootstrap.interval(counts, drawn=drawn),
    )


def _row(name: str, estimate: Estimate) -> tuple[str, ...]:
    of = (estimate.predicted, estimate.support, estimate.predicted + estimate.support)  # 0/0 is shown as that
    rates = (
        f"{rate:.3f}" if whole else "-"
        for rate, whole in zip((estimate.precision, estimate.recall, estimate.f1), of, strict=True)
    )
    low_high = estimate.f1_interval
    interval = "-" if low_high is None else f"{low_high[0]:.3f} to {low_high[1]:.3f}"
    return (name, *rates, interval, *map(str, (estimate.correct, estimate.predicted, estimate.support)))
