"""Spans and the relations of each two of a window: rows, ownership and loss, by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from spanbert.heads import joint
from spanbert.heads.joint import JointHead
from spanbert.heads.pairs import BUCKETS
from spanbert.packing import lay_out
from spanbert.targets import JointTargets, PairTargets
from spanbert.windows import GIVEN, Window

WIDTH, SPANS, LABELS = 4, 2, 3
TYPES = np.array([[True, True], [False, True]])


def window(first: int, last: int, low: int = -1, high: int = 100) -> Window:
    numbers = np.array([-1, *range(first, last + 1), -1])
    return Window(np.arange(len(numbers)), np.zeros_like(numbers), numbers, low, high)


@pytest.fixture
def head() -> JointHead:
    torch.manual_seed(0)
    made = JointHead(WIDTH, TYPES, LABELS, size=3).eval()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made


def vectors_of(batch: Any) -> torch.Tensor:
    return torch.randn(len(batch.ids), WIDTH, generator=torch.Generator().manual_seed(1))


def logits_by_hand(head: JointHead, vectors: torch.Tensor, one: tuple[int, ...], other: tuple[int, ...]) -> list[float]:
    """Of a pair of (position of first, of last, label) in a batch of one window: the formula, term by term."""

    def views(span: tuple[int, ...]) -> torch.Tensor:
        ends = torch.cat([vectors[span[0]], vectors[span[1]]])
        return F.gelu(head.views.weight @ ends + head.views.bias + head.types.weight[span[2]])

    as_head, as_tail = views(one)[:3], views(other)[3:]
    order = int(one[0] > other[0])
    begin, end = min(one[1], other[1]) + 1, max(one[0], other[0])
    inside = [head.between.weight @ vectors[k] + head.between.bias for k in range(begin, end)]
    found = []
    for label in range(1 + LABELS):
        z = (
            as_head @ head.bilinear[:, label] @ as_tail
            + head.distance[order * BUCKETS + min(len(range(begin, end)), 7)][label]
        )
        if inside:
            z = z + torch.stack(inside).mean(0)[order * (1 + LABELS) + label]
        found.append(float(z))
    return found


def test_odds_are_those_of_the_formula(head: JointHead, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(joint, "ARGUMENT", -math.inf)
    monkeypatch.setattr(joint, "FLOOR", -math.inf)
    batch = lay_out([[window(0, 3)]], [0])
    vectors = vectors_of(batch)
    with torch.no_grad():
        table = head(vectors, batch, -math.inf)
        pairs = table["tail_first"] >= 0
        seen = set()
        for k in pairs.nonzero().flatten().tolist():
            one, other = (
                tuple(int(table[prefix + name][k]) for name in ("first", "last", "label")) for prefix in ("", "tail_")
            )
            assert one != other and TYPES[one[2], other[2]]
            seen.add((one, other))
            at = [(a + 1, b + 1, label) for a, b, label in (one, other)]  # [CLS] stands before
            none, *labels = logits_by_hand(head, vectors, *at)
            assert table["odds"][k].tolist() == pytest.approx([z - none for z in labels], abs=1e-4)
    spans = [(a, b, c) for a in range(4) for b in range(a, 4) for c in range(2)]
    assert seen == {(a, b) for a in spans for b in spans if a != b and TYPES[a[2], b[2]]}


def test_a_pair_is_told_by_the_window_that_owns_its_stretch(head: JointHead, monkeypatch: pytest.MonkeyPatch):
    """Pieces 0 to 5 in two windows that share 2 and 3: every span and every pair that lies whole in one comes once."""
    monkeypatch.setattr(joint, "ARGUMENT", -math.inf)
    monkeypatch.setattr(joint, "FLOOR", -math.inf)
    monkeypatch.setattr(joint, "MOST", 1000)
    batch = lay_out([[window(0, 3, -1, 5)], [window(2, 5, 5, 100)]], [0, 1])
    with torch.no_grad():
        table = head(vectors_of(batch), batch, -math.inf)
    rows = list(
        zip(
            *(
                table[name].tolist()
                for name in ("window", "first", "last", "label", "tail_first", "tail_last", "tail_label")
            ),
            strict=True,
        )
    )
    keys = [row[1:] for row in rows]
    assert len(set(keys)) == len(keys)
    for number, *row in rows:
        ends = [row[0], row[1]] + ([row[3], row[4]] if row[3] >= 0 else [])
        middle = min(ends) + max(ends)
        assert (middle <= 5) == (number == 0)


def targets_of(relations: list[list[int]], taught: list[bool]) -> JointTargets:
    spans = PairTargets(np.array([[0, 0, 0], [2, 3, 1]]), np.ones(SPANS, dtype=bool))
    return JointTargets(spans, np.array(relations, dtype=np.int64).reshape(-1, 7), np.array(taught))


def test_loss_by_hand(head: JointHead, monkeypatch: pytest.MonkeyPatch):
    """Two gold spans, of types that may be related in one direction only: one pair, with two relations of three."""
    batch = lay_out([[window(0, 3)]], [0])
    vectors = vectors_of(batch)
    monkeypatch.setattr(joint, "_taught", lambda batch, targets, found: _only_gold(batch, targets))
    both = targets_of([[0, 0, 0, 2, 3, 1, 0], [0, 0, 0, 2, 3, 1, 2]], [True] * 3)
    with torch.no_grad():
        loss = head.loss(vectors, batch, [both])["relations"].item()
        none, *z = logits_by_hand(head, vectors, (1, 1, 0), (3, 4, 1))
    above = sum(z[k] - np.logaddexp.reduce([z[0], z[2], none]) for k in (0, 2))
    assert loss == pytest.approx(-(above + none - np.logaddexp(z[1], none)), rel=1e-4)
    some = targets_of([[0, 0, 0, 2, 3, 1, 0]], [True, False, True])  # of the second nobody has said
    with torch.no_grad():
        loss = head.loss(vectors, batch, [some])["relations"].item()
    expected = z[0] - np.logaddexp(z[0], none) + none - np.logaddexp(z[2], none)
    assert loss == pytest.approx(-expected, rel=1e-4)


def _only_gold(batch: Any, targets: Any) -> dict[str, np.ndarray]:
    rows = np.array([(window, *span) for window, spans in joint._gold(batch, targets) for span in spans])
    return dict(zip(("window", "first", "last", "label"), rows.T, strict=True))


def test_what_is_found_now_is_taught_too_up_to_a_limit(monkeypatch: pytest.MonkeyPatch):
    batch = lay_out([[window(0, 3)]], [0])
    found = {
        "window": np.array([0, 0, 0]),
        "first": np.array([1, 0, 3]),
        "last": np.array([1, 0, 3]),
        "label": np.array([1, 0, 0]),
        "logit": np.array([1.0, 3.0, 2.0]),
    }
    rows = joint._taught(batch, [targets_of([], [True] * 3)], found)
    assert list(zip(*(rows[name].tolist() for name in ("first", "last", "label")), strict=True)) == [
        (0, 0, 0), (2, 3, 1), (3, 3, 0), (1, 1, 1)
    ]  # fmt: skip
    monkeypatch.setattr(joint, "MOST", 3)
    assert len(joint._taught(batch, [targets_of([], [True] * 3)], found)["first"]) == 3


def test_no_pair_is_no_loss(head: JointHead):
    """One gold span, and nothing else found."""
    batch = lay_out([[window(0, 3)]], [0])
    with torch.no_grad():
        head.spans.width_bias.fill_(-1000.0)
        target = JointTargets(
            PairTargets(np.array([[0, 0, 0]]), np.ones(SPANS, dtype=bool)),
            np.zeros((0, 7), dtype=np.int64),
            np.ones(3, dtype=bool),
        )
        losses = head.loss(vectors_of(batch), batch, [target])
        table = head(vectors_of(batch), batch, -6.0)
    assert losses["relations"].item() == 0.0 and losses["spans"].item() > 0
    assert {name: len(column) for name, column in table.items()} == dict.fromkeys(table, 0)


def test_blocks_of_pairs_change_nothing(head: JointHead, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(joint, "ARGUMENT", -math.inf)
    batch = lay_out([[window(0, 5)], [window(0, 3)]], [0, 1])
    vectors = vectors_of(batch)
    with torch.no_grad():
        whole = head(vectors, batch, -math.inf)
        monkeypatch.setattr(joint, "CELLS", 5 * (1 + LABELS) * 3)
        parts = head(vectors, batch, -math.inf)
    for name, column in whole.items():
        assert torch.allclose(column.float(), parts[name].float(), atol=1e-5)


def test_no_window_depends_on_another(head: JointHead, monkeypatch: pytest.MonkeyPatch):
    """Alone and in a batch the numbers are the same, and what is no number in one window is lost there only."""
    monkeypatch.setattr(joint, "ARGUMENT", -math.inf)
    monkeypatch.setattr(joint, "FLOOR", -math.inf)
    both, alone = lay_out([[window(0, 5)], [window(0, 3)]], [0, 1]), lay_out([[window(0, 3)]], [0])
    vectors = vectors_of(both)
    vectors[2] = math.nan  # of the longer window, which stands first
    with torch.no_grad():
        beside, single = head(vectors, both, -math.inf), head(vectors[8:], alone, -math.inf)
    mine = beside["window"] == 1
    assert int((single["tail_first"] >= 0).sum()) > 10
    assert torch.allclose(beside["odds"][mine], single["odds"], atol=1e-6)


def test_related_spans_are_taught_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(joint, "MOST", 2)
    batch = lay_out([[window(0, 3)]], [0])
    spans = PairTargets(np.array([[0, 0, 0], [1, 1, 0], [2, 2, 0], [3, 3, 1]]), np.ones(SPANS, dtype=bool))
    target = JointTargets(spans, np.array([[2, 2, 0, 3, 3, 1, 0]]), np.ones(3, dtype=bool))
    assert [row for _, rows in joint._gold(batch, [target]) for row in rows] == [(2, 2, 0), (3, 3, 1)]


def test_memory_of_training_is_that_of_a_block(head: JointHead, monkeypatch: pytest.MonkeyPatch):
    """The gradient of a block is computed anew: with and without it is the same."""
    batch = lay_out([[window(0, 3)]], [0])
    vectors = vectors_of(batch)
    target = targets_of([[0, 0, 0, 2, 3, 1, 0]], [True] * 3)
    gradients = []
    for cells in (joint.CELLS, (1 + LABELS) * 3):
        monkeypatch.setattr(joint, "CELLS", cells)
        head.zero_grad()
        head.loss(vectors, batch, [target])["relations"].backward()
        gradients.append(
            [p.grad.clone() for p in (head.bilinear, head.between.weight, head.distance, head.types.weight)]
        )
    for one, other in zip(*gradients, strict=True):
        assert one.abs().max() > 0 and torch.allclose(one, other, atol=1e-5)


def test_given_spans_are_paired_in_the_place_of_found_ones(head: JointHead, monkeypatch: pytest.MonkeyPatch):
    """Only those that stand whole in a window, whatever the head thinks of them; a window without any has none."""
    monkeypatch.setattr(joint, "FLOOR", -math.inf)
    monkeypatch.setattr(joint, "MOST", 1)  # a limit on what is found
    given = np.array([[0, 1, 0], [3, 3, 1], [3, 4, 1]])
    told = replace(window(0, 3), given=given)
    none = replace(window(5, 8), given=given[:0])
    batch = lay_out([[told], [none], [window(0, 3)]], [0, 1, 2])
    with torch.no_grad():
        table = head(vectors_of(batch), batch, -math.inf)
    spans = table["tail_first"] < 0
    rows = [
        tuple(int(table[name][k]) for name in ("first", "last", "label"))
        for k in (spans & (table["window"] == 0)).nonzero().flatten()
    ]
    assert rows == [(0, 1, 0), (3, 3, 1)]
    assert set(table["logit"][table["window"] == 0].tolist()) == {GIVEN}
    pairs = (~spans & (table["window"] == 0)).nonzero().flatten().tolist()
    assert [(int(table["first"][k]), int(table["tail_first"][k])) for k in pairs] == [(0, 3)]  # as the types allow
    assert not (table["window"] == 1).any() and (table["window"] == 2).sum() > 0
