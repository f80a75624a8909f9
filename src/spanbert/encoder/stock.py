"""Encoders of other shapes, run by the classes of `transformers`: packed where the class lets attention be replaced,
in padded batches of nearly equal lengths where not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..packing import Batch
from .kinds import KINDS

PACKED = "spanbert_packed"
_WASTE = 0.08  # share of padding in a batch at most
_RUNS: ContextVar[list[tuple[int, int, int, int]]] = ContextVar("runs")


@dataclass(frozen=True)
class StockConfig:
    """A type of KINDS and the values of its keys, as `config.json` gives them."""

    model_type: str
    values: Mapping[str, Any]

    @property
    def longest(self) -> int:
        """Positions that one window may have."""
        return int(self.values["max_position_embeddings"]) - KINDS[self.model_type].first_position


class StockEncoder(nn.Module):
    """An encoder of `transformers` over packed batches."""

    def __init__(self, config: StockConfig) -> None:
        super().__init__()
        from transformers import AttentionInterface, AttentionMaskInterface, AutoConfig, AutoModel

        AttentionInterface.register(PACKED, packed_attention)
        AttentionMaskInterface.register(PACKED, lambda *_, **__: None)
        self.config = config
        stock = AutoConfig.for_model(config.model_type, **config.values)
        kind = AutoModel._model_mapping[type(stock)]
        self.packs = bool(kind._supports_attention_backend)
        stock._attn_implementation = PACKED if self.packs else "eager"
        self.model = kind(stock)
        self.model.pooler = None

    @property
    def width(self) -> int:
        """H."""
        return int(self.model.config.hidden_size)

    @property
    def longest(self) -> int:
        """Positions that one window may have."""
        return self.config.longest

    @property
    def words(self) -> nn.Embedding:
        """Vectors of the vocabulary's pieces."""
        embedding: nn.Embedding = self.model.get_input_embeddings()
        return embedding

    @property
    def vocabulary(self) -> int:
        """Pieces it has vectors for."""
        return int(self.model.config.vocab_size)

    def forward(self, batch: Batch) -> Tensor:
        """Vectors of the last layer, T x H."""
        return self._packed(batch) if self.packs else torch.cat([self._padded(batch, *rows) for rows in _alike(batch)])

    def _packed(self, batch: Batch) -> Tensor:
        ids, positions = (self._tensor(column)[None] for column in (batch.ids, batch.positions))
        token = _RUNS.set(batch.runs)
        try:
            vectors: Tensor = self.model(input_ids=ids, position_ids=positions).last_hidden_state[0]
        finally:
            _RUNS.reset(token)
        return vectors

    def _padded(self, batch: Batch, first: int, last: int) -> Tensor:
        """The vectors of the windows first..last (exclusive), the longest of which is the first."""
        starts, lengths = batch.cu_seqlens[first:last], batch.lengths[first:last]
        real = np.arange(lengths[0]) < lengths[:, None]
        places = np.where(real, starts[:, None] + np.arange(lengths[0]), 0)
        ids = np.where(real, batch.ids[places], self.model.config.pad_token_id or 0)
        inputs = {"input_ids": self._tensor(ids), "attention_mask": self._tensor(real.astype(np.int64))}
        if segments := getattr(self.model.config, "type_vocab_size", 0):
            inputs["token_type_ids"] = self._tensor(np.minimum(batch.token_types[places], segments - 1))
        vectors: Tensor = self.model(**inputs).last_hidden_state[self._tensor(real)]
        return vectors

    def _tensor(self, column: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(column)).to(next(self.parameters()).device)


def packed_attention(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_ignored: object,
) -> tuple[Tensor, None]:
    """Attention inside each window: 1 x heads x T x d to 1 x T x heads x d. Nothing is dropped, as in `packed.py`.

    `sliding_window` w: positions see those less than w away.
    """
    outputs = []
    for at, _, number, length in _RUNS.get():
        part = slice(at, at + number * length)
        q, k, v = (x[0, :, part].view(-1, number, length, x.shape[-1]).transpose(0, 1) for x in (query, key, value))
        near = _near(length, sliding_window, query.device) if sliding_window and length > sliding_window else None
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=near, scale=scaling)
        outputs.append(y.transpose(1, 2).flatten(0, 1))
    return torch.cat(outputs)[None], None


def _near(length: int, window: int, device: torch.device) -> Tensor:
    place = torch.arange(length, device=device)
    return (place[:, None] - place).abs() < window


def _alike(batch: Batch) -> Iterator[tuple[int, int]]:
    """Stretches of windows, which are sorted by falling length, that waste little when padded."""
    first = used = 0
    for index, length in enumerate(batch.lengths.tolist()):
        if used + length < (1 - _WASTE) * int(batch.lengths[first]) * (index - first + 1):
            yield first, index
            first, used = index, 0
        used += length
    yield first, len(batch.lengths)
