"""Answers by the span scorer: a logit for every pair of pieces, as in `heads/pairs.py`, with one label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ..packing import Batch
from ..targets import AnswerTargets, PairTargets
from .answers import KEPT, MANY
from .pairs import PairHead, best_of_each


class AnswerPairs(nn.Module):
    """A pair is told by its own log-odds, whatever else the window holds."""

    weights: Mapping[str, float] = {"answers": 1.0}
    over_vocabulary = False

    def __init__(self, width: int, longest: int, *, several: bool = False) -> None:
        """As of the `AnswerHead`."""
        super().__init__()
        self.longest, self.several = longest, several
        self.pairs = PairHead(width, 1)

    def forward(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:
        """Columns `window`, `unit`, `first`, `last` (pieces of the document), `logit`: the `KEPT` best owned pairs.

        Where there may be several answers: of each of the `MANY` best starts the best.
        """
        rows = self.pairs(vectors, batch, floor)
        short = rows["last"] - rows["first"] < self.longest
        rows = {name: column[short] for name, column in rows.items()}
        if self.several:
            pairs = torch.stack([rows["window"], rows["first"]], 1)
            starts = pairs.unique(dim=0, return_inverse=True)[1]  # type: ignore[no-untyped-call]
            kept = best_of_each(starts, rows["logit"], torch.ones(len(starts), dtype=torch.int64))
            rows = {name: column[kept] for name, column in rows.items()}
        most = torch.full((len(batch.groups),), MANY if self.several else KEPT)
        kept = best_of_each(rows["window"], rows["logit"], most)
        rows = {name: column[kept] for name, column in rows.items()}
        columns = {name: rows[name] for name in ("window", "first", "last", "logit")}
        return {**columns, "unit": torch.from_numpy(batch.unit)[rows["window"]]}

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[AnswerTargets]) -> Mapping[str, Tensor]:
        """Binary cross-entropy summed over all pairs of all windows, those that were drawn alone."""
        taught = np.ones(1, dtype=bool)
        spans = [PairTargets(np.pad(target.answers, ((0, 0), (0, 1))), taught) for target in targets]
        return {"answers": self.pairs.loss(vectors, batch, spans)["spans"]}
