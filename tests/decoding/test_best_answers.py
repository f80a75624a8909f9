"""One distribution over all windows and "no answer": by hand, against brute force, and what must hold of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.decoding.answers import FARTHEST, disjoint, one_answer, several_answers


def probability(log_odds: float) -> float:
    return 1 / (1 + np.exp(-log_odds))


def arrays(rows: list[tuple[int, int, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts, ends, odds = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64), np.log(np.array(odds, dtype=np.float64))


def test_two_windows_by_hand():
    """Odds 6 and 2 in one window, 1 in another, and 1 more that was not handed on: 6, 2, 1 and 1 of 11 in all."""
    chosen = one_answer(*arrays([(0, 4, 6.0), (10, 12, 2.0), (20, 25, 1.0)]), np.log([9.0, 1.0]), 20)
    assert chosen.indices.tolist() == [0, 1, 2]
    assert [probability(z) for z in chosen.log_odds] == pytest.approx([6 / 11, 2 / 11, 1 / 11])
    assert probability(chosen.no_answer) == pytest.approx(1 / 11)


def test_the_joint_distribution_of_two_windows():
    """P(pair) is proportional to P_w(pair) P_v(none): both windows are enumerated, given one answer at most."""
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(2, 4))  # of each window: "none here", then three pairs
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    joint = {(0, k): shares[0, k] * shares[1, 0] for k in (1, 2, 3)} | {
        (1, k): shares[1, k] * shares[0, 0] for k in (1, 2, 3)
    }
    none = shares[0, 0] * shares[1, 0]
    total = none + sum(joint.values())
    odds = (logits[:, 1:] - logits[:, :1]).ravel()
    starts = 10 * np.arange(6)
    mass = np.logaddexp.reduce(odds.reshape(2, 3), axis=1)
    chosen = one_answer(starts, starts + 3, odds, mass, 6)
    told = dict(zip(chosen.indices.tolist(), chosen.log_odds.tolist(), strict=True))
    for index, (window, k) in enumerate((w, k) for w in (0, 1) for k in (1, 2, 3)):
        assert probability(told[index]) == pytest.approx(joint[window, k] / total)
    assert probability(chosen.no_answer) == pytest.approx(none / total)


def test_what_overlaps_is_left_to_the_better_one():
    chosen = one_answer(*arrays([(0, 9, 5.0), (3, 6, 4.0), (9, 12, 1.0)]), np.log([10.0]), 20)
    assert chosen.indices.tolist() == [0, 2]


def test_candidates_that_say_the_same_share_their_probability():
    """2 + 3 of 10 for the one, 4 of 10 for the other; the place is that of the better one."""
    rows = arrays([(0, 4, 2.0), (10, 14, 4.0), (20, 24, 3.0)])
    chosen = one_answer(*rows, np.log([9.0]), 20, texts=["Rome", "Oslo", "Rome"])
    assert chosen.indices.tolist() == [2, 1]
    assert [probability(z) for z in chosen.log_odds] == pytest.approx([0.5, 0.4])


def test_nothing_is_no_answer():
    for chosen in (one_answer(*arrays([]), np.zeros(0), 20), several_answers(*arrays([]), np.zeros(0), 20)):
        assert (len(chosen.indices), chosen.no_answer) == (0, FARTHEST)


def test_what_is_no_number_is_never_chosen():
    starts, ends, odds = arrays([(0, 4, 1.0), (10, 14, 1.0)])
    odds[0] = np.nan
    for chosen in (
        one_answer(starts, ends, odds, np.array([np.nan, 0.0]), 20),
        several_answers(starts, ends, odds, np.array([np.nan, 0.0]), 20),
    ):
        assert chosen.indices.tolist() == [1]
        assert probability(chosen.log_odds[0]) == pytest.approx(0.5)
        assert probability(chosen.no_answer) == pytest.approx(0.5)


def test_several_answers_take_nothing_from_one_another():
    """Odds 9 and 9 apart from each other: 0.9 each. One that overlaps a rival of odds 2: 9 to 1 + 2."""
    far = several_answers(*arrays([(0, 4, 9.0), (10, 14, 9.0)]), np.log([18.0]), 20)
    assert [probability(z) for z in far.log_odds] == pytest.approx([0.9, 0.9])
    near = several_answers(*arrays([(0, 4, 9.0), (3, 6, 2.0)]), np.log([11.0]), 20)
    assert near.indices.tolist() == [0]
    assert probability(near.log_odds[0]) == pytest.approx(0.75)


@st.composite
def candidates(draw):
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 20), st.integers(1, 6), st.floats(-20, 20)), max_size=12, unique_by=lambda r: r[:2]
        )
    )
    starts = np.array([a for a, _, _ in rows], dtype=np.int64)
    return starts, starts + np.array([w for _, w, _ in rows], dtype=np.int64), np.array([z for *_, z in rows])


@given(candidates())
def test_greedy_choice_is_that_of_a_plain_loop(rows):
    starts, ends, odds = rows
    order = sorted(range(len(odds)), key=lambda i: (-odds[i], starts[i], ends[i]))
    kept: list[int] = []
    for index in order:
        if all(starts[index] >= ends[k] or ends[index] <= starts[k] for k in kept):
            kept.append(index)
    assert disjoint(starts, ends, odds, 20).tolist() == kept
    assert disjoint(starts, ends, odds, 2).tolist() == kept[:2]


@given(candidates())
def test_probabilities_of_one_answer_and_none_sum_to_one_at_most(rows):
    starts, ends, odds = rows
    chosen = one_answer(starts, ends, odds, odds, 20)
    total = sum(map(probability, chosen.log_odds)) + probability(chosen.no_answer)
    assert total <= 1 + 1e-9
    assert list(chosen.log_odds) == sorted(chosen.log_odds, reverse=True)
    if len(chosen.indices) == len(odds) and np.abs(odds).max(initial=0) < 15:
        assert total == pytest.approx(1)


@given(candidates(), st.randoms())
def test_order_of_the_input_makes_no_difference(rows, random):
    starts, ends, odds = rows
    order = list(range(len(odds)))
    random.shuffle(order)
    for decode in (one_answer, several_answers):
        one = decode(starts, ends, odds, odds, 20)
        other = decode(starts[order], ends[order], odds[order], odds[order], 20)
        assert starts[one.indices].tolist() == starts[order][other.indices].tolist()
        assert np.allclose(one.log_odds, other.log_odds)
