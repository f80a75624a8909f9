"""The view of what would be hidden says what the encoder would see."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from spanbert.documents import Document
from spanbert.pretraining.inspection import Inspection, inspection_of

TEXT = " ".join(["the house of Anna was unable and met with Acme Corp on the big river day ."] * 20)


def inspect(folder: Path, **settings: object) -> Inspection:
    return inspection_of(str(folder), {"window": 64, **settings})


def test_the_blocks_are_the_text_with_a_share_of_it_hidden(tiny_encoder: Path):
    inspection = inspect(tiny_encoder, masking_rate=0.3)
    blocks = [pieces for seed in range(20) for _, pieces in inspection.blocks([Document("d", TEXT)], seed)]
    tokenizer = inspection.tokenizer
    expected = [tokenizer.token(number) for number in tokenizer.pieces([TEXT])[0].ids]
    assert [shown.piece for pieces in blocks for shown in pieces] == expected * 20
    rows = [shown for pieces in blocks for shown in pieces]
    hidden = [shown for shown in rows if shown.fate != "visible"]
    assert len(hidden) / len(rows) == pytest.approx(0.3, abs=0.02)
    assert {shown.fate for shown in hidden} == {"mask", "random", "kept"}
    assert all(bool(shown.instead) == (shown.fate == "random") for shown in rows)
    assert all(shown.instead != shown.piece for shown in rows if shown.fate == "random")


def test_pieces_of_white_space_are_pieces(tmp_path: Path):
    """As byte-level vocabularies have them: they cover no text, and are read and hidden all the same."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator([], trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet))
    backend.save(str(tmp_path / "tokenizer.json"))
    inspection = inspect(tmp_path, masking_rate=0.5)
    text = "a   b \n\n  c    d" * 10
    blocks = [
        shown for seed in range(20) for _, block in inspection.blocks([Document("d", text)], seed) for shown in block
    ]
    assert len(blocks) == 20 * len(text) and {shown.fate for shown in blocks} == {"visible", "mask", "random", "kept"}


def test_lengths_beside_theory(tiny_encoder: Path):
    lengths = inspect(tiny_encoder, longest_masked=5).lengths()
    assert lengths is not None and [length for length, _, _ in lengths] == [1, 2, 3, 4, 5]
    assert sum(drawn for _, drawn, _ in lengths) == pytest.approx(1.0)
    assert all(drawn == pytest.approx(theory, abs=0.02) for _, drawn, theory in lengths)
    assert inspect(tiny_encoder, masking="token").lengths() is None


def test_what_training_leaves_out_is_not_shown_and_the_seed_decides_the_rest(tiny_encoder: Path):
    inspection = inspect(tiny_encoder)
    documents = [Document("short", "the house"), Document("long", TEXT)]
    shown = [[name for name, _ in inspection.blocks(documents, seed)] for seed in (0, 1)]
    assert set(shown[0]) == {"long"}
    first, again, other = (list(inspection.blocks(documents, seed)) for seed in (0, 0, 1))
    assert first == again != other
