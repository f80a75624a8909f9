"""What is counted, what it becomes, and that a new encoder begins with it and no other does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spanbert import PretrainConfig, SpanModel, continued, new_model, pretrain
from spanbert.documents import Document
from spanbert.pretraining import cooccurrence as module
from spanbert.pretraining.cooccurrence import neighbours, sinusoids, word_vectors

TASK = "span-masking"
STILL = PretrainConfig(steps=1, max_tokens=64, evaluations=1, held_out=2, device="cpu")
"""One step, whose rate is 0: what comes out is what was begun with."""


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


def test_a_distance_is_the_same_everywhere():
    table = sinusoids(64, 32)
    assert table.square().mean() == pytest.approx(1.0)
    products = table @ table.T
    for distance in (0, 1, 7):
        assert torch.diagonal(products, distance).std() < 1e-4


def texts() -> list[Document]:
    return [
        Document(str(n), "Anna met Acme Corp in the big house . Bert met Core Ltd on the river . " * 3)
        for n in range(8)
    ]


def state(model: SpanModel) -> dict[str, torch.Tensor]:
    return dict(model.bundle.network.state_dict())


@pytest.fixture
def fresh(tiny_encoder: Path) -> SpanModel:
    return new_model("mini", tiny_encoder, settings={"window": 32}, seed=3)


def test_a_new_encoder_begins_with_counts(fresh: SpanModel):
    """Only words that occur, positions and the biases over the vocabulary; positions as long as random ones are."""
    before, after = state(fresh), state(pretrain(fresh, texts(), STILL))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    prefix = f"heads.{TASK}."
    assert changed == {"encoder.words.weight", "encoder.positions.weight", f"{prefix}bias", f"{prefix}boundary_bias"}
    words, tokenizer = after["encoder.words.weight"], fresh.bundle.tokenizer
    number = {tokenizer.token(piece): piece for piece in range(tokenizer.size)}
    unheard = [number[word] for word in ("[CLS]", "[MASK]", "Dora", "##able")]
    assert torch.equal(words[unheard], before["encoder.words.weight"][unheard])
    assert words[number["Anna"], :64].norm() == pytest.approx(4 * 0.02 * 8, rel=1e-4)  # 64 pieces: as many columns
    assert after["encoder.positions.weight"].square().mean() == pytest.approx(0.02**2, rel=1e-4)
    bias = after[f"{prefix}bias"]
    assert bias.exp().sum() == pytest.approx(1.0) and torch.equal(bias, after[f"{prefix}boundary_bias"])
    assert bias[number["met"]] > bias[number["Anna"]] > bias[number["Dora"]]


def test_random_numbers_where_they_are_asked_for(fresh: SpanModel):
    before, after = state(fresh), state(pretrain(fresh, texts(), replace(STILL, start="random")))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_without_the_boundary_objective(tiny_encoder: Path):
    model = new_model("mini", tiny_encoder, settings={"window": 32, "boundary_weight": 0.0})
    after = state(pretrain(model, texts(), STILL))
    assert after[f"heads.{TASK}.bias"].exp().sum() == pytest.approx(1.0)


def test_an_encoder_that_goes_on_keeps_what_it_knows(tiny_encoder: Path):
    model = continued(tiny_encoder, settings={"window": 32})
    before, after = state(model), state(pretrain(model, texts(), STILL))
    assert torch.equal(before["encoder.words.weight"], after["encoder.words.weight"])
    assert torch.equal(before["encoder.positions.weight"], after["encoder.positions.weight"])


def test_the_start_decides_nothing_for_an_encoder_that_goes_on(tiny_encoder: Path, tmp_path: Path):
    config = replace(STILL, output=str(tmp_path / "out"), resume="auto")
    once = state(pretrain(continued(tiny_encoder, settings={"window": 32}), texts(), config))
    again = state(pretrain(continued(tiny_encoder, settings={"window": 32}), texts(), replace(config, start="random")))
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_what_was_pretrained_is_not_begun_again(fresh: SpanModel):
    """Without `continued` too: the weights are new no more."""
    once = pretrain(fresh, texts(), replace(STILL, steps=4, learning_rate=1e-2))
    before, after = state(once), state(pretrain(once, texts(), STILL))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_vectors_of_another_width_are_not_taken(tiny_encoder: Path, tmp_path: Path):
    """A run of another size in the folder of one that was cut off before its first checkpoint."""
    config = replace(STILL, output=str(tmp_path / "out"), resume="auto")
    for size in ("mini", "small"):
        model = new_model(size, tiny_encoder, settings={"window": 32})

        def stop(_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            pretrain(model, texts(), config, [stop])
    kept = {path.name for path in (tmp_path / "out" / "corpus" / "train").glob("*.npy")}
    assert kept == {"vectors-256.npy", "vectors-384.npy"}


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


def test_a_resumed_run_begins_with_the_same_vectors(fresh: SpanModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Made once: on another processor the last bit would be another, and the run another run."""
    config = replace(STILL, steps=6, evaluations=3)
    whole = state(pretrain(fresh, texts(), config))
    config = replace(config, output=str(tmp_path / "out"), resume="auto")

    class Stop(Exception):
        pass

    def stop(event: object) -> None:
        if getattr(event, "step", 0) == 3:
            raise Stop

    with pytest.raises(Stop):
        pretrain(fresh, texts(), config, [stop])
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "out", cut)
    with monkeypatch.context() as patch:
        patch.setattr(module, "word_vectors", lambda *_: pytest.fail("made again"))
        resumed = state(pretrain(fresh, texts(), config))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    made = cut / "corpus" / "train" / "vectors-256.npy"
    made.write_bytes(made.read_bytes()[:200])  # damaged: made again, on this processor the same
    again = state(pretrain(fresh, texts(), replace(config, output=str(cut))))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
