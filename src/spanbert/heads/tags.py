"""A logit for every tag at every piece. C tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..packing import Batch
from ..targets import TagTargets

OUTSIDE_FIRST = 2.0
"""Logit of tag 0, O, before anything is learnt: most pieces lie outside of all spans. It lifts F1 where spans are rare
and changes nothing where they are not (docs/experiments.md)."""
_NOT_A_PIECE = -100


class TagHead(nn.Module):
    """One linear layer, as in the stock token-classification class, so that its weights load there."""

    weights: Mapping[str, float] = {"tags": 1.0}
    over_vocabulary = False

    def __init__(self, width: int, tags: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, tags)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)
        with torch.no_grad():
            self.classifier.bias[0] = OUTSIDE_FIRST

    def forward(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:  # noqa: ARG002 - no candidates
        """Columns `window`, `piece`, `emission` (rows x C): every piece once, from the window that owns it."""
        pieces, windows = batch.pieces, batch.windows
        owned = (pieces >= 0) & (2 * pieces > batch.low[windows]) & (2 * pieces <= batch.high[windows])
        rows = torch.from_numpy(np.flatnonzero(owned)).to(vectors.device)
        return {
            "window": torch.from_numpy(windows[owned]),
            "piece": torch.from_numpy(pieces[owned]),
            "emission": self.classifier(vectors[rows]),
        }

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[TagTargets]) -> Mapping[str, Tensor]:
        """Cross-entropy summed over all pieces; pieces in the overlap of two windows count in each."""
        tags = np.full(len(batch.ids), _NOT_A_PIECE)
        taught = np.ones((len(targets), self.classifier.out_features), dtype=bool)
        owner = batch.groups[batch.windows]
        for n, target in enumerate(targets):
            here = (owner == n) & (batch.pieces >= 0)
            tags[here] = target.tags[batch.pieces[here]]
            taught[n] = target.taught
        logits = self.classifier(self.dropout(vectors))
        if not taught.all():
            silent = torch.from_numpy(~taught[owner]).to(vectors.device)
            logits = logits.masked_fill(silent, torch.finfo(logits.dtype).min)
        gold = torch.from_numpy(tags).to(vectors.device)
        return {"tags": F.cross_entropy(logits, gold, ignore_index=_NOT_A_PIECE, reduction="sum")}
