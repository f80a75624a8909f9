"""The four schemes of spans that nearly match."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Span
from spanbert.errors import DataError, UsageError
from spanbert.metrics.bootstrap import interval
from spanbert.metrics.partial_matches import OUTCOMES, SCHEMES, count_matches, worth
from spanbert.metrics.spans import f1, precision, recall


def found(gold: list[Span], predicted: list[Span], min_overlap: float = 1.0) -> dict[str, dict[str, int]]:
    """Outcomes of one document that occur, by scheme."""
    [counts] = count_matches([gold], [predicted], min_overlap=min_overlap).overall.tolist()
    return {
        scheme: {name: times for name, times in zip(OUTCOMES, row, strict=True) if times}
        for scheme, row in zip(SCHEMES, counts, strict=True)
    }


def test_each_scheme_judges_a_pair_its_own_way():
    gold = [Span(0, 4, "A")]
    right, wrong, half = {"correct": 1}, {"incorrect": 1}, {"partial": 1}
    names = tuple(SCHEMES)
    cases = {
        Span(0, 4, "A"): (right, right, right, right),
        Span(0, 4, "B"): (wrong, right, right, wrong),
        Span(1, 4, "A"): (wrong, wrong, half, right),
        Span(0, 5, "B"): (wrong, wrong, half, wrong),
    }
    for span, expected in cases.items():
        assert found(gold, [span]) == dict(zip(names, expected, strict=True)), span
    assert found(gold, [Span(4, 5, "A")]) == dict.fromkeys(names, {"missed": 1, "spurious": 1})


def test_rates_by_hand():
    """Gold 4: one found exactly, one in part, one with a wrong label, one missed; predicted 4, one spurious.

    strict: 1 of 4 and 4, F1 1/4. exact: 2. partial: 2 + 1/2 = 2.5, F1 2.5/4. type: 2.
    """
    gold = [Span(0, 2, "A"), Span(10, 14, "A"), Span(20, 22, "B"), Span(30, 32, "B")]
    predicted = [Span(0, 2, "A"), Span(10, 13, "A"), Span(20, 22, "A"), Span(40, 41, "A")]
    counts = worth(count_matches([gold], [predicted]).overall.sum(axis=0))
    assert counts.tolist() == [[1, 4, 4], [2, 4, 4], [2.5, 4, 4], [2, 4, 4]]
    assert precision(counts).tolist() == recall(counts).tolist() == f1(counts).tolist() == [0.25, 0.5, 0.625, 0.5]


def test_a_fragment_takes_the_gold_span_of_what_comes_after_it():
    """In this order nothing is correct in strict, in the other one pair is; either way one of two is spurious."""
    gold, whole, part = [Span(0, 4, "A")], Span(0, 4, "A"), Span(0, 2, "A")
    assert found(gold, [part, whole])["strict"] == {"incorrect": 1, "spurious": 1}
    assert found(gold, [whole, part])["strict"] == {"correct": 1, "spurious": 1}


def test_a_correct_pair_goes_before_an_earlier_gold_span():
    """[0, 4) overlaps both, and takes the second: by its boundaries, or in `type` by its label."""
    one = found([Span(0, 2, "A"), Span(0, 4, "A")], [Span(0, 4, "A")])
    assert one == dict.fromkeys(SCHEMES, {"correct": 1, "missed": 1})
    assert found([Span(0, 3, "B"), Span(1, 5, "A")], [Span(0, 4, "A")])["type"] == {"correct": 1, "missed": 1}


def test_type_takes_the_nearest_of_its_label():
    """[2, 4) is at 0 + 2 from gold [2, 6) and at 0 + 1 from [2, 3), so the first is left for [3, 6) of another label.

    At the same distance the first is taken: [2, 4) is at 1 from both [2, 5) and [2, 3), so [4, 5) finds nothing.
    """
    left = found([Span(2, 6, "A"), Span(2, 3, "A")], [Span(2, 4, "A"), Span(3, 6, "B")])
    assert left["type"] == {"correct": 1, "incorrect": 1}
    taken = found([Span(2, 5, "A"), Span(2, 3, "A")], [Span(2, 4, "A"), Span(4, 5, "B")])
    assert taken["type"] == {"correct": 1, "missed": 1, "spurious": 1}


def test_without_a_correct_pair_the_first_gold_span_is_taken():
    """[1, 5) is nearer to the second, takes the first [2, 3), and leaves the second [2, 6) to [3, 5)."""
    assert found([Span(2, 3, "B"), Span(2, 6, "B")], [Span(1, 5, "A"), Span(3, 5, "A")])["type"] == {"incorrect": 2}


def test_smallest_overlap():
    """2 of 4 characters of the gold span are 50 percent, however long the prediction is."""
    gold, predicted = [Span(0, 4, "A")], [Span(2, 20, "A")]
    assert found(gold, predicted, 50)["partial"] == {"partial": 1}
    assert found(gold, predicted, 50.1)["partial"] == {"missed": 1, "spurious": 1}


def test_labels_are_counted_among_themselves():
    """A wrong label is incorrect overall, but spurious for B and missed for A; C is not scored."""
    gold, predicted = [Span(0, 2, "A"), Span(5, 6, "C")], [Span(0, 2, "B"), Span(5, 6, "C")]
    counts = count_matches([gold], [predicted], labels=["B", "A", "D"])
    assert counts.labels == ("A", "B")
    assert counts.overall[0, 0].tolist() == [0, 1, 0, 0, 0]
    assert counts.by_label[0, :, 0].tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]


def test_documents_are_counted_apart():
    counts = count_matches([[Span(0, 1)], []], [[], [Span(0, 1)]])
    assert counts.overall[:, 0].tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    assert interval(worth(counts.overall)[:, 0]) == (0, pytest.approx(1 - 0.025 ** (1 / 2)))  # in none of two documents
    assert count_matches([], []).overall.shape == (0, 4, 5)


def test_refusals():
    with pytest.raises(DataError, match="2 documents for 1"):
        count_matches([[]], [[], []])
    for percent in (0.5, 100.5, float("nan")):
        with pytest.raises(UsageError, match="min_overlap"):
            count_matches([[]], [[]], min_overlap=percent)


spans = st.builds(
    lambda start, length, label: Span(start, start + length, label),
    st.integers(0, 8),
    st.integers(1, 5),
    st.sampled_from("AB"),
)


@given(st.lists(spans, max_size=6), st.lists(spans, max_size=6), st.sampled_from([1, 50, 100]))
def test_every_span_has_one_outcome(gold: list[Span], predicted: list[Span], percent: float):
    counts = count_matches([gold], [predicted], min_overlap=percent)
    assert worth(counts.overall)[0, :, 1:].tolist() == [[len(predicted), len(gold)]] * 4
    assert worth(counts.by_label).sum(axis=(0, 1))[:, 1:].tolist() == [[len(predicted), len(gold)]] * 4


@given(st.lists(spans, min_size=1, max_size=8), st.randoms())
def test_gold_against_itself_is_perfect_in_any_order(gold: list[Span], random):
    """Repeats and nested spans included: the equal one is always free, and always taken."""
    shuffled = random.sample(gold, len(gold))
    assert f1(worth(count_matches([gold], [shuffled]).overall)).tolist() == [[1, 1, 1, 1]]
