"""The best flat sets with their probabilities, by hand and against all flat sets."""

from __future__ import annotations

import itertools
import math
from random import Random

import numpy as np
import pytest
from brute_force import Candidate, arrays, candidate_lists, legal
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.decoding import decode_spans
from spanbert.decoding.limits import Limits
from spanbert.decoding.n_best import n_best_flat
from spanbert.errors import UsageError


def test_by_hand():
    """Odds 3 and 1 that overlap, and 2 apart: the sets weigh (1 + 3 + 1) * (1 + 2) = 15; the best one 3 * 2 = 6."""
    candidates = [(0, 4, 0, math.log(3)), (2, 6, 0, 0.0), (7, 9, 0, math.log(2))]
    found = n_best_flat(*arrays(candidates), 3)
    assert [each.indices for each in found.sets] == [(0, 2), (0,), (2,)]
    assert [each.probability for each in found.sets] == pytest.approx([6 / 15, 3 / 15, 2 / 15])
    assert found.marginals.tolist() == pytest.approx([9 / 15, 3 / 15, 10 / 15])


def test_no_candidates():
    """Only the empty set."""
    found = n_best_flat(*arrays([]), 5)
    assert [(each.indices, each.probability) for each in found.sets] == [((), 1.0)]
    assert len(found.marginals) == 0


def test_how_many():
    with pytest.raises(UsageError, match="best sets = 0"):
        n_best_flat(*arrays([]), 0)


def test_extreme_logits():
    """Far beyond what `exp` can hold."""
    found = n_best_flat(*arrays([(0, 4, 0, 2000.0), (5, 8, 0, -2000.0), (9, 11, 0, 1500.0)]), 2)
    assert [each.indices for each in found.sets] == [(0, 2), (0,)]
    assert found.sets[0].probability == 1.0
    assert found.marginals.tolist() == [1.0, 0.0, 1.0]


@settings(max_examples=100, deadline=None)
@given(candidate_lists(most=9), st.integers(1, 30))
def test_equals_all_flat_sets(candidates: list[Candidate], count: int):
    """Subsets as binary numbers, candidate i (by end, start, label) worth 2^i: in ties the smaller number first."""
    ordered = sorted(range(len(candidates)), key=lambda i: (candidates[i][1], candidates[i][0], candidates[i][2]))
    every = []
    for number, taken in enumerate(itertools.product([False, True], repeat=len(ordered))):
        subset = [i for i, chosen in zip(ordered, taken[::-1], strict=True) if chosen]
        if legal("flat", Limits(), [candidates[i] for i in subset]):
            every.append((-sum(candidates[i][3] for i in subset), number, tuple(subset)))
    every.sort()
    whole = sum(math.exp(-total) for total, _, _ in every)
    found = n_best_flat(*arrays(candidates), count)
    assert [each.indices for each in found.sets] == [subset for _, _, subset in every[:count]]
    for each, (total, _, _) in zip(found.sets, every, strict=False):
        assert each.total == -total
        assert each.probability == pytest.approx(math.exp(-total) / whole)
    shares = [sum(math.exp(-t) for t, _, subset in every if i in subset) / whole for i in range(len(candidates))]
    assert found.marginals.tolist() == pytest.approx(shares)


@settings(max_examples=50, deadline=None)
@given(candidate_lists(most=40), st.randoms())
def test_the_first_is_the_best_flat_set_whatever_the_order(candidates: list[Candidate], random: Random):
    shuffled = list(candidates)
    random.shuffle(shuffled)
    found = [candidates[i] for i in n_best_flat(*arrays(candidates), 3).sets[0].indices]
    other = [shuffled[i] for i in n_best_flat(*arrays(shuffled), 3).sets[0].indices]
    plain = decode_spans("flat", *arrays(candidates), floor=0.0, room=0)
    assert found == other == [candidates[i] for i in plain]


def test_many_candidates():
    """5,000: the sets differ and fall in total; the shares of those over one character are together below 1."""
    draw = np.random.default_rng(0)
    starts = draw.integers(0, 50_000, 5000)
    ends, labels, logits = starts + draw.integers(1, 40, 5000), draw.integers(0, 3, 5000), draw.normal(size=5000)
    found = n_best_flat(starts, ends, labels, logits, 4)
    totals = [each.total for each in found.sets]
    assert totals == sorted(totals, reverse=True)
    assert len({each.indices for each in found.sets}) == 4
    assert found.marginals.min() > 0
    for place in range(0, 50_000, 500):  # the spans over one character bar each other
        assert found.marginals[(starts <= place) & (place < ends)].sum() < 1
