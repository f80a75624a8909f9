"""Whole documents: how probable it is that nothing in them is wrong or missed."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from spanbert.calibration.curve import Calibration
from spanbert.documents import Judged
from spanbert.evaluation.outcomes import collected, sure, whole


def test_whole_documents_by_hand():
    """Told from 0.5 on. The first is all right, the second has a wrong one, the third misses one that was decoded, the
    fourth one that was not; in the fifth nothing was decoded and there is nothing.
    """
    judged = [
        Judged(("P", "P"), (2.0, -2.0), (True, False), Counter(P=1)),
        Judged(("P", "Q"), (2.0, 1.0), (True, False), Counter(P=1)),
        Judged(("P",), (-1.0,), (True,), Counter(P=1)),
        Judged(("Q",), (1.0,), (True,), Counter(P=1, Q=1)),
        Judged((), (), ()),
    ]
    found = collected(judged, ("P", "Q"))
    p = np.array([0.9, 0.1, 0.8, 0.7, 0.3, 0.6])
    documents = whole(judged, found, sure(found, p >= 0.5, p, Calibration()), p >= 0.5)
    assert documents.probabilities.tolist() == pytest.approx([0.9 * 0.9, 0.8 * 0.7, 0.7, 0.6, 1.0])
    assert documents.right.tolist() == [True, False, False, False, True]


def logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_to_say_nothing_is_right_where_there_is_no_answer():
    """Of two questions the best answers have 0.4 and 0.5, "no answer" 0.3 and all the rest; neither is told. The first
    has an answer that was missed."""
    best, none = (0.4, 0.5), (0.3, 0.5)
    judged = [
        Judged(("A",), (math.log(p / (1 - p)),), (False,), Counter(A=n), (not n,), (math.log(q / p),))
        for p, q, n in zip(best, none, (1, 0), strict=True)
    ]
    found, nothing = collected(judged, ("A",)), np.array([False, False])
    p = found.probabilities(Calibration())
    silent = sure(found, nothing, p, Calibration())
    assert silent.tolist() == pytest.approx(none, abs=1e-4)
    assert sure(found, ~nothing, p, Calibration()).tolist() == p.tolist()
    documents = whole(judged, found, silent, nothing)
    assert documents.probabilities.tolist() == pytest.approx(none, abs=1e-4)
    assert documents.right.tolist() == [False, True]
    fitted = Calibration(silence=(1.0, -1.0))
    expected = [(1 - p) * logistic(math.log(q / p) - 1) for p, q in zip(best, none, strict=True)]
    assert sure(found, nothing, p, fitted).tolist() == pytest.approx(expected, abs=1e-4)


def test_nothing_anywhere():
    judged = [Judged((), (), ()), Judged((), (), (), Counter(P=1))]
    documents = whole(judged, collected(judged, ("P",)), np.array([]), np.array([], dtype=bool))
    assert documents.probabilities.tolist() == [1.0, 1.0] and documents.right.tolist() == [True, False]
