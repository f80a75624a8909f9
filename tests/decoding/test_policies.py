"""The three policies and both stages of `decode_spans`, by hand and against brute force over all subsets."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.decoding import POLICIES, arg_max, decode_spans, dense_nesting, nested, nesting
from spanbert.errors import UsageError

Candidate = tuple[int, int, int, float]  # start, end, label, logit


def arrays(candidates: list[Candidate]) -> tuple[np.ndarray, ...]:
    starts, ends, labels, logits = zip(*candidates, strict=True) if candidates else ((), (), (), ())
    return np.array(starts, dtype=int), np.array(ends, dtype=int), np.array(labels, dtype=int), np.array(logits)


def decoded(policy: str, candidates: list[Candidate], floor: float = -100.0, room: int = 0) -> list[Candidate]:
    return [candidates[i] for i in decode_spans(policy, *arrays(candidates), floor=floor, room=room)]


WAYS = [
    (60, 64, 4096),
    (10**9, 0, 4096),
    (10**9, 3, 4096),
    (10**9, 10**9, 4096),
    (-1, 64, 4096),
    (-1, 64, 2),
    (-1, 64, 7),
]


def take(way: tuple[int, int, int], patch: pytest.MonkeyPatch) -> None:
    """Work above which rows are made, spans inside those solved in vector steps, ends that a row covers."""
    work, narrow, reach = way
    patch.setattr(nested, "_WORK", work)
    patch.setattr(nesting, "_NARROW", narrow)
    patch.setattr(dense_nesting, "_REACH", reach)


def disjoint(a: Candidate, b: Candidate) -> bool:
    return a[1] <= b[0] or b[1] <= a[0]


def uncrossed(a: Candidate, b: Candidate) -> bool:
    return disjoint(a, b) or (a[0] <= b[0] and b[1] <= a[1]) or (b[0] <= a[0] and a[1] <= b[1])


COMPATIBLE: dict[str, Callable[[Candidate, Candidate], bool]] = {
    "flat": disjoint,
    "nested": uncrossed,
    "overlapping": lambda a, b: True,
}


def fits(policy: str, chosen: list[Candidate]) -> bool:
    return all(COMPATIBLE[policy](a, b) for a, b in itertools.combinations(chosen, 2))


def brute_force(policy: str, candidates: list[Candidate]) -> list[Candidate]:
    """Subsets as binary numbers, candidate i (by end, start, label) worth 2^i: the first of the greatest total."""
    ordered = sorted((c for c in candidates if c[3] > 0), key=lambda c: (c[1], c[0], c[2]))
    best, best_total = [], 0.0
    for number in range(2 ** len(ordered)):
        subset = [c for i, c in enumerate(ordered) if number >> i & 1]
        total = sum(c[3] for c in subset)
        if total > best_total and fits(policy, subset):
            best, best_total = subset, total
    return sorted(best)


@st.composite
def candidate_lists(draw: st.DrawFn, most: int = 9) -> list[Candidate]:
    """Distinct (start, end, label) with logits in eighths, so that sums are exact and ties are common."""
    keys = draw(
        st.lists(st.tuples(st.integers(0, 7), st.integers(1, 5), st.integers(0, 1)), max_size=most, unique=True)
    )
    logits = st.sampled_from([-1.0, -0.25, 0.0, 0.125, 0.25, 0.25, 0.5, 1.0, 2.0])
    return [(start, start + width, label, draw(logits)) for start, width, label in keys]


def test_flat_prefers_the_better_total():
    """[0,9) has 0.9; [0,4) + [5,9) have 0.6 + 0.5 = 1.1 > 0.9, so the pair wins."""
    assert decoded("flat", [(0, 9, 0, 0.9), (5, 9, 0, 0.5), (0, 4, 0, 0.6)]) == [(0, 4, 0, 0.6), (5, 9, 0, 0.5)]


def test_flat_takes_the_best_label_and_lets_spans_touch():
    """On [0,4) label 1 has 0.5 > 0.25; [4,6) begins where it ends."""
    candidates = [(0, 4, 0, 0.25), (0, 4, 1, 0.5), (4, 6, 0, 0.125)]
    assert decoded("flat", candidates) == candidates[1:]


def test_flat_ties():
    """By end: [0,4), [0,9), [5,9). 1 + 1 = 2: the pair has the last one, which the single does without."""
    assert decoded("flat", [(0, 4, 0, 1.0), (5, 9, 0, 1.0), (0, 9, 0, 2.0)]) == [(0, 9, 0, 2.0)]
    assert decoded("flat", [(3, 8, 0, 1.0), (0, 5, 0, 1.0)]) == [(0, 5, 0, 1.0)]
    assert decoded("flat", [(0, 5, 1, 1.0), (0, 5, 0, 1.0)]) == [(0, 5, 0, 1.0)]


def test_nested_keeps_what_lies_inside():
    """[0,9) 0.5 holds [2,4) 0.25 and is crossed by [8,12) 0.625: 0.5 + 0.25 = 0.75, against 0.625 + 0.25 = 0.875."""
    candidates = [(0, 9, 0, 0.5), (2, 4, 0, 0.25), (8, 12, 0, 0.625)]
    assert decoded("nested", candidates) == candidates[1:]
    candidates[2] = (8, 12, 0, 0.25)
    assert decoded("nested", candidates) == candidates[:2]


def test_nested_labels_on_the_same_boundaries_add():
    """[0,5) has 0.25 + 0.25 under two labels, more than 0.375 of [3,8) that crosses it."""
    candidates = [(0, 5, 0, 0.25), (0, 5, 1, 0.25), (3, 8, 0, 0.375)]
    assert decoded("nested", candidates) == candidates[:2]


def test_nested_ties_go_to_the_earlier_end():
    assert decoded("nested", [(3, 8, 0, 1.0), (0, 5, 0, 1.0)]) == [(0, 5, 0, 1.0)]


def test_overlapping_keeps_every_positive_one():
    candidates = [(0, 5, 0, 0.1), (3, 8, 0, 0.2), (4, 9, 0, 0.0)]
    assert decoded("overlapping", candidates) == candidates[:2]


def test_second_stage_fills_the_room():
    """After [0,4): -1 crosses it, then the best of the rest down to the floor -3, which itself is out."""
    candidates = [(0, 4, 0, 1.0), (2, 6, 0, -1.0), (5, 7, 0, -2.0), (8, 9, 0, -2.5), (9, 10, 0, -3.0)]
    assert decoded("flat", candidates, floor=-3.0, room=9) == [candidates[0], candidates[2], candidates[3]]
    assert decoded("flat", candidates, floor=-3.0, room=1) == [candidates[0], candidates[2]]
    assert decoded("flat", candidates, floor=0.0, room=9) == candidates[:1]


def test_second_stage_ties_go_by_position():
    candidates = [(6, 8, 0, -1.0), (0, 2, 1, -1.0), (0, 2, 0, -1.0)]
    assert decoded("flat", candidates, room=1) == [(0, 2, 0, -1.0)]
    assert decoded("flat", [(1, 2, 0, -1.0), (0, 3, 1, -1.0)], room=1) == [(0, 3, 1, -1.0)]
    assert decoded("overlapping", candidates, room=2) == [(0, 2, 0, -1.0), (0, 2, 1, -1.0)]


def test_no_candidates():
    for policy in POLICIES:
        assert decoded(policy, [], room=3) == []
        assert decoded(policy, [(0, 1, 0, -1.0)]) == []


def test_unknown_policy():
    with pytest.raises(UsageError, match="did you mean 'nested'"):
        decode_spans("nestd", *arrays([]), floor=0.0, room=0)


@settings(max_examples=200, deadline=None)
@given(candidate_lists())
def test_flat_equals_brute_force(candidates: list[Candidate]):
    assert decoded("flat", candidates) == brute_force("flat", candidates)


@settings(max_examples=200, deadline=None)
@given(candidate_lists(most=12), st.sampled_from(WAYS))
def test_nested_equals_brute_force(candidates: list[Candidate], way: tuple[int, int, int]):
    """In each of the ways that are there for few, many and very many spans inside each other."""
    with pytest.MonkeyPatch.context() as patch:
        take(way, patch)
        found = decoded("nested", candidates)
    assert fits("nested", found)
    assert sum(c[3] for c in found) == sum(c[3] for c in brute_force("nested", candidates))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([(60, 40), (200, 200), (400, 20)]))
def test_nested_ways_agree_on_larger_cases(seed: int, size: tuple[int, int]):
    draw = np.random.default_rng(seed)
    count, width = size
    starts = draw.integers(0, 200, count)
    ends, labels = starts + draw.integers(1, width, count), np.zeros(count, dtype=int)
    logits = draw.integers(1, 64, count) / 8
    totals = []
    for way in WAYS:
        with pytest.MonkeyPatch.context() as patch:
            take(way, patch)
            totals.append(logits[decode_spans("nested", starts, ends, labels, logits, floor=0.0, room=0)].sum())
    assert len(set(totals)) == 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), candidate_lists(), st.randoms(), st.integers(0, 4))
def test_independent_of_the_input_order(policy: str, candidates: list[Candidate], random: Random, room: int):
    shuffled = list(candidates)
    random.shuffle(shuffled)
    found = decoded(policy, candidates, room=room)
    assert found == decoded(policy, shuffled, room=room)
    assert found == sorted(found)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), candidate_lists(), st.sampled_from([-2.0, -1.0, -0.5]), st.integers(0, 9))
def test_second_stage_only_adds(policy: str, candidates: list[Candidate], floor: float, room: int):
    """It keeps the first stage, respects floor, room and policy, and leaves nothing out that still had a place."""
    first = decoded(policy, candidates)
    found = decoded(policy, candidates, floor=floor, room=room)
    added = [c for c in found if c not in first]
    assert set(first) <= set(found)
    assert all(c[3] > 0 for c in first)
    assert all(floor < c[3] <= 0 for c in added)
    assert len(added) <= room
    assert fits(policy, found)
    left = [c for c in candidates if c not in found and floor < c[3] <= 0]
    better = [c for c in left if len(added) < room or c[3] > min(a[3] for a in added)] if room else []
    assert all(not fits(policy, [*first, *(a for a in added if a[3] >= c[3]), c]) for c in better)


def test_arg_max():
    """2.0 twice: [1,3) stands before [4,5); -1 without candidates, the best one even if negative."""
    assert arg_max(*arrays([(4, 5, 0, 2.0), (1, 3, 0, 2.0), (0, 9, 0, 1.0)])) == 1
    assert arg_max(*arrays([(4, 5, 0, -2.0), (1, 3, 0, -3.0)])) == 0
    assert arg_max(*arrays([])) == -1
