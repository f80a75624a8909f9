"""Scores of probabilities, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spanbert.metrics.probabilities import (
    aurc,
    brier,
    calibration_report,
    corrected_ece,
    ece,
    log_loss,
    reliability,
    risk_coverage,
)

P, RIGHT = np.array([0.9, 0.2, 0.6, 0.5]), np.array([True, False, False, True])


def test_brier_and_log_loss_by_hand():
    """(0.01 + 0.04 + 0.36 + 0.25) / 4; -(log 0.9 + log 0.8 + log 0.4 + log 0.5) / 4."""
    assert brier(P, RIGHT) == pytest.approx(0.165)
    assert log_loss(P, RIGHT) == pytest.approx(-math.log(0.9 * 0.8 * 0.4 * 0.5) / 4)
    assert math.isfinite(log_loss(np.zeros(1), np.array([True])))


def test_bins_of_equal_mass_by_hand():
    """Two bins: 0.2 and 0.5 (mean 0.35, half right), 0.6 and 0.9 (mean 0.75, half right): ece (0.15 + 0.25) / 2."""
    low, high = reliability(P, RIGHT, bins=2)
    assert (low.probability, low.right, low.count) == (pytest.approx(0.35), 0.5, 2)
    assert (high.probability, high.right, high.count) == (pytest.approx(0.75), 0.5, 2)
    assert ece(P, RIGHT, bins=2) == pytest.approx(0.2)


def test_chance_is_taken_off():
    """Perfect probabilities show an error by chance, which the correction removes; a real one it leaves."""
    draw = np.random.default_rng(0)
    p = draw.random(600)
    right = draw.random(600) < p
    assert ece(p, right) > 0.02 and corrected_ece(p, right) < 0.015
    assert corrected_ece(np.clip(p + 0.3, 0, 1), right) > 0.15


def test_risk_coverage_by_hand():
    """From the most probable on: right, wrong, right, wrong: 0, 1/2, 1/3, 2/4; its mean is the area."""
    assert risk_coverage(P, RIGHT).tolist() == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert aurc(P, RIGHT) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_equal_probabilities_have_no_order():
    """One right and one wrong at 0.5: either may come first, so half an error at once."""
    assert risk_coverage(np.array([0.5, 0.5]), np.array([True, False])).tolist() == [0.5, 0.5]


def test_nothing_was_decoded():
    report = calibration_report(np.zeros(0), np.zeros(0, dtype=bool))
    assert report.to_json() == {
        **dict.fromkeys(("ece", "ece_corrected", "brier", "log_loss", "aurc")), "count": 0, "reliability": []
    }  # fmt: skip


def test_report_is_plain_numbers():
    record = calibration_report(P, RIGHT).to_json()
    assert record["count"] == 4 and record["brier"] == pytest.approx(0.165) and len(record["reliability"]) == 4
