"""Fitting a model's probabilities and thresholds on held-out documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..bundle import Bundle
from ..calibration.curve import Calibration
from ..calibration.fitting import Fit, Outcomes, fit
from ..calibration.requirements import OperatingPoint, Promise, Requirement, best_threshold, label_thresholds, promises
from ..documents import JSON, Document
from ..errors import DataError
from ..inference.span_model import SpanModel
from ..metrics.probabilities import CalibrationReport, calibration_report
from .outcomes import outcomes


@dataclass(frozen=True, slots=True)
class TaskCalibration:
    """What calibration did for one task."""

    fit: Fit
    threshold: float
    before: CalibrationReport
    """With the probabilities that the model had."""
    after: CalibrationReport
    """With the new ones, each from a fit that had not seen its document."""

    def to_json(self) -> dict[str, JSON]:
        return {
            "method": self.fit.method,
            "threshold": self.threshold,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "brier_of_each_method": dict(self.fit.brier),
        }


def calibrate(model: SpanModel, documents: Iterable[Document]) -> tuple[SpanModel, dict[str, TaskCalibration]]:
    """A model with the same weights whose probabilities and thresholds are fitted on these gold documents.

    They must be documents that training has not seen. The threshold of a task becomes the one with the best F1 on
    them; of questions that may have no answer, the one at which most are treated rightly. Raises DataError where they
    are too few (`calibration/fitting.py`); of several tasks, one for which they are too few stays as it is.
    """
    bundle = model.bundle
    found = outcomes(model.predictor(), list(documents))
    done: dict[str, TaskCalibration] = {}
    for name, each in found.items():
        if len(found) > 1 and not sum(int(counts.sum()) for counts in each.gold.values()):
            continue  # nothing of its kind is annotated here: it stays as it is
        try:
            done[name] = _calibrated(bundle.calibrations[name], each)
        except DataError:  # of several tasks, one may have too little: it stays as it is
            if len(found) == 1:
                raise
    if not done:
        raise DataError(
            "too little decoded by any task to calibrate on", "held-out documents with all kinds of gold", "give more"
        )
    fitted = dataclasses.replace(
        bundle,
        calibrations=bundle.calibrations | {name: each.fit.calibration for name, each in done.items()},
        thresholds=bundle.thresholds | {name: each.threshold for name, each in done.items()},
        outcomes=bundle.outcomes | {name: found[name] for name in done},
        operating_points={},  # they were thresholds on other probabilities
    )
    return SpanModel(fitted, str(model.device), model.precision), done


def operating_point(bundle: Bundle, requirement: Requirement) -> tuple[OperatingPoint, dict[str, tuple[Promise, ...]]]:
    """Thresholds under which the calibrated tasks keep a requirement, found on the documents of the calibration.

    Raises DataError for a model that was not calibrated, or whose documents cannot support the requirement.
    """
    if not bundle.outcomes:
        raise DataError(
            "a model that was never calibrated",
            "held-out documents that it was calibrated on",
            "run: spanbert calibrate --model DIR --data FILE",
        )
    found = {}
    for name, each in bundle.outcomes.items():
        probabilities = bundle.calibrations[name].probabilities(each.logits, each.labels)
        found[name] = promises(each, probabilities, requirement)
    thresholds = {name: label_thresholds(each) for name, each in found.items()}
    return OperatingPoint(str(requirement), thresholds), found


def _calibrated(before: Calibration, found: Outcomes) -> TaskCalibration:
    chosen = fit(found)
    return TaskCalibration(
        fit=chosen,
        threshold=best_threshold(found, chosen.calibration.probabilities(found.logits, found.labels)),
        before=calibration_report(before.probabilities(found.logits, found.labels), found.right),
        after=calibration_report(chosen.held_out, found.right),
    )


def summary(done: Mapping[str, TaskCalibration]) -> list[str]:
    """In lines for people."""
    lines = []
    for name, each in done.items():
        before, after = each.before, each.after
        lines += [
            f"{name}: {each.fit.method} fits best; threshold {each.threshold:.3f} (best on these documents)",
            f"  Brier score {before.brier:.4f} before, {after.brier:.4f} after; calibration error "
            f"{before.ece:.4f} before, {after.ece:.4f} after ({after.count:,} spans, cross-validated)",
        ]
    return lines
