"""Thresholds that keep a requirement, from Python."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spanbert import SpanModel, require
from spanbert.calibration.decision import Decision
from spanbert.calibration.fitting import Outcomes
from spanbert.errors import DataError, UsageError

TASK = "span-classification"


def model_of(encoder: Path, right: float) -> SpanModel:
    """One that decoded 400 spans in 100 documents when it was calibrated, so many of them rightly."""
    made = SpanModel.create(encoder, task=TASK, labels=["X"])
    hits = np.arange(400) % 100 < 100 * right
    found = Outcomes(
        logits=np.where(hits, 2.0, -2.0),
        right=hits,
        labels=("X",) * 400,
        documents=np.arange(400) // 4,
        gold={"X": np.full(100, 4)},
    )
    return SpanModel(replace(made.bundle, decisions={TASK: Decision(0.5, outcomes=found)}))


def test_a_requirement_becomes_an_operating_point(tiny_encoder: Path):
    model = model_of(tiny_encoder, 0.7)
    strict = require(model, "precision>=0.8")
    assert not model.bundle.operating_points
    point = strict.bundle.operating_points["precision>=0.8"]
    assert -2.0 < np.log(point.thresholds[TASK]["X"] / (1 - point.thresholds[TASK]["X"])) <= 2.0
    named = require(strict, "recall>=0.5", "wide", confidence=0.9)
    assert named.bundle.operating_points.keys() == {"precision>=0.8", "wide"}
    assert "confidence 0.9" in named.bundle.operating_points["wide"].requirement
    assert named.predict("the house", operating_point="wide").coverage is not None


def test_what_cannot_be_promised_is_refused(tiny_encoder: Path):
    with pytest.raises(UsageError, match="the requirement 'precise'"):
        require(model_of(tiny_encoder, 0.7), "precise")
    with pytest.raises(DataError, match="precision"):
        require(model_of(tiny_encoder, 0.0), "precision>=0.9")
    with pytest.raises(DataError, match="never calibrated"):
        require(SpanModel.create(tiny_encoder, task=TASK, labels=["X"]), "precision>=0.9")
