"""Gold spans that a policy does not allow together: which of them to keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..documents import Span
from ..errors import check_among
from . import policy_named


def _longest(span: Span) -> float:
    return -(span.end - span.start)


def _first(span: Span) -> float:
    return span.start


def _highest(span: Span) -> float:
    return -1.0 if span.score is None else -span.score


LONGEST = "longest"
RESOLVERS: dict[str, Callable[[Span], float]] = {LONGEST: _longest, "first": _first, "highest": _highest}


def resolve(policy: str, spans: Sequence[Span], how: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """(kept, dropped), both in the order given: one span after the other, each kept if the policy still allows it.

    `how` says which comes first: the longest, the leftmost, or the one with the highest score (a span without a
    score counts as 1). Ties go by position, then label.
    """
    check_among("resolver", how, RESOLVERS)
    rank = RESOLVERS[how]
    order = [(rank(span), span.start, span.end, span.label, index) for index, span in enumerate(spans)]
    chosen = policy_named(policy).chosen()
    kept = set()
    for _, start, end, _, index in sorted(order):
        if chosen.admits(start, end):
            chosen.add(start, end)
            kept.add(index)
    return (
        tuple(span for index, span in enumerate(spans) if index in kept),
        tuple(span for index, span in enumerate(spans) if index not in kept),
    )
