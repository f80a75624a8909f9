"""The paired bootstrap, approximate randomisation and Holm's correction: by hand, then against brute force."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.metrics import significance
from spanbert.metrics.significance import Difference, differences, holm, paired_intervals, randomisation

RIGHT, WRONG, MISSED = [1, 1, 1], [0, 1, 1], [0, 0, 1]


def systems(least: int = 2, most: int = 7):
    """Counts [documents, 3] of two systems on the same documents."""
    row = st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3), st.integers(0, 2), st.integers(0, 2))

    def counts(rows):  # gold is common; correct is at most predicted and gold
        first = [(min(a, g), min(a, g) + x, max(a, b, g)) for a, x, b, y, g in rows]
        second = [(min(b, g), min(b, g) + y, max(a, b, g)) for a, x, b, y, g in rows]
        return np.array(first), np.array(second)

    return st.lists(row, min_size=least, max_size=most).map(counts)


def exact_f1(rows) -> Fraction:
    correct, predicted, gold = (sum(int(row[k]) for row in rows) for k in range(3))
    return Fraction(2 * correct, predicted + gold) if predicted + gold else Fraction(0)


def test_two_documents_that_b_finds_and_a_does_not():
    """A misses both, F1 0; B has both, F1 1. Of 4 assignments two have difference 1 (none and both swapped); with one
    swapped each side has 1 of 2: difference 0. So p is 2 / 4."""
    assert randomisation(np.array([MISSED] * 2), np.array([RIGHT] * 2)) == 0.5


def test_every_document_better():
    """All n documents go from missed to right: only none and all swapped are as extreme, p = 2 / 2 ** n."""
    for n in (3, 6, 12):
        first, second = np.array([MISSED] * n + [RIGHT]), np.array([RIGHT] * n + [RIGHT])
        assert randomisation(first, second) == 2 / 2**n
        assert differences(first[:, None], second[:, None])[0].least_p == 2 / 2**n


def test_three_better_one_worse():
    """Of 4 differing documents B wins 3, A wins 1; each has one span, gold 4, F1 by the numbers of right ones.

    With k of 4 right (all others missed) F1 is 2k / (k + 4); the difference of 3 and 1 is 6/7 - 2/5 = 16/35, of 4 and 0
    it is 1, of 2 and 2 it is 0. Assignments with (3, 1) or (1, 3): 8; with (4, 0) or (0, 4): 2; of 16. p = 10/16.
    """
    first, second = np.array([MISSED] * 3 + [RIGHT]), np.array([RIGHT] * 3 + [MISSED])
    assert randomisation(first, second) == 10 / 16


def test_systems_that_count_alike_differ_by_chance_only():
    counts = np.array([RIGHT, WRONG, MISSED])
    (found,) = differences(counts[:, None], counts[:, None])
    assert found == Difference(f1=0.0, f1_interval=(0.0, 0.0), p_value=1.0, differing=0)
    assert found.least_p == 1.0


@pytest.mark.parametrize("documents", [0, 1])
def test_fewer_than_two_documents_say_nothing(documents: int):
    first, second = np.array([MISSED])[:documents, None], np.array([RIGHT])[:documents, None]
    first, second = first.reshape(documents, 1, 3), second.reshape(documents, 1, 3)
    assert differences(first, second) == (Difference(float(documents), None, None, documents),)


def test_nothing_anywhere_is_no_nan():
    nothing = np.zeros((3, 2, 3), dtype=int)
    for found in differences(nothing, nothing):
        assert (found.f1, found.f1_interval, found.p_value) == (0.0, None, 1.0)


def test_a_label_that_only_one_side_knows_is_missed_by_the_other():
    """Gold has none of it; B invents two. F1 is 0 on both sides: no difference."""
    first, second = np.zeros((2, 1, 3), dtype=int), np.array([[[0, 1, 0]]] * 2)
    (found,) = differences(first, second)
    assert (found.f1, found.p_value, found.differing) == (0.0, 1.0, 2)


def test_interval_by_hand():
    """A is right in the first of two documents, B in both. Both drawn, or the first twice, or the second twice.

    F1 of A: 2/3 (1 right of 2 gold, the other missed), 1, 0; of B 1. Differences 1/3 at 1/2, 0 at 1/4, 1 at 1/4: the
    middle 95 % reach from 0 to 1.
    """
    first, second = np.array([[RIGHT], [MISSED]]), np.array([[RIGHT], [RIGHT]])
    assert paired_intervals(first, second) == ((0.0, 1.0),)


def test_what_is_hard_for_both_cancels_out():
    """Half the documents are hard for both, so F1 varies; B has one right more in each, so the difference hardly does.

    Unpaired it would vary by the root of twice the variance of one system's.
    """
    draw = np.random.default_rng(3)
    hard = draw.integers(0, 9, 60)
    first = np.stack([hard, np.full(60, 10), np.full(60, 10)], axis=-1)[:, None]
    second = first + np.array([1, 0, 0])
    ((low, high),) = paired_intervals(first, second)
    assert low == pytest.approx(0.1) and high == pytest.approx(0.1)


def test_random_swaps_agree_with_all_swaps(monkeypatch: pytest.MonkeyPatch):
    """11 documents differ, B wins 8: p of the sign test is 2 * (165 + 55 + 11 + 1) / 2048 = 0.2266."""
    first = np.array([MISSED] * 8 + [RIGHT] * 3)
    second = np.array([RIGHT] * 8 + [MISSED] * 3)
    exact = randomisation(first, second)
    assert exact == pytest.approx(464 / 2048)
    monkeypatch.setattr(significance, "ENUMERATED", 0)
    drawn = randomisation(first, second)
    assert drawn == pytest.approx(exact, abs=0.015)
    assert drawn != exact


def test_p_is_never_zero():
    """40 documents better: of 99 random assignments none is as extreme, and the observed one is counted."""
    assert randomisation(np.array([MISSED] * 40), np.array([RIGHT] * 40), shuffles=99) == 1 / 100


def test_the_seed_decides_and_nothing_else():
    draw = np.random.default_rng(0)
    first, second = (np.sort(draw.integers(0, 4, (60, 2, 3)), axis=-1) for _ in range(2))
    assert differences(first, second, seed=4) == differences(first, second, seed=4)
    for here, there in zip(differences(first, second, seed=4), differences(first, second, seed=5), strict=True):
        assert here.f1_interval != there.f1_interval and here.p_value != there.p_value
        assert here.p_value == pytest.approx(there.p_value, abs=0.03)


def test_a_true_null_is_rejected_as_often_as_it_says():
    """Two systems that are right in the same share of documents: p up to 0.1 comes in at most about a tenth of 200."""
    draw = np.random.default_rng(8)
    p_values = []
    for _ in range(200):
        first, second = (np.stack([draw.integers(0, 2, 40), *np.ones((2, 40), int)], axis=-1) for _ in range(2))
        p_values.append(randomisation(first, second, shuffles=199))
    assert 0.02 <= np.mean(np.array(p_values) <= 0.1) <= 0.15
    assert np.mean(np.array(p_values) <= 0.5) >= 0.3


@settings(max_examples=60)
@given(systems())
def test_exact_p_is_that_of_every_assignment_in_fractions(pair):
    first, second = pair
    observed = abs(exact_f1(second) - exact_f1(first))
    hits = total = 0
    for swaps in itertools.product((False, True), repeat=len(first)):  # also of documents that do not differ
        sides = [(b, a) if swap else (a, b) for swap, a, b in zip(swaps, first, second, strict=True)]
        hits += abs(exact_f1([b for _, b in sides]) - exact_f1([a for a, _ in sides])) >= observed
        total += 1
    assert randomisation(first, second) == hits / total


@settings(max_examples=30)
@given(systems(most=30), st.integers(0, 3))
def test_changing_places_changes_the_sign_only(pair, seed: int):
    first, second = (each[:, None] for each in pair)
    (there,) = differences(first, second, seed=seed, samples=50, shuffles=50)
    (back,) = differences(second, first, seed=seed, samples=50, shuffles=50)
    assert there.f1 == -back.f1 == pytest.approx(float(exact_f1(second[:, 0]) - exact_f1(first[:, 0])))
    assert (there.f1_interval is None) == (back.f1_interval is None) == (np.any([first, second], (0, 2, 3)).sum() < 2)
    if there.f1_interval is not None:
        assert there.f1_interval == pytest.approx(tuple(-edge for edge in reversed(back.f1_interval)))
        assert -1 <= there.f1_interval[0] <= there.f1_interval[1] <= 1
    assert there.p_value == back.p_value
    assert there.least_p <= there.p_value <= 1 and not math.isnan(there.f1)


def test_large_numbers_of_documents_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch):
    """Whatever fits into memory at a time: all assignments are tried, and as many are drawn."""
    first = np.array([MISSED] * 8 + [RIGHT] * 3)
    second = np.array([RIGHT] * 8 + [MISSED] * 3)
    whole = randomisation(first, second)
    monkeypatch.setattr(significance, "_CELLS", 100)
    assert randomisation(first, second) == whole
    assert randomisation(np.array([MISSED] * 40), np.array([RIGHT] * 40), shuffles=7) == 1 / 8


def test_holm_by_hand():
    """0.01 x 4, 0.02 x 3, 0.03 x 2 = 0.06 like the one before it, 0.5 x 1; in the order given."""
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx((0.06, 0.04, 0.5, 0.06))
    assert holm([0.02, 0.015]) == pytest.approx((0.03, 0.03))  # 0.02 x 1 would fall below 0.015 x 2
    assert holm([0.6, 0.7]) == (1.0, 1.0)
    assert holm([None, 0.02, None]) == (None, 0.02, None)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), max_size=8), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_the_steps_reject(p_values: list[float], level: float):
    """His procedure: the smallest against level / m, the next against level / (m - 1), until one fails."""
    rejected = set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - rank) > level:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(holm(p_values)) if p <= level} == rejected
