"""An encoder under another vocabulary or with fewer layers: what is kept is kept to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spanbert import continued
from spanbert.bundle import load_base
from spanbert.encoder.packed import PackedBert
from spanbert.errors import UsageError
from spanbert.pretraining.transplant import transplanted
from spanbert.pretraining.vocabulary import write_vocabulary
from spanbert.tokenization import SPECIAL, Tokenizer


def vocabulary(folder: Path, words: list[str]) -> Tokenizer:
    path = folder / "vocab.txt"
    path.write_text("\n".join([*SPECIAL.values(), *words]) + "\n", encoding="utf-8")
    return Tokenizer.from_vocabulary(path)


@pytest.fixture(scope="module")
def base(tiny_encoder: Path) -> tuple[PackedBert, Tokenizer]:
    encoder, tokenizer = load_base(tiny_encoder)
    assert isinstance(encoder, PackedBert)
    return encoder, tokenizer


def test_pieces_are_spelled_longest_first_in_the_case_of_the_vocabulary(tmp_path: Path):
    old = vocabulary(tmp_path, ["new", "york", "##york", "##er", "ne", "##w", "##s"])
    spelled = {piece: [old.token(n) for n in old.spelling(piece)] for piece in ("NewYork", "##YORK", "##wers", "new")}
    assert spelled == {
        "NewYork": ["new", "##york"],
        "##YORK": ["##york"],
        "##wers": ["##w", "##er", "##s"],
        "new": ["new"],
    }
    assert old.spelling("##") == old.spelling("xenon") == old.spelling("newx") == []


def test_vectors_of_known_pieces_stay_and_new_ones_are_means(base: tuple[PackedBert, Tokenizer], tmp_path: Path):
    encoder, old = base
    word, other = next(p for p in map(old.token, range(old.size)) if p.isalpha()), old.token(old.size - 1)
    new = vocabulary(tmp_path, [other, f"{word}{word[0]}", "\u2603"])
    table, moved = encoder.words.weight, transplanted(encoder, old, new).words.weight
    assert moved.shape == (64, 32)
    assert torch.equal(moved[5], table[old.size - 1])
    if spelling := old.spelling(f"{word}{word[0]}"):
        assert torch.allclose(moved[6], table[spelling].mean(0))
    assert torch.allclose(moved[7], table.mean(0)) and torch.allclose(moved[63], table.mean(0))
    for role in SPECIAL:
        assert torch.equal(moved[new.ids[role]], table[old.ids[role]])


def test_the_first_layers_stay(base: tuple[PackedBert, Tokenizer]):
    encoder, tokenizer = base
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    shallow = transplanted(encoder, tokenizer, tokenizer, layers=1)
    assert shallow.config.num_hidden_layers == len(shallow.layers) == 1
    kept = shallow.state_dict()
    assert {name for name in before if not name.startswith("layers.1.")} == kept.keys()
    for name, tensor in kept.items():
        assert torch.equal(tensor[: len(before[name])], before[name]), name
    with torch.no_grad():
        shallow.words.weight.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())  # a copy


def test_a_checkpoint_reads_with_another_vocabulary(tiny_encoder: Path, tmp_path: Path):
    new = vocabulary(tmp_path, ["Ann", "##a", "house"])
    write_vocabulary(new, tmp_path / "new", 64)
    model = continued(tiny_encoder, vocabulary=tmp_path / "new", layers=1, settings={"window": 32})
    assert model.bundle.tokenizer.fingerprint == new.fingerprint
    assert model.bundle.facts["base_model"] == {"name": tiny_encoder.name, "transplanted": True, "layers": 1}
    assert model.bundle.network.encoder.vocabulary == 64


def test_what_cannot_be_kept_is_refused(base: tuple[PackedBert, Tokenizer]):
    encoder, tokenizer = base
    for layers in (0, 3):
        with pytest.raises(UsageError, match="layers"):
            transplanted(encoder, tokenizer, tokenizer, layers)
