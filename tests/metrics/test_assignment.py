"""The assignment of greatest total."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.metrics.assignment import best_pairs


def pairs(weights: list[list[float]]) -> list[tuple[int, int]]:
    rows, columns = best_pairs(np.array(weights))
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def test_the_greatest_weight_is_not_always_taken():
    """8 + 8 = 16 is more than 9 + 1 = 10."""
    assert pairs([[9, 8], [8, 1]]) == [(0, 1), (1, 0)]


def test_an_earlier_row_gives_way():
    """Row 2 takes column 0 from row 0: 7 + 9 + 8 = 24.

    The others: 9 + 9 + 1 = 19, 9 + 1 + 1 = 11, 8 + 1 + 1 = 10, 8 + 1 + 8 = 17, 7 + 1 + 1 = 9.
    """
    assert pairs([[9, 8, 7], [1, 9, 1], [8, 1, 1]]) == [(0, 2), (1, 1), (2, 0)]


def test_sides_of_different_lengths():
    """The shorter side decides the number of pairs; rows ascend either way."""
    assert pairs([[1, 5, 2]]) == [(0, 1)]
    assert pairs([[3, 4], [1, 9], [8, 2]]) == [(1, 1), (2, 0)]


def test_negative_weights_are_paired_too():
    """-1 - 1 = -2 is more than -3 - 2 = -5."""
    assert pairs([[-3, -1], [-1, -2]]) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (2, 0)])
def test_no_pairs(shape: tuple[int, int]):
    rows, columns = best_pairs(np.zeros(shape))
    assert len(rows) == len(columns) == 0


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 1000, None]))
def test_equal_to_trying_all(rows: int, columns: int, seed: int, greatest: int | None):
    """Whole numbers up to `greatest` (few of them: many ties), or any numbers."""
    draw = np.random.default_rng(seed)
    shape = (rows, columns)
    weights = draw.normal(size=shape) if greatest is None else draw.integers(0, greatest + 1, size=shape)
    found, chosen = best_pairs(weights)
    assert len(set(found.tolist())) == len(set(chosen.tolist())) == len(found) == len(chosen) == min(shape)
    assert found.tolist() == sorted(found)
    short, long = sorted(shape)
    wide = weights if rows <= columns else weights.T
    best = max(sum(wide[i, j] for i, j in enumerate(order)) for order in permutations(range(long), short))
    assert weights[found, chosen].sum() == pytest.approx(best, abs=1e-12)
