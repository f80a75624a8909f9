"""Curves are found again in data that was drawn from them, and few data do no harm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.calibration.curve import Calibration, sigmoid
from spanbert.calibration.fitting import METHODS, Outcomes, beta, fit, isotonic, platt, platt_and_quiet, temperature
from spanbert.errors import DataError
from spanbert.metrics.probabilities import corrected_ece


def drawn(
    number: int, slope: float, offset: float, *, labels: dict[str, float] | None = None, seed: int = 0
) -> Outcomes:
    """Outcomes whose true log-odds are slope x logit + offset (+ that of the label); ten to a document."""
    draw = np.random.default_rng(seed)
    names = list(labels or {"X": 0.0})
    chosen = draw.integers(len(names), size=number)
    logits = draw.normal(0, 3, number)
    shift = np.array([(labels or {"X": 0.0})[name] for name in names])[chosen]
    right = draw.random(number) < sigmoid(slope * logits + offset + shift)
    documents = np.arange(number) // 10
    gold = {name: np.zeros(documents[-1] + 1, dtype=np.int64) for name in names}
    return Outcomes(logits, right, tuple(names[n] for n in chosen), documents, gold)


def test_a_temperature_is_found():
    assert temperature(drawn(20_000, 0.5, 0.0)).slope == pytest.approx(0.5, abs=0.02)


def test_slope_and_offset_are_found():
    found = platt(drawn(20_000, 0.5, -0.8))
    assert (found.slope, found.offset, found.bend) == (pytest.approx(0.5, abs=0.03), pytest.approx(-0.8, abs=0.06), 0.0)


def test_a_falling_curve_is_never_fitted():
    for method in (each for each in METHODS.values() if each is not platt_and_quiet):
        curve = method(drawn(2000, -1.0, 0.0))
        assert (np.diff(curve.log_odds(np.linspace(-9, 9, 99))) >= -1e-12).all()


def test_isotonic_by_hand():
    """Right, wrong and right at 0, 1, 2: the first two are one block of 1 in 2 at 0.5, log-odds 0; the last is 1 in 1
    at 2, half a span more of either kind: log(1.5 / 0.5)."""
    found = isotonic(Outcomes(np.array([2.0, 0.0, 1.0]), np.array([True, True, False]), ("X",) * 3, np.arange(3), {}))
    assert found.knots == ((0.5, 0.0), (2.0, pytest.approx(np.log(3))))


def test_nothing_to_learn_from_leaves_the_identity():
    """Without data only the prior is left."""
    none = Outcomes(np.zeros(0), np.zeros(0, dtype=bool), (), np.zeros(0, dtype=np.int64), {})
    assert temperature(none) == platt(none) == beta(none) == Calibration()


def test_rare_labels_are_drawn_to_the_others():
    labels = {"often": 0.0, "rare": 1.5}
    found = METHODS["platt by label"](drawn(4000, 1.0, 0.0, labels=labels))
    gap = found.labels["rare"] - found.labels["often"]
    few = METHODS["platt by label"](drawn(40, 1.0, 0.0, labels=labels))
    assert gap == pytest.approx(1.5, abs=0.3) and abs(few.labels["rare"] - few.labels["often"]) < gap
    z = np.zeros(1)
    assert found.probabilities(z, ("unheard",)) == found.probabilities(z)


def test_the_best_method_is_chosen_and_calibrates():
    """Known truth, 100,000 spans: the corrected error is below 0.005."""
    outcomes = drawn(100_000, 0.6, -1.0, labels={"A": -0.5, "B": 0.5})
    found = fit(outcomes)
    assert found.brier[found.method] == min(found.brier.values()) and found.method.endswith("by label")
    fresh = drawn(100_000, 0.6, -1.0, labels={"A": -0.5, "B": 0.5}, seed=1)
    told = found.calibration.probabilities(fresh.logits, fresh.labels)
    assert corrected_ece(told, fresh.right) <= 0.005
    assert corrected_ece(sigmoid(fresh.logits), fresh.right) > 0.05


def test_held_out_probabilities_have_not_seen_their_document():
    """One document is all wrong where the others are right: its own probabilities do not know it."""
    outcomes = drawn(500, 1.0, 0.0)
    flipped = np.where(outcomes.documents == 7, ~outcomes.right, outcomes.right)
    other = Outcomes(outcomes.logits, flipped, outcomes.labels, outcomes.documents, outcomes.gold)
    one, two = fit(outcomes), fit(other)
    here = outcomes.documents == 7
    if one.method == two.method:
        assert np.array_equal(one.held_out[here], two.held_out[here])
    assert not np.array_equal(one.held_out[~here], two.held_out[~here])


@pytest.mark.parametrize("number", [0, 29, 40])
def test_too_few(number: int):
    """40 spans stand in four documents."""
    outcomes = drawn(40, 1.0, 0.0).take(np.arange(40) < number)
    with pytest.raises(DataError, match=f"{number} decoded spans in"):
        fit(outcomes)


@given(st.integers(0, 200), st.integers(0, 5))
def test_through_json(number: int, seed: int):
    outcomes = drawn(max(1, number), 1.0, 0.0, labels={"A": 0.0, "B": 0.0}, seed=seed)
    again = Outcomes.from_json(outcomes.to_json())
    assert again.to_json() == outcomes.to_json() and again.labels == outcomes.labels
    assert np.allclose(again.logits, outcomes.logits, atol=1e-4)


def test_only_whole_documents_are_kept():
    outcomes = drawn(100, 1.0, 0.0)
    kept = outcomes.first(57)
    assert len(kept) == 50 and kept.documents.max() == 4 and {len(counts) for counts in kept.gold.values()} == {5}
    assert outcomes.first(100) is outcomes


def test_damaged_outcomes_are_refused():
    record = drawn(20, 1.0, 0.0).to_json()
    for change in ({"documents": [99] * 20}, {"right": [1]}, {"gold": {}}):
        with pytest.raises((ValueError, IndexError)):
            Outcomes.from_json({**record, **change})


def test_how_often_nothing_is_right():
    """2,000 questions; of what is decoded wrongly, nothing would be right with log-odds 2 z - 1."""
    draw = np.random.default_rng(0)
    size = 2000
    quiet, right = draw.normal(0, 1.5, size), draw.random(size) < 0.4
    silence = ~right & (draw.random(size) < sigmoid(2 * quiet - 1))
    gold = {"answer": (~silence).astype(np.int64)}
    columns = draw.normal(size=size), right, ("answer",) * size, np.arange(size), gold
    curve = fit(Outcomes(*columns, silence, quiet)).calibration
    assert curve.silence == pytest.approx((2.0, -1.0), abs=0.3)
    assert curve.silent(0.6, 1.0) == pytest.approx(0.6 * sigmoid(np.array(1.0)), abs=0.05)
    few = Outcomes(*columns, silence, quiet).take(right | (np.cumsum(~right) <= 9))
    assert fit(few).calibration.silence is None and Calibration().silent(0.5, 1.0) is None
    assert fit(Outcomes(*columns)).calibration.silence is None


def asked(number: int, slope: float, offset: float, quiet: float) -> Outcomes:
    """Answers whose true log-odds are slope x logit + offset + quiet x the logit of nothing."""
    draw = np.random.default_rng(0)
    logits, nothing = draw.normal(0, 2, (2, number))
    right = draw.random(number) < sigmoid(slope * logits + offset + quiet * nothing)
    gold = {"answer": np.ones(number, dtype=np.int64)}
    return Outcomes(logits, right, ("answer",) * number, np.arange(number), gold, np.zeros(number, bool), nothing)


def test_an_answer_is_told_by_its_own_odds_and_those_of_nothing():
    outcomes = asked(20_000, 0.5, 0.7, -1.2)
    found = platt_and_quiet(outcomes)
    assert (found.slope, found.offset, found.quiet) == pytest.approx((0.5, 0.7, -1.2), abs=0.05)
    chosen = fit(outcomes)
    assert chosen.method == "platt with no answer" and chosen.calibration.quiet == found.quiet
    assert corrected_ece(outcomes.probabilities(chosen.calibration), outcomes.right) < 0.01
    assert np.abs(chosen.held_out - outcomes.probabilities(found)).max() < 0.05  # others of the same law


def test_odds_of_nothing_that_say_nothing_are_left_out():
    """Where they make no difference, where they would count the wrong way, and where none were told."""
    assert fit(asked(5000, 0.5, 0.7, 0.0)).calibration.quiet == 0.0
    backwards = asked(2000, 0.5, 0.7, 1.0)
    assert platt_and_quiet(backwards) == platt(backwards)
    assert platt_and_quiet(asked(2000, -1.0, 0.0, -1.0)).slope >= 0.0  # nor is a falling curve fitted
    assert "platt with no answer" in fit(backwards).brier
    assert "platt with no answer" not in fit(drawn(2000, 0.5, -0.8)).brier


def test_odds_of_nothing_through_json():
    outcomes = asked(50, 0.5, 0.7, -1.2)
    again = Outcomes.from_json(outcomes.to_json())
    assert again.quiet == pytest.approx(outcomes.quiet, abs=1e-4)
    for quiet in ([0.0] * 49, [float("nan")] * 50):
        with pytest.raises(ValueError, match="unequal|cannot be"):
            Outcomes.from_json({**outcomes.to_json(), "quiet": quiet})
    older = {name: column for name, column in outcomes.to_json().items() if name != "quiet"}
    assert Outcomes.from_json(older).quiet is None
