"""What counting says of a corpus, for a new encoder to begin with in place of random numbers.

Much of a short pre-training is spent on what can be counted in seconds: how often each piece occurs, and beside which
others. So word vectors begin as singular vectors of the positive pointwise mutual information between pieces and their
neighbours on either side (Bullinaria and Levy 2007; neighbours smoothed as by Levy, Goldberg and Dagan 2015), the
biases of the output as the logarithms of the frequencies, and positions as sinusoids (Vaswani et al. 2017, section
3.5), among which a distance is the same everywhere.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F

from .. import durable
from ..encoder.packed import PackedBert
from ..heads.masked import MaskedHead
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
LENGTH = 4.0
"""Of a word vector, in those of random ones of its columns: beside its place, which is as long as those, it counts."""
_SMOOTHING = 0.75
_MORE, _TURNS = 32, 3  # of the randomised decomposition (Halko, Martinsson and Tropp 2011, section 1.3)
_LONGEST_WAVE = 10_000.0


def begin(encoder: PackedBert, head: MaskedHead, corpus: BlockCorpus) -> None:
    """Put it into a new encoder and its head, whose other weights stay as they are.

    The word vectors lie beside the corpus once they are made: on another processor they would differ in the last bit,
    and a resumed run would be another one.
    """
    std, made = encoder.config.initializer_range, corpus.folder / f"vectors-{encoder.width}.npy"
    try:
        vectors = torch.from_numpy(np.load(made))
    except (OSError, ValueError, EOFError):  # not there yet, or damaged
        vectors = torch.from_numpy(word_vectors(corpus, *encoder.words.weight.shape))
        with durable.on_disk(made), durable.replacing(made) as stream:
            np.save(stream, vectors.numpy())
    counted, width = vectors.any(dim=1), vectors.shape[1]
    frequency = 1.0 + torch.from_numpy(corpus.occurrences(encoder.vocabulary))
    with torch.no_grad():
        encoder.words.weight[counted, :width] = LENGTH * std * width**0.5 * F.normalize(vectors[counted])
        encoder.positions.weight.copy_(std * sinusoids(*encoder.positions.weight.shape))
        for bias in (head.bias, *([head.boundary_bias] if head.boundary is not None else ())):
            bias.copy_((frequency / frequency.sum()).log())


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


def sinusoids(longest: int, width: int) -> torch.Tensor:
    """`longest` x `width`, of mean square 1."""
    angles = torch.arange(longest)[:, None] * _LONGEST_WAVE ** (-torch.arange(0, width, 2) / width)
    return 2**0.5 * torch.cat([angles.sin(), angles.cos()], dim=1)
