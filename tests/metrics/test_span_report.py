"""The report on spans: numbers, JSON, text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from spanbert.documents import Document, Span
from spanbert.errors import UsageError
from spanbert.metrics.report import Report, Unreachable, span_report

TEXT = "some text of a document"


@pytest.fixture
def report() -> Report:
    """X: correct 1, predicted 2, gold 3: P 1/2, R 1/3, F1 2/5. Y: correct 1 of 1: F1 1.

    Micro: 2 of 3 predicted and 4 gold: F1 4/7. Macro F1 7/10. Boundaries: Y on the X of document a, so 3 of 3 and 4.
    """
    gold = [
        Document("a", TEXT, (Span(0, 4, "X"), Span(5, 9, "X"))),
        Document("b", TEXT, (Span(0, 4, "X"), Span(5, 9, "Y"))),
    ]
    predicted = [
        Document("a", TEXT, (Span(0, 4, "X"),)),
        Document("b", TEXT, (Span(10, 12, "X"), Span(5, 9, "Y"))),
    ]
    missed = Unreachable("a", Span(5, 9, "X"), "cuts a piece")
    return span_report(gold, predicted, policy="flat", unreachable=[missed], samples=200)


def test_numbers(report: Report):
    assert report.value("per_label/X/precision") == 1 / 2
    assert report.value("per_label/X/recall") == pytest.approx(1 / 3)
    assert report.value("per_label/X/f1") == pytest.approx(2 / 5)
    assert report.value("micro/f1") == pytest.approx(4 / 7)
    assert report.value("macro/f1") == pytest.approx(7 / 10)
    assert report.value("boundaries/f1") == pytest.approx(4 / 7)
    assert (report.micro.correct, report.micro.predicted, report.micro.support) == (2, 3, 4)
    assert report.documents == 2


def test_intervals(report: Report):
    """Drawing a twice gives 1 of 1 and 2: F1 2/3; b twice 1 of 2 and 2: F1 1/2; both 4/7.

    Macro: X alone 2/3; X 0 and Y 1: 1/2; X 2/5 and Y 1: 7/10.
    """
    assert report.micro.f1_interval == (pytest.approx(1 / 2), pytest.approx(2 / 3))
    assert report.macro.f1_interval == (pytest.approx(1 / 2), pytest.approx(7 / 10))


def test_one_document_has_no_interval():
    one = span_report([Document("a", TEXT)], [Document("a", TEXT)], policy="flat")
    assert one.micro.f1_interval is None
    assert one.value("micro/f1") == 0.0
    assert "-" in one.to_text()


def test_losses_and_unknown_names(report: Report):
    with_loss = replace(report, losses={"spans": 0.25})
    assert with_loss.value("loss/spans") == 0.25
    assert with_loss.to_json()["losses"] == {"spans": 0.25}
    with pytest.raises(UsageError, match="did you mean 'micro/f1'"):
        report.value("micro/f2")


def test_json(report: Report):
    record = json.loads(json.dumps(report.to_json()))
    assert record["micro"] == {
        "precision": pytest.approx(2 / 3),
        "recall": 0.5,
        "f1": pytest.approx(4 / 7),
        "predicted": 3,
        "support": 4,
        "f1_interval": [pytest.approx(1 / 2), pytest.approx(2 / 3)],
    }
    assert list(record["per_label"]) == ["X", "Y"]
    assert record["unreachable"] == 1
    assert record["unreachable_spans"] == [
        {"document": "a", "start": 5, "end": 9, "label": "X", "reason": "cuts a piece"}
    ]
    assert record["documents"] == 2
    assert record["signature"] == report.signature


def test_text(report: Report):
    lines = report.to_text().splitlines()
    assert lines[0].split() == ["precision", "recall", "F1", "95%", "interval", "correct", "predicted", "gold"]
    assert lines[1].split() == ["micro", "0.667", "0.500", "0.571", "0.500", "to", "0.667", "2", "3", "4"]
    assert [line.split()[0] for line in lines[1:6]] == ["micro", "macro", "boundaries", "X", "Y"]
    assert len({len(line) for line in lines[:6]}) == 1
    assert "unreachable gold spans: 1" in lines
    assert lines[-1].startswith("signature: ")


def test_signature_says_how(report: Report):
    assert report.signature == (
        "spans:exact-set|policy:flat|bootstrap:documents,samples=200,seed=0,level=0.95|documents:2"
    )
