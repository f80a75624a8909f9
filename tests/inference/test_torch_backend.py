"""Predicting in bfloat16: laid-out weights give what `nn.Linear` gives."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spanbert.inference import torch_backend
from spanbert.inference.torch_backend import LaidOutLinear, copied, lay_out

LAID_OUT = pytest.mark.skipif(not torch_backend._can_lay_out(), reason="no bfloat16 products on this processor")


@LAID_OUT
@pytest.mark.parametrize("rows", [1, 7, 130])
def test_laid_out_weights_give_the_same_product(rows: int):
    torch.manual_seed(rows)
    linear = nn.Linear(48, 80).bfloat16()
    x = torch.randn(rows, 48).bfloat16()
    with torch.inference_mode():
        exact = x.double() @ linear.weight.double().T + linear.bias.double()
        found = LaidOutLinear(linear)(x)
        assert found.dtype == torch.bfloat16
        # one rounding to 8 bits at the end, where nn.Linear has two
        assert ((found.double() - exact).abs() <= 2**-8 * exact.abs() + 1e-3).all()


@LAID_OUT
def test_every_linear_layer_is_laid_out_at_any_depth():
    module = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))).bfloat16()
    lay_out(module)
    kinds = [type(inner).__name__ for inner in module.modules()]
    assert kinds.count("LaidOutLinear") == 2
    assert "Linear" not in kinds


def test_without_the_operators_nothing_is_laid_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert torch_backend._can_lay_out() is False


def test_a_copy_in_another_type_leaves_the_original_alone():
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight  # tied
    module.register_buffer("places", torch.arange(3))
    module.register_buffer("scale", torch.ones(3))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    copy = copied(module, torch.bfloat16)
    assert {value.dtype for value in copy.parameters()} == {torch.bfloat16}
    assert (copy.places.dtype, copy.scale.dtype) == (torch.int64, torch.float32)
    assert copy[1].weight is copy[0].weight
    with torch.no_grad():
        copy[0].weight.zero_()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.dtype == before[name].dtype
