"""Intervals by drawing documents."""

from __future__ import annotations

import numpy as np
import pytest

from spanbert.errors import DataError
from spanbert.metrics.bootstrap import bounds, interval, resample
from spanbert.metrics.spans import f1, recall


def test_equal_documents_leave_no_doubt():
    """Every draw of documents with (1, 2, 2) has F1 2 / 4."""
    assert interval(np.array([[1, 2, 2]] * 5)) == (0.5, 0.5)


def test_fewer_than_two_documents_have_no_interval():
    assert interval(np.array([[1, 2, 2]])) is None
    assert interval(np.zeros((0, 3), dtype=int)) is None


def test_documents_without_a_fault_leave_some_doubt():
    """Clopper and Pearson: were the share of documents without a fault less than 0.025^(1/n), n of them in a row would
    be less probable than 0.025. 0.025^(1/2) = 0.158, 0.025^(1/100) = 0.964."""
    assert interval(np.ones((2, 3), dtype=int)) == (pytest.approx(0.1581, abs=1e-4), 1.0)
    assert interval(np.ones((100, 3), dtype=int)) == (pytest.approx(0.9638, abs=1e-4), 1.0)
    wrong = np.array([[0, 1, 1]] * 100)
    assert interval(wrong) == (0.0, pytest.approx(1 - 0.9638, abs=1e-4))
    share = interval(wrong[:, 1:], lambda sums: 100.0 * sums[..., 0] / sums[..., 1], best=100.0)
    assert share == (pytest.approx(96.38, abs=1e-2), 100.0)
    drawn = resample(wrong)
    assert interval(wrong, drawn=drawn) == interval(wrong)


def test_a_rare_label_has_the_interval_of_the_documents_that_have_it():
    """Right in both documents that have it: 1 in every draw that has it at all, whatever the 98 others."""
    counts = np.zeros((100, 3), dtype=int)
    counts[:2] = 1
    assert interval(counts) == (pytest.approx(0.1581, abs=1e-4), 1.0)
    counts[1] = 0
    assert interval(counts) is None  # one document: nothing varies


def test_two_documents_by_hand():
    """One all right, one all wrong, each with one gold and one predicted span: F1 is 0, 1/2 or 1 at 1/4, 1/2, 1/4.

    So the middle 95 % reach from 0 to 1, and the middle 40 % are at 1/2.
    """
    counts = np.array([[1, 1, 1], [0, 1, 1]])
    assert interval(counts) == (0.0, 1.0)
    assert interval(counts, level=0.4) == (0.5, 0.5)
    rates = f1(resample(counts, samples=4000))
    assert set(rates) == {0.0, 0.5, 1.0}
    assert np.mean(rates == 0.5) == pytest.approx(0.5, abs=0.04)


def test_width_is_that_of_the_binomial():
    """400 documents of one gold span each, half found: recall has standard error sqrt(0.25 / 400) = 0.025.

    The 95 % interval is 0.5 +- 1.96 x 0.025 = 0.049.
    """
    counts = np.array([[1, 1, 1], [0, 0, 1]] * 200)
    low, high = interval(counts, recall)
    assert low == pytest.approx(0.451, abs=0.008)
    assert high == pytest.approx(0.549, abs=0.008)


def test_same_seed_same_draws_for_any_counts():
    """A second system's counts are drawn with the same documents: its sums are those of the first, doubled."""
    counts = np.random.default_rng(1).integers(0, 5, (30, 2, 3))
    assert (resample(counts * 2, seed=7, samples=50) == 2 * resample(counts, seed=7, samples=50)).all()
    assert (resample(counts, seed=8, samples=50) != resample(counts, seed=7, samples=50)).any()


def test_each_draw_has_as_many_documents():
    assert (resample(np.ones((17, 1), dtype=int), samples=20) == 17).all()


def test_bounds_by_hand():
    """0 to 100 in steps of 1: 90 % lie between 5 and 95."""
    assert bounds(np.arange(101.0), 0.9) == (pytest.approx(5.0), pytest.approx(95.0))


def test_of_no_documents_nothing_can_be_drawn():
    with pytest.raises(DataError, match="no documents"):
        resample(np.zeros((0, 1, 3)))
