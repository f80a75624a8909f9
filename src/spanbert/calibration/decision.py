"""What makes predictions of what a task decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .curve import Calibration
from .fitting import Outcomes


@dataclass(frozen=True, slots=True)
class Decision:
    """The probability of what a task decoded, and from which one on it is told."""

    threshold: float
    calibration: Calibration = Calibration()
    outcomes: Outcomes | None = None
    """What it decoded in the held-out documents that the two were fitted on; requirements are answered from it."""
    given: Decision | None = None
    """The same where spans are given, of a task that otherwise finds them and what relates them at once."""

    def at(self, threshold: float) -> Decision:
        """With this threshold, whatever is given."""
        return replace(self, threshold=threshold, given=self.given and self.given.at(threshold))
