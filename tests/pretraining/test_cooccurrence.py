"""What is counted, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from spanbert.pretraining import cooccurrence as module
from spanbert.pretraining.cooccurrence import neighbours, word_vectors


def test_neighbours_by_hand(corpus_of: Callable, monkeypatch: pytest.MonkeyPatch):
    """0 1 2 0 | 2 1, two pieces reach one another: before 0 stand 1 and 2 (its second time), before 1 stand 0 and 2,
    before 2 stand 0 and 1; what stands before is told apart from what stands after, and no pair crosses a border."""
    monkeypatch.setattr(module, "REACH", 2)
    corpus = corpus_of([0, 1, 2, 0], [2, 1])
    before, after = neighbours(corpus, 4, np.array([0, 1, 2])).transpose(1, 0, 2)
    assert before.tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert after.tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 0]]
    before, after = neighbours(corpus, 4, np.array([2])).transpose(1, 0, 2)
    assert before.tolist() == [[1], [1], [0], [0]] and after.tolist() == [[1], [1], [0], [0]]


def test_sides_are_told_apart(corpus_of: Callable):
    before, after = neighbours(corpus_of([3, 5]), 6, np.array([3, 5])).transpose(1, 0, 2)
    assert np.argwhere(before).tolist() == [[5, 0]] and np.argwhere(after).tolist() == [[3, 1]]


@pytest.mark.parametrize(("most", "counted"), [(1 << 25, 96), (16, 14)])
def test_all_is_counted_unless_it_is_too_much(
    corpus_of: Callable, monkeypatch: pytest.MonkeyPatch, most: int, counted: int
):
    """Of 100 pieces in one block, 25 or 8 at a time: pairs that such a stretch cuts are lost, and no more."""
    monkeypatch.setattr(module, "REACH", 1)
    monkeypatch.setattr(module, "MOST", most)
    monkeypatch.setattr(module, "COUNTED", 25 if most > 100 else 8)
    found = neighbours(corpus_of([1] * 100), 2, np.array([1]))
    assert found.sum(axis=(0, 2)).tolist() == [counted, counted]


def test_pieces_with_the_same_neighbours_are_alike(corpus_of: Callable):
    """1 and 2 stand between 5 and 6, 3 and 4 between 7 and 8; 9 occurs nowhere."""
    draw = np.random.default_rng(0)
    blocks = [[5, int(draw.choice([1, 2])), 6, 7, int(draw.choice([3, 4])), 8] for _ in range(400)]
    vectors = torch.from_numpy(word_vectors(corpus_of(*blocks), 10, 4))
    unit = torch.nn.functional.normalize(vectors)
    alike = unit @ unit.T
    assert alike[1, 2] > 0.9 and alike[3, 4] > 0.9 and max(alike[1, 3], alike[2, 4]) < 0.5
    assert not vectors[9].any() and not vectors[0].any()
    assert vectors[1:9].mean(dim=0).abs().max() < 1e-5


def test_neighbours_are_three_pieces_away_at_most(corpus_of: Callable):
    before, _ = neighbours(corpus_of([1, 2, 2, 2, 2, 3]), 4, np.array([1])).transpose(1, 0, 2)
    assert before[:, 0].tolist() == [0, 0, 3, 0]


def test_vectors_are_those_of_the_exact_decomposition(corpus_of: Callable):
    """Left singular vectors, each times the root of its value: their products, less the mean, by a stock solver."""
    draw = np.random.default_rng(1)
    corpus = corpus_of(*draw.integers(1, 12, (300, 8)).tolist())
    counts = neighbours(corpus, 12, np.argsort(-corpus.occurrences(12), kind="stable")).reshape(12, -1).astype(float)
    share = counts.sum(0) ** 0.75
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.nan_to_num(np.log(counts / (counts.sum(1, keepdims=True) * share / share.sum())).clip(0))
    left, values, _ = np.linalg.svd(information)
    expected = (left * np.sqrt(values))[1:]
    expected -= expected.mean(0)
    found = word_vectors(corpus, 12, 12)[1:]
    assert np.allclose(found @ found.T, expected @ expected.T, atol=1e-3)


def test_a_large_vocabulary_has_fewer_neighbours(corpus_of: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CELLS", 30)
    seen = []
    real = neighbours
    monkeypatch.setattr(module, "neighbours", lambda *given: seen.append(len(given[2])) or real(*given))
    word_vectors(corpus_of([1, 2, 3] * 5), 10, 4)
    assert seen == [3]
