"""A logit for every relation label, and one for "none", from the two places where a pair's arguments begin.

Vectors of the start markers as in Baldini Soares et al. 2019 (section 3.2), and of the window's first position. The
logit of "none" is a threshold of its own for every pair: what is true of it must be above, the rest below (Zhou et al.
2021, section 3.2), so a pair may have several relations, one or none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..packing import Batch
from ..targets import RelationTargets
from ..tokenization import IntArray
from ..windows import HEAD_BEGINS, TAIL_BEGINS


class RelationHead(nn.Module):
    """One window a pair."""

    weights: Mapping[str, float] = {"relations": 1.0}
    over_vocabulary = False

    def __init__(self, width: int, labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(3 * width, width)
        self.out = nn.Linear(width, 1 + labels)
        for layer in (self.mix, self.out):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:  # noqa: ARG002 - a row a pair
        """Columns `window`, `unit` (which pair), `odds` (W x C): log-odds of each label against "none"."""
        logits = self._logits(vectors, batch)
        return {
            "window": torch.arange(len(batch.groups)),
            "unit": torch.from_numpy(batch.unit),
            "odds": logits[:, 1:] - logits[:, :1],
        }

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[RelationTargets]) -> Mapping[str, Tensor]:
        """Labels that hold against "none", and "none" against those that do not, summed over pairs."""
        logits = self._logits(vectors, batch)
        holds = torch.from_numpy(np.stack([targets[group].holds for group in batch.groups])).to(logits.device)
        taught = torch.from_numpy(np.stack([targets[group].taught for group in batch.groups])).to(logits.device)
        weights = torch.tensor([targets[group].weight for group in batch.groups], device=logits.device)
        return {"relations": (weights * against_none(logits, holds, taught)).sum()}

    def _logits(self, vectors: Tensor, batch: Batch) -> Tensor:
        """W x (1 + C), "none" first."""
        places = torch.from_numpy(_places(batch)).to(vectors.device)
        features = torch.cat([vectors[places[:, k]] for k in range(3)], 1)
        logits: Tensor = self.out(self.dropout(torch.tanh(self.mix(self.dropout(features)))))
        return logits


def against_none(logits: Tensor, holds: Tensor, taught: Tensor) -> Tensor:
    """P: the loss of each pair, from logits P x (1 + C) with "none" first, what holds of it and what is known of it
    (P x C each): labels that hold against "none", and "none" against those that do not.
    """
    none = torch.zeros_like(holds[:, :1])
    lowest = torch.finfo(logits.dtype).min
    # log-softmax among what holds and "none", for each that holds
    above = logits.masked_fill(torch.cat([none, ~holds], 1), lowest).log_softmax(1)[:, 1:]
    # and of "none" among itself and what does not hold
    below = logits.masked_fill(torch.cat([none, holds | ~taught], 1), lowest).log_softmax(1)[:, 0]
    return -(above.masked_fill(~holds, 0.0).sum(1) + below)


def _places(batch: Batch) -> IntArray:
    """W x 3: positions where head and tail begin, and the window's first."""
    heads, tails = (np.flatnonzero(batch.pieces == mark) for mark in (HEAD_BEGINS, TAIL_BEGINS))
    return np.stack([heads, tails, batch.cu_seqlens[:-1]], 1)
