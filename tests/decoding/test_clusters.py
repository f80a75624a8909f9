"""Chains against plain loops, and what is connected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.decoding import clusters
from spanbert.decoding.clusters import FARTHEST, Links, components


def antecedents(later: np.ndarray, earlier: np.ndarray) -> Links:
    """Where the distance says nothing."""
    return clusters.antecedents(later, earlier, np.zeros((len(later), 1)), np.arange(len(later)), ())


def test_three_mentions_by_hand():
    """Odds: 1 to 0: 3; 2 to 0: 2, 2 to 1: 5. P(1 goes back to 0) = 3/4; 0 and 1 are one chain then, so 2 is of it with
    (2 + 5) / 8, and goes back to 1."""
    earlier = np.eye(3)
    later = np.log(np.array([[9.0, 9, 9], [3, 9, 9], [2, 5, 9]]))
    links = antecedents(later, earlier)
    assert links.earlier.tolist() == [-1, 0, 1]
    assert 1 / (1 + np.exp(-links.log_odds[1:])) == pytest.approx([3 / 4, 7 / 8])
    assert links.log_odds[0] == -FARTHEST


def test_a_chain_is_more_than_its_members():
    """Odds of 3 against 0, 1, 2: 0.6, 0.6, 0.9. None is more probable than "none"; but 0 and 1 are one chain, 1.2."""
    later = np.log(np.array([[1e-9, 1e-9, 1e-9], [5, 1e-9, 1e-9], [0.1, 0.1, 1e-9], [0.6, 0.6, 0.9]]))
    links = antecedents(later, np.eye(4, 3))
    assert links.earlier.tolist() == [-1, 0, -1, 1]  # of its two equal members the nearer one
    assert links.log_odds[3] == pytest.approx(np.log(1.2 / (1 + 0.9)))


def test_what_is_less_probable_than_none_goes_back_to_nothing():
    links = antecedents(np.array([[1.0], [-0.1], [np.nan]]), np.array([[1.0], [1.0], [1.0]]))
    assert links.earlier.tolist() == [-1, -1, -1]
    assert len(antecedents(np.zeros((0, 3)), np.zeros((0, 3))).earlier) == 0


def test_how_far_back_a_mention_looks():
    """Mentions at 0, 3 and 5; below a distance of 3 the number is 1, from 3 on 2, from 5 on 4: 1 to 0 has 2, 2 to 0 has
    4 and 2 to 1 has 1."""
    nothing, recency = np.zeros((3, 1)), np.array([[1.0, 2, 4]] * 3)
    first = np.array([0, 3, 5])
    links = clusters.antecedents(nothing, nothing, recency, first, (3, 5))
    assert links.earlier.tolist() == [-1, 0, 0]
    assert links.log_odds[1:] == pytest.approx([2.0, np.logaddexp(4, 1)])
    recency[1] = np.nan
    assert clusters.antecedents(nothing, nothing, recency, first, (3, 5)).earlier[1] == -1


@pytest.mark.parametrize("block", [1, 3, 512])
@pytest.mark.parametrize("seed", range(5))
def test_against_plain_loops(block: int, seed: int, monkeypatch: pytest.MonkeyPatch):
    draw = np.random.default_rng(seed)
    later, earlier = draw.normal(size=(2, 20, 4))
    recency, first = draw.normal(size=(20, 4)) - 1, np.sort(draw.integers(0, 60, size=20))
    first[[8, 9]] = first[[9, 8]]  # pieces of one grapheme may stand so
    place = np.maximum.accumulate(first)
    chains: list[list[int]] = []
    expected = []
    for k in range(20):
        far = np.digitize(place[k] - place[:k], (4, 16, 32))
        odds = [float(np.exp(later[k] @ earlier[j] + recency[k, far[j]])) for j in range(k)]
        masses = [sum(odds[j] for j in chain) for chain in chains]
        best = max(range(len(chains)), key=lambda c: masses[c], default=-1)
        if best < 0 or masses[best] <= 1:
            chains.append([k])
            expected.append((-1, -FARTHEST))
        else:
            nearest = max(chains[best], key=lambda j: (odds[j], j))
            chains[best].append(k)
            expected.append((nearest, np.log(masses[best] / (1 + sum(masses) - masses[best]))))
    monkeypatch.setattr(clusters, "BLOCK", block)
    links = clusters.antecedents(later, earlier, recency, first, (4, 16, 32))
    assert links.earlier.tolist() == [best for best, _ in expected]
    assert np.allclose(links.log_odds, [odds for _, odds in expected])
    linked = [(k, j) for k, j in enumerate(links.earlier.tolist()) if j >= 0]
    assert components(20, linked) == sorted(chains)


def test_ties_go_to_the_nearer_one():
    assert antecedents(np.ones((4, 1)), np.ones((4, 1))).earlier.tolist() == [-1, 0, 1, 2]


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
    """Infinite and overflowing ones are sure links, those that are none link nothing."""
    later = np.ones((5, 1), dtype=np.float32)
    later[4] = np.nan
    earlier = np.array([[np.inf], [np.inf], [1], [np.nan], [1]], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise"):
        found = antecedents(later, earlier)
    assert found.earlier.tolist() == [-1, 0, 1, 1, -1]
    assert found.log_odds.tolist() == pytest.approx([-50.0, 50.0, 50.0, 50.0, -50.0])
    huge = np.full((3, 2), 3e38, dtype=np.float32)
    assert np.isfinite(antecedents(huge, huge).log_odds).all()
