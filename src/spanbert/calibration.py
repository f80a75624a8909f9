"""From the raw logit of what was decoded to the probability that it is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Calibration:
    """probability = sigmoid(slope x logit + offset): the identity on log-odds until it is fitted (Platt 1999)."""

    slope: float = 1.0
    offset: float = 0.0

    def probabilities(self, logits: Sequence[float]) -> npt.NDArray[np.float64]:
        """Probabilities of these logits."""
        z = np.clip(self.slope * np.asarray(logits, dtype=np.float64) + self.offset, -700.0, 700.0)
        return np.asarray(1.0 / (1.0 + np.exp(-z)))
