"""Start and end scores of answers; the first position of a window is the answer "none here".

Devlin et al. 2019, section 4.2 and 4.3; Joshi et al. 2020 (SpanBERT), appendix B. One linear layer with two outputs,
as in the stock question-answering class, so that its weights load there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..packing import Batch
from ..targets import AnswerTargets
from ..tokenization import IntArray

KEPT = 20
"""Pairs that a window hands on."""
MANY = 60
"""The same where a question may have several answers."""
CELLS = 4_000_000
"""Pairs and positions that are looked at together."""
_LARGEST = 1e30  # of scores: sums of some are still numbers


class AnswerHead(nn.Module):
    """Scores of starts and ends; a pair is told by its odds against "none here"."""

    weights: Mapping[str, float] = {"answers": 1.0}
    over_vocabulary = False

    def __init__(self, width: int, longest: int, dropout: float = 0.1, *, several: bool = False) -> None:
        """longest: pieces that an answer may have. several: whether a question may have several answers at once."""
        super().__init__()
        self.longest, self.several = longest, several
        self.kept = MANY if several else KEPT
        self.dropout = nn.Dropout(dropout)
        self.qa_outputs = nn.Linear(width, 2)
        nn.init.normal_(self.qa_outputs.weight, std=0.02)
        nn.init.zeros_(self.qa_outputs.bias)

    def forward(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:  # noqa: ARG002 - odds of one window say little
        """Columns `window`, `unit`, `first`, `last` (pieces of the document), `logit`: the `KEPT` best owned pairs.

        Where there may be several answers: of each of the `MANY` best starts the best.

        logit: s_i + e_j - s_0 - e_0. One row more for each window, with first = last = -1: the logarithm of the sum
        of the odds of all the pairs that it owns.
        """
        scores = self.qa_outputs(vectors)
        found: list[tuple[Tensor, ...]] = []
        for stretch in _stretches(batch, self.kept * self.longest):
            found += self._rows(scores, batch, *stretch)
        window, first, last, logit = (torch.cat(column) for column in zip(*found, strict=True))
        unit = torch.from_numpy(batch.unit)[window]
        return {"window": window, "unit": unit, "first": first, "last": last, "logit": logit}

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[AnswerTargets]) -> Mapping[str, Tensor]:
        """-log of the probability that start and end are those of any of the answers, summed over windows. Where there
        may be several at once, the mean over them of that of each, so that none is taught to give way to another.

        The distributions are over the pieces of the document and the first position; the latter is the answer of a
        window in which no answer stands whole. Where one of k such windows of a question was drawn, "none here" is k
        times as rare among those that are read as among all: its scores are lowered by log k here, and not in
        prediction, so that its odds are those among all (prior correction, King and Zeng 2001).
        """
        scores = self.qa_outputs(self.dropout(vectors))
        begins, thinned = batch.cu_seqlens[:-1], [targets[group].thinned for group in batch.groups]
        prior = np.where(batch.pieces >= 0, np.float32(0.0), np.float32(-_LARGEST))
        prior[begins] = -np.log(thinned)
        scores = scores + torch.from_numpy(prior).to(vectors.device)[:, None]
        parts, at = [], 0
        for number, length in batch.runs:
            parts.append(scores[at : at + number * length].view(number, length, 2).log_softmax(1).flatten(0, 1))
            at += number * length
        starts, ends = torch.cat(parts).unbind(1)
        places, counted = (torch.from_numpy(array).to(vectors.device) for array in _places(batch, targets))
        pairs = (starts[places[..., 0]] + ends[places[..., 1]]).masked_fill(~counted, -torch.inf)
        if self.several:
            return {"answers": -(pairs.masked_fill(~counted, 0.0).sum(1) / counted.sum(1)).sum()}
        return {"answers": -pairs.logsumexp(1).sum()}

    def _rows(
        self, scores: Tensor, batch: Batch, at: int, window: int, number: int, length: int
    ) -> Iterator[tuple[Tensor, ...]]:
        """Of `number` windows of one length that begin at a position: the best pairs, then the sums.

        The ends that a start may have stand in a row: a best pair begins at one of the starts with the best ends, and
        only the ends of those are looked at one by one. O(length log longest + KEPT longest) a window.
        """
        device = scores.device
        numbers = torch.from_numpy(batch.pieces[at : at + number * length]).view(number, length)
        real, pieces = (numbers >= 0).to(device), numbers.to(device)
        given = scores[at : at + number * length].float().view(number, length, 2)
        starts, ends = given.nan_to_num(-_LARGEST, _LARGEST, -_LARGEST).unbind(2)
        # what is no number finds nothing: in a piece's place it is improbable, in that of "none" it is certain
        none = given[:, :1].nan_to_num(_LARGEST, _LARGEST, -_LARGEST).sum(2)
        starts, ends = (side.masked_fill(~real, -torch.inf) for side in (starts, ends))
        mine = slice(window, window + number)
        low, high = (torch.from_numpy(column[mine])[:, None].to(device) for column in (batch.low, batch.high))
        skipped = (low + 1 - 2 * pieces).clamp(0, length)  # ends that are too near to be owned by this window
        counts = ((high + 1 - 2 * pieces).clamp(0, self.longest) - skipped).clamp(min=0) * real
        begins = torch.arange(length, device=device) + skipped
        best_end, sums = over_ranges(ends, begins, counts)
        chosen = (starts + best_end).topk(min(self.kept, length), dim=1).indices
        steps = torch.arange(min(self.longest, length), device=device)
        places = (begins.gather(1, chosen)[:, :, None] + steps).clamp(max=length)
        there = F.pad(ends, (0, 1), value=-torch.inf).gather(1, places.flatten(1)).view_as(places)
        odds = (starts - none).gather(1, chosen)[:, :, None] + there
        odds = odds.masked_fill(steps >= counts.gather(1, chosen)[:, :, None], -torch.inf)
        if self.several:  # one of each start, or the many ways to cut one answer would crowd out the others
            best, step = odds.max(2)
            cells = torch.arange(best.shape[1], device=device) * len(steps) + step
        else:
            best, cells = odds.flatten(1).topk(min(self.kept, odds[0].numel()), dim=1)
        start = chosen.gather(1, cells // len(steps))
        first = pieces.gather(1, start)
        last = first + skipped.gather(1, start) + cells % len(steps)  # a window's pieces are consecutive
        rows, columns = (best > -torch.inf).nonzero(as_tuple=True)
        yield tuple(
            column.cpu() for column in (rows + window, first[rows, columns], last[rows, columns], best[rows, columns])
        )
        total = (starts + sums - none).logsumexp(1).float()
        nowhere = torch.full((number,), -1)
        yield torch.arange(window, window + number), nowhere, nowhere, total.cpu()


def over_ranges(values: Tensor, begins: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Greatest value, and logarithm of the sum of exponentials (float64), of each row's ranges.

    values: R x L. begins, counts: R x L; a range of no values has -inf twice, what stands beyond a row is -inf. Ranges
    are put together from those of 1, 2, 4, ... values, which all begins share, so nothing is subtracted: the small
    sums are as exact as the great ones. O(R L log max(counts)).
    """
    most = values.amax(1, keepdim=True).clamp(min=torch.finfo(values.dtype).min)
    greatest, sums = values, (values.double() - most).exp()
    found, total = torch.full_like(greatest, -torch.inf), torch.zeros_like(sums)
    size, longest = 1, int(counts.max())
    while size <= longest:
        inside = begins.clamp(max=values.shape[1] - 1)
        taken = (counts & size > 0) & (begins < values.shape[1])
        found = torch.where(taken, torch.maximum(found, greatest.gather(1, inside)), found)
        total = torch.where(taken, total + sums.gather(1, inside), total)
        begins = begins + (counts & size)
        greatest = torch.maximum(greatest, F.pad(greatest, (0, size), value=-torch.inf)[:, size:])
        sums = sums + F.pad(sums, (0, size))[:, size:]
        size *= 2
    return found, total.log() + most


def _stretches(batch: Batch, cells: int) -> Iterator[tuple[int, int, int, int]]:
    """(position, window, number, length) of neighbouring windows of one length, few enough for memory.

    cells: pairs of a window that are looked at together.
    """
    at = window = 0
    for number, length in batch.runs:
        most = max(1, CELLS // (length + cells))
        for begin in range(0, number, most):
            some = min(most, number - begin)
            yield at + begin * length, window + begin, some, length
        at += number * length
        window += number


def _places(batch: Batch, targets: Sequence[AnswerTargets]) -> tuple[IntArray, np.ndarray]:
    """W x A x 2: positions in the batch of the first and last piece of each answer that stands whole in a window.

    And which of the A are there (W x A); where there is none, the first is the window's first position.
    """
    rows: list[list[tuple[int, int]]] = []
    columns = (batch.groups, batch.cu_seqlens[:-1], batch.bounds, batch.shift)
    for group, begin, (low, high), shift in zip(*(column.tolist() for column in columns), strict=True):
        inside = [(a + shift, b + shift) for a, b in targets[group].answers.tolist() if low <= a and b <= high]
        rows.append(inside or [(begin, begin)])
    places = np.zeros((len(rows), max(map(len, rows)), 2), dtype=np.int64)
    counted = np.zeros(places.shape[:2], dtype=bool)
    for window, row in enumerate(rows):
        places[window, : len(row)] = row
        counted[window, : len(row)] = True
    return places, counted
