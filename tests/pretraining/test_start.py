"""What a new encoder begins with, where its heads look, and that no other encoder begins so."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spanbert import PretrainConfig, SpanModel, continued, new_model, pretrain
from spanbert.documents import Document
from spanbert.encoder.packed import PackedBert
from spanbert.pretraining import start as module
from spanbert.pretraining.start import CARRIED, LENGTH, waves

TASK = "span-masking"
STILL = PretrainConfig(steps=1, max_tokens=64, evaluations=1, held_out=2, device="cpu")
"""One step, whose rate is 0: what comes out is what was begun with."""


def test_the_product_of_two_places_is_that_of_their_distance():
    table = waves(np.arange(600), 64)
    products = (table @ table.T).double()
    for distance in (0, 1, 7, 500):
        assert torch.diagonal(products, distance).std() < 1e-6
    assert products[0, 0] == pytest.approx(1.0) and products[0, 1:].max() < 0.75


def test_the_shortest_wave_and_the_longest():
    """The first column has turned once after 2.4 places, the last after 210."""
    table = waves(np.array([0.0, 2.4, 0.6, 210.0, 52.5]), 64) * 32**0.5
    assert table[:3, 0].tolist() == pytest.approx([0, 0, 1], abs=1e-6)
    assert table[[0, 3, 4], 31].tolist() == pytest.approx([0, 0, 1], abs=1e-6)
    assert table[:3, 32].tolist() == pytest.approx([1, 1, 0], abs=1e-6)


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


def test_a_new_encoder_begins_with_neighbours(fresh: SpanModel):
    """Words that occur, places, the biases over the vocabulary, and attention; each as long as it was meant to be."""
    before, after = state(fresh), state(pretrain(fresh, texts(), STILL))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    heads = {f"heads.{TASK}.bias", f"heads.{TASK}.boundary_bias"}
    tables = {f"encoder.{name}.weight" for name in ("words", "positions", "types")}
    attention = {f"encoder.layers.{n}.{part}.weight" for n in range(4) for part in ("qkv", "out")}
    assert changed == heads | tables | attention
    words, tokenizer = after["encoder.words.weight"], fresh.bundle.tokenizer
    number = {tokenizer.token(piece): piece for piece in range(tokenizer.size)}
    unheard = [number[word] for word in ("[CLS]", "[MASK]", "Dora", "##able")]
    assert torch.equal(words[unheard, 64:], before["encoder.words.weight"][unheard, 64:])
    heard = words[number["Anna"], 64:128]  # 64 pieces: as many columns
    assert heard.norm() == pytest.approx(LENGTH * 0.02 * 16, rel=1e-4)
    assert after["encoder.positions.weight"].norm(dim=1).numpy() == pytest.approx(np.full(32, 0.02 * 16), rel=1e-4)
    bias = after[f"heads.{TASK}.bias"]
    assert bias.exp().sum() == pytest.approx(1.0) and torch.equal(bias, after[f"heads.{TASK}.boundary_bias"])
    assert bias[number["met"]] > bias[number["Anna"]] > bias[number["Dora"]]


def test_places_have_columns_of_their_own(fresh: SpanModel):
    """No word and no type stands there, what heads bring goes elsewhere, and no place stands where words do."""
    after = state(pretrain(fresh, texts(), STILL))
    elsewhere = [after["encoder.words.weight"], after["encoder.types.weight"]]
    elsewhere += [after[f"encoder.layers.{n}.out.weight"].T for n in range(4)]
    assert not any(table[:, :64].any() for table in elsewhere) and all(table[:, 64:].any() for table in elsewhere)
    assert not after["encoder.positions.weight"][:, 64:].any()


def of_texts(encoder: PackedBert, pieces: int) -> torch.Tensor:
    """What the first layer reads: random words at the places of a window."""
    random = encoder.words.weight.new_empty(pieces, encoder.width).normal_(generator=torch.Generator().manual_seed(0))
    random[:, :64] = 0
    words = LENGTH * 0.02 * encoder.width**0.5 * torch.nn.functional.normalize(random)
    return encoder.norm(words + encoder.positions.weight[:pieces])


@pytest.mark.parametrize(("size", "width"), [("mini", 256), ("small", 384)])
def test_each_head_looks_at_one_place_near_its_own(tiny_encoder: Path, size: str, width: int):
    encoder = pretrain(new_model(size, tiny_encoder, settings={"window": 128}), texts(), STILL).bundle.network.encoder
    assert isinstance(encoder, PackedBert)
    with torch.no_grad():
        x, layer = of_texts(encoder, 128), encoder.layers[0]
        query, key, value = layer.qkv(x).view(128, 3, layer.heads, 64).unbind(1)
        seen = (torch.einsum("ihd,jhd->hij", query, key) / 8).softmax(-1)
        brought = layer.out(torch.einsum("hij,jhd->ihd", seen, value).reshape(128, width))
    for head, distance in zip(seen, (-1, 1, -2, 2, -3, 3), strict=False):
        there = torch.diagonal(head, distance)
        assert torch.equal(there, head.max(dim=1).values[max(0, -distance) : 128 - max(0, distance)])
        assert 0.6 < there.mean() < 0.8
    # the mean of some vectors is shorter than each, and a quarter of theirs or less is in the columns of places
    assert 0.5 * CARRIED < brought.norm(dim=1).mean() / width**0.5 < CARRIED


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
    assert all(torch.equal(before[name], after[name]) for name in before)


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
    assert kept == {"vectors-192.npy", "vectors-320.npy"}


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
    made = cut / "corpus" / "train" / "vectors-192.npy"
    made.write_bytes(made.read_bytes()[:200])  # damaged: made again, on this processor the same
    again = state(pretrain(fresh, texts(), replace(config, output=str(cut))))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
