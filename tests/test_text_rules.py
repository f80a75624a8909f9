"""Rules for text that a tokenizer file may bring along."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from tokenizers import Regex, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as Backend

from spanbert import text_rules
from spanbert.errors import DataError
from spanbert.text_rules import check_rules
from spanbert.tokenization import SPECIAL, Tokenizer

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def backend(normalizer: object = None, pre_tokenizer: object = None, longest_word: int = 100) -> Backend:
    words = {word: number for number, word in enumerate([*SPECIAL.values(), "a", "b"])}
    made = Backend(models.WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=longest_word))
    if normalizer is not None:
        made.normalizer = normalizer
    if pre_tokenizer is not None:
        made.pre_tokenizer = pre_tokenizer
    return made


def split(pattern: str) -> object:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


@pytest.mark.parametrize(
    "pattern",
    [r"\s", r"\s+", " {2,}", " {2}", "-", "[0-9]+", r"[^\s\p{L}]+", r"\p{Han}", r"\p{N}{1,3}", GPT2, LLAMA3],
)
def test_regular_expressions_that_end_soon(pattern: str):
    check_rules(backend(pre_tokenizer=split(pattern)))
    check_rules(backend(normalizer=normalizers.Replace(Regex(pattern), " ")))


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", r"(\w+\s?)+\d", "a+b", ".+x", "a*", "a?", "a{0,}", " {0,3}", "(?=.)", "", "^", "a|b", r"(a)\1"]
    + ["[a&&[b]]", GPT2 + "|(a+)+b", " {1000,}", "a++b"],
)
def test_regular_expressions_that_may_not(pattern: str):
    with pytest.raises(DataError, match="regular expression"):
        check_rules(backend(pre_tokenizer=split(pattern)))
    nested = normalizers.Sequence([normalizers.Sequence([normalizers.Replace(Regex(pattern), " ")])])
    with pytest.raises(DataError, match="regular expression"):
        check_rules(backend(normalizer=nested))


def test_growth_is_counted_over_all_rules():
    eight, nine = (normalizers.Replace("ab", "c" * number) for number in (16, 18))
    check_rules(backend(normalizer=normalizers.Sequence([eight, eight])))
    with pytest.raises(DataError, match="72 characters of one"):
        check_rules(backend(normalizer=normalizers.Sequence([eight, nine])))
    shrinks = normalizers.Replace("abcd", "")  # makes up for nothing: it may not occur
    with pytest.raises(DataError, match="72 characters of one"):
        check_rules(backend(normalizer=normalizers.Sequence([shrinks, eight, nine])))
    with pytest.raises(DataError, match="101 characters of one"):
        check_rules(backend(normalizer=normalizers.Prepend("a" * 100)))


def test_growth_of_a_table_of_characters():
    replacements = ["a", "\N{GREEK SMALL LETTER ALPHA}" * 18, ""]
    table = (8).to_bytes(4, "little") + b"\0" * 8 + b"".join(text.encode() + b"\0" for text in replacements)
    rule = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}
    assert text_rules._growth(rule) == 18


def test_so_many_rules_and_such_words():
    check_rules(backend(pre_tokenizer=pre_tokenizers.Sequence([split("-")] * 63)))
    with pytest.raises(DataError, match="65 rules"):
        check_rules(backend(pre_tokenizer=pre_tokenizers.Sequence([split("-")] * 64)))
    check_rules(backend(longest_word=1_000))
    with pytest.raises(DataError, match="words of 1,001 characters"):
        check_rules(backend(longest_word=1_001))


def test_the_error_names_the_file(tmp_path: Path):
    backend(pre_tokenizer=split("(a+)+b")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "tokenizer.json"))):
        Tokenizer.from_folder(tmp_path)
