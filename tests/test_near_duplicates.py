"""Shingles by hand, and buckets against the comparison of all pairs."""

from __future__ import annotations

import random

import pytest

from spanbert import near_duplicates as near_duplicates_module
from spanbert.near_duplicates import LEAST, near_duplicates, repeats, shingles, similarity


def test_shingles_are_sequences_of_three_words():
    assert len(shingles("a b c d e")) == 3
    assert len(shingles("a b c a b c")) == 3  # abc, bca, cab; abc again
    assert len(shingles("a b")) == 0
    assert (shingles("A, b. C!") == shingles("a b c")).all()
    assert shingles("a b c") != shingles("c b a")


def test_similarity_by_hand():
    """abc bcd cde against abc bcd: two of three."""
    assert similarity(shingles("a b c d e"), shingles("a b c d")) == 2 / 3
    assert similarity(shingles("a b c"), shingles("")) == 0
    assert similarity(shingles(""), shingles("")) == 0


def test_short_and_empty_texts_are_left_out():
    assert near_duplicates(["", "a b", "a b c"], ["", "a b", "a b c"]) == [2]
    assert near_duplicates([], ["a b c"]) == near_duplicates(["a b c"], []) == []


def test_buckets_find_what_comparing_all_pairs_finds():
    """Copies of 40 texts with some words exchanged, from none to all of them."""
    draw = random.Random(0)
    words = [f"w{n}" for n in range(500)]
    others = [" ".join(draw.choices(words, k=100)) for _ in range(40)]
    texts = []
    for number, text in enumerate(others * 5):
        copy = text.split()
        for place in draw.sample(range(100), number % 12):
            copy[place] = draw.choice(words)
        texts.append(" ".join(copy))
    known = [shingles(text) for text in others]
    expected = [n for n, t in enumerate(texts) if max(similarity(shingles(t), other) for other in known) >= LEAST]
    assert 40 < len(expected) < 160
    assert near_duplicates(texts, others) == expected


def test_repeats_name_the_first_text_they_resemble():
    """Of 11 shingles, the second shares 9 with the first (9/13), and 10 with the third (10/12)."""
    text = "a b c d e f g h i j k l m"
    assert repeats([text, "a b", text.upper(), "x y z", "a b", text + " n"]) == {2: 0, 5: 0}
    first, second, third = (" ".join("abcdefghijklmnop"[n : n + 13]) for n in (0, 2, 1))
    assert repeats([first, second, third]) == {2: 0}
    assert repeats([second, first, third]) == {2: 0}
    assert repeats([second, third, first]) == {1: 0, 2: 1}
    assert repeats([]) == {}


def test_texts_of_one_form_are_not_all_compared_with_all(monkeypatch: pytest.MonkeyPatch):
    """Three quarters of their shingles are the form's: they share buckets, and are no repeats of each other."""
    form, compared = " ".join(f"w{n}" for n in range(60)), []
    texts = [f"{form} {' '.join(f'x{n}.{k}' for k in range(10))}" for n in range(300)]
    counted = near_duplicates_module.similarity
    monkeypatch.setattr(
        near_duplicates_module, "similarity", lambda one, other: compared.append(1) or counted(one, other)
    )
    assert repeats([*texts, texts[250] + " end"]) == {300: 250}
    assert len(compared) < 300 * 300 / 2


def test_where_no_space_parts_words_each_character_is_one():
    first, other = "今日は天気がとても良いので公園へ行きます", "この文章は全く違うことを述べているだけです"
    assert repeats([first, other, first + "よ"]) == {2: 0}
    assert repeats(["วันนี้อากาศดีมากเราไปสวนสาธารณะกัน", "วันนี้อากาศดีมากเราไปสวนสาธารณะกันนะ"]) == {1: 0}


def test_a_text_longer_than_a_block_is_compared_whole():
    words = [f"w{n}" for n in range(20_000)]
    assert near_duplicates([" ".join(words)], [" ".join(words[:-100])]) == [0]
    assert near_duplicates([" ".join(words)], [" ".join(words[:10_000])]) == []
