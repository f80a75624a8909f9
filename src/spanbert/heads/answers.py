"""Start and end scores of answers; the first position of a window is the answer "none here".

Devlin et al. 2019, section 4.2 and 4.3; Joshi et al. 2020 (SpanBERT), appendix B. One linear layer with two outputs,
as in the stock question-answering class, so that its weights load there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce

import numpy as np
import numpy.typing as npt
import torch
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
FloatArray = npt.NDArray[np.floating]
_LARGEST = 1e30  # of scores: sums of some are still numbers
_FAINT = 1e-20  # a sum of odds, where the best start with the best end has 1; what is below 1e-38 is lost in it


class AnswerHead(nn.Module):
    """Scores of starts and ends; a pair is told by its odds against "none here"."""

    weights: Mapping[str, float] = {"answers": 1.0}
    over_vocabulary = False

    def __init__(self, width: int, longest: int, dropout: float = 0.1, *, several: bool = False) -> None:
        """longest: pieces that an answer may have. several: whether a question may have several answers at once."""
        super().__init__()
        self.longest, self.several, self.kept = longest, several, MANY if several else KEPT
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
        scores = self.qa_outputs(vectors).detach().float().cpu().numpy()
        found: list[tuple[np.ndarray, ...]] = []
        for at, window, number, length in batch.runs:
            most = max(1, CELLS // (length * (self.longest + 1)))
            for k in range(0, number, most):
                found += self._rows(scores, batch, at + k * length, window + k, min(most, number - k), length)
        rows = {name: np.concatenate(v) for name, *v in zip(("window", "first", "last", "logit"), *found, strict=True)}
        return {name: torch.from_numpy(column) for name, column in {**rows, "unit": batch.unit[rows["window"]]}.items()}

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
        parts = []
        for at, _, number, length in batch.runs:
            parts.append(scores[at : at + number * length].view(number, length, 2).log_softmax(1).flatten(0, 1))
        starts, ends = torch.cat(parts).unbind(1)
        places, counted = (torch.from_numpy(array).to(vectors.device) for array in _places(batch, targets))
        pairs = (starts[places[..., 0]] + ends[places[..., 1]]).masked_fill(~counted, -torch.inf)
        if self.several:
            return {"answers": -(pairs.masked_fill(~counted, 0.0).sum(1) / counted.sum(1)).sum()}
        return {"answers": -pairs.logsumexp(1).sum()}

    def _rows(
        self, scores: FloatArray, batch: Batch, at: int, window: int, number: int, length: int
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Of `number` windows of one length that begin at a position: the best pairs in no order, then the sums.

        The ends that a start may have stand in a row: a best pair begins at one of the starts with the best ends, and
        only the ends of those are looked at one by one. O(length log longest + KEPT longest) a window.
        """
        longest = min(self.longest, length)
        numbers = batch.pieces[at : at + number * length].reshape(number, length)
        low, high = (side[window : window + number, None] for side in (batch.low, batch.high))
        real = numbers >= 0
        owning, cut = _owned(numbers, real, low, high, longest)
        given = scores[at : at + number * length].reshape(number, length, 2)
        none = given[:, :1]
        if not np.isfinite(np.vdot(given, given)):
            # what is no number finds nothing: in a piece's place it is improbable, in that of "none" it is certain
            none = np.nan_to_num(none, nan=_LARGEST, posinf=_LARGEST, neginf=-_LARGEST)
            given = np.nan_to_num(given, nan=-_LARGEST, posinf=_LARGEST, neginf=-_LARGEST)
        starts = np.full((number, length), -np.inf, dtype=np.float32)
        np.copyto(starts, given[..., 0], where=owning)
        ends = np.full((number, length + longest), -np.inf, dtype=np.float32)
        np.copyto(ends[:, :length], given[..., 1], where=real)
        chosen = _greatest(starts + over_ranges(ends, longest, np.maximum, cut), self.kept)
        begins = numbers.ravel()[chosen]
        following = np.ndarray((ends.size - longest + 1, longest), np.float32, ends, strides=2 * ends.strides[1:])
        odds = following[chosen + np.arange(number)[:, None] * longest]
        odds += starts.ravel()[chosen][:, :, None]
        if len(cut[0]):
            middle = 2 * begins[:, :, None] + np.arange(longest)
            odds[(middle <= low[:, :, None]) | (middle > high[:, :, None])] = -np.inf
        if self.several:  # one of each start, or the many ways to cut one answer would crowd out the others
            cells = odds.argmax(2) + np.arange(0, odds.size, longest).reshape(chosen.shape)
        else:
            cells = _greatest(odds.reshape(number, -1), self.kept)
        best = odds.ravel()[cells] - none.sum(2)
        first = begins.ravel()[cells // longest]
        last = first + cells % longest  # a window's pieces are consecutive
        found = best > -_LARGEST  # and not by a score that is no number
        yield np.nonzero(found)[0] + window, first[found], last[found], best[found]
        total = _total(starts, ends, longest, cut) - none.sum((1, 2))
        yield np.arange(window, window + number), *np.full((2, number), -1), total


def _owned(
    numbers: IntArray, real: npt.NDArray[np.bool_], low: IntArray, high: IntArray, longest: int
) -> tuple[npt.NDArray[np.bool_], tuple[IntArray, ...]]:
    """R x L, where a pair may start that the window owns; and of the starts that may not have all of the `longest`
    pieces from there on as their end row, column, the first that they may have, and how many."""
    last = high >= 2 * numbers.max(1, keepdims=True)  # no window after it owns any
    if last.all() and (low < 0).all():
        return real, (np.zeros(0, dtype=np.int64),) * 4
    near = (low + 1 - 2 * numbers).clip(0)
    far = np.where(last, longest - 1, high - 2 * numbers).clip(max=longest - 1)
    owning = real & (near <= far)
    rows, columns = np.nonzero(owning & (far - near < longest - 1))
    first = near[rows, columns]
    return owning, (rows, columns, columns + first, far[rows, columns] - first + 1)


def _greatest(values: FloatArray, count: int) -> IntArray:
    """R x count, or as many as there are: where the greatest values of each row stand in all rows, in no order."""
    count = min(count, values.shape[1])
    places = np.flatnonzero(values >= np.sort(values, 1)[:, -count, None])  # with AVX-512 faster than a partition
    if len(places) != count * len(values):  # some are equal; else argpartition would take twice as long
        places = np.argpartition(values, -count, 1)[:, -count:] + np.arange(0, values.size, values.shape[1])[:, None]
    return places.reshape(-1, count)


def _total(starts: FloatArray, ends: FloatArray, longest: int, cut: tuple[IntArray, ...]) -> FloatArray:
    """R: the logarithm of the sum of the odds of the pairs."""
    first, last = (np.maximum(scores.max(1, keepdims=True), -_LARGEST) for scores in (starts, ends))
    sums = over_ranges(np.exp(ends - last), longest, np.add, cut)
    odds = np.einsum("rl,rl->r", np.exp(starts - first), sums)
    with np.errstate(divide="ignore"):  # nothing has no odds
        if odds.min() < _FAINT:
            sums = starts + np.log(over_ranges(np.exp(ends - last, dtype=np.float64), longest, np.add, cut))
            first = np.maximum(sums.max(1, keepdims=True), -_LARGEST)
            odds = np.exp(sums - first).sum(1)
        total: FloatArray = np.log(odds) + (first + last)[:, 0]
    return total.astype(np.float32)


def over_ranges(values: FloatArray, longest: int, join: np.ufunc, cut: tuple[IntArray, ...]) -> FloatArray:
    """R x L: the `longest` values from each place on, joined by an associative operation.

    values: R x (L + longest), where those behind L change nothing: so all rows may lie in one, and no range that counts
    reaches the next. cut: row and column of places whose range is a part of that, where it begins, how many values it
    has. Ranges are put together from those of 1, 2, 4, ... values; so of sums nothing is subtracted, and the small ones
    are as exact as the great ones. O(R L log longest).
    """
    width, line, at = values.shape[1], values.reshape(-1), 0
    whole, parts = [], []
    rows, columns, begins, counts = cut
    for size in (1 << bit for bit in range(longest.bit_length())):
        if size > 1:
            line = join(line[: -size // 2], line[size // 2 :])
        if longest & size:
            whole.append(line[at:])
            at += size
        if len(rows):
            parts.append(line[rows * width + np.where(counts & size > 0, begins, width - size)])
            begins = begins + (counts & size)
    if join is np.maximum:  # whose ranges may overlap: two of the longest
        whole = [line, line[longest - size :]]
    joined = reduce(join, [each[: values.size - longest + 1] for each in whole])
    found: FloatArray = np.ndarray((len(values), width - longest), values.dtype, joined, strides=values.strides)
    if parts:
        found[rows, columns] = reduce(join, parts)
    return found


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
