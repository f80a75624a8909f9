"""Overlapping spans: any set is allowed."""

from __future__ import annotations

import numpy as np


def best_overlapping(starts: np.ndarray, ends: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> np.ndarray:  # noqa: ARG001 - the shape of every policy
    """Indices of all candidates with a positive logit. O(n)."""
    return np.flatnonzero(logits > 0)


class Anything:
    """Spans of which any may be added."""

    def admits(self, start: int, end: int) -> bool:  # noqa: ARG002 - the shape of every policy
        return True

    def add(self, start: int, end: int) -> None:
        """Nothing to remember: what is chosen never bars another."""
