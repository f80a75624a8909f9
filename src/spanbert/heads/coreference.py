"""Mentions by the span scorer, and for each mention two vectors whose product says which earlier one it goes back to.

Kirstain et al. 2021 ("Coreference resolution without span representations"): a mention is its first and last piece, and
an antecedent score is bilinear in the two of each mention. So what prediction needs of a mention is two short vectors,
and all pairs of a document are one product of matrices, without a second network. To that comes how far back a mention
looks, a number for each of some distances (as Lee et al. 2017 have it, but told by the mention itself: a pronoun goes
back to something near, a name need not).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..packing import Batch
from ..targets import DISTANCES, ClusterTargets, PairTargets
from ..tokenization import IntArray
from .pairs import PairHead, best_of_each, positions

SHARE = 0.4
"""Mentions that are kept of a window at most, for each piece (Lee et al. 2017, section 3)."""


class CoreferenceHead(nn.Module):
    """Mentions with their two vectors, and the loss of both."""

    weights: Mapping[str, float] = {"mentions": 1.0, "links": 1.0}
    over_vocabulary = False

    def __init__(self, width: int, size: int = 192, dropout: float = 0.1) -> None:
        super().__init__()
        self.pairs = PairHead(width, 1)
        self.dropout = nn.Dropout(dropout)
        self.later = nn.Linear(2 * width, size)
        self.earlier = nn.Linear(2 * width, size)
        self.bilinear = nn.Linear(size, size, bias=False)
        self.bias = nn.Parameter(torch.tensor(-2.0))
        self.recency = nn.Linear(size, len(DISTANCES) + 1)
        for layer in (self.later, self.earlier):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.bilinear.weight, std=1.0 / size)
        nn.init.zeros_(self.recency.weight)
        nn.init.zeros_(self.recency.bias)

    def forward(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:
        """Columns `window`, `first`, `last` (pieces of the document), `logit` of a mention, `later` and `earlier`
        (rows x size + 1), `recency` (rows x distances): a link's logit is the product of the first two and what the
        later one says of the distance.
        """
        rows = self._mentions(vectors, batch, floor)
        places = positions(batch, rows["window"].numpy(), rows["first"].numpy(), rows["last"].numpy())
        views = self._views(vectors, torch.from_numpy(places).to(vectors.device))
        table = {name: rows[name] for name in ("window", "first", "last", "logit")}
        return table | dict(zip(("later", "earlier", "recency"), views, strict=True))

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[ClusterTargets]) -> Mapping[str, Tensor]:
        """Cross-entropy of mentions over all pairs; of links, -log of the probability of any right antecedent, over the
        gold mentions and those that are found now, summed.
        """
        taught = np.ones(1, dtype=bool)
        spans = [PairTargets(np.pad(target.mentions, ((0, 0), (0, 1))), taught) for target in targets]
        mentions = self.pairs.loss(vectors, batch, spans)["spans"]
        with torch.no_grad():
            found = self._mentions(vectors.detach(), batch, 0.0)
        links, bounds = vectors.new_zeros(()), batch.bounds.tolist()
        for group, target in enumerate(targets):
            rows = _together(batch, bounds, group, target, found)
            if len(rows) < 2:
                continue
            places = torch.from_numpy(positions(batch, rows[:, 0], rows[:, 1], rows[:, 2])).to(vectors.device)
            later, earlier, recency = self._views(self.dropout(vectors), places)
            first = rows[:, 1]
            far = torch.from_numpy(np.digitize(np.abs(first[:, None] - first), DISTANCES)).to(vectors.device)
            links = links + _link_loss(later @ earlier.T + recency.gather(1, far), rows[:, 3])
        return {"mentions": mentions, "links": links}

    def _mentions(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:
        """Owned pairs above the floor, at most a share of the pieces of each window."""
        rows = self.pairs(vectors, batch, floor)
        limits = torch.from_numpy(np.ceil(SHARE * batch.lengths).astype(np.int64))
        kept = best_of_each(rows["window"], rows["logit"], limits)
        return {name: column[kept] for name, column in rows.items()}

    def _views(self, vectors: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As a later mention and as an earlier one, M x size + 1 each; and M x distances."""
        ends = torch.cat([vectors[places[:, 0]], vectors[places[:, 1]]], 1)
        back, earlier = F.gelu(self.later(ends)), F.gelu(self.earlier(ends))
        ones = earlier.new_ones(len(earlier), 1)
        later = torch.cat([self.bilinear(back), ones], 1)
        return later, torch.cat([earlier, self.bias * ones], 1), self.recency(back)


def _link_loss(logits: Tensor, clusters: np.ndarray) -> Tensor:
    """Of mentions in the order of the text, M x M and M: cluster numbers, below 0 for none."""
    number = torch.from_numpy(clusters).to(logits.device)
    before = torch.ones_like(logits, dtype=torch.bool).tril(-1)
    right = (number[:, None] == number[None]) & (number[:, None] >= 0) & before
    logits = logits.masked_fill(~before, -math.inf)
    with_none = torch.cat([logits.new_zeros(len(logits), 1), logits], 1)
    right = torch.cat([~right.any(1, keepdim=True), right], 1)
    return (with_none.logsumexp(1) - with_none.masked_fill(~right, -math.inf).logsumexp(1)).sum()


def _together(
    batch: Batch, bounds: Sequence[Sequence[int]], group: int, target: ClusterTargets, found: Mapping[str, Tensor]
) -> IntArray:
    """Rows (window, first, last, cluster) of a group's gold and found mentions, in the order of the text.

    bounds: those of the batch.
    """
    known = {
        (a, b): cluster for (a, b), cluster in zip(target.mentions.tolist(), target.clusters.tolist(), strict=True)
    }
    rows: dict[tuple[int, int], tuple[int, int]] = {}
    for window in np.flatnonzero(batch.groups == group).tolist():
        low, high = bounds[window]
        for (a, b), cluster in known.items():
            if low <= a and b <= high and batch.low[window] < a + b <= batch.high[window]:
                rows[a, b] = window, cluster
    mine = batch.groups[found["window"].numpy()] == group
    columns = (found[name].numpy()[mine].tolist() for name in ("window", "first", "last"))
    for window, a, b in zip(*columns, strict=True):
        rows.setdefault((a, b), (window, known.get((a, b), -1)))
    listed = [(window, a, b, cluster) for (a, b), (window, cluster) in sorted(rows.items())]
    return np.array(listed, dtype=np.int64).reshape(-1, 4)
