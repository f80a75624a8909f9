"""Whole documents: how probable it is that nothing in them is wrong or missed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from spanbert.documents import Judged
from spanbert.evaluation.outcomes import collected, whole


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
    documents = whole(judged, found, p, p >= 0.5)
    assert documents.probabilities.tolist() == pytest.approx([0.9 * 0.9, 0.8 * 0.7, 0.7, 0.6, 1.0])
    assert documents.right.tolist() == [True, False, False, False, True]


def test_nothing_anywhere():
    judged = [Judged((), (), ()), Judged((), (), (), Counter(P=1))]
    documents = whole(judged, collected(judged, ("P",)), np.array([]), np.array([], dtype=bool))
    assert documents.probabilities.tolist() == [1.0, 1.0] and documents.right.tolist() == [True, False]
