"""A logit for every pair of pieces (first, last) of a window and every label: the span scorer.

logit(i, j, c) = f(i) B_c l(j) + first_c(i) + last_c(j) + mean of inside_c over i..j + width_c(j - i)

`f` and `l` are small views of a piece as the first and the last of a span; the bilinear term ties the two ends
together (Dozat and Manning 2017; for spans Yu et al. 2020), the inside term lets every piece of a long span speak,
and the width table is the prior of each label's length. There is no cap on width below the window.

Memory. The logits of a window of L pieces and C labels are L x L x C numbers (13.6 MB in fp32 for L = 512, C = 13).
They are made in blocks of rows of at most `CELLS` numbers, each used and dropped before the next (in training, where
a batch has more than that, recomputed for its gradient), so the scorer needs about 6 x 4 x CELLS bytes = 100 MB
whatever the length and the number of labels; what is kept is at most `ROWS_PER_PIECE` candidates per piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..packing import Batch
from ..targets import PairTargets
from ..tokenization import IntArray

CELLS = 4_000_000
ROWS_PER_PIECE = 4
BUCKETS = 24
_ROWS = 128  # of a block: its columns begin at its first row, so most of the empty half of the matrix is never made


class _Block(NamedTuple):
    """Rows top..bottom of the pair matrices of a run of windows; columns start at `top` (first <= last)."""

    at: int  # position of the run's first window in the batch row
    window: int  # index of the run's first window
    number: int
    length: int
    top: int
    bottom: int


class _Terms(NamedTuple):
    """Per position, computed once for the batch."""

    first: Tensor  # T x size
    last: Tensor  # T x size
    first_bias: Tensor  # T x C
    last_bias: Tensor  # T x C
    inside: Tensor  # T x C


class PairHead(nn.Module):
    """The span scorer with its loss."""

    weights: Mapping[str, float] = {"spans": 1.0}
    over_vocabulary = False

    def __init__(self, width: int, labels: int, size: int = 96, dropout: float = 0.1) -> None:
        super().__init__()
        self.labels, self.size = labels, size
        self.dropout = nn.Dropout(dropout)
        self.views = nn.Linear(width, 2 * size)
        self.bilinear = nn.Parameter(torch.empty(size, labels, size))
        self.terms = nn.Linear(width, 3 * labels)
        # Spans are rare among pairs, longer ones rarer: starting at that prior keeps the first steps calm.
        prior = torch.tensor([-5.0 - 0.5 * bucket for bucket in range(BUCKETS)])
        self.width_bias = nn.Parameter(prior.clamp(min=-12.0).repeat(labels, 1))
        nn.init.normal_(self.views.weight, std=0.02)
        nn.init.zeros_(self.views.bias)
        nn.init.normal_(self.bilinear, std=1.0 / size)
        nn.init.normal_(self.terms.weight, std=0.02)
        nn.init.zeros_(self.terms.bias)

    def forward(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:
        """Columns `window`, `first`, `last` (pieces of the document), `label`, `logit`: owned pairs above `floor`."""
        terms = self._terms(vectors)
        found = [self._select(self._logits(block, *terms), block, batch, floor) for block in self._blocks(batch)]
        window, first, last, label, logit = (torch.cat(column) for column in zip(*found, strict=True))
        limits = torch.from_numpy(ROWS_PER_PIECE * batch.lengths)
        kept = best_of_each(window, logit, limits)
        return {
            "window": window[kept],
            "first": first[kept],
            "last": last[kept],
            "label": label[kept],
            "logit": logit[kept],
        }

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[PairTargets]) -> Mapping[str, Tensor]:
        """Binary cross-entropy summed over all pairs of pieces and all taught labels of all windows."""
        terms = self._terms(self.dropout(vectors))
        gold = _gold_cells(batch, targets)
        taught = torch.from_numpy(np.stack([target.taught for target in targets])[batch.groups]).to(vectors.device)
        total = vectors.new_zeros(())
        blocks = list(self._blocks(batch))
        large = self.labels * sum(b.number * (b.bottom - b.top) * (b.length - b.top) for b in blocks) > CELLS
        for block in blocks:
            mine = gold[(gold[:, 0] >= block.window) & (gold[:, 0] < block.window + block.number)]
            mine = mine[(mine[:, 1] >= block.top) & (mine[:, 1] < block.bottom)]
            cells = torch.from_numpy(mine - np.array([block.window, block.top, block.top, 0])).to(vectors.device)
            said = taught[block.window : block.window + block.number]
            if large:
                total = total + checkpoint(self._block_loss, block, batch, cells, said, *terms, use_reentrant=False)
            else:
                total = total + self._block_loss(block, batch, cells, said, *terms)
        return {"spans": total}

    def _terms(self, vectors: Tensor) -> _Terms:
        first, last = F.gelu(self.views(vectors)).chunk(2, dim=-1)
        first_bias, last_bias, inside = self.terms(vectors).chunk(3, dim=-1)
        return _Terms(first, last, first_bias, last_bias, inside)

    def _blocks(self, batch: Batch) -> Iterator[_Block]:
        for at, window, number, length in batch.runs:
            row = max(length, self.size) * self.labels  # numbers of a row, or of the view it is made from
            most = max(1, CELLS // (length * row))
            for begin in range(0, number, most):
                some = min(most, number - begin)
                rows = min(length, _ROWS, max(1, CELLS // (some * row)))
                for top in range(0, length, rows):
                    bottom = min(length, top + rows)
                    yield _Block(at + begin * length, window + begin, some, length, top, bottom)

    def _logits(self, block: _Block, *terms: Tensor) -> Tensor:
        """n x rows x C x columns: columns last, so that every term below runs along memory."""
        n, length, top, bottom = block.number, block.length, block.top, block.bottom
        first, last, first_bias, last_bias, inside = (
            term[block.at : block.at + n * length].view(n, length, *term.shape[1:]) for term in terms
        )
        row = torch.arange(top, bottom, device=inside.device)[:, None]
        column = torch.arange(top, length, device=inside.device)[None]
        widths = (column - row + 1).clamp(min=1)
        sums = F.pad(inside.cumsum(1), (0, 0, 1, 0))
        turned = torch.einsum("nid,dce->nice", first[:, top:bottom], self.bilinear)
        logits = torch.einsum("nice,nje->nicj", turned, last[:, top:])
        logits += (sums[:, None, top + 1 :].transpose(2, 3) - sums[:, top:bottom, :, None]) / widths[:, None]
        logits += first_bias[:, top:bottom, :, None]
        logits += last_bias[:, None, top:].transpose(2, 3)
        logits += self.width_bias[:, bucket(widths)].transpose(0, 1)
        return logits

    def _real(self, block: _Block, batch: Batch, device: torch.device) -> Tensor:
        """n x rows x columns: both ends are pieces of the document and first <= last."""
        pieces = torch.from_numpy(batch.pieces[block.at : block.at + block.number * block.length] >= 0).to(device)
        real = pieces.view(block.number, block.length)
        return (real[:, block.top : block.bottom, None] & real[:, None, block.top :]).triu()

    def _block_loss(self, block: _Block, batch: Batch, cells: Tensor, taught: Tensor, *terms: Tensor) -> Tensor:
        # cross-entropy with logits is softplus(z) - y z, so the gold cells are all that is needed of y
        logits = self._logits(block, *terms)
        counted = self._real(block, batch, logits.device)[:, :, None] & taught[:, None, :, None]
        absent = F.softplus(logits).masked_fill(~counted, 0.0).sum()
        window, row, column, label = cells.unbind(1)
        return absent - logits[window, row, label, column].sum()

    def _select(self, logits: Tensor, block: _Block, batch: Batch, floor: float) -> tuple[Tensor, ...]:
        """Owned rows above the floor, as indices of the batch's windows and the document's pieces."""
        n, length = block.number, block.length
        pieces = torch.from_numpy(batch.pieces[block.at : block.at + n * length]).view(n, length)
        mine = slice(block.window, block.window + n)
        low, high = (torch.from_numpy(column[mine])[:, None, None] for column in (batch.low, batch.high))
        middle = pieces[:, block.top : block.bottom, None] + pieces[:, None, block.top :]
        owned = self._real(block, batch, torch.device("cpu")) & (middle > low) & (middle <= high)
        wanted = (logits > floor) & owned[:, :, None].to(logits.device)
        window, row, label, column = (index.cpu() for index in wanted.nonzero(as_tuple=True))
        found = logits[wanted].float().cpu()
        kept = best_of_each(window, found, torch.full((n,), ROWS_PER_PIECE * length))
        window, row, column, label, found = (x[kept] for x in (window, row, column, label, found))
        first, last = pieces[window, row + block.top], pieces[window, column + block.top]
        return window + block.window, first, last, label, found


def bucket(widths: Tensor) -> Tensor:
    """Widths 1 to 8 have a bucket each, longer ones two for every doubling."""
    logarithm = 8 + (2 * torch.log2(widths.clamp(min=1) / 8.0)).floor().long()
    return torch.where(widths <= 8, widths - 1, logarithm).clamp(max=BUCKETS - 1)


def _gold_cells(batch: Batch, targets: Sequence[PairTargets]) -> IntArray:
    """Gold spans that stand whole in a window: rows of (window, position of first, position of last, label)."""
    cells = []
    shifts = batch.shift - batch.cu_seqlens[:-1]
    for window, (group, (low, high), shift) in enumerate(zip(batch.groups, batch.bounds, shifts, strict=True)):
        spans = targets[group].spans
        inside = spans[(spans[:, 0] >= low) & (spans[:, 1] <= high)]
        rows = np.concatenate([np.full((len(inside), 1), window), inside], axis=1)
        cells.append(rows + np.array([0, shift, shift, 0]))
    return np.concatenate(cells) if cells else np.zeros((0, 4), dtype=np.int64)


def best_of_each(window: Tensor, logit: Tensor, limits: Tensor) -> Tensor:
    """Indices, in their order, of the rows among the best `limits[w]` of their window w; ties to the earlier row."""
    counts = torch.bincount(window, minlength=len(limits))
    if bool((counts <= limits).all()):
        return torch.arange(len(window))
    order = torch.argsort(logit, descending=True, stable=True)
    order = order[torch.argsort(window[order], stable=True)]
    rank = torch.arange(len(window)) - torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    return order[rank < limits[window[order]]].sort().values


def positions(batch: Batch, window: np.ndarray, first: np.ndarray, last: np.ndarray) -> IntArray:
    """M x 2: positions in the batch of the first and the last piece of each span."""
    return np.stack([first, last], 1) + batch.shift[window, None]
