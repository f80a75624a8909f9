"""From mentions with two vectors each to links and chains: pure numpy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BLOCK = 512
"""Mentions whose antecedents are looked for at a time: some 200 MB where there are 20,000."""
FARTHEST = 50.0
_LARGEST = 1e15  # of a vector's numbers: their products are still numbers


class Links(NamedTuple):
    """For each mention in the order of the text its most probable antecedent."""

    earlier: npt.NDArray[np.int64]
    """M; -1: it goes back to none."""
    log_odds: npt.NDArray[np.float64]
    """M: of this very antecedent, among all and none."""


def best_antecedents(later: npt.NDArray[np.float32], earlier: npt.NDArray[np.float32]) -> Links:
    """M x D each; a link's logit is the product of their rows, that of "none" is 0. O(M M D) in blocks.

    A mention goes back to its most probable antecedent where that is more probable than none; ties to the nearer one.
    """
    count = len(later)
    chosen, odds = np.full(count, -1, dtype=np.int64), np.full(count, -FARTHEST)
    lost_later, lost_earlier = (np.logical_or.reduce(np.isnan(side), axis=1) for side in (later, earlier))
    later, earlier = (np.clip(np.nan_to_num(side), -_LARGEST, _LARGEST) for side in (later, earlier))
    for begin in range(0, count, BLOCK):
        end = min(count, begin + BLOCK)
        logits = later[begin:end] @ earlier[:end].T
        logits[:, begin:][np.triu_indices(end - begin)] = -np.inf  # only what stands before
        logits[:, lost_earlier[:end]] = -np.inf  # no numbers, no links
        nearest = end - 1 - logits[:, ::-1].argmax(axis=1)
        rows = np.arange(end - begin)
        best = logits[rows, nearest]
        logits[rows, nearest] = -np.inf
        known = (best > 0) & ~lost_later[begin:end]
        others = np.exp(np.subtract(logits[known], best[known, None]))  # each against the best, and "none" as well
        sums = others.sum(axis=1, dtype=np.float64) + np.exp(-best[known].astype(np.float64))
        chosen[begin:end] = np.where(known, nearest, -1)
        odds[begin:end][known] = np.clip(-np.log(np.maximum(sums, 1e-300)), -FARTHEST, FARTHEST)
    return Links(chosen, odds)


def components(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """What is connected, each in rising order, by their first members; singletons too."""
    home = list(range(count))

    def root(k: int) -> int:
        while home[k] != k:
            home[k] = home[home[k]]
            k = home[k]
        return k

    for a, b in pairs:
        one, other = sorted((root(a), root(b)))
        home[other] = one
    groups: dict[int, list[int]] = {}
    for k in range(count):
        groups.setdefault(root(k), []).append(k)
    return list(groups.values())
