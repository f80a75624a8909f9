"""Evaluation: what cannot be reached is counted, listed with its reason, and missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spanbert import SpanModel, evaluate
from spanbert.documents import Document, Span
from spanbert.errors import DataError, UsageError
from spanbert.evaluation.evaluate import evaluate_with
from spanbert.tasks.gold import POLICY

SPANS, TAGS = "span-classification", "token-classification"
LONG = " ".join(["the a met with in of"] * 30)


@pytest.fixture(scope="module")
def models(tiny_encoder: Path) -> dict[str, SpanModel]:
    """Untrained: what is out of reach does not depend on the weights."""
    made = [SpanModel.create(tiny_encoder, task=task, labels=["X", "Y"]).bundle for task in (SPANS, TAGS)]
    made[1].network.heads[TAGS].classifier.bias.data.zero_()  # or it would find nothing
    return {next(iter(bundle.tasks)): SpanModel(bundle, "cpu", "float32") for bundle in made}


def gold() -> tuple[list[Document], dict[tuple[str, int, int, str], str]]:
    """Documents with one reachable span each, and the reasons of all others. `undo` is un + ##do."""
    parts = Span(0, 14, "X", parts=((0, 4), (9, 14)))
    documents = [
        Document("pieces", "undo Anna Bert", (Span(0, 2, "X"), Span(5, 7, "Y"), Span(11, 14, "X"))),
        Document("white", "Anna  met", (Span(0, 4, "X"), Span(4, 5, "X"))),
        Document("label", "Anna met", (Span(0, 4, "X"), Span(5, 8, "Z"))),
        Document("flat", "Acme Corp the", (Span(0, 9, "X"), Span(0, 4, "Y"), Span(10, 13, "Y"))),
        Document("twice", "Anna met", (Span(0, 4, "X"), Span(0, 4, "X"))),
        Document("parts", "Anna met Carls", (parts,)),
        Document("long", LONG, (Span(0, len(LONG), "X"), Span(0, 3, "Y"))),
    ]
    reasons = {
        ("pieces", 5, 7, "Y"): "a border inside a piece",
        ("pieces", 11, 14, "X"): "a border inside a piece",
        ("white", 4, 5, "X"): "no piece of text",
        ("label", 5, 8, "Z"): "a label this model does not have",
        ("flat", 0, 4, "Y"): POLICY,
        ("parts", 0, 14, "X"): "in several parts",
    }
    return documents, reasons


def listed(report) -> dict[tuple[str, int, int, str], str]:
    return {
        (missed.document, missed.span.start, missed.span.end, missed.span.label): missed.reason
        for missed in report.unreachable
    }


def test_unreachable_spans_of_span_classification(models: dict):
    """The long span covers 180 pieces, a window 62; and it excludes the short one inside it."""
    documents, reasons = gold()
    report = evaluate(models[SPANS], documents)
    long = {
        ("long", 0, len(LONG), "X"): "longer than a window",
        ("long", 0, 3, "Y"): POLICY,
    }
    assert listed(report) == reasons | long
    assert len(report.unreachable) == 8
    assert report.micro.support == 14  # all gold spans, the repeated one once
    assert report.to_json()["unreachable"] == 8
    assert {row["reason"] for row in report.to_json()["unreachable_spans"]} == {*reasons.values(), *long.values()}
    overlapping = evaluate_with(models[SPANS].predictor(policy="overlapping"), documents)
    assert listed(overlapping) == {
        key: reason for key, reason in (reasons | long).items() if not reason.startswith("in conflict")
    }


def test_windows_are_no_limit_for_tags(models: dict):
    documents, reasons = gold()
    report = evaluate(models[TAGS], documents)
    assert listed(report) == {
        **reasons,
        ("long", 0, 3, "Y"): POLICY,
    }


@pytest.mark.parametrize("policy", ["flat", "nested", "overlapping", "arg-max"])
def test_every_policy_reports(models: dict, policy: str):
    report = evaluate_with(models[SPANS].predictor(policy=policy), gold()[0])
    assert report.micro.support == 14 and f"policy:{policy}" in report.signature


def test_labels_that_were_not_looked_for_count_nowhere(models: dict):
    """Y was not annotated in the first document: its span there is neither gold nor out of reach."""
    first = Document("a", "Anna met", (Span(0, 4, "X"), Span(5, 7, "Y"), Span(5, 6, "X")))
    open_, closed = (
        evaluate(models[SPANS], [document, Document("b", "Anna", (Span(0, 4, "Y"),))])
        for document in (first, replace(first, annotated=frozenset({"X"})))
    )
    assert [missed.span for missed in open_.unreachable] == [Span(5, 7, "Y"), Span(5, 6, "X")]
    assert [missed.span for missed in closed.unreachable] == [Span(5, 6, "X")]
    assert (open_.micro.support, closed.micro.support) == (4, 3)


def test_the_model_sees_the_text_alone(models: dict):
    class Watched:
        """A predictor that keeps what it was given."""

        def __init__(self, inner) -> None:
            self.inner, self.seen = inner, []

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def decoded(self, documents):
            self.seen = list(documents)
            return self.inner.decoded(self.seen)

    watched = Watched(models[SPANS].predictor())
    evaluate_with(watched, gold()[0])
    assert [(document.spans, document.meta) for document in watched.seen] == [((), {})] * 7


def test_predictions_are_scored_against_gold(models: dict):
    """Gold is what the model itself predicts: nothing but hits; no score is 1, so a threshold of 1 leaves nothing."""
    texts = [Document(str(n), text) for n, text in enumerate(["Anna met Bert", "Acme Corp went", ""])]
    found = models[TAGS].predict(texts, threshold=0.0)
    assert any(document.spans for document in found)
    report = evaluate(models[TAGS], found, threshold=0.0)
    assert report.micro.support == sum(len(document.spans) for document in found) == report.micro.correct > 0
    assert report.micro.f1 == 1.0 and report.unreachable == ()
    assert evaluate(models[TAGS], found, threshold=1.0).micro.predicted == 0


def test_nothing_to_evaluate(models: dict, tiny_encoder: Path):
    for model in models.values():
        with pytest.raises(DataError, match="no documents"):
            evaluate(model, [])
    with pytest.raises(UsageError, match="no labels yet"):
        evaluate(SpanModel.create(tiny_encoder, task=SPANS), gold()[0])


def test_documents_may_be_a_stream_and_must_be_documents(tiny_encoder: Path, toy_documents: Callable):
    model = SpanModel.create(tiny_encoder, task="span-classification", labels=["PERSON", "ORG"])
    documents = toy_documents(3, 1)
    assert evaluate(model, iter(documents)).to_json() == evaluate(model, documents).to_json()
    with pytest.raises(UsageError, match="a str"):
        evaluate(model, "dev.jsonl")  # type: ignore[arg-type]
