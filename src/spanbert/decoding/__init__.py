"""From candidates with logits to the spans that a policy allows together: pure functions of arrays.

Arrays of equal length describe n candidates: `starts` and `ends` (characters, end exclusive), `labels` (ids) and
`logits` (log-odds). Indices come back in the order of start, end and label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from ..errors import UsageError, nearest
from .flat import Disjoint, best_flat
from .nested import Laminar, best_nested
from .overlapping import Anything, best_overlapping


class Chosen(Protocol):
    """Spans chosen so far under a policy."""

    def admits(self, start: int, end: int) -> bool:
        """Whether the span may stand beside all of them."""
        ...

    def add(self, start: int, end: int) -> None: ...


class Policy(NamedTuple):
    best: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    """The exact maximum of the total logit over candidates with positive logits, as indices."""
    chosen: Callable[[], Chosen]
    """An empty set of chosen spans that knows which others may join it."""


POLICIES = {
    "flat": Policy(best_flat, Disjoint),
    "nested": Policy(best_nested, Laminar),
    "overlapping": Policy(best_overlapping, Anything),
}


def policy_named(name: str) -> Policy:
    if name not in POLICIES:
        choices = ", ".join(POLICIES)
        raise UsageError(f"policy {name!r}", choices, f"{nearest(name, POLICIES)}name one of these")
    return POLICIES[name]


def decode_spans(
    policy: str,
    starts: np.ndarray,
    ends: np.ndarray,
    labels: np.ndarray,
    logits: np.ndarray,
    *,
    floor: float,
    room: int,
) -> np.ndarray:
    """Indices of the chosen candidates, in two stages.

    First the exact maximum over positive logits. Then, beside these, the best of the others one by one (ties by
    position), as long as the logit is above `floor`, the policy admits them and there are no more than `room`.
    """
    best, chosen = policy_named(policy)
    first = best(starts, ends, labels, logits)
    if room <= 0:
        return _in_order(first, starts, ends, labels)
    spans = chosen()
    for start, end in zip(starts[first].tolist(), ends[first].tolist(), strict=True):
        spans.add(start, end)
    others = np.flatnonzero((logits <= 0) & (logits > floor))  # a positive one left out has no place beside the rest
    others = others[np.lexsort((labels[others], ends[others], starts[others], -logits[others]))]
    second: list[int] = []
    for index, start, end in zip(others.tolist(), starts[others].tolist(), ends[others].tolist(), strict=True):
        if len(second) == room:
            break
        if spans.admits(start, end):
            spans.add(start, end)
            second.append(index)
    return _in_order(np.concatenate([first, np.array(second, dtype=first.dtype)]), starts, ends, labels)


def arg_max(starts: np.ndarray, ends: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> int:
    """Index of the candidate with the greatest logit, ties by position; -1 where there is no candidate."""
    if not len(logits):
        return -1
    best = np.flatnonzero(logits == logits.max())
    return int(_in_order(best, starts, ends, labels)[0])


def _in_order(indices: np.ndarray, starts: np.ndarray, ends: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return indices[np.lexsort((labels[indices], ends[indices], starts[indices]))]
