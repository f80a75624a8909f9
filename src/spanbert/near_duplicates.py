"""Texts that are nearly the same, found without comparing all pairs (MinHash with banded buckets)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

WORDS = 3
"""Words of a shingle: the sequences of so many words, as a set, are what texts are compared by."""
LEAST = 0.8
"""Least Jaccard similarity of two sets of shingles."""
_HASHES, _BANDS = 64, 16  # bands of 4: a pair of similarity 0.8 shares a bucket with probability 0.9998, 0.3 with 0.12
_UNPARTED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNPARTED}]|[^\W{_UNPARTED}]+")  # where no space parts words, each character is one
_RANDOM = np.random.default_rng(20_260_000)
_MULTIPLIERS = _RANDOM.integers(1, 2**63, _HASHES, dtype=np.uint64)[:, None] * np.uint64(2) + np.uint64(1)
_SHIFTS = _RANDOM.integers(0, 2**63, _HASHES, dtype=np.uint64)[:, None]
_BLOCK = 8192
_MOST = 50
"""Sets that a bucket holds: texts made from one form fill the same buckets, and none would be compared with all."""


def near_duplicates(texts: Sequence[str], others: Sequence[str]) -> list[int]:
    """Indices of the `texts` that share LEAST of their shingles with one of the `others`, case and marks ignored.

    Texts of fewer words than a shingle has are left out. Linear in the words of all texts, about a second a million.
    Source: Broder, "On the resemblance and containment of documents" (1997).
    """
    index = _Index()
    for text in others:
        index.add(shingles(text))
    return [number for number, text in enumerate(texts) if index.first_like(shingles(text)) is not None]


def repeats(texts: Sequence[str]) -> dict[int, int]:
    """Index of each text that is nearly the same as an earlier one, with the index of the first of these.

    Texts of fewer words than a shingle has are left out.
    """
    index, found = _Index(), {}
    for number, text in enumerate(texts):
        hashes = shingles(text)
        if (first := index.first_like(hashes)) is not None:
            found[number] = first
        index.add(hashes)
    return found


def shingles(text: str) -> Hashes:
    """The distinct shingles of a text as sorted 64-bit hashes."""
    words = np.array([crc32(word.encode()) for word in _WORD.findall(text.lower())], np.uint64)
    count = len(words) - WORDS + 1
    if count < 1:
        return np.empty(0, np.uint64)
    hashes = np.zeros(count, np.uint64)
    for place in range(WORDS):  # a polynomial in an odd constant: order matters
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + words[place : place + count]
    return np.unique(hashes)


def similarity(one: Hashes, other: Hashes) -> float:
    """Jaccard similarity: what both sets share, over what either has."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(1, len(one) + len(other) - shared)


class _Index:
    """Sets of shingles in buckets, numbered in the order in which they came."""

    def __init__(self) -> None:
        self._known: list[Hashes] = []
        self._buckets: dict[object, list[int]] = defaultdict(list)

    def add(self, hashes: Hashes) -> None:
        for bucket in _buckets(hashes):
            if len(self._buckets[bucket]) < _MOST:
                self._buckets[bucket].append(len(self._known))
        self._known.append(hashes)

    def first_like(self, hashes: Hashes) -> int | None:
        """Number of the first set that shares LEAST with this one."""
        candidates = {other for bucket in _buckets(hashes) for other in self._buckets.get(bucket, ())}
        return next((other for other in sorted(candidates) if similarity(hashes, self._known[other]) >= LEAST), None)


def _buckets(hashes: Hashes) -> Iterator[tuple[int, bytes]]:
    if not len(hashes):
        return
    # Multiply and shift: the high half of the product is the well-mixed one. In blocks, for texts of any length.
    blocks = [hashes[start : start + _BLOCK] for start in range(0, len(hashes), _BLOCK)]
    least = np.min([((block * _MULTIPLIERS + _SHIFTS) >> np.uint64(32)).min(axis=1) for block in blocks], axis=0)
    for band, members in enumerate(least.reshape(_BANDS, -1)):
        yield band, members.tobytes()
