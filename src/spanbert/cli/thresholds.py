"""Flags that choose thresholds: one of --threshold, --operating-point and --require."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypedDict

from ..calibration.requirements import Requirement
from ..errors import UsageError, check_threshold, plain
from .show import talk

if TYPE_CHECKING:
    from ..inference.span_model import SpanModel

CONFIDENCE = 0.95


class Chosen(TypedDict):
    """What a model is asked to predict at."""

    threshold: float | None
    operating_point: str | None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What may be told of them; refused before anything is read where it cannot be meant."""

    from_environment: ClassVar[bool] = False
    """A variable that was set for one command would rule out the flags of another."""

    threshold: float | None = None
    """Least probability; none: the model's own."""

    operating_point: str | None = None
    """Thresholds stored under this name by `spanbert calibrate`."""

    require: str | None = None
    """Thresholds that keep this, from the model's calibration: precision>=0.99."""

    confidence: float | None = None
    """How sure it must be that they keep it; none: 0.95."""

    def __post_init__(self) -> None:
        if sum(choice is not None for choice in (self.threshold, self.operating_point, self.require)) > 1:
            raise UsageError(
                "several of --threshold, --operating-point, --require", "one of them", "leave out the others"
            )
        if self.threshold is not None:
            check_threshold(self.threshold)
        if self.confidence is not None and self.require is None:
            raise UsageError(
                f"--confidence {self.confidence} without --require", "both, or neither", "say what to keep, or leave it"
            )
        self.requirement()

    def requirement(self) -> Requirement | None:
        """The one that was given, if any."""
        confidence = CONFIDENCE if self.confidence is None else self.confidence
        return None if self.require is None else Requirement.parse(self.require, confidence)

    def of(self, model: SpanModel) -> Chosen:
        """What to predict at; the operating point of a requirement is made for this run."""
        name, requirement = self.operating_point, self.requirement()
        if requirement is not None:
            from ..evaluation.calibrate import operating_point

            name = str(requirement)
            model.bundle.operating_points[name] = operating_point(model.bundle, requirement)[0]
        if point := model.bundle.operating_points.get(name or ""):
            left = sorted({label for each in point.thresholds.values() for label, least in each.items() if least > 1})
            left += [f"the task {name}" for name in model.bundle.tasks if name not in point.thresholds]
            if left:
                told = f"nothing is told of {', '.join(left)}: the documents could not support {point.requirement}"
                talk().print(plain(told), markup=False)
        return {"threshold": self.threshold, "operating_point": name}
