"""The span scorer against slow references, whole or in blocks, alone or in company."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spanbert.heads import pairs
from spanbert.heads.pairs import ROWS_PER_PIECE, PairHead
from spanbert.packing import Batch, lay_out
from spanbert.targets import PairTargets
from spanbert.tokenization import Frame, Pieces
from spanbert.windows import Window, cut

WIDTH = 6


def document(total: int, room: int = 1000, overlap: int = 0) -> list[Window]:
    places = np.arange(total)
    return cut(Pieces(places, places, places + 1, places), room + 2, overlap, Frame.plain(0, 0))


def batch_of(*groups: Sequence[Window]) -> Batch:
    return lay_out(groups, range(len(groups)))


def head_of(labels: int, seed: int = 0, dropout: float = 0.0) -> PairHead:
    """Every parameter random and large enough to matter."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = PairHead(WIDTH, labels, size=5, dropout=dropout)
        for parameter in head.parameters():
            parameter.data = 0.7 * torch.randn_like(parameter)
    return head


def vectors_for(batch: Batch, seed: int = 0) -> Tensor:
    """The vectors of a window depend on its pieces, its length and nothing else, so that company does not matter."""
    parts = []
    for begin, end in zip(batch.cu_seqlens, batch.cu_seqlens[1:], strict=False):
        draw = torch.Generator().manual_seed(seed + 1000 * int(end - begin) + int(batch.pieces[begin + 1]))
        parts.append(torch.randn(int(end - begin), WIDTH, generator=draw))
    return torch.cat(parts)


def bucket(width: int) -> int:
    """In exact arithmetic: one each up to 8, then a step where width^2 doubles, at most 23."""
    if width <= 8:
        return width - 1
    return min(23, 8 + max(k for k in range(40) if width * width >= 64 * 2**k))


def slow_logits(head: PairHead, vectors: Tensor, batch: Batch) -> Iterator[tuple[int, int, int, Tensor]]:
    """(window, first, last, logits of all labels) for each pair of the document's pieces, straight from the formula."""
    f, last_view = F.gelu(F.linear(vectors, head.views.weight, head.views.bias)).split(head.size, dim=1)
    terms = F.linear(vectors, head.terms.weight, head.terms.bias)
    first_bias, last_bias, inside = terms.split(head.labels, dim=1)
    for window, (begin, end) in enumerate(zip(batch.cu_seqlens, batch.cu_seqlens[1:], strict=False)):
        for i in range(begin, end):
            for j in range(i, end):
                if batch.pieces[i] >= 0 and batch.pieces[j] >= 0:
                    ties = torch.stack([f[i] @ head.bilinear[:, c] @ last_view[j] for c in range(head.labels)])
                    prior = head.width_bias[:, bucket(j - i + 1)]
                    logits = ties + first_bias[i] + last_bias[j] + inside[i : j + 1].mean(0) + prior
                    yield window, int(batch.pieces[i]), int(batch.pieces[j]), logits


def slow_loss(head: PairHead, vectors: Tensor, batch: Batch, targets: Sequence[PairTargets]) -> Tensor:
    """Dense binary cross-entropy over all pairs and taught labels."""
    total = torch.zeros(())
    for window, first, last, logits in slow_logits(head, vectors, batch):
        target = targets[batch.groups[window]]
        gold = torch.zeros(head.labels)
        for span_first, span_last, label in target.spans.tolist():
            if (span_first, span_last) == (first, last):
                gold[label] = 1.0
        each = F.binary_cross_entropy_with_logits(logits, gold, reduction="none")
        total = total + each[torch.from_numpy(target.taught)].sum()
    return total


def slow_table(head: PairHead, vectors: Tensor, batch: Batch, floor: float) -> set[tuple[int, int, int, int]]:
    """Owned rows above the floor."""
    return {
        (window, first, last, label)
        for window, first, last, logits in slow_logits(head, vectors, batch)
        if batch.low[window] < first + last <= batch.high[window]
        for label, logit in enumerate(logits.tolist())
        if logit > floor
    }


def target(*spans: tuple[int, int, int], taught: Sequence[bool]) -> PairTargets:
    return PairTargets(np.array(spans, dtype=np.int64).reshape(-1, 3), np.array(taught))


def keys(table: dict[str, Tensor]) -> list[tuple[int, ...]]:
    return list(zip(*(table[name].tolist() for name in ("window", "first", "last", "label")), strict=True))


# Logits


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("totals", [(1,), (2,), (7,), (7, 7, 3), (12, 1, 12, 5)])
def test_logits_are_those_of_the_formula(totals: tuple[int, ...], labels: int):
    """With floor -inf the table holds every pair and label, up to the limit of a window, with the logits of loops."""
    head, batch = head_of(labels), batch_of(*[document(total) for total in totals])
    vectors = vectors_for(batch)
    with torch.no_grad():
        slow = {
            (window, first, last, label): logit
            for window, first, last, logits in slow_logits(head, vectors, batch)
            for label, logit in enumerate(logits.tolist())
        }
        table = head(vectors, batch, -math.inf)
    got = dict(zip(keys(table), table["logit"].tolist(), strict=True))
    for window, length in enumerate(batch.lengths.tolist()):
        mine = sorted((logit for key, logit in slow.items() if key[0] == window), reverse=True)
        assert sum(key[0] == window for key in got) == min(len(mine), ROWS_PER_PIECE * length)
    assert got.keys() <= slow.keys()
    for key, logit in got.items():
        assert logit == pytest.approx(slow[key], abs=1e-4)


def test_widths_have_buckets_by_hand():
    """1..8 have one each: 0..7. 9 is in [8, 11.3): 8. 12: 9. 16: 10. 23 > 22.6: 11. 32: 12. 1448.2 is the last step."""
    widths = [1, 2, 7, 8, 9, 11, 12, 15, 16, 22, 23, 31, 32, 63, 64, 128, 1024, 1448, 1449, 4096, 65_536]
    expected = [0, 1, 6, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 13, 14, 16, 22, 22, 23, 23, 23]
    assert pairs.bucket(torch.tensor(widths)).tolist() == expected
    assert pairs.bucket(torch.arange(1, 3000)).tolist() == [bucket(width) for width in range(1, 3000)]


def test_a_new_head_expects_few_and_short_spans():
    """Width 1 starts at a log-odds of -5, each bucket half a unit lower, never below -12."""
    prior = PairHead(WIDTH, 2).width_bias
    assert prior[0, :3].tolist() == [-5.0, -5.5, -6.0]
    assert prior.min().item() == -12
    assert torch.equal(prior[0], prior[1])


# Loss


def test_loss_by_hand():
    """All parameters 0, so every logit is 0: softplus(0) = log 2 for each pair, less 0 for gold ones.

    Three pieces have 3 + 2 + 1 = 6 pairs, two labels: 12 log 2. With one label taught: 6 log 2.
    """
    head, batch = head_of(2), batch_of(document(3))
    for parameter in head.parameters():
        parameter.data.zero_()
    vectors = vectors_for(batch)
    both, one = (target((0, 1, 0), taught=taught) for taught in ([True, True], [True, False]))
    assert head.loss(vectors, batch, [both])["spans"].item() == pytest.approx(12 * math.log(2))
    assert head.loss(vectors, batch, [one])["spans"].item() == pytest.approx(6 * math.log(2))
    head.width_bias.data[0, 1] = 3.0
    expected = 10 * math.log(2) + math.log1p(math.exp(3)) + math.log1p(math.exp(-3))
    assert head.loss(vectors, batch, [both])["spans"].item() == pytest.approx(expected, rel=1e-5)


def mixed() -> tuple[Batch, list[PairTargets]]:
    """Five documents: several windows with gold in their overlap, none, partly taught, untaught, and one piece."""
    groups = [
        document(14, room=6, overlap=3),
        document(8),
        document(6),
        document(8),
        document(1),
    ]
    targets = [
        target((4, 5, 0), (3, 3, 2), (0, 5, 1), (0, 13, 1), (3, 8, 2), (13, 13, 0), taught=[True] * 3),
        target(taught=[True] * 3),
        target((0, 5, 0), (2, 2, 2), taught=[True, False, True]),
        target(taught=[False] * 3),
        target((0, 0, 1), (0, 0, 2), taught=[True] * 3),
    ]
    return batch_of(*groups), targets


def test_loss_is_dense_cross_entropy():
    batch, targets = mixed()
    assert len(batch.groups) > 6  # the first document has several windows, which share gold
    head = head_of(3)
    vectors = vectors_for(batch).requires_grad_()
    fast, slow = head.loss(vectors, batch, targets)["spans"], slow_loss(head, vectors, batch, targets)
    assert fast.item() == pytest.approx(slow.item(), rel=1e-5)
    leaves = [vectors, *head.parameters()]
    for mine, theirs in zip(torch.autograd.grad(fast, leaves), torch.autograd.grad(slow, leaves), strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max() + 1e-6


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_loss_is_dense_cross_entropy_for_any_batch(data: st.DataObject):
    labels = data.draw(st.integers(1, 3))
    groups, targets = [], []
    for _ in range(data.draw(st.integers(1, 3))):
        total = data.draw(st.integers(1, 9))
        groups.append(document(total, data.draw(st.integers(1, 6)), data.draw(st.integers(0, 3))))
        piece, label = st.integers(0, total - 1), st.integers(0, labels - 1)
        spans = data.draw(st.sets(st.tuples(piece, piece, label).filter(lambda s: s[0] <= s[1]), max_size=4))
        taught = data.draw(st.lists(st.booleans(), min_size=labels, max_size=labels))
        targets.append(target(*sorted(s for s in spans if taught[s[2]]), taught=taught))
    head, batch = head_of(labels), batch_of(*groups)
    vectors = vectors_for(batch)
    with torch.no_grad():
        assert head.loss(vectors, batch, targets)["spans"].item() == pytest.approx(
            slow_loss(head, vectors, batch, targets).item(), rel=1e-4, abs=1e-4
        )


def test_dropout_in_training_only():
    batch, targets = mixed()
    head, vectors = head_of(3, dropout=0.5), vectors_for(batch)
    with torch.random.fork_rng(), torch.no_grad():
        once, again = (head.train().loss(vectors, batch, targets)["spans"].item() for _ in range(2))
        assert once != again
        still, same = (head.eval().loss(vectors, batch, targets)["spans"].item() for _ in range(2))
    assert still == same


# Blocks


@pytest.mark.parametrize("cells", [1, 40, 100, 150, 800])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, cells: int):
    """From one row of one window a block to several windows a block: the same loss, gradients and table."""
    batch, targets = mixed()
    head = head_of(3)
    vectors = vectors_for(batch).requires_grad_()
    results = []
    for _ in range(2):
        loss = head.loss(vectors, batch, targets)["spans"]
        gradients = torch.autograd.grad(loss, [vectors, *head.parameters()])
        with torch.no_grad():
            results.append((len(list(head._blocks(batch))), loss, gradients, head(vectors, batch, -2.0)))
        monkeypatch.setattr(pairs, "CELLS", cells)
    (whole, loss, gradients, table), (blocks, loss_b, gradients_b, table_b) = results
    assert blocks > whole
    assert loss_b.item() == pytest.approx(loss.item(), rel=1e-5)
    for mine, theirs in zip(gradients_b, gradients, strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    order, order_b = (sorted(range(len(t["logit"])), key=keys(t).__getitem__) for t in (table, table_b))
    assert [keys(table)[k] for k in order] == [keys(table_b)[k] for k in order_b]
    torch.testing.assert_close(table["logit"][order], table_b["logit"][order_b], atol=1e-5, rtol=1e-5)


def test_blocks_with_dropout_have_the_gradient_of_their_loss(monkeypatch: pytest.MonkeyPatch):
    """Dropout acts on the vectors once, before the blocks, so with one seed the whole gives what the blocks give."""
    batch, targets = mixed()
    head = head_of(3, dropout=0.3).train()
    vectors = vectors_for(batch).requires_grad_()
    found = []
    with torch.random.fork_rng():
        for _ in range(2):
            torch.manual_seed(7)
            found.append(torch.autograd.grad(head.loss(vectors, batch, targets)["spans"], vectors)[0])
            monkeypatch.setattr(pairs, "CELLS", 50)
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 6), st.integers(1, 5000))
def test_blocks_tile_all_pairs_and_are_small(totals: list[int], labels: int, cells: int):
    """Every row of every window in one block; none above CELLS numbers unless a single row of a window is."""
    batch = batch_of(*[document(total) for total in totals])
    head = head_of(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "CELLS", cells)
        blocks = list(head._blocks(batch))
    rows = sorted(
        (window, row)
        for block in blocks
        for window in range(block.window, block.window + block.number)
        for row in range(block.top, block.bottom)
    )
    assert rows == [(w, row) for w, length in enumerate(batch.lengths.tolist()) for row in range(length)]
    for block in blocks:
        assert block.at == batch.cu_seqlens[block.window]
        assert block.length == batch.lengths[block.window : block.window + block.number].max()
        numbers = block.number * (block.bottom - block.top) * block.length * labels
        assert numbers <= cells or (block.number, block.bottom - block.top) == (1, 1)


def test_logits_never_exceed_the_bound(monkeypatch: pytest.MonkeyPatch):
    """A window of 510 pieces and 20 labels has 512 x 512 x 20 = 5.2 M logits; by 128 rows it takes four blocks.

    With CELLS = 200,000 a row has 512 x 20 = 10,240 and a block at most 19 rows. Loss, its gradient (which computes
    every block again) and prediction never hold more at once.
    """
    made: list[int] = []
    plain = PairHead._logits

    def counting(self: PairHead, block: pairs._Block, *terms: Tensor) -> Tensor:
        logits = plain(self, block, *terms)
        made.append(logits.numel())
        return logits

    monkeypatch.setattr(PairHead, "_logits", counting)
    head, batch = head_of(20), batch_of(document(510))
    assert len(list(head._blocks(batch))) == 4
    monkeypatch.setattr(pairs, "CELLS", 200_000)
    blocks = len(list(head._blocks(batch)))
    assert blocks == math.ceil(512 / 19)
    vectors = vectors_for(batch).requires_grad_()
    head.loss(vectors, batch, [target((0, 500, 7), taught=[True] * 20)])["spans"].backward()
    assert len(made) == 2 * blocks
    with torch.no_grad():
        head(vectors, batch, 0.0)
    assert len(made) == 3 * blocks
    assert max(made) <= 200_000


def test_a_block_is_dropped_before_the_next(monkeypatch: pytest.MonkeyPatch):
    """What autograd keeps for the gradient of the loss is the terms of the pieces, not the logits of any block.

    60 pieces and 3 labels: 62 x 62 x 3 = 11,532 logits, of which nothing larger than the terms (62 x 3 x 5) is kept.
    """
    monkeypatch.setattr(pairs, "CELLS", 1000)
    kept: list[int] = []
    head, batch = head_of(3), batch_of(document(60))
    vectors = vectors_for(batch).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        head.loss(vectors, batch, [target(taught=[True] * 3)])
    assert max(kept) <= 62 * 3 * 5


# Prediction


@pytest.mark.parametrize("floor", [-1.0, 0.5, 2.0])
def test_the_table_holds_owned_rows_above_the_floor(floor: float):
    """Three documents, the first in several windows; no window reaches its limit, so nothing else is left out."""
    batch = batch_of(document(14, room=6, overlap=3), document(5), document(1))
    head, vectors = head_of(2), vectors_for(batch)
    head.width_bias.data -= 1.5
    with torch.no_grad():
        table, expected = head(vectors, batch, floor), slow_table(head, vectors, batch, floor)
    assert {name: column.dtype for name, column in table.items()} == {
        **dict.fromkeys(("window", "first", "last", "label"), torch.int64),
        "logit": torch.float32,
    }
    assert expected
    assert all(sum(key[0] == w for key in expected) <= 4 * n for w, n in enumerate(batch.lengths.tolist()))
    assert sorted(keys(table)) == sorted(expected)
    assert (table["logit"] > floor).all()


def test_a_span_is_found_once_however_many_windows_hold_it():
    """With floor -inf and one label the rows of all windows are each pair of pieces that fits in a window, once."""
    windows = document(10, room=4, overlap=2)
    batch, head = batch_of(windows), head_of(1)
    with torch.no_grad():
        table = head(vectors_for(batch), batch, -math.inf)
    found = [key[1:3] for key in keys(table)]
    inside = {(i, j) for w in windows for i in range(w.bounds[0], w.bounds[1] + 1) for j in range(i, w.bounds[1] + 1)}
    assert len(found) == len(set(found))
    assert set(found) == inside
    assert {(i, i + 2) for i in range(8)} <= inside  # up to overlap + 1 pieces, all of them


@pytest.mark.parametrize("cells", [200, 4_000_000])
def test_the_best_rows_stay_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch, cells: int):
    """12 pieces, 3 labels: 78 x 3 = 234 rows for 4 x 14 = 56 places; 3 pieces: 6 x 3 = 18 rows for 20 places."""
    monkeypatch.setattr(pairs, "CELLS", cells)
    batch = batch_of(document(12), document(3), document(12))
    head, vectors = head_of(3), vectors_for(batch)
    with torch.no_grad():
        table = head(vectors, batch, -math.inf)
        slow = list(slow_logits(head, vectors, batch))
    counts = torch.bincount(table["window"]).tolist()
    assert counts == [56, 56, 18]
    for window, count in enumerate(counts):
        best = torch.cat([logits for w, _, _, logits in slow if w == window]).sort(descending=True).values[:count]
        mine = table["logit"][table["window"] == window].sort(descending=True).values
        torch.testing.assert_close(mine, best, atol=1e-4, rtol=1e-5)


def test_ties_go_to_the_earlier_row():
    """All logits are 0 with all parameters 0: of the 78 pairs of 12 pieces the first 56 in order of (first, last)."""
    batch, head = batch_of(document(12)), head_of(1)
    for parameter in head.parameters():
        parameter.data.zero_()
    with torch.no_grad():
        table = head(vectors_for(batch), batch, -1.0)
    assert [key[1:3] for key in keys(table)] == [(i, j) for i in range(12) for j in range(i, 12)][:56]


def test_nothing_above_the_floor():
    batch, head = batch_of(document(5), document(9)), head_of(2)
    with torch.no_grad():
        table = head(vectors_for(batch), batch, math.inf)
    assert {len(column) for column in table.values()} == {0}


def test_nothing_for_special_tokens_questions_and_markers():
    """A window that begins with a question (-1) and has a marker at its end: only its four pieces count."""
    index = np.array([-1, -1, -1, -1, 7, 8, 9, 10, -1, -1])
    batch = batch_of([Window(np.zeros(10, int), np.zeros(10, int), index, -1, 99)])
    head, vectors = head_of(1), vectors_for(batch)
    said = target((8, 9, 0), (10, 10, 0), taught=[True])
    with torch.no_grad():
        table = head(vectors, batch, -math.inf)
        assert [key[1:3] for key in keys(table)] == [(i, j) for i in range(7, 11) for j in range(i, 11)]
        loss = head.loss(vectors, batch, [said])["spans"].item()
        assert loss == pytest.approx(slow_loss(head, vectors, batch, [said]).item(), rel=1e-5)


def test_alone_as_in_company():
    """Rows of each document, alone and with four others: the same spans, logits 1e-5 apart."""
    groups = [document(14, 6, 3), document(8), document(6), document(8), document(1)]
    batch, head = batch_of(*groups), head_of(2)
    with torch.no_grad():
        together = head(vectors_for(batch), batch, -1.0)
        group = torch.from_numpy(batch.groups)[together["window"]]
        for n, windows in enumerate(groups):
            own = batch_of(windows)
            alone = head(vectors_for(own), own, -1.0)
            mine = {name: column[group == n] for name, column in together.items()}
            assert [key[1:] for key in keys(mine)] == [key[1:] for key in keys(alone)]
            torch.testing.assert_close(mine["logit"], alone["logit"], atol=1e-5, rtol=0)
