"""What a tokenizer file may ask for, and what is refused before the library sees it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from spanbert import tokenizer_file
from spanbert.errors import DataError
from spanbert.tokenization import SPECIAL, Tokenizer
from spanbert.tokenizer_file import check, read_tokenizer

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PIECES = [*SPECIAL.values(), "a", "b"]


def record(**parts: Any) -> dict[str, Any]:
    model = {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {piece: k for k, piece in enumerate(PIECES)}}
    return {"model": {**model, **parts.pop("model", {})}, **parts}


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def rules(*each: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "normalizers": list(each)}


def table(*replacements: str, size: int = 8) -> dict[str, Any]:
    content = size.to_bytes(4, "little") + b"\0" * 8 + b"".join(text.encode() + b"\0" for text in replacements)
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}


@pytest.mark.parametrize(
    "pattern",
    [r"\s", r"\s+", " {2,}", " {2}", "-", "[0-9]+", r"[^\s\p{L}]+", r"\p{Han}", r"\p{N}{1,3}", r"\s{2,}|[\n\r\t]"]
    + [GPT2, LLAMA3],
)
def test_regular_expressions_that_end_soon(pattern: str):
    check(record(pre_tokenizer=split(pattern)))
    check(record(normalizer=replace({"Regex": pattern}, " ")))


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b",
        r"(\w+\s?)+\d",
        "a+b",
        ".+x",
        "a*",
        "a?",
        "a{0,}",
        " {0,3}",
        "(?=.)",
        "",
        "^",
        r"(a)\1",
        "a{2,1}",
        "a{1,0}",
    ]
    + ["[a&&[b]]", GPT2 + "|(a+)+b", " {1000,}", "a++b", "a|", "|".join("abcdefghi"), "(?i)" + "ffist" * 20_000],
)
def test_regular_expressions_that_may_not(pattern: str):
    with pytest.raises(DataError, match="regular expression|a pattern of"):
        check(record(pre_tokenizer=split(pattern)))
    with pytest.raises(DataError, match="regular expression|a pattern of"):
        check(record(normalizer=rules(rules(replace({"Regex": pattern}, " ")))))


def test_growth_is_counted_over_all_rules():
    wide, wider = (replace({"String": "ab"}, "c" * number) for number in (60, 80))
    check(record(normalizer=rules(wide, wide)))
    with pytest.raises(DataError, match="1,200 characters of one"):
        check(record(normalizer=rules(wide, wider)))
    shrinks = replace({"String": "abcd"}, "")  # makes up for nothing: it may not occur
    with pytest.raises(DataError, match="1,200 characters of one"):
        check(record(normalizer=rules(shrinks, wide, wider)))
    with pytest.raises(DataError, match="1,001 characters of one"):
        check(record(normalizer={"type": "Prepend", "prepend": "a" * 1_000}))
    with pytest.raises(DataError, match="1,008 characters of one"):  # 18 x 14 x 4
        check(
            record(
                normalizer=rules({"type": "NFKC"}, table("\N{GREEK SMALL LETTER ALPHA}" * 14), {"type": "ByteLevel"})
            )
        )


@pytest.mark.parametrize("kind", ["ByteLevel", "NFKC", "Lowercase", "BertNormalizer", "Precompiled", "Metaspace"])
def test_what_may_grow_stands_once(kind: str):
    with pytest.raises(DataError, match=f"{kind} more than once"):
        check(record(normalizer=rules(*[{"type": kind}, replace({"String": "a"}, "b")] * 2)))


def test_chains_of_known_checkpoints_pass():
    quotes = [replace({"String": "``"}, '"'), replace({"String": "''"}, '"')]
    albert = rules(*quotes, {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, table("x" * 18))
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    words = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}
    check(record(normalizer=albert, pre_tokenizer=words))
    check(record(normalizer=rules(table("x" * 18), replace({"Regex": " {2,}"}, " ")), pre_tokenizer=words))
    check(record(normalizer={"type": "BertNormalizer"}, pre_tokenizer={"type": "BertPreTokenizer"}))
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    check(record(pre_tokenizer=byte_level, post_processor={"type": "RobertaProcessing"}))
    check(record(pre_tokenizer={"type": "Sequence", "pretokenizers": [split(LLAMA3), byte_level]}))


def test_growth_of_a_table_of_characters():
    assert tokenizer_file._growth(table("a", "\N{GREEK SMALL LETTER ALPHA}" * 18, "")) == 18
    for wrong in (
        table(size=0),
        table(size=2**31),
        table(size=7),
        {"type": "Precompiled", "precompiled_charsmap": "?"},
    ):
        with pytest.raises(DataError, match="a table of characters"):
            check(record(normalizer=wrong))


def test_sizes():
    dash = split("-")
    check(record(pre_tokenizer={"type": "Sequence", "pretokenizers": [dash] * 64}))
    with pytest.raises(DataError, match="65 rules"):
        check(record(pre_tokenizer={"type": "Sequence", "pretokenizers": [dash] * 65}))
    nested: dict[str, Any] = dash
    for _ in range(100):
        nested = {"type": "Sequence", "pretokenizers": [nested]}
    check(record(pre_tokenizer=nested))
    check(record(model={"max_input_chars_per_word": 1_000}))
    for model, words in (
        ({"max_input_chars_per_word": 1_001}, "words of 1,001 characters"),
        ({"continuing_subword_prefix": "#" * 17}, "continuing_subword_prefix of 17"),
        ({"end_of_word_suffix": "#" * 17}, "end_of_word_suffix of 17"),
        ({"dropout": 0.1}, "pieces dropped at random"),
        ({"vocab": [["a", 0.0], ["b" * 257, 0.0]]}, "a piece of 257"),
        ({"vocab": [[f"{k:0256}", 0.0] for k in range(62_501)]}, "pieces of 16,000,256"),
    ):
        with pytest.raises(DataError, match=words):
            check(record(model=model))
    with pytest.raises(DataError, match="an added token of 1,001"):
        check(record(added_tokens=[{"content": "a" * 1_001}]))
    with pytest.raises(DataError, match="a replacement of nothing"):
        check(record(normalizer=replace({"String": ""}, "x")))
    with pytest.raises(DataError, match="pieces of no length"):
        check(record(pre_tokenizer={"type": "FixedLength", "length": 0}))


def template(single: str, pair: str, **special: list[int]) -> dict[str, Any]:
    def item(name: str) -> dict[str, Any]:
        return {"Sequence" if name in "AB" else "SpecialToken": {"id": name, "type_id": 0}}

    tokens = {name: {"id": name, "ids": ids, "tokens": [name] * len(ids)} for name, ids in special.items()}
    return {
        "type": "TemplateProcessing",
        "single": list(map(item, single)),
        "pair": list(map(item, pair)),
        "special_tokens": tokens,
    }


def test_templates():
    good = template("CAS", "CASBS", C=[2], S=[3])
    check(record(post_processor=good))
    check(record(post_processor={"type": "Sequence", "processors": [{"type": "ByteLevel"}, good]}))
    for wrong, words in (
        (template("CAAS", "CASBS", C=[2], S=[3]), "a template of 4 parts with the texts A, A"),
        (template("CS", "CASBS", C=[2], S=[3]), "a template of 2 parts"),
        (template("CAS", "CASAS", C=[2], S=[3]), "a template of 5 parts with the texts A, A"),
        (template("CAS", "CASBSSSSS", C=[2], S=[3]), "a template of 9 parts"),
        (template("CAS", "CASBS", C=[2] * 9, S=[3]), "a special piece of several ids"),
        ({"type": "Sequence", "processors": [good, good]}, "several templates"),
        ({"type": "Sequence", "processors": [{"type": "Sequence", "processors": [good]}]}, "inside each other"),
    ):
        with pytest.raises(DataError, match=words):
            check(record(post_processor=wrong))


def test_the_error_names_the_file(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(record(pre_tokenizer=split("(a+)+b"))))
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "tokenizer.json"))):
        Tokenizer.from_folder(tmp_path)


def saved(tmp_path: Path, backend: Backend) -> Path:
    backend.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_what_the_library_writes_is_read(tmp_path: Path):
    backend = Backend(models.WordPiece({piece: k for k, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "), normalizers.NFC()])
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.add_special_tokens([AddedToken("[MASK]", special=True)])
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    again = read_tokenizer(saved(tmp_path, backend) / "tokenizer.json")
    assert again.to_str() == backend.to_str()


def test_a_key_that_stands_twice_is_what_was_checked(tmp_path: Path):
    backend = Backend(models.WordPiece({piece: k for k, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    (tmp_path / "tokenizer.json").write_text(
        backend.to_str()[:-1] + ', "pre_tokenizer": ' + json.dumps(split("-")) + "}"
    )
    assert isinstance(read_tokenizer(tmp_path / "tokenizer.json").pre_tokenizer, pre_tokenizers.Split)


def test_a_tokenizer_that_fails_on_a_text_is_an_error_and_no_trace(tmp_path: Path):
    backend = Backend(models.WordPiece({piece: k for k, piece in enumerate(PIECES)}, unk_token="[NOPE]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer = Tokenizer.from_folder(saved(tmp_path, backend))
    assert len(tokenizer.pieces(["a b"])[0]) == 2
    for use in (tokenizer.encode, tokenizer.ids_and_words, lambda text: tokenizer.pieces([text])):
        with pytest.raises(DataError, match="fails on a text"):
            use("strange")


def test_no_text_reads_as_a_special_piece(tmp_path: Path):
    """SentencePiece vocabularies list them as words, and white space alone parts text."""
    scores = [(piece, 0.0) for piece in SPECIAL.values()] + [("\u2581", -1.0), ("a", -2.0), ("\u2581a", -1.5)]
    backend = Backend(models.Unigram(scores, unk_id=1))
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer = Tokenizer.from_folder(saved(tmp_path, backend))
    ids = tokenizer.pieces(["a [MASK] [SEP] [CLS] [PAD]"])[0].ids.tolist()
    assert set(ids) <= {1, 5, 6, 7} and ids.count(1) == 4
    assert tokenizer.ids_and_words("a [MASK]")[0].tolist()[-1] == 1


def test_what_transformers_writes_for_deberta_is_read(tmp_path: Path):
    """Its checkpoints have a SentencePiece model alone, so this is the file that their users have."""
    from transformers import DebertaV2Tokenizer

    scores = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0), ("\u2581a", -1.0), ("\u2581", -2.0)]
    DebertaV2Tokenizer(vocab=[*scores, ("[MASK]", 0.0)], unk_id=3).save_pretrained(tmp_path)
    assert len(Tokenizer.from_folder(tmp_path).pieces(["a  a\na"])[0]) == 3
