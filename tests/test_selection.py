"""Gains by hand, and the lazy choice against choosing one by one among all."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
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
from spanbert.selection import OPENING, Appraised, appraised, select, varied


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> SpanModel:
    return SpanModel.create(tiny_encoder, task="span-classification", labels=["ORG", "PERSON"])


def candidates(*rows: tuple[str, float]) -> list[Appraised]:
    return [Appraised(Document(str(number), text), gain) for number, (text, gain) in enumerate(rows)]


def test_the_greatest_gain_first_and_copies_last():
    listed = candidates(("a b c d", 0.2), ("x y", 0.3), ("A b  c d", 0.29), ("x  Y", 0.28), ("e f g h", 0.1))
    assert varied(listed, 9) == [1, 2, 4, 0, 3]  # 0 copies 2, 3 copies 1: nothing is left of their gain
    assert varied(listed, 2) == [1, 2]
    assert varied([], 3) == []


def test_likeness_takes_its_share():
    """abc bcd cde, and abc bcd: 2 of 3 are shared, so a third of 0.9 is left."""
    listed = candidates(("a b c d e", 1.0), ("a b c d", 0.9), ("v w x y z", 0.31), ("p q r s t", 0.29))
    assert varied(listed, 4) == [0, 2, 1, 3]


def test_equal_gains_keep_their_order():
    assert varied(candidates(("a", 0.5), ("b", 0.5), ("c", 0.5)), 3) == [0, 1, 2]


ROWS = st.lists(st.tuples(st.lists(st.sampled_from("abc"), max_size=8), st.integers(0, 4)), max_size=9)


@given(ROWS, st.integers(1, 9))
def test_the_lazy_choice_is_the_full_one(rows: list[tuple[list[str], int]], budget: int):
    listed = candidates(*((" ".join(words), gain / 4) for words, gain in rows))
    texts = [" ".join(words) for words, _ in rows]

    def left(number: int, chosen: list[int]) -> float:
        likeness = [
            1.0 if texts[number] == texts[other] else similarity(shingles(texts[number]), shingles(texts[other]))
            for other in chosen
        ]
        return listed[number].gain * (1.0 - max(likeness, default=0.0))

    expected: list[int] = []
    while len(expected) < min(budget, len(listed)):
        rest = [number for number in range(len(listed)) if number not in expected]
        expected.append(max(rest, key=lambda number: (left(number, expected), -number)))
    assert varied(listed, budget) == expected


def test_gain_is_the_expected_squared_error_by_work(model: SpanModel):
    """Of everything decoded; counted again from what is predicted at threshold 0."""
    texts = ["the house of Anna was big", "met with Dora " * 60, ""]
    (name,) = model.bundle.tasks
    found = list(appraised(model, [Document(str(n), text) for n, text in enumerate(texts)]))
    for text, each in zip(texts, found, strict=True):
        p = [span.score for span in model.predict(text, threshold=0.0).spans]
        assert each.gain == pytest.approx(sum(q * (1 - q) for q in p) / (OPENING + len(text.split())))
    assert found[0].gain > 0 and found[2].gain == 0


def test_gain_is_of_calibrated_probabilities(model: SpanModel, monkeypatch: pytest.MonkeyPatch):
    """With a slope of 0 every probability is a half, and each span counts a quarter."""
    (name,) = model.bundle.tasks
    monkeypatch.setitem(model.bundle.calibrations, name, Calibration(slope=0.0))
    (found,) = appraised(model, [Document("d", "the house of Anna was big")])
    spans = len(model.predict("the house of Anna was big", threshold=0.0).spans)
    assert spans > 0 and math.isclose(found.gain, spans / 4 / (OPENING + 6))


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
