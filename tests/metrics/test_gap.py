"""GAP scores by hand."""

from __future__ import annotations

import pytest

from spanbert.documents import Cluster, Document, Span
from spanbert.metrics.coreference_report import coreference_report
from spanbert.metrics.gap import gap_scores

TEXT = "Ann met Bea when {} left Mr Bea."


def example(number: int, pronoun: str, *clusters: tuple[tuple[int, int], ...]) -> Document:
    spans = (Span(17, 17 + len(pronoun), "gap:pronoun"), Span(0, 3, "gap:A"), Span(8, 11, "gap:B"))
    made = tuple(Cluster(tuple(Span(a, b, "mention") for a, b in cluster)) for cluster in clusters)
    return Document(str(number), TEXT.format(pronoun), spans, clusters=made)


SHE, HE, ANN, BEA = (17, 20), (17, 19), (0, 3), (8, 11)
GOLD = [example(0, "she", (SHE, ANN)), example(1, "her", (SHE, BEA)), example(2, "he", (HE, ANN)), example(3, "he")]


def test_by_hand():
    """Said: right; A in the place of B; right with a longer mention; A where none is. All: 2 of 4 said, 3 true.

    Feminine: 1 of 2 said, 2 true: 0.5. Masculine: 1 of 2 said, 1 true: 2/3.
    """
    said = [
        example(0, "she", (SHE, ANN, (24, 27))),
        example(1, "her", (SHE, ANN)),
        example(2, "he", (HE, (0, 7)), (BEA, (23, 29))),
        example(3, "he", (HE, ANN)),
    ]
    scores = gap_scores(GOLD, said)
    assert scores["f1"] == pytest.approx(100 * 4 / 7)
    assert scores["feminine_f1"] == pytest.approx(50.0) and scores["masculine_f1"] == pytest.approx(200 / 3)
    assert scores["bias"] == pytest.approx(0.75)
    low, high = scores["f1_interval"]
    assert 0 <= low <= scores["f1"] <= high <= 100


def test_a_mention_that_holds_the_pronoun_too_is_no_name():
    said = [example(0, "she", (SHE, (0, 20)))]
    assert gap_scores(GOLD[:1], said)["f1"] == 0.0


def test_both_names_may_be_said():
    assert gap_scores(GOLD[:1], [example(0, "she", (SHE, ANN, BEA))])["f1"] == pytest.approx(100 * 2 / 3)


def test_nothing_to_measure_is_none():
    scores = gap_scores(GOLD[3:], [example(3, "he")])
    assert scores == {"f1": None, "masculine_f1": None, "feminine_f1": None, "bias": None}


def test_the_report_of_examples_is_that_of_gap():
    report = coreference_report(GOLD, GOLD, singletons=True)
    assert report.scores["gap"]["f1"] == 100.0 and report.micro.f1 == 1.0 and "coref" not in report.scores
    assert report.summary == "f1 100.0"
    wide = [example(0, "she", (SHE, ANN, (24, 27), (28, 31)))]
    assert (
        coreference_report(GOLD[:1], wide, singletons=True).micro.precision == 1.0
    )  # what GAP does not mark is not counted
