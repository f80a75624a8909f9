"""A shuffled order of any number of things that takes no memory: each place is computed when it is asked for."""

from __future__ import annotations

import numpy as np

from ..tokenization import IntArray

_ROUNDS = 6
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def permuted(places: IntArray, size: int, seed: int, epoch: int) -> IntArray:
    """What stands at these places of a shuffle of range(size), one of its own for each (seed, epoch).

    A Feistel network over the next power of four; what falls outside of the range goes through it again until it
    does not (Black and Rogaway 2002, cycle walking), so every number of the range occurs exactly once.
    """
    half = np.uint64(max(1, (max(size - 1, 1).bit_length() + 1) // 2))
    keys = np.random.default_rng((seed, epoch)).integers(1 << 63, size=_ROUNDS, dtype=np.uint64)
    values = places.astype(np.uint64)
    outside = np.ones(len(values), dtype=bool)
    while outside.any():
        values[outside] = _network(values[outside], half, keys)
        outside = values >= np.uint64(size)
    return values.astype(np.int64)


def _network(values: np.ndarray, half: np.uint64, keys: np.ndarray) -> np.ndarray:
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & low
    for key in keys:
        mixed = (right + key) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(29)
        mixed *= _MULTIPLIER
        left, right = right, left ^ ((mixed >> np.uint64(32)) & low)
    result: np.ndarray = (left << half) | right
    return result
