"""The report on relations: strict counts by hand, and the official scores of asked pairs."""

from __future__ import annotations

import pytest

from spanbert.documents import Document, Relation, Span
from spanbert.errors import DataError
from spanbert.metrics.relation_report import relation_report

A, B, C = Span(0, 1, "e1"), Span(2, 3, "e2"), Span(4, 5, "e2")


def documents(*labels: tuple[str, str | None]) -> tuple[list[Document], list[Document]]:
    """A pair each: gold label, and the predicted one or None."""
    gold = [Document(str(k), "a b c", (A, B), (Relation(A, B, g),)) for k, (g, _) in enumerate(labels)]
    found = [
        Document(str(k), "a b c", (A, B), () if p is None else (Relation(A, B, p, 0.9),))
        for k, (_, p) in enumerate(labels)
    ]
    return gold, found


def test_asked_pairs_by_hand():
    """Right, wrong label, missed, found where there is none, rightly none: 1 of 3 gold, 1 of 3 predicted."""
    report = relation_report(
        *documents(("x", "x"), ("y", "x"), ("x", None), ("no_relation", "y"), ("no_relation", None)), asked=True
    )
    assert (report.micro.correct, report.micro.predicted, report.micro.support) == (1, 3, 3)
    assert report.scores["tacred"] == pytest.approx({"precision": 100 / 3, "recall": 100 / 3, "f1": 100 / 3})
    assert (report.boundaries.correct, report.boundaries.predicted) == (1, 3)
    low, high = report.intervals["tacred"]["f1"]
    assert 0 <= low < 100 / 3 < high <= 100
    assert f"f1 33.33 [{low:.4g}, {high:.4g}]" in report.to_text()
    assert report.to_json()["intervals"]["tacred"]["f1"] == (low, high)
    assert report.per_label["x"].precision == 0.5
    assert "semeval2010_task8" not in report.scores


def test_boundaries_leave_the_types_of_arguments_aside():
    """The same places and label, another type of the head: not strictly right. Another label: neither."""
    gold = [Document("d", "a b c", (A, B), (Relation(A, B, "x"),))]
    other = Span(0, 1, "e9")
    for found, right in ((Relation(other, B, "x"), 1), (Relation(A, B, "y"), 0), (Relation(B, A, "x"), 0)):
        report = relation_report(gold, [Document("d", "a b c", (A, B, other), (found,))], asked=False)
        assert (report.micro.correct, report.boundaries.correct) == (0, right)


def test_labels_of_semeval_get_its_score():
    """Cause-Effect: one right, one in the wrong direction: precision and recall 1/2, F1 50."""
    report = relation_report(
        *documents(
            ("Cause-Effect(e1,e2)", "Cause-Effect(e1,e2)"),
            ("Cause-Effect(e2,e1)", "Cause-Effect(e1,e2)"),
            ("no_relation", None),
        ),
        asked=True,
    )
    assert report.scores["semeval2010_task8"]["macro_f1"] == pytest.approx(50.0)
    assert report.scores["semeval2010_task8"]["accuracy"] == pytest.approx(200 / 3)
    assert report.value("tacred/f1") == pytest.approx(50.0)


def test_all_pairs_have_no_official_score():
    gold = [Document("d", "a b c", (A, B, C), (Relation(A, B, "x"), Relation(A, C, "x"), Relation(A, C, "y")))]
    found = [Document("d", "a b c", (A, B, C), (Relation(A, B, "x"), Relation(C, A, "x"), Relation(A, C, "y")))]
    report = relation_report(gold, found, asked=False)
    assert (report.micro.correct, report.micro.predicted, report.micro.support) == (2, 3, 3)
    assert report.scores == {}


def test_documents_that_do_not_belong_together():
    gold, _ = documents(("x", "x"))
    with pytest.raises(DataError, match="the same documents"):
        relation_report(gold, [Document("other", "a b c")], asked=True)
