"""From odds of pairs against "no answer here" to the answers of a question over all windows of its document.

A window is taught to put its answer, or its first position where it has none, among all its positions; so a pair is
told by its odds against that first position. If a text answers its question in one place at most, the probability that
the answer is pair p of window w is proportional to P_w(p) times the product over the other windows v of P_v(none), and
that the text has none to the product over all windows. Divided by the latter,

    P(p) = odds(p) / (1 + sum of the odds of all pairs of all windows),     P(none) = 1 / (1 + the same sum):

one distribution over all windows and "no answer" together. Windows own disjoint pairs, so nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
FARTHEST = 50.0
"""Log-odds beyond which nothing is told apart."""


class NBest(NamedTuple):
    """Indices of candidates, the most probable first, their log-odds, and those of "no answer"."""

    indices: IntArray
    log_odds: FloatArray
    no_answer: float


def one_answer(
    starts: IntArray, ends: IntArray, odds: FloatArray, mass: FloatArray, most: int, texts: Sequence[object] = ()
) -> NBest:
    """At most `most` candidates of which one at most is right: no two overlap.

    odds: S, natural logarithms. mass: W, the logarithm of the sum of the odds of all pairs of each window.
    texts: S, what each candidate says; given, candidates that say the same share their probability, and the most
    probable of them stands for all. O(S log S + S most).
    """
    odds, mass = _numbers(odds), _numbers(mass)
    total = float(np.logaddexp.reduce(np.append(mass, 0.0)))
    kept = disjoint(starts, ends, odds, len(odds) if len(texts) else most)
    shares = odds[kept]
    if len(texts):
        first: dict[object, int] = {}
        places = [first.setdefault(texts[index], place) for place, index in enumerate(kept.tolist())]
        joined = np.full(len(kept), -np.inf)
        np.logaddexp.at(joined, places, shares)
        own = np.array([place == number for number, place in enumerate(places)], dtype=bool)
        kept, shares = kept[own], joined[own]
        order = np.argsort(-shares, kind="stable")[:most]
        kept, shares = kept[order], shares[order]
    return NBest(kept, _log_odds(shares - total), float(_log_odds(np.array([-total]))[0]))


def several_answers(starts: IntArray, ends: IntArray, odds: FloatArray, mass: FloatArray, most: int) -> NBest:
    """At most `most` candidates of which any may be right: no two overlap.

    Each competes with "no answer here" and with the candidates that overlap it only; so two answers do not take
    probability from one another. O(S log S + S most).
    """
    odds, mass = _numbers(odds), _numbers(mass)
    kept = disjoint(starts, ends, odds, most)
    rivals = np.empty(len(kept))
    for place, index in enumerate(kept.tolist()):
        others = (starts < ends[index]) & (ends > starts[index])
        others[index] = False
        rivals[place] = np.logaddexp.reduce(np.append(odds[others], 0.0))
    log_odds = np.clip(odds[kept] - rivals, -FARTHEST, FARTHEST)
    order = np.argsort(-log_odds, kind="stable")
    total = float(np.logaddexp.reduce(np.append(mass, 0.0)))
    return NBest(kept[order], log_odds[order], float(_log_odds(np.array([-total]))[0]))


def disjoint(starts: IntArray, ends: IntArray, odds: FloatArray, most: int) -> IntArray:
    """Indices of the greatest odds, then of the greatest that does not overlap it, and so on; ties by position."""
    order = np.lexsort((ends, starts, -odds))
    order = order[odds[order] > -np.inf]
    kept: list[int] = []
    while len(order) and len(kept) < most:
        best = order[0]
        kept.append(int(best))
        order = order[(starts[order] >= ends[best]) | (ends[order] <= starts[best])]
    return np.array(kept, dtype=np.int64)


def _numbers(values: FloatArray) -> FloatArray:
    """In double precision; what is no number is as improbable as can be."""
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.isnan(values), -np.inf, np.minimum(values, 1e6))


def _log_odds(logarithms: FloatArray) -> FloatArray:
    """log p - log(1 - p) of probabilities given by their logarithms."""
    p = np.minimum(logarithms, -1e-300)
    with np.errstate(divide="ignore"):  # of the form that is not chosen
        rest = np.where(p > -0.7, np.log(-np.expm1(p)), np.log1p(-np.exp(p)))
    return np.asarray(np.clip(p - rest, -FARTHEST, FARTHEST))
