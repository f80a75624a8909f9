"""Flags that choose thresholds: one of --threshold, --operating-point and --require."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..calibration.requirements import Requirement
from ..errors import UsageError

if TYPE_CHECKING:
    from ..inference.span_model import SpanModel


def wanted(
    threshold: float | None, operating_point: str | None, require: str | None, confidence: float
) -> Requirement | None:
    """The requirement that was given, if any; refused before anything is read where it cannot be meant."""
    if sum(choice is not None for choice in (threshold, operating_point, require)) > 1:
        raise UsageError("several of --threshold, --operating-point, --require", "one of them", "leave out the others")
    return None if require is None else Requirement.parse(require, confidence)


def point(model: SpanModel, requirement: Requirement | None, operating_point: str | None) -> str | None:
    """The name of the operating point to predict at; that of a requirement is made for this run."""
    if requirement is None:
        return operating_point
    from ..evaluation.calibrate import operating_point as found_for

    model.bundle.operating_points[str(requirement)] = found_for(model.bundle, requirement)[0]
    return str(requirement)
