"""Which pieces are hidden: by hand, for every way of masking, and against theory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert import masking

LEVEL = 33.72  # chi-square with 9 degrees of freedom is above it once in 10,000 draws


def begins_of(*sizes: int) -> np.ndarray:
    return np.concatenate([[True] + [False] * (size - 1) for size in sizes]).astype(bool)


def scripted(*draws: tuple[int, int]):
    yield from draws


def shown(masked: np.ndarray) -> str:
    return "".join("x" if hidden else "." for hidden in masked)


@pytest.mark.parametrize(
    ("sizes", "budget", "draws", "strict", "reference"),
    [
        ((1, 1, 1, 1), 2, [(2, 1)], ".xx.", ".xx."),
        ((1, 2, 1), 2, [(1, 2)], ".xx.", ".xx."),  # anchored inside a word: all of it
        ((1, 2, 2), 3, [(2, 1)], ".xx..", ".xxx."),  # the budget ends inside the second word
        ((1, 1, 1, 1), 3, [(2, 0), (1, 1), (1, 3)], "xx.x", "xx.x"),  # an anchor that is hidden draws nothing
        ((1, 1, 1, 1), 3, [(1, 1), (3, 0)], "xxx.", "xxx."),  # a hidden word counts towards the length
        ((1, 1), 5, [(9, 1), (1, 0)], "xx", "xx"),  # a span ends with the block
        ((3, 3), 2, [(1, 0)], "......", "xx...."),  # no word fits
    ],
)
def test_by_hand(sizes: tuple, budget: int, draws: list, strict: str, reference: str):
    assert shown(masking.spans_of_words(begins_of(*sizes), budget, scripted(*draws))) == strict
    assert shown(masking.spans_to_the_budget(begins_of(*sizes), budget, scripted(*draws))) == reference


def test_runs_are_maximal():
    masked = np.array([1, 1, 0, 1, 0, 0, 1], dtype=bool)
    assert masking.runs(masked).tolist() == [[0, 1], [3, 3], [6, 6]]
    assert masking.runs(np.zeros(3, dtype=bool)).tolist() == []


@pytest.mark.parametrize(("pieces", "rate", "budget"), [(20, 0.15, 3), (21, 0.15, 4), (1, 0.15, 1), (510, 0.15, 77)])
def test_the_budget_is_rounded_up(pieces: int, rate: float, budget: int):
    assert masking.budget_of(pieces, rate) == budget


def test_lengths_are_cut_off_and_scaled_not_heaped_on_the_last():
    shares = masking.geometric(10)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[0] == pytest.approx(0.224058, abs=1e-6) and shares[-1] == pytest.approx(0.030073, abs=1e-6)
    assert shares @ np.arange(1, 11) == pytest.approx(3.797098, abs=1e-6)
    assert masking.uniform(4).tolist() == [0.25] * 4


@pytest.mark.parametrize("lengths", [masking.geometric(10), masking.uniform(10)])
def test_drawn_lengths_and_anchors_follow_theory(lengths: np.ndarray):
    rows = np.array(list(islice(masking.draws(10, lengths, np.random.default_rng(0)), 20_000)))
    for column, shares in ((rows[:, 0] - 1, lengths), (rows[:, 1], masking.uniform(10))):
        expected = len(rows) * shares
        counts = np.bincount(column, minlength=10)
        assert ((counts - expected) ** 2 / expected).sum() < LEVEL


def by_spans(how: Callable) -> Callable:
    def mask(begins: np.ndarray, budget: int, draw: np.random.Generator) -> np.ndarray:
        return how(begins, budget, masking.draws(len(begins), masking.geometric(10), draw))

    return mask


WAYS = {
    "strict": by_spans(masking.spans_of_words),
    "reference": by_spans(masking.spans_to_the_budget),
    "whole-word": masking.words,
    "token": masking.tokens,
}


@pytest.mark.parametrize("way", WAYS)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=40), rate=st.floats(0.01, 0.8), seed=st.integers(0, 99))
def test_every_way_keeps_to_the_budget(way: str, sizes: list[int], rate: float, seed: int):
    begins = begins_of(*sizes)
    budget = masking.budget_of(len(begins), rate)
    masked = WAYS[way](begins, budget, np.random.default_rng(seed))
    assert masked.sum() <= budget
    again = WAYS[way](begins, budget, np.random.default_rng(seed))
    assert (masked == again).all()
    if way in ("reference", "token"):
        assert masked.sum() == budget
    if way in ("strict", "whole-word"):
        words = np.cumsum(begins)
        for word in np.unique(words):
            assert len(set(masked[words == word].tolist())) == 1
    if way == "whole-word" and min(sizes) <= budget:
        assert masked.any()


def test_strict_spans_use_up_nearly_all_of_the_budget():
    """A word of four pieces may find no room; in blocks of real length at most three pieces are left over."""
    draw = np.random.default_rng(0)
    for _ in range(50):
        begins = begins_of(*draw.integers(1, 5, size=60).tolist())
        budget = masking.budget_of(len(begins), 0.15)
        assert budget - 3 <= WAYS["strict"](begins, budget, draw).sum() <= budget


def test_a_block_may_begin_inside_a_word():
    begins = np.array([False, False, True, False])
    assert shown(masking.spans_of_words(begins, 2, scripted((1, 1)))) == "xx.."
    assert shown(masking.words(begins, 4, np.random.default_rng(0))) in ("..xx", "xxxx")
