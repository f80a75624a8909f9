"""From mentions with two vectors each to links and chains: pure numpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BLOCK = 512
"""Mentions whose antecedents are looked for at a time: some 200 MB where there are 20,000."""
FARTHEST = 50.0
_LARGEST = 1e15  # of a vector's numbers: their products are still numbers


class Links(NamedTuple):
    """For each mention in the order of the text, what it goes back to."""

    earlier: npt.NDArray[np.int64]
    """M, the most probable antecedent of its chain; -1: it begins one."""
    log_odds: npt.NDArray[np.float64]
    """M: that it is one of this chain, against all others and none."""


def antecedents(
    later: npt.NDArray[np.float32],
    earlier: npt.NDArray[np.float32],
    recency: npt.NDArray[np.float32],
    first: npt.NDArray[np.int64],
    distances: Sequence[int],
) -> Links:
    """M x D, M x D, M x K + 1, and M, the piece where each mention begins, in the order of the text. distances: K, at
    which the next number of a row of `recency` begins to count. O(M M D) in blocks.

    A link's logit is the product of the rows of both and what the later one says of the distance; that of "none" is 0.
    The loss asks for any antecedent of the right chain, so that its members share what speaks for it: mentions are
    taken in their order, and each joins the chain whose members have the greatest sum of probabilities, where that is
    more than "none" has. Ties to the chain that began first, and in it to the nearer mention.
    """
    count, first = len(later), np.maximum.accumulate(first)  # pieces of one grapheme have no order
    chosen, log_odds = np.full(count, -1, dtype=np.int64), np.full(count, -FARTHEST)
    chains, number = np.empty(count, dtype=np.int64), 0
    sides = (later, earlier, recency)
    lost_later, lost_earlier, lost_recency = (np.logical_or.reduce(np.isnan(side), axis=1) for side in sides)
    lost = lost_later | lost_recency
    later, earlier, recency = (np.clip(np.nan_to_num(side), -_LARGEST, _LARGEST) for side in sides)
    for begin in range(0, count, BLOCK):
        end = min(count, begin + BLOCK)
        logits = later[begin:end] @ earlier[:end].T
        logits += _by_distance(recency[begin:end], first[begin:end], first[:end], distances)
        logits[:, begin:][np.triu_indices(end - begin)] = -np.inf  # only what stands before
        logits[:, lost_earlier[:end]] = -np.inf  # no numbers, no links
        top = np.maximum(logits.max(axis=1), 0.0)
        none = np.exp(-top.astype(np.float64))
        odds = np.exp(np.subtract(logits, top[:, None], out=logits), out=logits)  # those of "none" are `none`
        for mention, row, alone in zip(range(begin, end), odds, none.tolist(), strict=True):
            masses = np.bincount(chains[:mention], weights=row[:mention], minlength=number)
            chain = int(masses.argmax()) if number and not lost[mention] else -1
            if chain < 0 or masses[chain] <= alone:
                chains[mention] = number
                number += 1
                continue
            chains[mention] = chain
            members = np.flatnonzero(chains[:mention] == chain)[::-1]
            chosen[mention] = members[row[members].argmax()]
            mass, masses[chain] = float(masses[chain]), 0.0
            against = max(alone + float(masses.sum()), 1e-300)
            log_odds[mention] = min(max(math.log(mass) - math.log(against), -FARTHEST), FARTHEST)
    return Links(chosen, log_odds)


def _by_distance(
    recency: npt.NDArray[np.float32],
    first: npt.NDArray[np.int64],
    before: npt.NDArray[np.int64],
    distances: Sequence[int],
) -> npt.NDArray[np.float32]:
    """R x N: what each of R mentions says of its distance to each of N that are in rising order.

    Those at one distance stand in a row, so each number is repeated as often as there are any; the farthest come first.
    """
    edges = np.searchsorted(before, first[:, None] - np.array(distances[::-1], dtype=np.int64), side="right")
    counts = np.diff(edges, axis=1, prepend=0, append=len(before))
    return np.repeat(recency[:, ::-1].ravel(), counts.ravel()).reshape(len(first), -1)


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
