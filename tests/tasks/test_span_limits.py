"""Span classification under limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spanbert.documents import Document
from spanbert.errors import UsageError
from spanbert.tasks import settings_from
from spanbert.tasks.span_classification import SpanClassification
from spanbert.tokenization import Tokenizer

TEXT = "Anna met Bert of Acme Corp"  # pieces 0 to 5


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


def task(tokenizer: Tokenizer, **settings) -> SpanClassification:
    return SpanClassification(settings_from("span-classification", {"labels": ["X", "Y"], **settings}), tokenizer)


def decoded(made: SpanClassification, *rows: tuple[int, int, int, float]) -> list[tuple[str, str]]:
    """Rows of (first, last, label, logit)."""
    columns = dict(zip(("first", "last", "label", "logit"), map(np.array, zip(*rows, strict=True)), strict=True))
    found = made.decode(Document("d", TEXT), made.tokenizer.pieces([TEXT])[0], columns)
    return [(TEXT[span.start : span.end], span.label) for span in found.spans]


def test_limits_hold_of_probable_and_improbable_spans(tokenizer: Tokenizer):
    """One X: the best; no room is left for the improbable `of`, but for a Y in its place."""
    rows = [(0, 0, 0, 1.0), (2, 2, 0, 2.0), (3, 3, 0, -1.0), (3, 3, 1, -2.0)]
    everything = [("Anna", "X"), ("Bert", "X"), ("of", "X")]
    assert decoded(task(tokenizer), *rows) == decoded(task(tokenizer, limits={}), *rows) == everything
    assert decoded(task(tokenizer, limits={"at_most": {"X": 1}}), *rows) == [("Bert", "X"), ("of", "Y")]


def test_limits_follow_the_policy(tokenizer: Tokenizer):
    """`Corp` may lie in `Acme Corp` only as a Y; under the flat policy not at all."""
    rows = [(4, 5, 0, 2.0), (5, 5, 0, 1.0), (5, 5, 1, 0.5)]
    limits = {"contains": {"X": ["Y"]}}
    assert decoded(task(tokenizer, limits=limits, policy="nested"), *rows) == [("Acme Corp", "X"), ("Corp", "Y")]
    assert decoded(task(tokenizer, limits=limits), *rows) == [("Acme Corp", "X")]


def test_limits_that_cannot_be_read(tokenizer: Tokenizer):
    with pytest.raises(UsageError, match="limits = 3"):
        task(tokenizer, limits=3)
    with pytest.raises(UsageError, match="label 'Z' in the limits"):
        task(tokenizer, limits={"at_most": {"Z": 1}})
    with pytest.raises(UsageError, match="did you mean 'at_most'"):
        task(tokenizer, labels=[], limits={"at_mst": {}})
    assert not task(tokenizer, labels=[], limits={"at_most": {"Z": 1}}).ready  # the labels are not known yet
