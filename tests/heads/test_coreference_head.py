"""Mentions with their vectors, and the loss of links against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from spanbert.heads import coreference
from spanbert.heads.coreference import SHARE, CoreferenceHead
from spanbert.packing import Batch, lay_out
from spanbert.targets import DISTANCES, ClusterTargets
from spanbert.tokenization import Frame, Pieces
from spanbert.windows import Window, cut

WIDTH = 6
NEAR = (2, 4, 7)  # distances that mentions of a short text have
NONE = ClusterTargets(np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.int64))


def windows(total: int) -> list[Window]:
    places = np.arange(total)
    return cut(Pieces(places + 5, 2 * places, 2 * places + 1, places), 10, 2, Frame.plain(1, 2))


@pytest.fixture
def head() -> CoreferenceHead:
    torch.manual_seed(0)
    made = CoreferenceHead(WIDTH, 5).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            torch.nn.init.normal_(parameter) if parameter.dim() > 1 and "width" not in name else parameter.normal_()
    return made


def vectors(batch: Batch) -> torch.Tensor:
    return torch.randn(len(batch.ids), WIDTH, generator=torch.Generator().manual_seed(3))


def test_each_mention_once_with_the_vectors_of_its_ends(head: CoreferenceHead):
    group = windows(14)
    batch = lay_out([[window] for window in group], range(len(group)))
    x = vectors(batch)
    with torch.no_grad():
        table = head(x, batch, -math.inf)
    rows = list(zip(*(table[name].tolist() for name in ("window", "first", "last")), strict=True))
    assert len({row[1:] for row in rows}) == len(rows) > 5
    for number, length in enumerate(batch.lengths.tolist()):
        assert sum(window == number for window, *_ in rows) <= math.ceil(SHARE * length)
    for k, (window, first, last) in enumerate(rows):
        begin, end = batch.cu_seqlens[window : window + 2]
        pieces = batch.pieces[begin:end].tolist()
        ends = torch.cat([x[begin + pieces.index(first)], x[begin + pieces.index(last)]])
        with torch.no_grad():
            later = head.bilinear(torch.nn.functional.gelu(head.later(ends)))
        assert torch.allclose(table["later"][k], torch.cat([later, torch.ones(1)]), atol=1e-5)
        assert float(table["earlier"][k, -1]) == pytest.approx(float(head.bias.detach()))
        with torch.no_grad():
            recency = head.recency(torch.nn.functional.gelu(head.later(ends)))
        assert torch.allclose(table["recency"][k], recency, atol=1e-5) and len(recency) == len(DISTANCES) + 1


def test_loss_of_links_by_hand(head: CoreferenceHead, monkeypatch: pytest.MonkeyPatch):
    """Gold: 0-1 and 8 of one cluster, 4 and 5-6 of another, 11 alone; 2 was found by mistake."""
    group = windows(14)
    batch = lay_out([group], [0])
    x = vectors(batch)
    gold = {(0, 1): 0, (4, 4): 1, (5, 6): 1, (8, 8): 0, (11, 11): 2}
    targets = ClusterTargets(np.array(list(gold)), np.array(list(gold.values())))
    owner = next(w for w in range(len(group)) if batch.low[w] < 4 <= batch.high[w])
    found = {
        "window": torch.tensor([owner]),
        "first": torch.tensor([2]),
        "last": torch.tensor([2]),
        "logit": torch.ones(1),
    }
    monkeypatch.setattr(head, "_mentions", lambda *_: found)
    monkeypatch.setattr(coreference, "DISTANCES", NEAR)
    with torch.no_grad():
        loss = head.loss(x, batch, [targets])["links"].item()
    mentions = sorted([*gold, (2, 2)])
    ids = [gold.get(mention, -1 - k) for k, mention in enumerate(mentions)]
    places = []
    for a, b in mentions:
        window = next(w for w in range(len(group)) if batch.low[w] < a + b <= batch.high[w])
        begin, end = batch.cu_seqlens[window : window + 2]
        pieces = batch.pieces[begin:end].tolist()
        places.append([begin + pieces.index(a), begin + pieces.index(b)])
    with torch.no_grad():
        later, earlier, recency = head._views(x, torch.tensor(places))
        logits = (later @ earlier.T).tolist()
    assert recency.abs().min() > 0
    for k, (a, _) in enumerate(mentions):
        for j, (b, _) in enumerate(mentions[:k]):
            logits[k][j] += float(recency[k, sum(a - b >= distance for distance in NEAR)])
    expected = 0.0
    for k in range(len(mentions)):
        options = [0.0, *logits[k][:k]]
        right = [z for j, z in enumerate(logits[k][:k]) if ids[j] == ids[k]] or [0.0]
        expected -= np.logaddexp.reduce(right) - np.logaddexp.reduce(options)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_nothing_to_link_costs_nothing(head: CoreferenceHead, monkeypatch: pytest.MonkeyPatch):
    group = windows(6)
    batch = lay_out([group], [0])
    none = torch.zeros(0, dtype=torch.int64)
    monkeypatch.setattr(
        head, "_mentions", lambda *_: {"window": none, "first": none, "last": none, "logit": none.float()}
    )
    losses = head.loss(vectors(batch), batch, [NONE])
    assert losses["links"].item() == 0.0 and losses["mentions"].item() > 0
