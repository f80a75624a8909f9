"""Gains by hand, and the lazy choice against choosing one by one among all."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert import SpanModel
from spanbert.calibration.curve import Calibration
from spanbert.documents import Document
from spanbert.errors import UsageError
from spanbert.near_duplicates import shingles, similarity
from spanbert.selection import KNOWN, OPENING, Appraised, appraised, select, varied


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> SpanModel:
    return SpanModel.create(tiny_encoder, task="span-classification", labels=["ORG", "PERSON"])


def candidates(*rows: tuple[str, float]) -> list[Appraised]:
    """Of these gains, each of doubts about another thing: d / (4 d + 1) = gain, so gains are below a quarter."""
    return [
        Appraised(Document(str(number), text), {("L", str(number)): gain / (1 - 4 * gain)}, 1)
        for number, (text, gain) in enumerate(rows)
    ]


def test_the_greatest_gain_first_and_copies_last():
    listed = candidates(("a b c d", 0.1), ("x y", 0.2), ("A b  c d", 0.19), ("x  Y", 0.18), ("e f g h", 0.05))
    assert varied(listed, 9) == [1, 2, 4, 0, 3]  # 0 copies 2, 3 copies 1: nothing is left of their gain
    assert varied(listed, 2) == [1, 2]
    assert varied([], 3) == []


def test_likeness_takes_its_share():
    """abc bcd cde, and abc bcd: 2 of 3 are shared, so a third of 0.18 is left."""
    listed = candidates(("a b c d e", 0.2), ("a b c d", 0.18), ("v w x y z", 0.062), ("p q r s t", 0.058))
    assert varied(listed, 4) == [0, 2, 1, 3]


def test_equal_gains_keep_their_order():
    assert varied(candidates(("a", 0.1), ("b", 0.1), ("c", 0.1)), 3) == [0, 1, 2]


def test_what_is_asked_already_adds_less():
    """Doubts of a quarter count 1/8 each, two about one thing 1/6 together: the second adds 1/24, less than 1/16."""
    doubtful, other = {("P", "anna"): 0.25}, {("P", "bert"): 1 / 12}
    listed = [
        Appraised(Document(text, text), doubts, 1) for text, doubts in (("a", doubtful), ("b", doubtful), ("c", other))
    ]
    assert [each.gain for each in listed] == pytest.approx([1 / 8, 1 / 8, 1 / 16])
    assert listed[1].added(doubtful) == pytest.approx(1 / 24)
    assert varied(listed, 3) == [0, 2, 1]
    assert listed[1].added({("O", "anna"): 9.0}) == listed[1].gain  # another label is another question


DOUBTS = st.dictionaries(st.sampled_from([("L", "x"), ("L", "y"), ("M", "x")]), st.integers(0, 4), max_size=3)
ROWS = st.lists(st.tuples(st.lists(st.sampled_from("abc"), max_size=8), DOUBTS), max_size=9)


@given(ROWS, st.integers(1, 9))
def test_the_lazy_choice_is_the_full_one(rows: list[tuple[list[str], dict[tuple[str, str], int]]], budget: int):
    texts = [" ".join(words) for words, _ in rows]
    listed = [
        Appraised(Document(str(number), text), {key: doubt / 4 for key, doubt in doubts.items()}, 1)
        for number, (text, (_, doubts)) in enumerate(zip(texts, rows, strict=True))
    ]

    def left(number: int, chosen: list[int]) -> float:
        likeness = [
            1.0 if texts[number] == texts[other] else similarity(shingles(texts[number]), shingles(texts[other]))
            for other in chosen
        ]
        asked: dict[tuple[str, str], float] = {}
        for other in chosen:
            for key, doubt in listed[other].doubts.items():
                asked[key] = asked.get(key, 0.0) + doubt
        return listed[number].added(asked) * (1.0 - max(likeness, default=0.0))

    expected: list[int] = []
    while len(expected) < min(budget, len(listed)):
        rest = [number for number in range(len(listed)) if number not in expected]
        expected.append(max(rest, key=lambda number: (left(number, expected), -number)))
    assert varied(listed, budget) == expected


def test_gain_is_the_expected_squared_error_by_work(model: SpanModel):
    """Of everything decoded, what is said of one label and text together; counted again from the predictions."""
    texts = ["the house of Anna was big", "met with Dora " * 60, ""]
    found = list(appraised(model, [Document(str(n), text) for n, text in enumerate(texts)]))
    for text, each in zip(texts, found, strict=True):
        doubts: dict[tuple[str, str], float] = {}
        for span in model.predict(text, threshold=0.0).spans:
            key = span.label, text[span.start : span.end].lower()
            doubts[key] = doubts.get(key, 0.0) + span.score * (1 - span.score)
        assert each.doubts == pytest.approx(doubts) and each.work == OPENING + len(text.split())
        assert each.gain == pytest.approx(sum(d * KNOWN / (d + KNOWN) for d in doubts.values()) / each.work)
    assert found[0].gain > 0 and found[2].gain == 0


def test_doubts_are_of_calibrated_probabilities(model: SpanModel, monkeypatch: pytest.MonkeyPatch):
    """With a slope of 0 every probability is a half, and each span counts a quarter."""
    (name,) = model.bundle.tasks
    level = replace(model.bundle.decisions[name], calibration=Calibration(slope=0.0))
    monkeypatch.setitem(model.bundle.decisions, name, level)
    (found,) = appraised(model, [Document("d", "the house of Anna was big")])
    spans = len(model.predict("the house of Anna was big", threshold=0.0).spans)
    assert spans > 0 and math.isclose(sum(found.doubts.values()), spans / 4)


def test_length_alone_neither_wins_nor_loses():
    """Equally doubtful throughout: from a few hundred words on, length makes little difference."""
    words = np.array([10, 500, 1000])
    gain = words * 0.02 / (OPENING + words)
    assert gain[2] / gain[1] < 1.06 and gain[0] < gain[1] / 4


def test_what_is_chosen_says_its_rank_and_gain(model: SpanModel, toy_documents: Callable[[int, int], list[Document]]):
    texts = [Document(d.id, d.text, meta={"source": "toy"}) for d in toy_documents(30, 7)]
    random.Random(0).shuffle(texts)
    chosen = select(model, iter(texts), 10)
    assert [document.meta["rank"] for document in chosen] == list(range(1, 11))
    gains = [document.meta["gain"] for document in chosen]
    assert all(0 < gain < 1 for gain in gains) and gains[0] == max(gains)
    assert all(d.meta["source"] == "toy" and d.annotated == frozenset() and d.coverage is None for d in chosen)
    assert [d.spans for d in chosen] == [model.predict(d.text).spans for d in chosen]
    assert len({d.id for d in chosen}) == 10
    with pytest.raises(UsageError, match="a budget of 0"):
        select(model, texts, 0)
