"""A threshold keeps its promise, or there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spanbert.calibration.curve import sigmoid
from spanbert.calibration.fitting import Outcomes
from spanbert.calibration.requirements import (
    NEVER,
    Requirement,
    best_f1,
    best_threshold,
    clopper_pearson,
    incomplete_beta,
    label_thresholds,
    lower_bound,
    promises,
    student_t,
)
from spanbert.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("right", "silence", "threshold"),
    [
        ([1, 1, 0, 0], [0, 0, 0, 0], 0.0),  # a wrong answer costs nothing where silence is wrong too
        ([1, 1, 0, 0], [0, 0, 1, 1], 0.55),  # 2 right, 2 rightly unsaid
        ([1, 0, 1, 0], [0, 1, 0, 1], 0.3),  # one more right makes up for one that is not unsaid
        ([0, 0, 1, 0], [1, 1, 0, 1], 0.95),  # whatever is said costs more than it gains
        ([0, 0, 0, 0], [0, 0, 1, 0], 0.5),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0.0),  # a reader that knows nothing yet still answers where all is answered
    ],
)
def test_the_threshold_at_which_most_is_right(right: list[int], silence: list[int], threshold: float):
    probabilities = np.array([0.9, 0.7, 0.4, 0.2])
    gold = {"answer": np.ones(4, dtype=np.int64)}
    columns = np.zeros(4), np.array(right, dtype=bool), ("answer",) * 4, np.arange(4), gold
    outcomes = Outcomes(*columns, np.array(silence, dtype=bool))
    assert best_threshold(outcomes, probabilities) == pytest.approx(threshold)
    again = Outcomes.from_json(outcomes.to_json())
    assert again.silence.tolist() == outcomes.silence.tolist()
    assert again.take(np.array([True, False, False, True])).silence.tolist() == [bool(silence[0]), bool(silence[3])]


def test_incomplete_beta_by_hand():
    """I_x(1, 1) = x. I_x(2, 3) at 0.4: P(at least 2 hits of 4 at 0.4) = 1 - 0.6^4 - 4 x 0.4 x 0.6^3 = 0.5248."""
    assert incomplete_beta(1, 1, 0.3) == pytest.approx(0.3)
    assert incomplete_beta(2, 3, 0.4) == pytest.approx(0.5248)
    assert incomplete_beta(2.5, 1.5, 0.2) + incomplete_beta(1.5, 2.5, 0.8) == pytest.approx(1.0)


def test_clopper_pearson_by_hand():
    """All of n hit: the bound is the n-th root of 0.05. One of one: 0.05 itself."""
    assert clopper_pearson(59, 59, 0.95) == pytest.approx(0.05 ** (1 / 59))
    assert clopper_pearson(1, 1, 0.95) == pytest.approx(0.05)
    low = clopper_pearson(45, 50, 0.95)
    tail = sum(math.comb(50, k) * low**k * (1 - low) ** (50 - k) for k in range(45, 51))
    assert tail == pytest.approx(0.05)


def test_spans_of_one_document_count_together():
    """Ten faultless documents of twenty spans each say no more than ten spans."""
    counts = np.full(10, 20)
    assert lower_bound(counts, counts, 0.95) == pytest.approx(0.05 ** (1 / 10))
    assert lower_bound(np.zeros(3, dtype=int), np.ones(3, dtype=int), 0.95) == 0.0
    assert lower_bound(np.zeros(3, dtype=int), np.zeros(3, dtype=int), 0.95) == 0.0


def test_student_t_by_table():
    """The tables of any textbook: 12.706 and 2.228 at 0.975, 1.697 at 0.95; with one degree it is Cauchy's tangent."""
    found = [student_t(level, freedom) for level, freedom in ((0.975, 1), (0.975, 10), (0.95, 30))]
    assert found == pytest.approx([12.706, 2.228, 1.697], abs=1e-3)
    assert student_t(0.9, 1) == pytest.approx(math.tan(math.pi * 0.4))


def test_faults_of_few_documents_do_not_raise_the_bound():
    """Twelve documents of fifty: one fault, or two in two documents, says less than none, not more."""
    of = np.full(12, 50)
    faults = np.eye(12, dtype=int)
    bounds = [lower_bound(of - sum(faults[:n], np.zeros(12, dtype=int)), of, 0.95) for n in range(3)]
    assert bounds[0] == pytest.approx(0.05 ** (1 / 12))
    assert bounds == sorted(bounds, reverse=True)


def test_few_documents_make_the_spread_uncertain():
    """Four documents of ten with 9, 8, 9 and 9 right, by hand: less spread than independent spans would show, so the
    effect is (t / z)^2 alone, at 3 degrees (2.353 / 1.645)^2 = 2.047: 40 spans count as 19.54, with 17.10 right."""
    bound = lower_bound(np.array([9, 8, 9, 9]), np.full(4, 10), 0.95)
    assert bound == pytest.approx(clopper_pearson(35 / 2.0468, 40 / 2.0468, 0.95), abs=1e-4)


@pytest.mark.parametrize(("documents", "right"), [(15, 0.9), (60, 0.97)])
def test_the_bound_holds_where_documents_are_all_right_or_all_wrong(documents: int, right: float):
    """Above the truth in no more than the 2.5 % of draws that it may be."""
    draw = np.random.default_rng(3)
    above = 0
    for _ in range(1000):
        of = 1 + draw.negative_binomial(1, 0.1, documents)
        above += lower_bound(of * (draw.random(documents) < right), of, 0.975) > right
    assert above <= 25


def simulated(draw: np.random.Generator, documents: int = 400, spread: float = 0.7) -> Outcomes:
    """Some spans a document, whose odds share a document's own shift."""
    number = np.repeat(np.arange(documents), draw.poisson(4, documents))
    logits = draw.normal(2, 2, len(number))
    right = draw.random(len(number)) < sigmoid(logits + draw.normal(0, spread, documents)[number])
    gold = np.bincount(number[right], minlength=documents) + draw.poisson(0.5, documents)
    return Outcomes(logits, right, ("X",) * len(number), number, {"X": gold})


@pytest.mark.parametrize(("rate", "least"), [("precision", 0.9), ("recall", 0.6)])
def test_the_promise_holds(rate: str, least: float):
    """On data drawn anew, in at least 94 % of 1,000 draws (expected 95 at the border, more off it); not by refusing."""
    draw = np.random.default_rng(0)
    truth = simulated(draw, 40_000)
    held = refused = 0
    for _ in range(1000):
        outcomes = simulated(draw)
        try:
            (found,) = promises(outcomes, sigmoid(outcomes.logits), Requirement(rate, least))
        except DataError:
            refused += 1
            continue
        kept = sigmoid(truth.logits) >= found.threshold
        whole = kept.sum() if rate == "precision" else truth.gold["X"].sum()
        held += (truth.right & kept).sum() / whole >= least
    assert refused <= 200 and held / (1000 - refused) >= 0.94


def test_rare_labels_are_pooled():
    draw = np.random.default_rng(1)
    outcomes = simulated(draw, 600)
    labels = tuple("often" if n % 3 else f"rare{n % 5}" for n in range(len(outcomes)))
    gold = {label: np.ones(600, dtype=np.int64) for label in sorted(set(labels))}
    mixed = Outcomes(outcomes.logits, outcomes.right, labels, outcomes.documents, gold)
    found = promises(mixed, sigmoid(mixed.logits), Requirement("precision", 0.85))
    assert {label for promise in found for label in promise.labels} == set(labels)
    assert label_thresholds(found).keys() == set(labels)
    pooled = [promise for promise in found if len(promise.labels) > 1]
    assert len(pooled) <= 1 and all(promise.bound >= 0.85 for promise in found if promise.threshold < NEVER)


def test_what_data_cannot_support_is_refused():
    outcomes = simulated(np.random.default_rng(2), 20)
    with pytest.raises(DataError, match=r"decoded spans(.|\n)*faultless spans"):
        promises(outcomes, sigmoid(outcomes.logits), Requirement("precision", 0.99))


@pytest.mark.parametrize(
    "text", ["precision", "precision>0.9", "f1>=0.5", "precision>=1", "precision>=1.5", "recall>=0"]
)
def test_requirements_that_make_no_sense(text: str):
    with pytest.raises(UsageError, match="requirement"):
        Requirement.parse(text)


def test_requirements_are_read():
    assert Requirement.parse(" recall >= .75", 0.9) == Requirement("recall", 0.75, 0.9)
    with pytest.raises(UsageError, match="confidence"):
        Requirement.parse("recall>=0.5", 1.0)


def test_best_f1_by_hand():
    """Right, wrong, right at 0.9, 0.6, 0.4, of 2 gold: F1 2/3, 1/2, 4/5: all three, so below 0.4 (halfway to 0)."""
    gold = {"X": np.array([2])}
    outcomes = Outcomes(np.zeros(3), np.array([True, False, True]), ("X",) * 3, np.zeros(3, dtype=np.int64), gold)
    assert best_f1(outcomes, np.array([0.9, 0.6, 0.4])) == pytest.approx(0.2)
    assert best_f1(outcomes, np.array([0.9, 0.6, 0.6])) == pytest.approx(0.3)
    wrong = Outcomes(np.zeros(1), np.array([False]), ("X",), np.zeros(1, dtype=np.int64), gold)
    assert best_f1(wrong, np.array([0.9])) == 0.5
