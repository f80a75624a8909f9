"""Start and end scores of answers; the first position of a window is the answer "none here".

Devlin et al. 2019, section 4.2 and 4.3; Joshi et al. 2020 (SpanBERT), appendix B. One linear layer with two outputs,
as in the stock question-answering class, so that its weights load there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt
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
"""Pairs that are looked at together."""
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
        for stretch in _stretches(batch, self.longest):
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
        device, longest = scores.device, min(self.longest, length)
        numbers = batch.pieces[at : at + number * length].astype(np.int32).reshape(number, length)
        least, most = _reach(batch, slice(window, window + number), numbers, longest)
        owning = (numbers >= 0) & (least < longest) & (most >= 0)
        cut = torch.from_numpy(np.argwhere(owning & ((least > 0) | (most < longest - 1))).T).to(device)
        real, owned = torch.from_numpy(numbers >= 0).to(device), torch.from_numpy(owning).to(device)
        near, far = (torch.from_numpy(side).clamp(0, longest - 1).to(device) for side in (least, most))
        given = scores[at : at + number * length].float().view(number, length, 2)
        starts, ends = given.nan_to_num(-_LARGEST, _LARGEST, -_LARGEST).unbind(2)
        # what is no number finds nothing: in a piece's place it is improbable, in that of "none" it is certain
        none = given[:, :1].nan_to_num(_LARGEST, _LARGEST, -_LARGEST).sum(2)
        starts, ends = starts.masked_fill(~owned, -torch.inf), ends.masked_fill(~real, -torch.inf)
        ends = F.pad(ends, (0, longest), value=-torch.inf)
        top = ends.amax(1, keepdim=True).clamp(min=-_LARGEST)
        shares = (ends - top).clamp(min=-1000.0).double().exp_()
        best_end = over_ranges(ends, longest, torch.maximum, (cut, near, far))
        sums = over_ranges(shares, longest, torch.add, (cut, near, far)).log() + top
        chosen = (starts + best_end).topk(min(self.kept, length), dim=1).indices
        there = ends.unfold(1, longest, 1)[torch.arange(number, device=device)[:, None], chosen]
        if cut.numel():
            steps = torch.arange(longest, device=device)
            outside = (steps < near.gather(1, chosen)[:, :, None]) | (steps > far.gather(1, chosen)[:, :, None])
            there = there.masked_fill(outside, -torch.inf)
        odds = (starts - none).gather(1, chosen)[:, :, None] + there
        if self.several:  # one of each start, or the many ways to cut one answer would crowd out the others
            best, step = odds.max(2)
            cells = torch.arange(best.shape[1], device=device) * longest + step
        else:
            best, cells = odds.flatten(1).topk(min(self.kept, odds[0].numel()), dim=1)
        first = torch.from_numpy(numbers).to(device).gather(1, chosen.gather(1, cells // longest))
        last = first + cells % longest  # a window's pieces are consecutive
        found = best > -torch.inf
        place = found.nonzero()[:, 0] + window
        yield tuple(column.cpu() for column in (place, first[found].long(), last[found], best[found]))
        total = (starts + sums - none).logsumexp(1).float()
        nowhere = torch.full((number,), -1)
        yield torch.arange(window, window + number), nowhere, nowhere, total.cpu()


def _reach(
    batch: Batch, windows: slice, numbers: npt.NDArray[np.int32], longest: int
) -> tuple[npt.NDArray[np.int32], ...]:
    """From how many to how many pieces after its start a pair may end, by what its window owns; R x L each."""
    low, high = (side[windows, None].astype(np.int32) for side in (batch.low, batch.high))
    least, most = low + 1 - 2 * numbers, high - 2 * numbers
    most[high[:, 0] >= 2 * numbers.max(1)] = longest  # no window after it owns any
    return least, most


def over_ranges(
    values: Tensor, longest: int, join: Callable[[Tensor, Tensor], Tensor], cut: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """R x L: the `longest` values from each place on, joined by an associative operation.

    values: R x (L + longest), where those behind L change nothing. cut: 2 x C, places whose range is a part of that,
    and R x L each, from which to which of the values it goes. Ranges are put together from those of 1, 2, 4, ...
    values; so of sums nothing is subtracted, and the small ones are as exact as the great ones. O(R L log longest).
    """
    (rows, columns), near, far = cut
    begins, counts = columns + near[rows, columns], 1 + far[rows, columns] - near[rows, columns]
    places, size, at = near.shape[1], 1, 0
    whole, parts = [], []
    while size <= longest:
        if longest & size:
            whole.append(values[:, at : at + places])
            at += size
        if len(rows):
            parts.append(values[rows, torch.where(counts & size > 0, begins, values.shape[1] - 1)])
            begins = begins + (counts & size)
        values = join(values[:, :-size], values[:, size:])
        size *= 2
    found = reduce(join, whole)
    return found.index_put((rows, columns), reduce(join, parts)) if parts else found


def _stretches(batch: Batch, longest: int) -> Iterator[tuple[int, int, int, int]]:
    """(position, window, number, length) of neighbouring windows of one length, with few enough pairs for memory."""
    at = window = 0
    for number, length in batch.runs:
        most = max(1, CELLS // (length * (longest + 1)))
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
