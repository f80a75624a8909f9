"""From candidates with logits to the spans that a policy allows together: pure functions of arrays.

Arrays of equal length describe n candidates: `starts` and `ends` (characters, end exclusive), `labels` (ids) and
`logits` (log-odds). Indices come back in the order of start, end and label.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from ..errors import SpanbertWarning, check_among
from .flat import Disjoint, best_flat
from .limited import Admitted, best_within
from .limits import Place, Rules
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
    check_among("policy", name, POLICIES)
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
    spans, arrays = chosen(), (starts, ends, labels, logits)
    return _with_others(
        best(*arrays),
        arrays,
        (floor, room),
        lambda place: spans.admits(*place[:2]),
        lambda place: spans.add(*place[:2]),
    )


def decode_within(
    rules: Rules,
    starts: np.ndarray,
    ends: np.ndarray,
    labels: np.ndarray,
    logits: np.ndarray,
    *,
    floor: float,
    room: int,
) -> np.ndarray:
    """Like `decode_spans`, under limits; the first stage is that of `best_within`, which also says how good it is.

    Warns with SpanbertWarning where that is not the proven best.
    """
    spans, arrays = Admitted(rules), (starts, ends, labels, logits)
    first = best_within(rules, *arrays)
    if not first.exact:
        warnings.warn(  # the same words each time, so that many documents tell it once
            "of documents with very many possible spans a set within the limits that is not proven to be the best is "
            "taken (decoding.best_within tells the gap)",
            SpanbertWarning,
            stacklevel=2,
        )
    return _with_others(first.indices, arrays, (floor, room), spans.admits, spans.add)


def _with_others(
    first: np.ndarray,
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    limits: tuple[float, int],
    admits: Callable[[Place], bool],
    add: Callable[[Place], None],
) -> np.ndarray:
    starts, ends, labels, logits = arrays
    floor, room = limits
    if room <= 0:
        return _in_order(first, starts, ends, labels)
    for place in zip(starts[first].tolist(), ends[first].tolist(), labels[first].tolist(), strict=True):
        add(place)
    others = np.flatnonzero((logits <= 0) & (logits > floor))  # a positive one left out has no place beside the rest
    others = others[np.lexsort((labels[others], ends[others], starts[others], -logits[others]))]
    second: list[int] = []
    columns = (column[others].tolist() for column in (starts, ends, labels))
    for index, place in zip(others.tolist(), zip(*columns, strict=True), strict=True):
        if len(second) == room:
            break
        if admits(place):
            add(place)
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
