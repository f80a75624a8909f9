"""The module that is trained: its forward is the loss of one task, and its weights have plain names."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from spanbert.encoder.packed import EncoderConfig, PackedBert
from spanbert.heads.head import Head, Network
from spanbert.heads.pairs import PairHead
from spanbert.heads.tags import TagHead
from spanbert.packing import Batch, lay_out
from spanbert.targets import PairTargets, TagTargets
from spanbert.tokenization import Frame, Pieces
from spanbert.windows import cut

CONFIG = EncoderConfig(vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
TASKS = ("spans", "tags")


@pytest.fixture
def network() -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        heads: dict[str, Head] = {"spans": PairHead(16, 2, size=4), "tags": TagHead(16, 3)}
        return Network(PackedBert(CONFIG), heads).eval()


@pytest.fixture
def batch() -> Batch:
    groups = []
    for total in (7, 4, 7):
        places = np.arange(total)
        groups.append(cut(Pieces(places + 5, places, places + 1, places), 20, 0, Frame.plain(2, 3)))
    return lay_out(groups, range(3))


@pytest.fixture
def targets() -> dict[str, list[object]]:
    spans = [np.array([[0, 1, 0], [3, 3, 1]]), np.zeros((0, 3), dtype=np.int64), np.array([[2, 6, 1]])]
    return {
        "spans": [PairTargets(rows, np.ones(2, dtype=bool)) for rows in spans],
        "tags": [TagTargets(np.arange(total) % 3, np.ones(3, dtype=bool)) for total in (7, 4, 7)],
    }


@pytest.mark.parametrize("task", TASKS)
def test_forward_is_the_loss_of_the_task(network: Network, batch: Batch, targets: dict[str, list[object]], task: str):
    losses = network(task, batch, targets[task])
    expected = network.head(task).loss(network.encoder(batch), batch, targets[task])
    assert losses.keys() == expected.keys()
    for name, loss in losses.items():
        assert loss.shape == ()
        assert loss.requires_grad
        assert torch.equal(loss, expected[name])


def test_each_loss_has_a_weight(network: Network, batch: Batch, targets: dict[str, list[object]]):
    for task in TASKS:
        assert network(task, batch, targets[task]).keys() == network.head(task).weights.keys()


def test_a_task_teaches_the_encoder_and_its_own_head(network: Network, batch: Batch, targets: dict[str, list[object]]):
    sum(network("tags", batch, targets["tags"]).values()).backward()
    touched = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert {name for name in touched if name.startswith("heads.")} == {
        "heads.tags.classifier.weight",
        "heads.tags.classifier.bias",
    }
    assert {f"encoder.{name}" for name, _ in network.encoder.named_parameters()} <= touched


def test_weights_have_plain_names(network: Network):
    """Those of the encoder under `encoder.`, those of a task's head under `heads.` and its name; nothing else."""
    names = set(network.state_dict())
    expected = {f"encoder.{name}" for name in network.encoder.state_dict()}
    for task in TASKS:
        expected |= {f"heads.{task}.{name}" for name in network.heads[task].state_dict()}
    assert names == expected
    assert names == {name for name, _ in network.named_parameters()}
    assert "heads.spans.bilinear" in names


def test_an_unknown_task_is_an_error(network: Network):
    with pytest.raises(KeyError, match="links"):
        network.head("links")


@pytest.mark.parametrize("task", TASKS)
def test_bfloat16_is_for_the_encoder_only(
    network: Network, batch: Batch, targets: dict[str, list[object]], task: str, monkeypatch: pytest.MonkeyPatch
):
    """The head gets fp32 vectors, weights and gradients stay fp32, and the loss is near that of fp32."""
    given = []
    plain = network.heads[task].loss
    monkeypatch.setattr(network.heads[task], "loss", lambda v, *rest: given.append(v) or plain(v, *rest))
    exact = sum(network(task, batch, targets[task]).values())
    network.precision = torch.bfloat16
    near = sum(network(task, batch, targets[task]).values())
    near.backward()
    assert near.dtype == given[1].dtype == torch.float32
    assert not torch.equal(*given)
    assert near.item() == pytest.approx(exact.item(), rel=0.02)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in network.parameters() if p.grad is not None} == {torch.float32}


def test_a_copy_shares_nothing(network: Network, batch: Batch, targets: dict[str, list[object]]):
    other = copy.deepcopy(network)
    before = network("tags", batch, targets["tags"])["tags"].item()
    for parameter in other.parameters():
        parameter.data.zero_()
    assert network("tags", batch, targets["tags"])["tags"].item() == before
    assert other("tags", batch, targets["tags"])["tags"].item() == pytest.approx(18 * np.log(3), rel=1e-5)
