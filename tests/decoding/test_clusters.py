"""Antecedents against plain loops, and what is connected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.decoding import clusters
from spanbert.decoding.clusters import FARTHEST, best_antecedents, components


def test_three_mentions_by_hand():
    """Logits: 1 to 0: log 3; 2 to 0: log 2, 2 to 1: log 5. P(1 goes back to 0) = 3/4, P(2 goes back to 1) = 5/8."""
    earlier = np.eye(3)
    later = np.log(np.array([[9.0, 9, 9], [3, 9, 9], [2, 5, 9]]))
    links = best_antecedents(later, earlier)
    assert links.earlier.tolist() == [-1, 0, 1]
    assert 1 / (1 + np.exp(-links.log_odds[1:])) == pytest.approx([3 / 4, 5 / 8])
    assert links.log_odds[0] == -FARTHEST


def test_what_is_less_probable_than_none_goes_back_to_nothing():
    links = best_antecedents(np.array([[1.0], [-0.1], [np.nan]]), np.array([[1.0], [1.0], [1.0]]))
    assert links.earlier.tolist() == [-1, -1, -1]
    assert len(best_antecedents(np.zeros((0, 3)), np.zeros((0, 3))).earlier) == 0


@pytest.mark.parametrize("block", [1, 3, 512])
def test_blocks_make_no_difference(block: int, monkeypatch: pytest.MonkeyPatch):
    draw = np.random.default_rng(0)
    later, earlier = draw.normal(size=(2, 20, 4))
    expected = []
    for k in range(20):
        logits = [float(later[k] @ earlier[j]) for j in range(k)]
        best = max(range(k), key=lambda j: (logits[j], j), default=-1)
        if best < 0 or logits[best] <= 0:
            expected.append((-1, -FARTHEST))
            continue
        share = np.exp(logits[best]) / (1 + np.exp(logits).sum())
        expected.append((best, np.log(share / (1 - share))))
    monkeypatch.setattr(clusters, "BLOCK", block)
    links = best_antecedents(later, earlier)
    assert links.earlier.tolist() == [best for best, _ in expected]
    assert np.allclose(links.log_odds, [odds for _, odds in expected])


def test_ties_go_to_the_nearer_one():
    assert best_antecedents(np.ones((4, 1)), np.ones((4, 1))).earlier.tolist() == [-1, 0, 1, 2]


@given(st.integers(0, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=12))
def test_components_are_the_closure_of_the_links(count: int, pairs: list[tuple[int, int]]):
    pairs = [(a, b) for a, b in pairs if a < count and b < count]
    groups = components(count, pairs)
    assert sorted(k for group in groups for k in group) == list(range(count))
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)
    together = {k: set(group) for group in groups for k in group}
    assert all(b in together[a] for a, b in pairs)
    reach = np.eye(count, dtype=bool)
    for a, b in pairs:
        reach[a, b] = reach[b, a] = True
    for _ in range(count):
        reach = reach | (reach.astype(int) @ reach.astype(int) > 0)
    assert all(together[k] == set(np.flatnonzero(reach[k]).tolist()) for k in range(count))


def test_numbers_without_bounds_are_still_numbers():
    """Infinite and overflowing ones are likely links, those that are none link nothing."""
    later = np.ones((5, 1), dtype=np.float32)
    later[4] = np.nan
    earlier = np.array([[np.inf], [np.inf], [1], [np.nan], [1]], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise"):
        found = best_antecedents(later, earlier)
    assert found.earlier.tolist() == [-1, 0, 1, 1, -1]
    assert found.log_odds.tolist() == pytest.approx([-50.0, 50.0, 0.0, 0.0, -50.0])
    huge = np.full((3, 2), 3e38, dtype=np.float32)
    assert np.isfinite(best_antecedents(huge, huge).log_odds).all()
