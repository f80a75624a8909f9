"""Counting spans and the rates of counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Document, Span
from spanbert.errors import DataError
from spanbert.metrics.spans import count_documents, count_items, f1, macro, precision, recall, weighted

TEXT = "some text of a document"


def document(name: str, *spans: Span, annotated: frozenset[str] | None = None) -> Document:
    return Document(name, TEXT, spans, annotated=annotated)


def test_counts_by_hand():
    """Document a: gold X[0,4) Y[5,9); predicted X[0,4) twice, X[5,9). Document b: gold X[0,4), nothing predicted.

    X: correct 1, predicted 2 in a, gold 1 in each. Y: gold 1 in a. Boundaries: both places of a are right.
    """
    gold = [document("a", Span(0, 4, "X"), Span(5, 9, "Y")), document("b", Span(0, 4, "X"))]
    predicted = [document("a", Span(0, 4, "X", 0.9), Span(0, 4, "X", 0.8), Span(5, 9, "X")), document("b")]
    counts = count_documents(gold, predicted)
    assert counts.labels == ("X", "Y")
    assert counts.by_label.tolist() == [[[1, 2, 1], [0, 0, 1]], [[0, 0, 1], [0, 0, 0]]]
    assert counts.boundaries.tolist() == [[2, 2, 2], [0, 0, 1]]


def test_labels_that_were_not_annotated_are_not_scored():
    """Only X was looked for, so the predicted Y may be right; the gold Y that is there by chance is left out too."""
    gold = [document("a", Span(0, 4, "X"), Span(5, 9, "Y"), annotated=frozenset({"X"}))]
    counts = count_documents(gold, [document("a", Span(5, 9, "Y"), Span(10, 12, "X"))])
    assert counts.labels == ("X",)
    assert counts.by_label.tolist() == [[[0, 1, 1]]]
    assert counts.boundaries.tolist() == [[0, 1, 1]]


def test_a_discontinuous_span_is_not_its_hull():
    gold = [document("a", Span(0, 9, "X", parts=((0, 2), (5, 9))))]
    assert count_documents(gold, [document("a", Span(0, 9, "X"))]).by_label.tolist() == [[[0, 1, 1]]]


def test_documents_must_match():
    with pytest.raises(DataError, match="'a' in gold and 'b'"):
        count_documents([document("a")], [document("b")])
    with pytest.raises(DataError, match="0 predicted documents for 1"):
        count_documents([document("a")], [])


def test_rates_by_hand():
    """Counts (correct 1, predicted 2, gold 4): P 1/2, R 1/4, F1 2/6; none of anything: 0."""
    counts = np.array([[1, 2, 4], [0, 0, 0], [0, 3, 0]])
    assert precision(counts).tolist() == [0.5, 0, 0]
    assert recall(counts).tolist() == [0.25, 0, 0]
    assert f1(counts).tolist() == [pytest.approx(1 / 3), 0, 0]


def test_means_by_hand():
    """F1 1/3 (4 in gold), absent, 0 (none in gold), 1 (2 in gold).

    Macro over the three that occur: 4/9. Weighted: (4 x 1/3 + 2 x 1) / 6 = 5/9.
    """
    counts = np.array([[1, 2, 4], [0, 0, 0], [0, 3, 0], [2, 2, 2]])
    assert macro(counts) == pytest.approx(4 / 9)
    assert weighted(counts) == pytest.approx(5 / 9)
    assert macro(counts, recall) == pytest.approx((0.25 + 0 + 1) / 3)
    assert macro(np.zeros((0, 3))) == 0
    assert weighted(np.zeros((2, 3))) == 0


items = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("XY")), max_size=8)


@given(st.lists(st.tuples(items, items), max_size=4))
def test_counts_add_up(pairs: list[tuple[list[tuple[int, str]], list[tuple[int, str]]]]):
    gold, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    counts = count_items(gold, predicted)
    assert counts.by_label.sum(axis=(0, 1)).tolist() == [
        sum(len(set(a) & set(b)) for a, b in pairs),
        sum(len(set(b)) for b in predicted),
        sum(len(set(a)) for a in gold),
    ]
    swapped = count_items(predicted, gold)
    assert (swapped.by_label == counts.by_label[..., [0, 2, 1]]).all()
    assert (counts.boundaries[:, 0] >= counts.by_label[..., 0].max(axis=1, initial=0)).all()
    assert (counts.boundaries <= counts.by_label.sum(axis=1)).all() or counts.boundaries[:, 0].any()
