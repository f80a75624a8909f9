"""Relations against "none": rows and loss by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spanbert.heads.relations import RelationHead
from spanbert.packing import lay_out
from spanbert.targets import RelationTargets
from spanbert.windows import HEAD_BEGINS, TAIL_BEGINS, Window


def window(unit: int, *pieces: int) -> Window:
    numbers = np.array([-1, *pieces, -1])
    return Window(np.arange(len(numbers)), np.zeros_like(numbers), numbers, -1, 100, unit)


WINDOWS = [window(0, 0, HEAD_BEGINS, 1, TAIL_BEGINS, 2), window(1, TAIL_BEGINS, 0, 1, HEAD_BEGINS, 2, 3)]


@pytest.fixture
def head() -> RelationHead:
    torch.manual_seed(0)
    made = RelationHead(4, 3).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def test_rows_and_loss_by_hand(head: RelationHead):
    """The first has two relations, the second none and stands for three."""
    batch = lay_out([[w] for w in WINDOWS], [0, 1])
    vectors = torch.randn(len(batch.ids), 4, generator=torch.Generator().manual_seed(1))
    holds = [np.array([True, False, True]), np.zeros(3, dtype=bool)]
    known = np.ones(3, dtype=bool)
    targets = [RelationTargets(holds[0], known), RelationTargets(holds[1], known, 3.0)]
    with torch.no_grad():
        table = head(vectors, batch, -math.inf)
        loss = head.loss(vectors, batch, targets)["relations"].item()
    expected = 0.0
    for row, group in enumerate(batch.groups.tolist()):
        begin, end = batch.cu_seqlens[row : row + 2]
        pieces = batch.pieces[begin:end].tolist()
        parts = [vectors[begin + pieces.index(mark)] for mark in (HEAD_BEGINS, TAIL_BEGINS)] + [vectors[begin]]
        with torch.no_grad():
            logits = head.out(torch.tanh(head.mix(torch.cat(parts)))).tolist()
        none, labels = logits[0], logits[1:]
        assert table["odds"][row].tolist() == pytest.approx([z - none for z in labels], abs=1e-5)
        assert table["unit"][row] == WINDOWS[group].unit
        true = [z for z, h in zip(labels, holds[group], strict=True) if h]
        false = [z for z, h in zip(labels, holds[group], strict=True) if not h]
        above = sum(z - np.logaddexp.reduce([*true, none]) for z in true)
        expected -= targets[group].weight * (above + none - np.logaddexp.reduce([*false, none]))
    assert loss == pytest.approx(expected, rel=1e-5)
