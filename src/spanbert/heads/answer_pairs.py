"""Answers by the span scorer: a logit for every pair of pieces, as in `heads/pairs.py`, with one label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..packing import Batch
from ..targets import AnswerTargets, PairTargets
from .answers import KEPT
from .pairs import PairHead, best_of_each


class AnswerPairs(nn.Module):
    """A pair is told by its own log-odds, whatever else the window holds."""

    weights: Mapping[str, float] = {"answers": 1.0}
    over_vocabulary = False

    def __init__(self, width: int, longest: int) -> None:
        """longest: pieces that an answer may have."""
        super().__init__()
        self.longest = longest
        self.pairs = PairHead(width, 1)

    def forward(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:
        """Columns `window`, `unit`, `first`, `last` (pieces of the document), `logit`: the `KEPT` best owned pairs."""
        rows = self.pairs(vectors, batch, floor)
        short = rows["last"] - rows["first"] < self.longest
        rows = {name: column[short] for name, column in rows.items()}
        kept = best_of_each(rows["window"], rows["logit"], torch.full((len(batch.groups),), KEPT))
        rows = {name: column[kept] for name, column in rows.items()}
        columns = {name: rows[name] for name in ("window", "first", "last", "logit")}
        return {**columns, "unit": torch.from_numpy(batch.unit)[rows["window"]]}

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[AnswerTargets]) -> Mapping[str, Tensor]:
        """Binary cross-entropy summed over all pairs of all windows; each window counts once, whatever its weight."""
        taught = np.ones(1, dtype=bool)
        spans = [PairTargets(np.pad(target.answers, ((0, 0), (0, 1))), taught) for target in targets]
        return {"answers": self.pairs.loss(vectors, batch, spans)["spans"]}
