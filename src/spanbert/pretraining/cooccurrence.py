"""Word vectors by counting: which pieces stand beside which, in a corpus.

They are singular vectors of the positive pointwise mutual information between pieces and their neighbours on either
side (Bullinaria and Levy 2007; neighbours smoothed as by Levy, Goldberg and Dagan 2015).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from .corpus import COUNTED, BlockCorpus

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
REACH = 3
"""Pieces on either side that are neighbours."""
NEIGHBOURS = 2000
"""Pieces, the most frequent ones, by which others are told apart; fewer for a large vocabulary:"""
CELLS = 60_000_000
"""Pairs of pieces that are counted on either side, four bytes each."""
MOST = 1 << 25
"""Pieces of the corpus that are counted; of more, as many in stretches from all over it."""
_SMOOTHING = 0.75
_MORE, _TURNS = 32, 3  # of the randomised decomposition (Halko, Martinsson and Tropp 2011, section 1.3)


def word_vectors(corpus: BlockCorpus, vocabulary: int, width: int) -> FloatArray:
    """`vocabulary` x `width` (or fewer, of a tiny vocabulary), less their mean; 0 for what has no neighbour."""
    often = np.argsort(-corpus.occurrences(vocabulary), kind="stable")[: min(NEIGHBOURS, CELLS // vocabulary)]
    beside = neighbours(corpus, vocabulary, often).reshape(vocabulary, -1)
    whole = beside.sum(axis=1, keepdims=True)
    share = beside.sum(axis=0, keepdims=True) ** _SMOOTHING
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(beside / (whole * share / share.sum()))
    information = torch.from_numpy(np.nan_to_num(information.clip(min=0.0), copy=False))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        left, values, _ = torch.svd_lowrank(information, min(width + _MORE, *information.shape), niter=_TURNS)
    vectors: FloatArray = (left * values.sqrt())[:, :width].numpy()
    there = whole[:, 0] > 0
    vectors[there] -= vectors[there].mean(axis=0)
    vectors[~there] = 0.0
    return vectors


def neighbours(corpus: BlockCorpus, vocabulary: int, often: np.ndarray) -> FloatArray:
    """[vocabulary, 2, len(often)]: how often each of the frequent pieces stands up to REACH pieces before each piece of
    the vocabulary, and after it, in one block.
    """
    column = np.full(vocabulary, -1)
    column[often] = np.arange(len(often))
    found = np.zeros((vocabulary, 2, len(often)), dtype=np.float32)
    total = len(corpus.pieces)
    borders = np.linspace(0, total, 1 - (-min(total, MOST) // COUNTED)).astype(np.int64).tolist()
    for first, end in pairwise(borders):
        pieces = corpus.pieces[first : min(end, first + COUNTED)].astype(np.int64)
        block = np.searchsorted(corpus.borders, np.arange(first, first + len(pieces)), side="right")
        for distance in range(1, REACH + 1):
            together = block[distance:] == block[:-distance]
            before, after = pieces[:-distance][together], pieces[distance:][together]
            for side, (piece, other) in enumerate(((after, before), (before, after))):
                known = column[other] >= 0
                cells = piece[known] * len(often) + column[other[known]]
                counts = np.bincount(cells, minlength=vocabulary * len(often))
                found[:, side] += counts.reshape(vocabulary, len(often))
    return found
