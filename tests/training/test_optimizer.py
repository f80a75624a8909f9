"""Rates over the course of training, and which parameters decay."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from spanbert import SpanModel
from spanbert.training.optimizer import default_rate, make_optimizer, set_rates


@pytest.fixture(scope="module", params=["span-classification", "token-classification"])
def network(request: pytest.FixtureRequest, tiny_encoder: Path) -> torch.nn.Module:
    return SpanModel.create(tiny_encoder, task=request.param, labels=["X"]).bundle.network


def test_schedule(network: torch.nn.Module):
    """Warm-up 0.2: at 0.1 half the peak, at 0.2 the peak. Linear: the middle of the rest is 0.6, factor 1/2; at 0.8
    three quarters of it are done, factor 1/4. Cosine there: (1 + cos 3/4 pi) / 2."""
    optimizer = make_optimizer(network, 3.0, 5.0, 0.1)
    expected = {
        "linear": {0.0: 0.0, 0.1: 0.5, 0.2: 1.0, 0.6: 0.5, 0.8: 0.25, 1.0: 0.0},
        "cosine": {0.0: 0.0, 0.1: 0.5, 0.2: 1.0, 0.6: 0.5, 0.8: (1 - math.sqrt(0.5)) / 2, 1.0: 0.0},
    }
    for schedule, factors in expected.items():
        for share, factor in factors.items():
            assert set_rates(optimizer, share, 0.2, schedule) == pytest.approx(factor, abs=1e-12)
            rates = [(group["lr"], group["peak"]) for group in optimizer.param_groups]
            assert {peak for _, peak in rates} == {3.0, 5.0}
            assert all(rate == pytest.approx(peak * factor, abs=1e-12) for rate, peak in rates)


def test_no_warmup_begins_at_the_peak(network: torch.nn.Module):
    assert set_rates(make_optimizer(network, 1.0, 1.0, 0.0), 0.0, 0.0, "linear") == 1.0


def test_groups(network: torch.nn.Module):
    """Every parameter is in one group; matrices decay, biases, norms and the width table do not; heads have a peak
    of their own."""
    optimizer = make_optimizer(network, 3.0, 5.0, 0.1)
    group_of = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(group_of)
    names = dict(network.named_parameters())
    assert {id(parameter) for parameter in names.values()} == group_of.keys()
    for name, parameter in names.items():
        group = group_of[id(parameter)]
        assert group["peak"] == (5.0 if name.startswith("heads.") else 3.0), name
        plain = name.endswith("bias") or "norm" in name
        assert group["weight_decay"] == (0.0 if plain else 0.1), name
    assert group_of[id(names["encoder.layers.0.qkv.weight"])]["weight_decay"] == 0.1
    assert group_of[id(names["encoder.norm.weight"])]["weight_decay"] == 0.0
    if width := [parameter for name, parameter in names.items() if name.endswith("width_bias")]:
        assert width[0].ndim == 2 and group_of[id(width[0])]["weight_decay"] == 0.0


def test_default_rate():
    """5e-5 at a width of 768; half the width: times 2^1.5."""
    assert default_rate(768) == pytest.approx(5e-5)
    assert default_rate(384) == pytest.approx(5e-5 * 2**1.5)
