"""Which gold spans are kept under a policy that does not allow them all."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.decoding.resolve import RESOLVERS, resolve
from spanbert.documents import Span
from spanbert.errors import UsageError

A, B, C = Span(0, 4, "X", 0.5), Span(2, 9, "Y", 0.9), Span(8, 10, "X")  # A and B cross, B and C cross
INNER = Span(1, 3, "Z", 0.1)


def test_order_decides():
    """Longest: B (7) first, so A and C go. First: A, then C. Highest: C (counts as 1), then A (B crosses C)."""
    assert resolve("flat", [A, B, C], "longest") == ((B,), (A, C))
    assert resolve("flat", [A, B, C], "first") == ((A, C), (B,))
    assert resolve("flat", [B, A, C], "highest") == ((A, C), (B,))


def test_policies():
    """INNER lies in A and crosses B ([1,3) against [2,9))."""
    assert resolve("nested", [INNER, A, B], "first") == ((INNER, A), (B,))
    assert resolve("flat", [INNER, A, B], "first") == ((A,), (INNER, B))
    assert resolve("overlapping", [INNER, A, B], "first") == ((INNER, A, B), ())


def test_ties_go_by_position_then_label():
    same = [Span(0, 2, "Y"), Span(0, 2, "X"), Span(1, 3, "A")]
    for how in RESOLVERS:
        assert resolve("flat", same, how)[0] == (Span(0, 2, "X"),)


def test_unknown_way():
    with pytest.raises(UsageError, match="did you mean 'longest'"):
        resolve("flat", [A], "longst")


spans = st.builds(
    lambda start, width, label: Span(start, start + width, label), *[st.integers(1, 8)] * 2, st.sampled_from("XY")
)


@given(st.lists(spans, max_size=8), st.sampled_from(sorted(RESOLVERS)), st.sampled_from(["flat", "nested"]))
def test_kept_fit_and_dropped_do_not(given_spans: list[Span], how: str, policy: str):
    def fit(a: Span, b: Span) -> bool:
        apart = a.end <= b.start or b.end <= a.start
        within = (a.start <= b.start and b.end <= a.end) or (b.start <= a.start and a.end <= b.end)
        return apart or (policy == "nested" and within)

    kept, dropped = resolve(policy, given_spans, how)
    assert sorted((s.start, s.end, s.label) for s in kept + dropped) == sorted(
        (s.start, s.end, s.label) for s in given_spans
    )
    assert all(fit(a, b) for a, b in itertools.combinations(kept, 2))
    assert all(any(not fit(span, other) for other in kept) for span in dropped)
