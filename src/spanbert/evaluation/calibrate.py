"""Fitting a model's probabilities and thresholds on held-out documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..bundle import Bundle
from ..calibration.curve import Calibration
from ..calibration.decision import Decision
from ..calibration.fitting import Fit, Outcomes, fit
from ..calibration.requirements import OperatingPoint, Promise, Requirement, best_threshold, label_thresholds, promises
from ..documents import JSON, Document, only_documents
from ..errors import DataError
from ..inference.predictor import in_one_pass
from ..inference.span_model import SpanModel
from ..metrics.probabilities import CalibrationReport, brier, calibration_report
from . import seen
from .evaluate import alone
from .outcomes import outcomes

KEPT = "as before"
"""The method where no new fit is better than the probabilities that the model had."""


@dataclass(frozen=True, slots=True)
class TaskCalibration:
    """What calibration did for one task."""

    fit: Fit
    threshold: float
    before: CalibrationReport | None
    """With the probabilities that the model had; None where these were fitted on some of the documents."""
    after: CalibrationReport
    """With the new ones, each from a fit that had not seen its document."""
    given: TaskCalibration | None = None
    """The same of what it finds between spans that are given; None where it takes none, or they were too few."""

    def decision(self) -> Decision:
        """The curve and threshold that it found."""
        return Decision(self.threshold, self.fit.calibration)

    def to_json(self) -> dict[str, JSON]:
        return {
            **({} if self.given is None else {"given_spans": self.given.to_json()}),
            "method": self.fit.method,
            "threshold": self.threshold,
            "before": None if self.before is None else self.before.to_json(),
            "after": self.after.to_json(),
            "brier_of_each_method": dict(self.fit.brier),
        }


def calibrate(model: SpanModel, documents: Iterable[Document]) -> tuple[SpanModel, dict[str, TaskCalibration]]:
    """A model with the same weights whose probabilities and thresholds are fitted on these gold documents.

    They must be documents that training has not seen. The threshold of a task becomes the one with the best F1 on
    them; of questions that may have no answer, the one at which most are treated rightly. Raises DataError where they
    are too few (`calibration/fitting.py`); of several tasks, one for which they are too few stays as it is. So do
    probabilities that were fitted on other documents, and are as good on these as those of a new fit.
    """
    bundle = model.bundle
    documents = list(only_documents(documents))
    takes_spans = in_one_pass(bundle.tasks)
    found = outcomes(model.predictor(), documents)
    again = seen.seen(bundle.facts, documents)[1] > 0
    done: dict[str, TaskCalibration] = {}
    for name, each in found.items():
        if not sum(int(counts.sum()) for counts in each.gold.values()):
            continue  # nothing of its kind is annotated here: it stays as it is
        try:
            known = bundle.decisions[name]
            done[name] = _calibrated(known.calibration, each, fitted=known.outcomes is not None, again=again)
            if name in takes_spans:
                done[name] = dataclasses.replace(done[name], given=_between_given(model, name, documents, again=again))
        except DataError:  # of several tasks, one may have too little: it stays as it is
            if len(found) == 1:
                raise
    if not done:
        labels = sorted({label for task in bundle.tasks.values() for label in task.settings.labels})
        there = sorted({s.label for task in bundle.tasks.values() for d in documents for s in task.annotations(d)})
        raise DataError(
            f"nothing in {len(documents)} documents to calibrate on: their gold has {', '.join(there) or 'no spans'}",
            f"documents with gold of the model's labels ({', '.join(labels)}), enough for one of its tasks",
            "give others, or rename the labels",
        )
    decisions = dict(bundle.decisions)
    for name, told in done.items():
        given = decisions[name].given if told.given is None else told.given.decision()
        decisions[name] = dataclasses.replace(told.decision(), outcomes=found[name], given=given)
    fitted = dataclasses.replace(
        bundle,
        decisions=decisions,
        operating_points={},  # they were thresholds on other probabilities
        facts=seen.calibrated(bundle.facts, done, documents),
    )
    return SpanModel(fitted, str(model.device), model.precision), done


def require(model: SpanModel, requirement: str, name: str | None = None, confidence: float = 0.95) -> SpanModel:
    """The model with thresholds that keep `precision>=0.9` or `recall>=0.8`, under that or another name.

    `predict(..., operating_point=name)` uses them. Raises UsageError for what is no requirement, and as
    `operating_point`.
    """
    wanted = Requirement.parse(requirement, confidence)
    points = {**model.bundle.operating_points, name or requirement: operating_point(model.bundle, wanted)[0]}
    return SpanModel(dataclasses.replace(model.bundle, operating_points=points), str(model.device), model.precision)


def operating_point(bundle: Bundle, requirement: Requirement) -> tuple[OperatingPoint, dict[str, tuple[Promise, ...]]]:
    """Thresholds under which the calibrated tasks keep a requirement, found on the documents of the calibration.

    Raises DataError for a model that was not calibrated, or whose documents cannot support the requirement.
    """
    if not bundle.fitted:
        raise DataError(
            "a model that was never calibrated",
            "held-out documents that it was calibrated on",
            "run: spanbert calibrate --model DIR --data FILE",
        )
    found = {}
    for name, each in bundle.fitted.items():
        probabilities = each.probabilities(bundle.decisions[name].calibration)
        found[name] = promises(each, probabilities, requirement)
    thresholds = {name: label_thresholds(each) for name, each in found.items()}
    return OperatingPoint(str(requirement), thresholds), found


def _calibrated(before: Calibration, found: Outcomes, *, fitted: bool, again: bool) -> TaskCalibration:
    """fitted: whether `before` was fitted on documents; again: whether some of these were among them."""
    chosen = fit(found)
    said = found.probabilities(before)
    known = calibration_report(said, found.right)
    if fitted and not again and (error := brier(said, found.right)) <= chosen.brier[chosen.method]:
        chosen = Fit(before, KEPT, {**chosen.brier, KEPT: error}, said)
    return TaskCalibration(
        fit=chosen,
        threshold=best_threshold(found, found.probabilities(chosen.calibration)),
        before=None if fitted and again else known,
        after=calibration_report(chosen.held_out, found.right),
    )


def _between_given(
    model: SpanModel, name: str, documents: Sequence[Document], *, again: bool
) -> TaskCalibration | None:
    predictor, known = alone(model.predictor(given_spans=True), name), model.bundle.decisions[name].given
    found = outcomes(predictor, [document for document in documents if document.spans])[name]
    try:
        curve = Calibration() if known is None else known.calibration
        return _calibrated(curve, found, fitted=known is not None, again=again)
    except DataError:
        return None


def summary(done: Mapping[str, TaskCalibration], counted: str = "spans") -> list[str]:
    """In lines for people. counted: what was judged."""
    lines = []
    for name, each in done.items():
        before, after, how = each.before, each.after, f"{each.after.count:,} {counted}"
        curve = "the probabilities stay as they were" if each.fit.method == KEPT else f"{each.fit.method} fits best"
        lines.append(f"{name}: {curve}; threshold {each.threshold:.3f} (best on these documents)")
        if before is None:
            measured = f"  Brier score {after.brier:.4f}, calibration error {after.ece:.4f}"
            how += ", cross-validated; those before were fitted on some of these documents"
        else:
            measured = (
                f"  Brier score {before.brier:.4f} before, {after.brier:.4f} after; calibration error {before.ece:.4f} "
                f"before, {after.ece:.4f} after"
            )
            how += "" if each.fit.method == KEPT else ", cross-validated"
        lines.append(f"{measured} ({how})")
        if each.given is not None:
            lines += summary({f"{name}, given spans": each.given}, "relations")
    return lines
