"""The runtime that comes with training: torch on CPU or GPU."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch

from ..heads.head import Network
from ..packing import Batch
from ..windows import Table


class TorchBackend:
    """Encoder in `dtype`, heads in fp32. The network stays in fp32: bf16 runs on a copy of its encoder."""

    def __init__(self, network: Network, device: torch.device, dtype: torch.dtype) -> None:
        self._network = network.to(device).eval()
        self._encoder = self._network.encoder
        if dtype != torch.float32:
            self._encoder = copy.deepcopy(self._encoder).to(dtype)

    @torch.inference_mode()
    def run(self, batch: Batch, floors: Mapping[str, float]) -> Mapping[str, Table]:
        """One copy to the host per column and batch."""
        vectors = self._encoder(batch).float()
        return {
            name: {
                column: rows.cpu().numpy() for column, rows in self._network.head(name)(vectors, batch, floor).items()
            }
            for name, floor in floors.items()
        }
