"""From log-odds to probabilities."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from spanbert.calibration.curve import Calibration


def test_unfitted_is_the_sigmoid():
    """Odds of 3 to 1 are log 3: 3/4."""
    assert Calibration().probabilities([0.0, math.log(3), -math.log(3)]) == pytest.approx([0.5, 0.75, 0.25])


def test_slope_and_offset():
    """2 x 0.5 - 1 = 0: even odds."""
    assert Calibration(2.0, -1.0).probabilities([0.5, 0.5 + math.log(3) / 2]) == pytest.approx([0.5, 0.75])


def test_the_logit_of_nothing_is_added():
    """0.5 - 1.5 x 1 = -1 and 0.5 - 1.5 x -1 = 2; without it 0.5, and one value serves for all."""
    curve = Calibration(offset=0.5, quiet=-1.5)
    told = curve.probabilities([0.0, 0.0], quiet=np.array([1.0, -1.0]))
    assert np.log(told / (1 - told)) == pytest.approx([-1.0, 2.0])
    assert curve.probabilities([0.0, 0.0], quiet=1.0) == pytest.approx([told[0]] * 2)
    assert Calibration(offset=0.5).probabilities([0.0], quiet=1.0) == pytest.approx([1 / (1 + math.exp(-0.5))])
    assert curve.probabilities([0.0]) == [0.5]  # a curve of both says nothing of one


def test_extremes_are_probabilities_and_order_stays():
    logits = [-math.inf, -1e9, -800.0, -30.0, 0.0, 30.0, 800.0, 1e9, math.inf]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Calibration().probabilities(logits)
    assert found.min() >= 0.0 and found.max() <= 1.0
    assert (np.diff(found) >= 0).all() and found[0] < 1e-100 and found[-1] == 1.0


def test_nothing():
    assert Calibration().probabilities([]).tolist() == []
