"""Counts by group, kinds of errors and confusions: worked out by hand, then against brute force."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Document, Span
from spanbert.metrics.breakdown import (
    LENGTHS,
    SEEN,
    Differences,
    by_length,
    by_mention,
    by_position,
    confusion,
    count_groups,
    differences,
    error_kinds,
    quarters,
    rows,
    word_range,
    words,
)
from spanbert.metrics.report import span_report

TEXT = "Anna met Bert of Acme Corp"  # words [0, 4) [5, 8) [9, 13) [14, 16) [17, 21) [22, 26)


def pair(gold: list[Span], predicted: list[Span], annotated: frozenset[str] | None = None) -> Differences:
    return differences(
        Document("a", TEXT, tuple(gold), annotated=annotated),
        Document("a", TEXT, tuple(predicted)),
    )


def test_what_is_right_wrong_and_missed():
    """Repeats count once; scores stay and do not matter; a label that was not looked for counts nowhere."""
    gold = [Span(9, 13, "P"), Span(0, 4, "P"), Span(0, 4, "P"), Span(5, 8, "V")]
    predicted = [Span(0, 4, "P", 0.9), Span(0, 4, "Q", 0.4), Span(5, 8, "V", 0.8), Span(5, 8, "V", 0.8)]
    assert pair(gold, predicted, frozenset("PQ")) == Differences(
        right=(Span(0, 4, "P", 0.9),), wrong=(Span(0, 4, "Q", 0.4),), missed=(Span(9, 13, "P"),)
    )
    assert pair(gold, predicted).right == (Span(0, 4, "P", 0.9), Span(5, 8, "V", 0.8))


def test_rows_by_hand():
    """Group 0: 1 right of 2 predicted and 4 gold. Group 1 is in one document, group 2 has gold alone, 3 nothing.

    Draws of two documents: a twice (2 of 2 and 4), both (1 of 2 and 4), b twice (0 of 2 and 4).
    """
    counts = np.array([[[1, 1, 2], [1, 2, 1], [0, 0, 1], [0, 0, 0]], [[0, 1, 2], [0, 0, 0], [0, 0, 3], [0, 0, 0]]])
    first, second, third, fourth = rows(counts, ["first", "second", "third", "fourth"], samples=200)
    assert (first.correct, first.predicted, first.gold, first.documents) == (1, 2, 4, 2)
    precision, recall, f1 = (first.rates[name] for name in ("precision", "recall", "f1"))
    assert precision is not None and recall is not None and f1 is not None
    assert (precision.value, recall.value, f1.value) == (1 / 2, 1 / 4, pytest.approx(1 / 3))
    assert (precision.interval, recall.interval) == ((0, 1), (0, 1 / 2))
    assert f1.interval == (0, pytest.approx(2 / 3))
    assert second.documents == 1
    assert second.to_json()["precision"] == {"value": 0.5, "low": None, "high": None}
    assert third.to_json()["precision"] is None
    nothing_in_two = {"value": 0, "low": 0, "high": pytest.approx(1 - 0.025 ** (1 / 2))}
    assert third.to_json()["recall"] == nothing_in_two
    assert fourth.documents == 0 and set(fourth.rates.values()) == {None}


def test_draws_without_the_group_are_left_out():
    """Two documents of three have the group, both wholly right: the third drawn thrice (1 draw in 27) is not a 0."""
    counts = np.array([[[1, 1, 1]], [[1, 1, 1]], [[0, 0, 0]]])
    (row,) = rows(counts, ["x"], samples=500)
    doubt = pytest.approx(0.025 ** (1 / 2))  # of two documents without a fault
    assert row.rates["f1"] is not None and row.rates["f1"].interval == (doubt, 1)


def test_words_are_those_of_the_document_or_runs_of_letters():
    assert words(Document("a", "l'eau, 3.5 e\u0301te\u0301_")) == (
        [0, 1, 2, 5, 7, 8, 9, 11],
        [1, 2, 5, 6, 8, 9, 10, 17],
    )
    given_ = Document("a", TEXT, meta={"tokens": [[0, 8], [9, 26]]})
    assert words(given_) == ([0, 9], [8, 26])
    for bad in ([[0, 8], [7, 26]], [[0, 99]], ["Anna"], "Anna", [[0, "4"]]):
        assert words(Document("a", TEXT, meta={"tokens": bad})) == words(Document("a", TEXT))


@given(st.integers(0, 25), st.integers(1, 26))
def test_words_of_a_span_against_brute_force(start: int, end: int):
    if start >= end:
        return
    known = words(Document("a", TEXT))
    touched = [k for k, (a, b) in enumerate(zip(*known, strict=True)) if a < end and start < b]
    assert list(range(*word_range(known, start, end))) == touched


def test_groups_of_spans():
    text = " ".join("abcdefghijklmnopqr")  # 18 words of one letter, 35 characters
    group = by_length([words(Document("a", text))])
    sizes = {size: LENGTHS[group(0, Span(0, 2 * size - 1))] for size in (1, 2, 3, 4, 7, 8, 15, 16, 18)}
    one, few, some, many, most = LENGTHS
    assert sizes == {1: one, 2: few, 3: few, 4: some, 7: some, 8: many, 15: many, 16: most, 18: most}
    assert group(0, Span(0, 35, parts=((0, 1), (2, 3), (34, 35)))) == 1  # three words, not eighteen
    assert group(0, Span(1, 2)) == 0  # a space alone
    place = by_position([30, 7])
    assert [place(0, Span(start, 30)) for start in (0, 2, 3, 26, 27, 29)] == [0, 0, 1, 8, 9, 9]
    assert place(1, Span(6, 7)) == 8  # 6/7 of the text is before it


def test_quarters_of_documents():
    lengths = [40, 10, 20, 30, 20, 80, 70, 60]  # sorted 10 20 20 30 40 60 70 80: edges 20, 30, 60
    group, names = quarters(lengths)
    assert [group(k, Span(0, 1)) for k in range(8)] == [2, 0, 0, 1, 0, 3, 3, 2]
    assert names == ["10–20 characters", "30–30 characters", "40–60 characters", "70–80 characters"]
    group, names = quarters([1_500, 1_500])
    assert (group(1, Span(0, 1)), names) == (0, ["1,500–1,500 characters"] + ["no document"] * 3)


def test_seen_and_unseen_mentions():
    """`Anna` was a P, `Acme` an O only; case and borders matter."""
    train = [Document("t", "Anna Acme met", (Span(0, 4, "P"), Span(5, 9, "O")))]
    group = by_mention([TEXT], train)
    cases = {(0, 4, "P"): 0, (17, 21, "P"): 1, (17, 21, "O"): 0, (9, 13, "P"): 2, (0, 3, "P"): 2, (5, 8, "P"): 2}
    assert {case: group(0, Span(*case)) for case in cases} == cases
    assert len(SEEN) == 3
    assert by_mention([TEXT], [])(0, Span(0, 4, "P")) == 2


def test_counts_of_groups():
    """A right span counts in all three columns, a wrong one as predicted, a missed one as gold."""
    found = [pair([Span(0, 4), Span(9, 13)], [Span(0, 4), Span(5, 8), Span(14, 16)]), pair([Span(0, 4)], [])]
    counts = count_groups(found, lambda document, span: int(span.start > 4), 2)
    assert counts.tolist() == [[[1, 1, 1], [0, 2, 1]], [[0, 0, 1], [0, 0, 0]]]


def test_kinds_of_errors():
    """Two gold spans are found, and explain nothing, although `Anna met` and `Corp` overlap or touch them."""
    gold = [
        *(Span(0, 4, "P"), Span(17, 26, "O")),  # found
        *(Span(9, 13, "P"), Span(14, 16, "X"), Span(5, 8, "V"), Span(0, 8, "Z")),
    ]
    predicted = [
        *(Span(0, 4, "P"), Span(17, 26, "O")),
        *(Span(9, 13, "O"), Span(14, 15, "X"), Span(4, 6, "Q"), Span(22, 26, "O"), Span(9, 12, "P")),
    ]
    found = pair(gold, predicted)
    assert dict(zip(found.wrong, error_kinds(found, "wrong"), strict=True)) == {
        Span(4, 6, "Q"): "both",  # V and Z
        Span(9, 12, "P"): "boundary",
        Span(9, 13, "O"): "label",
        Span(14, 15, "X"): "boundary",
        Span(22, 26, "O"): "spurious",  # it overlaps only what was found
    }
    assert dict(zip(found.missed, error_kinds(found, "missed"), strict=True)) == {
        Span(0, 8, "Z"): "both",
        Span(5, 8, "V"): "both",
        Span(9, 13, "P"): "label",  # before the boundary error that it meets too
        Span(14, 16, "X"): "boundary",
    }
    touching = pair([Span(0, 4, "P")], [Span(4, 8, "P")])
    assert (error_kinds(touching, "wrong"), error_kinds(touching, "missed")) == (["spurious"], ["missed"])


def test_parts_overlap_not_hulls():
    around = Span(0, 8, "P", parts=((0, 4), (6, 8)))
    assert error_kinds(pair([around], [Span(4, 6, "P")]), "wrong") == ["spurious"]
    assert error_kinds(pair([around], [Span(4, 7, "P")]), "wrong") == ["boundary"]
    assert error_kinds(pair([around], [Span(0, 8, "P")]), "wrong") == ["boundary"]  # not in the same place


def test_confusions_by_hand():
    """In [0, 4) P is found, and of Q, R against S, T equal places are paired in alphabetical order."""
    gold = [Span(0, 4, "P"), Span(0, 4, "R"), Span(0, 4, "Q"), Span(5, 8, "V"), Span(9, 13, "P")]
    predicted = [Span(0, 4, "P"), Span(0, 4, "T"), Span(0, 4, "S"), Span(9, 13, "Q"), Span(14, 16, "P")]
    assert confusion([pair(gold, predicted), pair([], [])]) == {
        ("P", "P"): 1,
        ("Q", "S"): 1,
        ("R", "T"): 1,
        ("V", None): 1,
        ("P", "Q"): 1,
        (None, "P"): 1,
    }


SPANS = st.lists(
    st.builds(
        lambda start, width, label: Span(start, start + width, label),
        st.integers(0, 12),
        st.integers(1, 8),
        st.sampled_from("PQR"),
    ),
    max_size=8,
)


@given(SPANS, SPANS)
def test_against_brute_force(gold: list[Span], predicted: list[Span]):
    found = pair(gold, predicted)
    right, answers = set(gold), set(predicted)
    assert set(found.right) == right & answers
    for side, own, other in (("wrong", answers - right, right - answers), ("missed", right - answers, answers - right)):
        expected = {}
        for span in own:
            met = [each for each in other if each.start < span.end and span.start < each.end]
            if any((each.start, each.end) == (span.start, span.end) for each in met):
                expected[span] = "label"
            elif any(each.label == span.label for each in met):
                expected[span] = "boundary"
            else:
                expected[span] = "both" if met else "spurious" if side == "wrong" else "missed"
        spans = found.wrong if side == "wrong" else found.missed
        assert dict(zip(spans, error_kinds(found, side), strict=True)) == expected
    sums: tuple[Counter[str | None], Counter[str | None]] = (Counter(), Counter())
    for labels, count in confusion([found]).items():
        for side_sums, label in zip(sums, labels, strict=True):
            side_sums[label] += count
    for side_sums, spans_ in zip(sums, (right, answers), strict=True):
        del side_sums[None]
        assert side_sums == Counter(span.label for span in spans_)


@given(st.lists(st.tuples(SPANS, SPANS), min_size=2, max_size=4))
def test_all_spans_are_as_in_the_report(pairs: list[tuple[list[Span], list[Span]]]):
    """The same counts, rates and, where no draw is empty, the same intervals."""
    gold, predicted = ([Document(str(k), TEXT, tuple(sides[side])) for k, sides in enumerate(pairs)] for side in (0, 1))
    report = span_report(gold, predicted, policy="overlapping", samples=50)
    found = [differences(*both) for both in zip(gold, predicted, strict=True)]
    (row,) = rows(count_groups(found, lambda *_: 0, 1), ["all"], samples=50)
    micro = report.micro
    assert (row.correct, row.predicted, row.gold) == (micro.correct, micro.predicted, micro.support)
    for name, whole in (
        ("precision", micro.predicted),
        ("recall", micro.support),
        ("f1", micro.predicted + micro.support),
    ):
        rate = row.rates[name]
        assert (rate is None) == (whole == 0)
        assert rate is None or rate.value == pytest.approx(getattr(micro, name))
    f1 = row.rates["f1"]
    if all(any(sides) for sides in pairs) and f1 is not None:
        assert f1.interval == pytest.approx(micro.f1_interval)
