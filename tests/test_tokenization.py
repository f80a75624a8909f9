"""Text to pieces: which case a vocabulary wants, exact offsets, and text that only looks like special tokens."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spanbert.errors import DataError
from spanbert.graphemes import borders
from spanbert.tokenization import Pieces, Tokenizer, is_cased

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CASED = [*SPECIAL, "[unused1]", "Barack", "barack", "caf", "##\u00e9", "##e", "cafe", "[", "]", "MASK", "SEP", "CLS"]
CASED += ["PAD", "un", "##able", "##do", ".", ",", "\u0301", "##\u0301", "\u00c4", "a", "##a", "b", "##b"]
UNCASED = [*SPECIAL, "[unused1]", "barack", "cafe", "[", "]", "mask", "sep", "cls", "pad", "un", "##do", "a", "."]
MAN, JOINER, WOMAN = "\U0001f468", "\u200d", "\U0001f469"


def folder_with(path: Path, words: list[str], **files: object) -> Path:
    path.mkdir(exist_ok=True)
    (path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def cased(tmp_path: Path) -> Tokenizer:
    return Tokenizer.from_folder(folder_with(tmp_path / "cased", CASED))


@pytest.fixture
def uncased(tmp_path: Path) -> Tokenizer:
    return Tokenizer.from_folder(folder_with(tmp_path / "uncased", UNCASED))


def names(tokenizer: Tokenizer, pieces: Pieces) -> list[str]:
    return [tokenizer.token(number) for number in pieces.ids]


def spans(pieces: Pieces) -> list[tuple[int, int]]:
    return list(zip(pieces.starts.tolist(), pieces.ends.tolist(), strict=True))


# Case


def test_a_release_folder_is_not_lower_cased(tmp_path: Path):
    """The shape of SpanBERT's release: config, .bin and vocab.txt, and nobody says that it is cased."""
    folder = folder_with(tmp_path / "release", CASED, config={"vocab_size": len(CASED)})
    torch.save({}, folder / "pytorch_model.bin")
    tokenizer = Tokenizer.from_folder(folder)
    assert not tokenizer.lowercase
    assert names(tokenizer, tokenizer.encode("Barack barack caf\u00e9")) == ["Barack", "barack", "caf", "##\u00e9"]


def test_an_uncased_vocabulary_is_lower_cased(uncased: Tokenizer):
    assert uncased.lowercase
    assert names(uncased, uncased.encode("Barack CAF\u00c9 undo")) == ["barack", "cafe", "un", "##do"]


@pytest.mark.parametrize(("declared", "lowercase"), [(True, True), (False, False), (None, False), ("true", False)])
def test_a_declared_case_wins_over_a_cased_vocabulary(tmp_path: Path, declared: object, lowercase: bool):
    """Only true and false are declarations; the vocabulary decides on anything else, and it is cased."""
    folder = folder_with(tmp_path / "f", CASED, tokenizer_config={"do_lower_case": declared})
    tokenizer = Tokenizer.from_folder(folder)
    assert tokenizer.lowercase is lowercase
    assert names(tokenizer, tokenizer.encode("Barack")) == ["barack" if lowercase else "Barack"]


def test_a_declared_case_wins_over_an_uncased_vocabulary(tmp_path: Path):
    folder = folder_with(tmp_path / "f", UNCASED, tokenizer_config={"do_lower_case": False})
    tokenizer = Tokenizer.from_folder(folder)
    assert names(tokenizer, tokenizer.encode("Barack barack")) == ["[UNK]", "barack"]


@pytest.mark.parametrize("config", [{}, [], {"do_lower_case": 1}])
def test_a_configuration_without_a_word_on_case(tmp_path: Path, config: object):
    assert not Tokenizer.from_folder(folder_with(tmp_path / "f", CASED, tokenizer_config=config)).lowercase


@pytest.mark.parametrize(
    ("words", "cased"),
    [(["a", "##b", "[CLS]", "[unused1]", "[UNUSED2]"], False), (["a", "##B"], True), (["\u00c4"], True), ([], False)],
)
def test_is_cased(words: list[str], cased: bool):
    assert is_cased({word: number for number, word in enumerate(words)}) is cased


# Offsets


def test_offsets_by_hand(cased: Tokenizer):
    """un##do##able starts at 2 after two spaces; the full stop is a word of its own."""
    pieces = cased.pieces(["  undoable. Barack"])[0]
    assert names(cased, pieces) == ["un", "##do", "##able", ".", "Barack"]
    assert spans(pieces) == [(2, 4), (4, 6), (6, 10), (10, 11), (12, 18)]
    assert pieces.words.tolist() == [0, 0, 0, 1, 2]
    assert len(pieces) == 5
    assert pieces.span(0, 2) == (2, 10)


def test_a_decomposed_accent_belongs_to_the_piece_before_it(uncased: Tokenizer):
    """Lower-casing strips the accent at offset 4; the piece still ends behind it, at 5."""
    pieces = uncased.pieces(["cafe\u0301 a"])[0]
    assert names(uncased, pieces) == ["cafe", "a"]
    assert spans(pieces) == [(0, 5), (6, 7)]
    assert pieces.exact(0, 5)
    assert not pieces.exact(0, 4)
    assert spans(uncased.encode("cafe\u0301"))[0] == (0, 4)


def test_pieces_inside_one_grapheme_share_it(cased: Tokenizer):
    """A cased tokenizer keeps the accent as a piece of its own; both pieces stand for the whole grapheme."""
    pieces = cased.pieces(["cafe\u0301"])[0]
    assert names(cased, pieces) == ["cafe", "##\u0301"]
    assert spans(pieces) == [(0, 5), (3, 5)]
    assert pieces.covering(0, 3) == (0, 0)
    assert pieces.covering(3, 5) == (0, 1)
    assert pieces.exact(0, 5)


def test_an_emoji_with_joiners_is_never_cut(cased: Tokenizer):
    """man-joiner-woman is one grapheme at [2, 5), whatever the pieces of it are."""
    text = f"a {MAN}{JOINER}{WOMAN} b"
    pieces = cased.pieces([text])[0]
    first, last = pieces.covering(2, 5)
    assert pieces.span(first, last) == (2, 5)
    assert pieces.exact(2, 5)
    assert all(span in ((0, 1), (2, 5), (6, 7)) for span in spans(pieces))


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\x00", "\u200b\ufeff"])
def test_text_without_pieces(cased: Tokenizer, text: str):
    pieces = cased.pieces([text])[0]
    assert len(pieces) == 0
    assert pieces.starts.shape == pieces.ends.shape == pieces.words.shape == (0,)
    assert pieces.covering(0, 1) is None
    assert not pieces.exact(0, 1)


def test_covering_by_hand(cased: Tokenizer):
    """Pieces: un [0,2) ##do [2,4) Barack [5,11). A border inside a piece takes the piece; white space has none."""
    pieces = cased.pieces(["undo Barack"])[0]
    assert spans(pieces) == [(0, 2), (2, 4), (5, 11)]
    cases = {(0, 2): (0, 0), (0, 3): (0, 1), (1, 2): (0, 0), (2, 4): (1, 1), (3, 6): (1, 2), (4, 5): None}
    cases |= {(4, 6): (2, 2), (10, 11): (2, 2), (0, 11): (0, 2), (3, 5): (1, 1)}
    assert {span: pieces.covering(*span) for span in cases} == cases


def test_exact_by_hand(cased: Tokenizer):
    """Of all 66 spans of `undo Barack`, those whose borders are [0 2 4 | 5 11]: 0-2 0-4 0-11 2-4 2-11 5-11."""
    pieces = cased.pieces(["undo Barack"])[0]
    exact = [(s, e) for s in range(11) for e in range(s + 1, 12) if pieces.exact(s, e)]
    assert exact == [(0, 2), (0, 4), (0, 11), (2, 4), (2, 11), (5, 11)]


ALPHABET = st.sampled_from([*"abe .[]", "\u0301", "\u00c4", "Barack", "undoable", "[MASK]", MAN, JOINER, "\r\n", "日"])


@given(st.lists(ALPHABET, max_size=12).map("".join) | st.text(max_size=20), st.booleans())
def test_pieces_stand_on_graphemes_in_order(text: str, lowercase: bool):
    words = UNCASED if lowercase else CASED
    tokenizer = TOKENIZERS[lowercase]
    pieces = tokenizer.pieces([text])[0]
    known = borders(text) or range(len(text) + 1)
    assert set(pieces.starts.tolist()) | set(pieces.ends.tolist()) <= set(known)
    assert (pieces.starts < pieces.ends).all()
    assert (np.diff(pieces.starts) >= 0).all()
    assert (np.diff(pieces.ends) >= 0).all()
    assert not {tokenizer.ids[role] for role in ("pad", "cls", "sep", "mask")} & set(pieces.ids.tolist())
    assert pieces.ids.max(initial=0) < len(words)
    for k in range(len(pieces)):
        first, last = pieces.covering(*pieces.span(k, k))
        assert first <= k <= last


@given(st.lists(st.text(max_size=20), max_size=4))
def test_texts_together_as_alone(texts: list[str]):
    tokenizer = TOKENIZERS[False]
    together = tokenizer.pieces(texts)
    for text, pieces in zip(texts, together, strict=True):
        alone = tokenizer.pieces([text])[0]
        assert pieces.ids.tolist() == alone.ids.tolist()
        assert spans(pieces) == spans(alone)


# Special tokens


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("role", ["mask", "sep", "cls", "pad"])
def test_text_never_turns_into_special_tokens(role: str, lowercase: bool):
    tokenizer = TOKENIZERS[lowercase]
    text = f"a [{role.upper()}] a"
    middle = role if lowercase else role.upper()
    for pieces in (tokenizer.pieces([text])[0], tokenizer.encode(text)):
        assert names(tokenizer, pieces) == ["a", "[", middle, "]", "a"]
        assert tokenizer.ids[role] not in pieces.ids
    assert spans(tokenizer.pieces([text])[0])[1:4] == [(2, 3), (3, 3 + len(role)), (3 + len(role), 4 + len(role))]


def test_special_tokens_stay_text_after_saving(tmp_path: Path, cased: Tokenizer):
    cased.save(tmp_path, 64)
    again = Tokenizer.from_folder(tmp_path)
    assert names(again, again.encode("[MASK]")) == ["[", "MASK", "]"]


def test_roles(cased: Tokenizer):
    assert cased.ids == {"pad": 0, "unk": 1, "cls": 2, "sep": 3, "mask": 4}
    assert (cased.cls, cased.sep) == (2, 3)
    assert names(cased, cased.encode("zzz")) == ["[UNK]"]


@pytest.mark.parametrize("token", SPECIAL)
def test_a_vocabulary_without_a_special_token_is_refused(tmp_path: Path, token: str):
    with pytest.raises(DataError, match=rf"the vocabulary has no \[{token[1:-1]}\]"):
        Tokenizer.from_folder(folder_with(tmp_path / "f", [word for word in CASED if word != token]))


# Files


def test_a_saved_tokenizer_is_the_same(tmp_path: Path):
    texts = ["undoable Barack, caf\u00e9 cafe\u0301 [MASK]", "", f"{MAN}{JOINER}{WOMAN} \u00c4a"]
    for lowercase, tokenizer in TOKENIZERS.items():
        folder = tmp_path / str(lowercase)
        folder.mkdir()
        tokenizer.save(folder, 512)
        again = Tokenizer.from_folder(folder)
        assert again.lowercase is lowercase
        assert again.ids == tokenizer.ids
        assert again.size == tokenizer.size
        for before, after in zip(tokenizer.pieces(texts), again.pieces(texts), strict=True):
            assert before.ids.tolist() == after.ids.tolist()
            assert spans(before) == spans(after)
            assert before.words.tolist() == after.words.tolist()


@pytest.mark.parametrize("lowercase", [False, True])
def test_a_saved_tokenizer_is_the_same_in_transformers(tmp_path: Path, lowercase: bool):
    transformers = pytest.importorskip("transformers")
    tokenizer = TOKENIZERS[lowercase]
    tokenizer.save(tmp_path, 512)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": tokenizer.size}))
    stock = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert stock.model_max_length == 512
    for role, number in tokenizer.ids.items():
        assert getattr(stock, f"{role}_token_id") == number
    for text in ("undoable Barack, BARACK caf\u00e9 CAFE cafe\u0301 \u00c4a.", "a 日本 a", f"{MAN} \x00\u200b b"):
        assert stock(text)["input_ids"] == [tokenizer.cls, *tokenizer.encode(text).ids.tolist(), tokenizer.sep]


def test_truncation_and_padding_of_a_tokenizer_file_are_ignored(tmp_path: Path, cased: Tokenizer):
    cased.save(tmp_path, 64)
    record = json.loads((tmp_path / "tokenizer.json").read_text())
    record["truncation"] = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    record["padding"] = {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(record))
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert [len(pieces) for pieces in tokenizer.pieces(["a " * 40, "a a"])] == [40, 2]
    assert len(tokenizer.encode("a " * 40)) == 40


def test_line_ends_and_a_byte_order_mark_do_not_enter_the_vocabulary(tmp_path: Path):
    (tmp_path / "vocab.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(CASED).encode())
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.ids["pad"] == 0
    assert names(tokenizer, tokenizer.encode("undo a b")) == ["un", "##do", "a", "b"]


def test_size_counts_ids_not_entries(tmp_path: Path):
    """A blank line has an id but no entry: the largest id is 7, so the encoder needs 8 rows for 7 words."""
    tokenizer = Tokenizer.from_folder(folder_with(tmp_path / "f", [*SPECIAL, "", "A", "b"]))
    assert tokenizer.encode("b").ids.tolist() == [7]
    assert tokenizer.size == 8


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("tokenizer.json", b"{", "is not a tokenizer"),
        ("tokenizer.json", b'{"model": {}}', "is not a tokenizer"),
        ("tokenizer.json", b"\xff\xfe", "is not a tokenizer"),
        ("tokenizer_config.json", b"{", "is not JSON"),
        ("tokenizer_config.json", b"\xff", "is not JSON"),
        ("vocab.txt", b"[PAD]\n\xff\n", "is not UTF-8"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes, found: str):
    folder = folder_with(tmp_path / "f", CASED)
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        Tokenizer.from_folder(folder)
    assert str(caught.value).startswith(f"{folder / name} {found}")


def test_a_folder_without_a_tokenizer(tmp_path: Path):
    with pytest.raises(DataError) as caught:
        Tokenizer.from_folder(tmp_path)
    assert caught.value.found == f"{tmp_path} has neither tokenizer.json nor vocab.txt"


@pytest.fixture(scope="module", autouse=True)
def _tokenizers(tmp_path_factory: pytest.TempPathFactory) -> None:
    for lowercase, words in ((False, CASED), (True, UNCASED)):
        folder = folder_with(tmp_path_factory.mktemp("tokenizer"), words)
        TOKENIZERS[lowercase] = Tokenizer.from_folder(folder)


TOKENIZERS: dict[bool, Tokenizer] = {}
"""By whether they lower-case; filled once, since hypothesis wants no fixture that is made per test."""
