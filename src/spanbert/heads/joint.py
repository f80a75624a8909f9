"""Spans by the span scorer, and for every two of a window the relations between them, from the same vectors.

The logit of a label for a pair is bilinear in two views of its spans, "as head" and "as tail" (their first and last
piece and their type; Dozat and Manning 2017), plus what the pieces between them say (their mean; Eberts and Ulges 2020
take the maximum), plus a prior for their distance and order. As in `relations.py` the logit of "none" is a threshold of
its own for every pair.

A window has at most `MOST` squared pairs, scored a block at a time, so memory does not grow with the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..packing import Batch
from ..targets import JointTargets
from ..tokenization import IntArray
from ..windows import GIVEN
from .pairs import BUCKETS, CELLS, PairHead, best_of_each, bucket, positions
from .relations import against_none

MOST = 100
"""Spans of a window whose pairs are scored, the most probable."""
ARGUMENT = -1.5
"""Log-odds below which a span is no argument."""
FLOOR = -4.0
"""Log-odds below which a relation is not worth keeping."""


class JointHead(nn.Module):
    """Rows of spans and of pairs, and the loss of both."""

    weights: Mapping[str, float] = {"spans": 1.0, "relations": 1.0}
    over_vocabulary = False

    def __init__(self, width: int, types: npt.NDArray[np.bool_], labels: int, size: int = 128) -> None:
        """types: S x S, which labels of spans may be head and tail; labels: how many relations there are."""
        super().__init__()
        self.spans = PairHead(width, len(types))
        self.allowed = types
        self.size, self.labels = size, 1 + labels
        self.dropout = nn.Dropout(0.1)
        self.views = nn.Linear(2 * width, 2 * size)
        self.types = nn.Embedding(len(types), 2 * size)
        self.bilinear = nn.Parameter(torch.empty(size, self.labels, size))
        self.between = nn.Linear(width, 2 * self.labels)
        self.distance = nn.Parameter(torch.zeros(2 * BUCKETS, self.labels))
        for weight, spread in (
            (self.views.weight, 0.02),
            (self.types.weight, 0.02),
            (self.bilinear, 1.0 / size),
            (self.between.weight, 0.02),
        ):
            nn.init.normal_(weight, std=spread)
        nn.init.zeros_(self.views.bias)
        nn.init.zeros_(self.between.bias)

    def forward(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:
        """Columns `window`, `first`, `last`, `label`, `logit`: owned spans; and for owned pairs the same of the head
        with `tail_first`, `tail_last`, `tail_label` (-1 for a span) and `odds` (rows x C), against "none".
        """
        rows = _with_given(self.spans(vectors, _opened(batch), floor), batch)
        found, pairs, odds = self._found(vectors, batch, rows)
        head, tail = ({name: column[k] for name, column in found.items()} for k in pairs.T)
        middle = torch.minimum(head["first"], tail["first"]) + torch.maximum(head["last"], tail["last"])
        kept = _owned(batch, head["window"], middle) & (odds > FLOOR).any(1)
        owned = _owned(batch, rows["window"], rows["first"] + rows["last"])
        alone = torch.full((int(owned.sum()),), -1)
        return {
            **{name: torch.cat([column[owned], head[name][kept]]) for name, column in rows.items()},
            **{f"tail_{name}": torch.cat([alone, tail[name][kept]]) for name in ("first", "last", "label")},
            "odds": torch.cat([odds.new_zeros(len(alone), odds.shape[1]), odds[kept]]),
        }

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[JointTargets]) -> Mapping[str, Tensor]:
        """Of spans as in the span scorer; of relations over all pairs of gold spans and of those that are found now."""
        spans = self.spans.loss(vectors, batch, [target.spans for target in targets])["spans"]
        with torch.no_grad():
            found = self.spans(vectors.detach(), _opened(batch), 0.0)
            rows = _taught(batch, targets, {name: column.numpy() for name, column in found.items()})
        pairs = self._pairs(rows)
        if not len(pairs):
            return {"spans": spans, "relations": vectors.new_zeros(())}
        holds, taught = _holds(batch, targets, rows, pairs)
        logits = self._logits(self.dropout(vectors), batch, rows, pairs)
        device = logits.device
        each = against_none(logits, torch.from_numpy(holds).to(device), torch.from_numpy(taught).to(device))
        return {"spans": spans, "relations": each.sum()}

    def _found(
        self, vectors: Tensor, batch: Batch, rows: Mapping[str, Tensor]
    ) -> tuple[Mapping[str, Tensor], Tensor, Tensor]:
        """Probable spans, the pairs of them (P x 2) and the log-odds of each pair's labels."""
        probable = rows["logit"] > ARGUMENT
        found = {name: column[probable] for name, column in rows.items()}
        limits = torch.full((len(batch.groups),), MOST)
        for window, spans in batch.given.items():
            limits[window] = len(spans)
        best = best_of_each(found["window"], found["logit"], limits)
        found = {name: column[best] for name, column in found.items()}
        pairs = _nearest(self._pairs({name: column.numpy() for name, column in found.items()}), found, batch)
        logits = self._logits(vectors, batch, {name: column.numpy() for name, column in found.items()}, pairs)
        return found, torch.from_numpy(pairs), (logits[:, 1:] - logits[:, :1]).cpu()

    def _pairs(self, rows: Mapping[str, IntArray]) -> IntArray:
        """P x 2: rows of each two different spans of one window whose types may be related."""
        order = np.argsort(rows["window"], kind="stable")
        edges = np.flatnonzero(np.diff(rows["window"][order], prepend=-1, append=-1))
        pairs = [
            np.stack([np.repeat(some, len(some)), np.tile(some, len(some))], 1)
            for begin, end in zip(edges, edges[1:], strict=False)
            if len(some := order[begin:end]) > 1
        ]
        joined = np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=np.int64)
        label = rows["label"]
        wanted = self.allowed[label[joined[:, 0]], label[joined[:, 1]]] & (joined[:, 0] != joined[:, 1])
        found: IntArray = joined[wanted]
        return found

    def _logits(self, vectors: Tensor, batch: Batch, rows: Mapping[str, IntArray], pairs: IntArray) -> Tensor:
        """P x (1 + C), "none" first."""
        at = positions(batch, rows["window"], rows["first"], rows["last"])
        places, label = torch.from_numpy(at).to(vectors.device), torch.from_numpy(rows["label"]).to(vectors.device)
        ends = torch.cat([vectors[places[:, 0]], vectors[places[:, 1]]], 1)
        as_head, as_tail = F.gelu(self.views(ends) + self.types(label)).chunk(2, dim=1)
        turned = torch.einsum("md,dce->mce", as_head, self.bilinear)
        sums = self._sums(vectors, batch)
        window = rows["window"]
        most = max(1, CELLS // (self.labels * self.size))
        blocks = []
        for begin in range(0, len(pairs), most):
            some = pairs[begin : begin + most]
            if torch.is_grad_enabled() and len(pairs) > most:  # recomputed for its gradient, so one is held at a time
                block = checkpoint(self._block, turned, as_tail, sums, at, window, some, use_reentrant=False)
            else:
                block = self._block(turned, as_tail, sums, at, window, some)
            blocks.append(block)
        return torch.cat(blocks) if blocks else vectors.new_zeros(0, self.labels)

    def _sums(self, vectors: Tensor, batch: Batch) -> Tensor:
        """T + W rows: what the pieces of a window before a position say together, one row more than it has pieces; by
        window, so that no window depends on what else is in the batch."""
        said, parts = self.between(vectors), []
        for at, _, number, length in batch.runs:
            run = said[at : at + number * length].view(number, length, -1)
            parts.append(F.pad(run.cumsum(1), (0, 0, 1, 0)).flatten(0, 1))
        return torch.cat(parts).view(-1, 2, self.labels)

    def _block(
        self, turned: Tensor, as_tail: Tensor, sums: Tensor, at: IntArray, window: IntArray, pairs: IntArray
    ) -> Tensor:
        device = turned.device
        heads, tails = pairs.T
        backward = (at[heads, 0] > at[tails, 0]).astype(np.int64)  # the tail stands first
        begin = np.minimum(at[heads, 1], at[tails, 1]) + 1
        end = np.maximum(np.maximum(at[heads, 0], at[tails, 0]), begin)  # of spans that overlap nothing is between
        order, begins, ends = (torch.from_numpy(column).to(device) for column in (backward, begin, end))
        gap = ends - begins
        shift = torch.from_numpy(window[heads]).to(device)  # every window before has a row more than positions
        between = (sums[ends + shift, order] - sums[begins + shift, order]) / gap.clamp(min=1)[:, None]
        prior = self.distance[order * BUCKETS + bucket(gap + 1)]
        h, t = torch.from_numpy(heads).to(device), torch.from_numpy(tails).to(device)
        product = torch.einsum("pce,pe->pc", turned[h], as_tail[t])
        return product + between + prior


def _opened(batch: Batch) -> Batch:
    """The batch with windows that own all that stands in them: a pair may have a span that another window owns."""
    return replace(batch, low=np.full_like(batch.low, -1), high=np.full_like(batch.high, 2**40))


def _with_given(rows: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
    """The rows, and in windows whose spans were given these in the place of what was found, beyond doubt."""
    if not batch.given:
        return rows
    found = ~torch.isin(rows["window"], torch.tensor(list(batch.given)))
    told: list[tuple[int, int, int, int]] = []
    bounds = batch.bounds
    for window, spans in batch.given.items():
        inside = (spans[:, 0] >= bounds[window, 0]) & (spans[:, 1] <= bounds[window, 1])
        told += [(window, *row) for row in spans[inside].tolist()]
    columns = torch.tensor(told, dtype=torch.int64).reshape(-1, 4).T
    added = dict(zip(("window", "first", "last", "label"), columns, strict=True))
    added["logit"] = rows["logit"].new_full((len(told),), GIVEN)
    return {name: torch.cat([column[found], added[name]]) for name, column in rows.items()}


def _nearest(pairs: IntArray, found: Mapping[str, Tensor], batch: Batch) -> IntArray:
    """The pairs; of a window whose spans were given at most `MOST` squared, those that begin nearest to each other."""
    if not batch.given:
        return pairs
    first, window = found["first"].numpy(), found["window"].numpy()[pairs[:, 0]]
    order = np.lexsort((np.abs(first[pairs[:, 0]] - first[pairs[:, 1]]), window))
    rank = np.arange(len(order)) - np.searchsorted(window[order], window[order])
    return pairs[np.sort(order[(rank < MOST**2)])]


def _owned(batch: Batch, window: Tensor, middle: Tensor) -> Tensor:
    """Whether these windows own stretches whose first and last piece sum up to `middle`."""
    low, high = (torch.from_numpy(column)[window] for column in (batch.low, batch.high))
    return (middle > low) & (middle <= high)


def _taught(batch: Batch, targets: Sequence[JointTargets], found: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """Columns window, first, last, label: gold spans of every window, then the most probable others found there."""
    names = ("window", "first", "last", "label")
    best = np.argsort(-found["logit"], kind="stable")
    by_window: dict[int, list[tuple[int, int, int]]] = {}
    for window, *span in zip(*(found[name][best].tolist() for name in names), strict=True):
        by_window.setdefault(window, []).append((span[0], span[1], span[2]))
    columns: list[tuple[int, int, int, int]] = []
    for window, gold in _gold(batch, targets):
        columns += [(window, *span) for span in list(dict.fromkeys([*gold, *by_window.get(window, ())]))[:MOST]]
    return dict(zip(names, np.array(columns, dtype=np.int64).reshape(-1, 4).T, strict=True))


def _gold(batch: Batch, targets: Sequence[JointTargets]) -> Iterator[tuple[int, list[tuple[int, int, int]]]]:
    """Of each window the gold spans that stand whole in it, `MOST` at most, those that are related first."""
    for window, (group, (low, high)) in enumerate(zip(batch.groups.tolist(), batch.bounds.tolist(), strict=True)):
        spans = targets[group].spans.spans
        inside = [(a, b, c) for a, b, c in spans[(spans[:, 0] >= low) & (spans[:, 1] <= high)].tolist()]
        ends = {tuple(row) for pair in targets[group].relations.tolist() for row in (pair[:3], pair[3:6])}
        yield window, sorted(inside, key=lambda row: row not in ends)[:MOST]


def _holds(
    batch: Batch, targets: Sequence[JointTargets], rows: Mapping[str, IntArray], pairs: IntArray
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """P x C each: which labels are true of a pair, and which were annotated in its document."""
    groups = batch.groups[rows["window"][pairs[:, 0]]]
    spans = np.stack([rows["first"], rows["last"], rows["label"]], 1)
    holds = np.zeros((len(pairs), len(targets[0].taught)), dtype=np.bool_)
    places: dict[tuple[int, ...], list[int]] = {}  # of a pair: a row for each window that it stands in
    for number, row in enumerate(np.concatenate([groups[:, None], spans[pairs].reshape(-1, 6)], 1).tolist()):
        places.setdefault(tuple(row), []).append(number)
    for group, target in enumerate(targets):
        for *pair, label in target.relations.tolist():
            holds[places.get((group, *pair), []), label] = True
    taught = np.stack([target.taught for target in targets])[groups]
    return holds, taught
