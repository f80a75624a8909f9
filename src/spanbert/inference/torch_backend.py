"""The runtime that comes with training: torch on CPU or GPU."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..encoder.loading import Encoder
from ..encoder.packed import PackedBert
from ..heads.head import Network
from ..machine import Growth, keep_memory
from ..packing import Batch
from ..windows import Table
from .precision import room

BATCH_POSITIONS = 2_048
"""Of a processor: speed is flat from 1,024 to 8,192 positions a batch; small batches need less memory."""


class TorchBackend:
    """Encoder in `dtype`, heads in fp32. The network stays in fp32: bf16 runs on a copy of its encoder."""

    def __init__(self, network: Network, device: torch.device, dtype: torch.dtype) -> None:
        keep_memory()
        self._growth = Growth()
        self.room = room(device, BATCH_POSITIONS)
        self._network = network.to(device).eval()
        self._encoder = self._network.encoder
        if dtype != torch.float32:
            self._encoder = copied(self._encoder, dtype)
            if device.type == "cpu" and isinstance(self._encoder, PackedBert) and _can_lay_out():
                lay_out(self._encoder)

    @torch.inference_mode()
    def run(self, batch: Batch, floors: Mapping[str, float]) -> Mapping[str, Table]:
        """One copy to the host per column and batch."""
        self._growth.check()
        vectors = self._encoder(batch).float()
        return {
            name: {
                column: rows.cpu().numpy() for column, rows in self._network.head(name)(vectors, batch, floor).items()
            }
            for name, floor in floors.items()
        }


def copied(encoder: Encoder, dtype: torch.dtype) -> Encoder:
    """A copy whose weights are of this type. (A copy that is converted would for a while hold all twice in fp32.)

    Buffers stay as they are: ModernBERT's are frequencies, which three digits would bend by half a turn at the far end.
    """
    known: dict[int, object] = {
        id(each): nn.Parameter(each.detach().to(dtype), requires_grad=False) for each in encoder.parameters()
    }
    known |= {id(each): each for each in encoder.buffers()}
    return copy.deepcopy(encoder, known)


class LaidOutLinear(nn.Module):
    """A linear layer whose weights lie as the processor's bfloat16 products read them.

    `nn.Linear` lays them out anew in every call and copies its bias into every row first: a tenth of the time of a
    base encoder with AMX. For prediction only: it has no gradient.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self._bias = linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """... x in to ... x out."""
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return product


def _can_lay_out() -> bool:
    """Whether torch and the processor have these products; torch's documentation does not name the operators."""
    names = ("_is_mkldnn_bf16_supported", "_reorder_linear_weight", "_linear_pointwise")
    known = all(hasattr(torch.ops.mkldnn, name) for name in names)
    return known and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def lay_out(module: nn.Module) -> None:
    """Replace every linear layer inside."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, LaidOutLinear(child))
        else:
            lay_out(child)
