"""The tag head: cross-entropy by hand, and every piece once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spanbert.heads.tags import OUTSIDE_FIRST, TagHead
from spanbert.packing import Batch, lay_out
from spanbert.targets import TagTargets
from spanbert.tokenization import Frame, Pieces
from spanbert.windows import Window, cut


def document(total: int, room: int = 1000, overlap: int = 0) -> list[Window]:
    places = np.arange(total)
    return cut(Pieces(places, places, places + 1, places), room + 2, overlap, Frame.plain(0, 0))


def batch_of(*groups: Sequence[Window]) -> Batch:
    return lay_out(groups, range(len(groups)))


def head_of(width: int, tags: int) -> TagHead:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = TagHead(width, tags, dropout=0.0)
        head.classifier.bias.data.normal_()
    return head


def as_is(logits: list[list[float]]) -> tuple[TagHead, Tensor]:
    """A head that gives back its vectors, and vectors."""
    head = TagHead(len(logits[0]), len(logits[0]), dropout=0.0)
    head.classifier.weight.data = torch.eye(len(logits[0]))
    head.classifier.bias.data.zero_()
    return head, torch.tensor(logits)


def target(tags: Sequence[int], taught: Sequence[bool]) -> TagTargets:
    return TagTargets(np.array(tags, dtype=np.int64), np.array(taught))


def test_a_new_head_expects_most_pieces_outside():
    head = TagHead(8, 5)
    assert head.classifier.bias.tolist() == [OUTSIDE_FIRST, 0, 0, 0, 0]
    assert head.classifier(torch.zeros(8)).softmax(-1)[0] > 0.6


def test_loss_by_hand():
    """Two pieces between special tokens, whose logits do not matter.

    Piece 0: logits (log 2, log 3, log 5), gold 1: -log 3/10. Piece 1: all 0, gold 2: -log 1/3. Sum: log 10.
    """
    rows = [[9.0, 0, 0], [math.log(2), math.log(3), math.log(5)], [0.0, 0, 0], [0, 9.0, 0]]
    head, vectors = as_is(rows)
    loss = head.loss(vectors, batch_of(document(2)), [target([1, 2], [True] * 3)])
    assert loss.keys() == {"tags"}
    assert loss["tags"].item() == pytest.approx(math.log(10))


def test_tags_that_were_not_annotated_take_no_part():
    """The same logits with the last tag not taught: piece 0 gold 1: -log 3/5; piece 1 gold 0: -log 1/2. log 10/3."""
    head, vectors = as_is([[9.0, 0, 0], [math.log(2), math.log(3), math.log(5)], [0.0, 0, 0], [0, 9.0, 0]])
    vectors.requires_grad_()
    loss = head.loss(vectors, batch_of(document(2)), [target([1, 0], [True, True, False])])["tags"]
    assert loss.item() == pytest.approx(math.log(10 / 3))
    loss.backward()
    assert vectors.grad[1].tolist() == pytest.approx([2 / 5, 3 / 5 - 1, 0])
    assert vectors.grad[[0, 3]].abs().sum() == 0  # special tokens teach nothing


def test_what_one_document_lacks_another_teaches():
    """Two documents of one piece, all logits 0, gold 0: with 3 tags taught log 3, with 2 taught log 2; log 6."""
    head, vectors = as_is([[0.0, 0, 0]] * 6)
    batch = batch_of(document(1), document(1))
    targets = [target([0], [True] * 3), target([0], [True, False, True])]
    assert head.loss(vectors, batch, targets)["tags"].item() == pytest.approx(math.log(6))


def test_pieces_in_an_overlap_count_in_each_window():
    """Five pieces in windows [0, 3] and [1, 4]: 8 positions with logits 0 and two tags, 8 log 2."""
    head, vectors = as_is([[0.0, 0]] * 12)
    batch = batch_of(document(5, room=4, overlap=1))
    assert len(batch.groups) == 2
    loss = head.loss(vectors, batch, [target([0, 1, 0, 1, 0], [True, True])])["tags"]
    assert loss.item() == pytest.approx(8 * math.log(2))


def test_gold_is_looked_up_by_piece():
    """Each position's gold is that of its piece, in whichever window and document: compared one by one."""
    groups = [document(9, room=4, overlap=2), document(3), document(6)]
    batch, head = batch_of(*groups), head_of(5, 4)
    draw = np.random.default_rng(0)
    targets = [target(draw.integers(0, 4, n), [True] * 4) for n in (9, 3, 6)]
    vectors = torch.randn(len(batch.ids), 5, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for place, piece in enumerate(batch.pieces.tolist()):
        if piece >= 0:
            gold = targets[batch.groups[batch.windows[place]]].tags[piece]
            expected -= head.classifier(vectors[place]).log_softmax(0)[gold].item()
    assert head.loss(vectors, batch, targets)["tags"].item() == pytest.approx(expected, rel=1e-5)


def test_the_table_by_hand():
    """Five pieces in windows [0, 3] and [1, 4]; the border of sums is 3 + 1 = 4, so piece 2 (2 x 2 <= 4) is the
    first window's. Emissions are those of the owner's positions: 1 2 3 in the first, 3 4 of the second, at 6 + 3."""
    head, vectors = as_is([[float(place), -float(place)] for place in range(12)])
    with torch.no_grad():
        table = head(vectors, batch_of(document(5, room=4, overlap=1)), 0.0)
    assert table["window"].tolist() == [0, 0, 0, 1, 1]
    assert table["piece"].tolist() == [0, 1, 2, 3, 4]
    assert table["emission"].tolist() == [[1, -1], [2, -2], [3, -3], [9, -9], [10, -10]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 12),
    st.integers(0, 6),
    st.floats(allow_nan=False),
)
def test_every_piece_once_from_its_owner(totals: list[int], room: int, overlap: int, floor: float):
    batch = batch_of(*[document(total, room, overlap) for total in totals])
    head = head_of(5, 3)
    vectors = torch.randn(len(batch.ids), 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        table = head(vectors, batch, floor)
        expected = head.classifier(vectors)
    owners = batch.groups[table["window"].numpy()]
    rows = list(zip(owners.tolist(), table["piece"].tolist(), strict=True))
    assert sorted(rows) == [(n, piece) for n, total in enumerate(totals) for piece in range(total)]
    for window, piece, emission in zip(table["window"], table["piece"], table["emission"], strict=True):
        begin, end = batch.cu_seqlens[window : window + 2]
        place = begin + batch.pieces[begin:end].tolist().index(piece)
        assert torch.allclose(emission, expected[place], atol=1e-6)
        assert batch.low[window] < 2 * piece <= batch.high[window]


def test_dropout_in_training_only():
    batch, head = batch_of(document(9)), TagHead(5, 3, dropout=0.5)
    vectors, gold = torch.ones(11, 5), [target([0] * 9, [True] * 3)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert head.loss(vectors, batch, gold)["tags"] != head.loss(vectors, batch, gold)["tags"]
        head.eval()
        assert head.loss(vectors, batch, gold)["tags"] == head.loss(vectors, batch, gold)["tags"]


def test_weights_have_the_names_of_the_stock_class():
    assert {name: tuple(p.shape) for name, p in TagHead(5, 3).named_parameters()} == {
        "classifier.weight": (3, 5),
        "classifier.bias": (3,),
    }
