"""A corpus on disk: every piece in it once, blocks within documents, some of it held out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spanbert.documents import Document
from spanbert.errors import DataError
from spanbert.pretraining import corpus as module
from spanbert.pretraining.corpus import BlockCorpus, fault, joined, slices, write_corpus
from spanbert.tokenization import Tokenizer

WORDS = "the house of Anna was unable from met with Acme Corp on big river day ."


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


def documents(*sizes: int) -> list[Document]:
    """Documents of so many words, each beginning at another one."""
    words = WORDS.split()
    return [
        Document(str(n), " ".join(words[(n + k) % len(words)] for k in range(size))) for n, size in enumerate(sizes)
    ]


def pieces_in(corpus: BlockCorpus) -> list[int]:
    return [id for block in range(len(corpus)) for id in corpus.block_pieces(block).ids.tolist()]


def test_blocks_hold_every_piece_once_and_do_not_cross_documents(tokenizer: Tokenizer, tmp_path: Path, monkeypatch):
    given = documents(100, 31, 9, 64, 40)
    monkeypatch.setattr(module, "LEAST_HELD_OUT", 0)
    train, held_out = write_corpus(given, tokenizer, tmp_path / "c", block=30, held_out=5)
    assert fault(tmp_path / "c") is None
    expected = [tokenizer.pieces([d.text])[0] for d in given]
    kept = [p for n, p in enumerate(expected) if n != 2]
    assert pieces_in(train) == [id for p in kept for id in p.ids.tolist()]
    assert pieces_in(held_out) == expected[2].ids.tolist()
    assert train.counts.documents == 4 and held_out.counts.documents == 1
    assert train.counts.pieces == sum(map(len, kept)) == len(train.pieces)
    blocks = [len(train.block_pieces(n)) for n in range(len(train))]
    assert train.lengths(np.arange(len(train))).tolist() == blocks
    assert max(blocks) <= 30
    ends = np.cumsum([len(p) for p in kept]).tolist()
    assert set(ends) <= set(train.borders.tolist())
    for p in kept:  # the blocks of a document are nearly equally long
        number = -(-len(p) // 30)
        mine, blocks = blocks[:number], blocks[number:]
        assert sum(mine) == len(p) and max(mine) - min(mine) <= 1


def test_words_of_a_block_are_those_of_the_text(tokenizer: Tokenizer, tmp_path: Path):
    (given,) = documents(60)
    train, _ = write_corpus([given, *documents(20)], tokenizer, tmp_path / "c", block=1000, held_out=2)
    pieces = tokenizer.pieces([given.text])[0]
    found = train.block_pieces(0)
    assert (np.diff(found.words) == np.diff(pieces.words)).all()
    assert found.visible.all()


def test_read_again_is_the_same(tokenizer: Tokenizer, tmp_path: Path):
    train, _ = write_corpus(documents(50, 50, 50), tokenizer, tmp_path / "c", block=20, held_out=3, source="here")
    again = BlockCorpus.read(tmp_path / "c" / "train")
    assert pieces_in(again) == pieces_in(train)
    for name in ("counts", "tokenizer", "block", "source", "fingerprint"):
        assert getattr(again, name) == getattr(train, name)
    assert again.source == "here" and again.block == 20


def test_the_fingerprint_changes_with_pieces_and_blocks(tokenizer: Tokenizer, tmp_path: Path):
    variants = [(documents(50, 50), 20), (documents(50, 51), 20), (documents(50, 50), 31)]
    found = {
        write_corpus(given, tokenizer, tmp_path / str(n), block=block, held_out=100)[0].fingerprint
        for n, (given, block) in enumerate(variants)
    }
    assert len(found) == 3


def test_few_documents_hold_out_their_last_blocks(tokenizer: Tokenizer, tmp_path: Path):
    (given,) = documents(400)
    train, held_out = write_corpus([given], tokenizer, tmp_path / "c", block=20, held_out=10)
    pieces = tokenizer.pieces([given.text])[0]
    assert pieces_in(train) + pieces_in(held_out) == pieces.ids.tolist()
    assert len(held_out) == -(-(len(train) + len(held_out)) // 10) > 1
    assert held_out.counts.pieces == len(held_out.pieces) and train.counts.blocks == len(train)
    assert int(held_out.borders[0]) == 0 and int(held_out.borders[-1]) == len(held_out.pieces)
    assert len(train.begins) == len(train.pieces) and len(held_out.begins) == len(held_out.pieces)


def test_at_least_a_tenth_is_held_out_of_little_text(tokenizer: Tokenizer, tmp_path: Path):
    """One short document in a hundred would be a handful of hidden pieces, by which the best weights are chosen."""
    given = [*documents(*[60] * 60), Document("odd", "Ж Ω " * 60)]
    train, held_out = write_corpus(given, tokenizer, tmp_path / "c", block=20, held_out=100)
    assert fault(tmp_path / "c") is None
    pieces = sum(len(tokenizer.pieces([d.text])[0]) for d in given)
    assert train.counts.pieces + held_out.counts.pieces == pieces == len(pieces_in(train)) + len(pieces_in(held_out))
    assert pieces / 10 <= held_out.counts.pieces <= pieces / 10 + 40
    assert held_out.lengths(np.arange(len(held_out))).max() <= 20
    assert held_out.counts.unknown == held_out.counts.unknown == (held_out.pieces == tokenizer.ids["unk"]).sum() == 120
    assert train.counts.unknown == 0


def test_enough_is_held_out_and_no_more(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "HELD_OUT_PIECES", 50)
    _, held_out = write_corpus(documents(*[40] * 40), tokenizer, tmp_path / "c", block=20, held_out=4)
    assert 50 <= held_out.counts.pieces < 100


def test_short_documents_are_counted_and_left_out(tokenizer: Tokenizer, tmp_path: Path):
    train, _ = write_corpus(documents(40, 3, 4, 40, 40), tokenizer, tmp_path / "c", block=20, held_out=100)
    assert train.counts.too_short == 2 and train.counts.documents == 3


@pytest.mark.parametrize("given", [[], documents(3), documents(9)])
def test_too_little_text_is_refused_and_nothing_is_left(given: list[Document], tokenizer: Tokenizer, tmp_path: Path):
    with pytest.raises(DataError, match="pieces of text in all"):
        write_corpus(given, tokenizer, tmp_path / "c", block=20, held_out=100)
    assert not any(tmp_path.iterdir())


def test_unknown_pieces_are_counted(tokenizer: Tokenizer, tmp_path: Path):
    text = "the house Ω of Ж the day . the house"
    train, _ = write_corpus([Document("a", text), *documents(20, 20)], tokenizer, tmp_path / "c", block=20, held_out=3)
    assert train.counts.unknown == 2


def test_random_pieces_come_as_often_as_in_the_corpus(tokenizer: Tokenizer, tmp_path: Path):
    train, _ = write_corpus(documents(300, 300), tokenizer, tmp_path / "c", block=20, held_out=100)
    drawn = train.random_pieces(np.random.default_rng(0), 50_000)
    found = np.bincount(drawn, minlength=tokenizer.size) / len(drawn)
    expected = np.bincount(train.pieces, minlength=tokenizer.size) / len(train.pieces)
    assert np.abs(found - expected).max() < 0.01


def test_long_texts_are_read_in_slices_cut_at_white_space(tokenizer: Tokenizer, tmp_path: Path, monkeypatch):
    (given,) = documents(500)
    monkeypatch.setattr(module, "SLICE", 57)
    parts = list(slices(given.text))
    assert "".join(parts) == given.text and max(map(len, parts)) <= 57
    assert all(part[0] == " " for part in parts[1:])
    train, held_out = write_corpus([given], tokenizer, tmp_path / "c", block=1000, held_out=100)
    assert pieces_in(train) + pieces_in(held_out) == tokenizer.pieces([given.text])[0].ids.tolist()


def test_one_word_without_an_end_is_cut_somewhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SLICE", 10)
    assert list(slices("x" * 25)) == ["x" * 10, "x" * 10, "x" * 5]
    assert list(slices("")) == [""]


def test_documents_can_be_joined_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "JOINED", 10)
    given = [Document(str(n), text) for n, text in enumerate(["aaaa", "bbbb", "cccc", "dddd"])]
    assert [(d.id, d.text) for d in joined(given)] == [("0", "aaaa\n\nbbbb\n\ncccc"), ("3", "dddd")]
    assert list(joined([])) == []


def test_large_vocabularies_take_four_bytes(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small, _ = write_corpus(documents(50, 50), tokenizer, tmp_path / "a", block=20, held_out=100)
    monkeypatch.setattr(tokenizer, "size", 70_000)
    large, _ = write_corpus(documents(50, 50), tokenizer, tmp_path / "b", block=20, held_out=100)
    assert (small.pieces.dtype, large.pieces.dtype) == (np.uint16, np.uint32)
    assert pieces_in(small) == pieces_in(large)


@pytest.mark.parametrize("name", ["pieces.bin", "begins.bin", "borders.bin", "corpus.json"])
@pytest.mark.parametrize("part", ["train", "held_out"])
def test_damage_to_any_file_is_seen(tokenizer: Tokenizer, tmp_path: Path, part: str, name: str):
    write_corpus(documents(100, 31, 9, 64, 40), tokenizer, tmp_path / "c", block=30, held_out=5)
    path = tmp_path / "c" / part / name
    sound = path.read_bytes()
    for content in (b"", sound[:-1], sound + b"\0", bytes([sound[0] ^ 1]) + sound[1:]):
        path.write_bytes(content)
        assert part in (fault(tmp_path / "c") or ""), content
    path.unlink()
    assert part in (fault(tmp_path / "c") or "")


@pytest.mark.parametrize("at_once", [1, 3, 1 << 22])
def test_the_loss_of_frequencies(corpus_of: Callable, monkeypatch, at_once: int):
    """Six pieces are known, 1 and 3 twice as often as 0 and 2: with one more of each, and of 4, which is not known,
    they are 2, 3, 2, 3 and 1 of eleven."""
    monkeypatch.setattr(module, "COUNTED", at_once)
    known = corpus_of([0, 1, 1, 2, 3, 3])
    mine = corpus_of([1, 0, 4, 4])
    expected = -(math.log(3 / 11) + math.log(2 / 11) + 2 * math.log(1 / 11)) / 4
    assert mine.loss_by_frequency(known) == pytest.approx(expected)
    assert known.loss_by_frequency(corpus_of([])) == pytest.approx(math.log(4))
