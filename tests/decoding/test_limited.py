"""The decoders under limits: by hand, against trying all sets, and their bounds."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from brute_force import LABELS, Candidate, any_limits, arrays, candidate_lists, greatest_total, legal
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spanbert.decoding import POLICIES, decode_spans, decode_within, limited, nesting
from spanbert.decoding.limited import Choice, best_within
from spanbert.decoding.limits import Limits
from spanbert.errors import SpanbertWarning

A, B, C = range(3)


def best(policy: str, limits: Limits, candidates: list[Candidate]) -> tuple[list[Candidate], Choice]:
    choice = best_within(limits.rules(policy, LABELS), *arrays(candidates))
    return [candidates[i] for i in choice.indices], choice


def test_at_most_one_of_a_label():
    """Two As of 1 and 0.5 and a B of 0.75 that overlaps the better A: 1 against 0.5 + 0.75 = 1.25."""
    candidates = [(0, 4, A, 1.0), (6, 8, A, 0.5), (2, 5, B, 0.75)]
    assert best("flat", Limits(at_most={"A": 1}), candidates)[0] == candidates[1:]
    assert best("flat", Limits(at_most={"A": 2}), candidates)[0] == candidates[:2]
    assert best("flat", Limits(at_most={"A": 0}), candidates)[0] == candidates[2:]
    assert best("overlapping", Limits(at_most={"A": 1}), candidates)[0] == [candidates[0], candidates[2]]


def test_a_matrix_holds_at_any_depth():
    """C in B in A: A may hold B and B may hold C, but A no C, so the three cannot stand together."""
    candidates = [(0, 9, A, 1.0), (1, 8, B, 0.5), (2, 4, C, 0.75)]
    assert best("nested", Limits({"A": ("B",), "B": ("C",)}), candidates)[0] == candidates[:2]
    assert best("nested", Limits({"A": ("B", "C"), "B": ("C",)}), candidates)[0] == candidates
    assert best("nested", Limits({}), candidates)[0] == candidates[:1]


def test_a_matrix_on_the_same_boundaries():
    """One must be allowed in the other; what lies inside must be allowed in both."""
    candidates = [(0, 9, A, 0.5), (0, 9, B, 0.5), (2, 4, C, 0.25)]
    assert best("nested", Limits({"B": ("A",)}), candidates)[0] == candidates[:2]
    assert best("nested", Limits({"A": ("B",)}), candidates)[0] == candidates[:2]
    assert best("nested", Limits({"B": ("A", "C")}), candidates)[0] == candidates[:2]
    assert best("nested", Limits({"B": ("A", "C"), "A": ("C",)}), candidates)[0] == candidates
    assert best("nested", Limits({"A": ("C",), "B": ("C",)}), candidates)[0] == [candidates[0], candidates[2]]


def test_forbidden_overlaps():
    """B in the middle overlaps an A on either side: 0.5 + 0.5 against 0.75; Cs are free."""
    candidates = [(0, 4, A, 0.5), (3, 7, B, 0.75), (3, 7, C, 0.125), (6, 9, A, 0.5)]
    limits = Limits(forbidden=(("A", "B"),))
    assert best("overlapping", limits, candidates)[0] == [candidates[0], candidates[2], candidates[3]]
    candidates[3] = (7, 9, A, 0.5)
    assert best("overlapping", limits, candidates)[0] == candidates[1:]


def test_a_label_apart_from_itself():
    candidates = [(0, 4, A, 0.5), (3, 7, A, 0.75), (3, 9, B, 0.5)]
    assert best("overlapping", Limits(forbidden=(("A", "A"),)), candidates)[0] == candidates[1:]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), any_limits(), candidate_lists())
def test_equals_brute_force(policy: str, limits: Limits, candidates: list[Candidate]):
    chosen, choice = best(policy, limits, candidates)
    assert legal(policy, limits, chosen)
    assert choice.total == sum(c[3] for c in chosen) == greatest_total(policy, limits, candidates)
    assert choice.exact
    assert choice.gap == 0


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), any_limits(), candidate_lists(span=5, width=6), st.sampled_from([1, 2, 4]))
@example(  # whose bound was once 0.49999999999999994, and the best set 0.5
    "overlapping",
    Limits(contains={"A": ("A", "B")}, at_most={"A": 2}, forbidden=()),
    [(0, 1, 0, -1.0), (0, 1, 1, -1.0), (0, 1, 2, -1.0), (0, 2, 0, 0.125), (0, 2, 1, 0.125), (0, 3, 1, 0.125),
     (1, 2, 0, 0.125), (1, 3, 0, 0.25)],
    1,
)  # fmt: skip
def test_beyond_its_size_it_says_how_far_off_it_may_be(
    policy: str, limits: Limits, candidates: list[Candidate], ways: int
):
    """With very few ways."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("WAYS", ways), ("_MIDDLE", ways), ("_NARROW", ways), ("CELLS", 0)):
            patch.setattr(limited, name, value)
        chosen, choice = best(policy, limits, candidates)
    assert legal(policy, limits, chosen)
    greatest = greatest_total(policy, limits, candidates)
    assert choice.total == sum(c[3] for c in chosen) <= greatest <= choice.bound
    assert not choice.exact or choice.total == greatest


@settings(max_examples=200, deadline=None)
@given(any_limits(), candidate_lists(), st.sampled_from([(0, 256, 256), (2, 256, 256), (64, 1, 256), (64, 256, 2)]))
def test_nested_in_every_way(limits: Limits, candidates: list[Candidate], way: tuple[int, int, int]):
    """Spans one by one or in vector steps; a matrix with too many states or sets of labels goes through the search."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(("_NARROW", "_STATES", "_SETS"), way, strict=True):
            patch.setattr(nesting, name, value)
        chosen, choice = best("nested", limits, candidates)
    assert legal("nested", limits, chosen)
    assert choice.total == choice.bound == greatest_total("nested", limits, candidates)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(sorted(POLICIES)), any_limits(), candidate_lists(most=16, span=7), st.randoms(), st.integers(0, 4)
)
def test_independent_of_the_input_order(
    policy: str, limits: Limits, candidates: list[Candidate], random: Random, room: int
):
    shuffled = list(candidates)
    random.shuffle(shuffled)
    rules = limits.rules(policy, LABELS)
    one = decode_within(rules, *arrays(candidates), floor=-2.0, room=room)
    other = decode_within(rules, *arrays(shuffled), floor=-2.0, room=room)
    assert [candidates[i] for i in one] == [shuffled[i] for i in other]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), any_limits(), candidate_lists(most=16), st.integers(0, 9))
def test_second_stage_only_adds(policy: str, limits: Limits, candidates: list[Candidate], room: int):
    """It keeps the first stage, stays legal, and leaves nothing out that still had a place."""
    first, _ = best(policy, limits, candidates)
    found = [
        candidates[i] for i in decode_within(limits.rules(policy, LABELS), *arrays(candidates), floor=-2.0, room=room)
    ]
    added = [c for c in found if c not in first]
    assert set(first) <= set(found)
    assert len(added) <= room
    assert legal(policy, limits, found)
    assert all(c[3] <= 0 for c in added)
    if len(added) < room:
        left = [c for c in candidates if c not in found and -2 < c[3] <= 0]
        assert all(not legal(policy, limits, [*found, c]) for c in left)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(POLICIES)), candidate_lists(), st.integers(0, 4))
def test_no_limits_change_nothing(policy: str, candidates: list[Candidate], room: int):
    plain = decode_spans(policy, *arrays(candidates), floor=-2.0, room=room)
    within = decode_within(Limits().rules(policy, LABELS), *arrays(candidates), floor=-2.0, room=room)
    assert plain.tolist() == within.tolist()


@settings(max_examples=100, deadline=None)
@given(any_limits(), candidate_lists(), st.sampled_from([0, 40]))
def test_flat_by_search_where_counts_are_too_many(limits: Limits, candidates: list[Candidate], steps: int):
    """Also when the prices are far from the best: one step leaves them at zero."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limited, "CELLS", 0)
        patch.setattr(limited, "_STEPS", 1 + steps)
        choice = best("flat", limits, candidates)[1]
    assert choice.total == choice.bound == greatest_total("flat", limits, candidates)


def test_what_disjoint_candidates_can_still_gain():
    """[0, 4) and [4, 6) touch: 1 + 2; [2, 5) overlaps both, and is worth less than [4, 6)."""
    starts, ends, gains = np.array([0, 2, 4]), np.array([4, 5, 6]), np.array([1.0, 1.5, 2.0])
    problem = limited._Problem(Limits().rules("flat", LABELS), starts, ends, np.zeros(3, dtype=int), gains)
    assert limited._suffix(problem, gains) == [3.0, 2.0, 2.0, 0.0]


def test_second_stage_sees_long_spans():
    """One that begins 300 characters before, and one that a later one would hold."""
    limits = Limits(forbidden=(("A", "B"),))
    candidates = [(0, 400, A, 1.0), (300, 310, B, -1.0), (700, 710, A, 1.0), (450, 800, B, -1.0), (450, 800, C, -1.0)]
    found = decode_within(limits.rules("overlapping", LABELS), *arrays(candidates), floor=-2.0, room=9)
    assert sorted(found.tolist()) == [0, 2, 4]


@settings(max_examples=200, deadline=None)
@given(any_limits(), candidate_lists(span=5, width=6))
def test_groups_of_barring_spans_bound_the_total(limits: Limits, candidates: list[Candidate]):
    """Before any search."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limited, "_searched", lambda problem, known, bound: (known, bound.most))
        choice = best("overlapping", limits, candidates)[1]
    assert choice.bound >= greatest_total("overlapping", limits, candidates) - 1e-9


def many(seed: int, count: int, text: int) -> tuple[np.ndarray, ...]:
    draw = np.random.default_rng(seed)
    starts = draw.integers(0, text, count)
    return starts, starts + draw.integers(1, 60, count), draw.integers(0, 3, count), draw.integers(1, 40, count) / 8


@pytest.mark.parametrize("policy", sorted(POLICIES))
@pytest.mark.parametrize("text", [250, 4000])
def test_larger_cases(policy: str, text: int):
    """200 candidates, close together or spread: legal, and never further from the bound than it says."""
    limits = Limits({"A": ("B",), "B": ("C",)}, {"A": 3, "C": 5}, (("A", "C"),))
    columns = many(3, 200, text)
    choice = best_within(limits.rules(policy, LABELS), *columns)
    chosen = [(int(s), int(e), int(label), float(x)) for s, e, label, x in zip(*columns, strict=True)]
    assert legal(policy, limits, [chosen[i] for i in choice.indices])
    assert choice.total <= choice.bound <= 1.1 * choice.total


def test_a_set_that_is_not_proven_to_be_the_best_is_told():
    """Two hundred spans in each other's way, and next to no steps to search in."""
    draw = np.random.default_rng(0)
    starts = draw.integers(0, 100, 200)
    candidates = (starts, starts + draw.integers(1, 40, 200), draw.integers(0, 3, 200), draw.normal(1, 1, 200))
    rules = Limits(forbidden=(("A", "B"), ("B", "C"))).rules("overlapping", LABELS)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WAYS", "VISITS", "CELLS", "_MIDDLE", "_NARROW"):
            patch.setattr(limited, name, 1)
        assert not limited.best_within(rules, *candidates).exact
        with pytest.warns(SpanbertWarning, match="not proven to be the best"):
            decode_within(rules, *candidates, floor=-2.0, room=9)
