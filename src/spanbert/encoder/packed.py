"""Our own packed forward of encoders with BERT's layers, for training and prediction alike (Devlin et al. 2019).

Shapes: T positions of all windows of the batch laid end to end, H hidden size. Attention stays inside each window,
and nothing is padded: one unmasked call per run of windows of equal length, or on a GPU in bfloat16 one call for all
windows, which takes where each begins. Equal to the stock class by test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..packing import Batch
from ..targets import BoolArray
from ..tokenization import IntArray

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}

Attention = Callable[[Tensor, int], Tensor]
"""Of query, key and value of each position, T x 3H, and the number of heads: T x H, each window for itself.

Probabilities are never dropped, in training either: the fused kernel of the processor cannot.
"""

PLAIN_LENGTH = 512
"""Positions of the longest window whose attention is trained without the fused kernel."""

STEP, STEP_FROM = 16, 64
"""In bfloat16 a processor's attention reads sixteen positions at once, and takes half as long again where some are left
over: windows are filled up to a multiple, from a length on at which the rows that this adds cost less."""


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The shape of an encoder with BERT's layers, under the names of BERT's `config.json`; see `families.py`."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    model_type: str = "bert"
    first_position: int = 0
    """Number of the first position: RoBERTa's follow the id of its padding piece."""
    embedding_size: int | None = None
    """E, where a matrix takes narrower embeddings to H (ELECTRA, ALBERT); None: they have H."""
    shared_layers: bool = False
    """One layer, applied as often as there are layers (ALBERT)."""

    @property
    def longest(self) -> int:
        """Positions that one window may have."""
        return self.max_position_embeddings - self.first_position


class Layer(nn.Module):
    """Self-attention and feed-forward, each followed by its LayerNorm; query, key and value are one matrix."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.dropout = config.hidden_dropout_prob
        self.activation = ACTIVATIONS[config.hidden_act]
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up = nn.Linear(width, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, width)
        self.attention_norm, self.output_norm = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)

    def forward(self, x: Tensor, attention: Attention) -> Tensor:
        """T x H to T x H."""
        attended = self.out(attention(self.qkv(x), self.heads))
        x = self.attention_norm(x + dropped(attended, self.dropout, self.training))
        hidden = self.activation(self.up(x))
        normed: Tensor = self.output_norm(x + dropped(self.down(hidden), self.dropout, self.training))
        return normed


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that an encoder computes: the positions of a batch, window by window, and rows that only fill up."""

    source: IntArray
    """R, the position that stands in each row."""
    places: IntArray
    """T, the row of each position."""
    runs: Sequence[tuple[int, int, BoolArray | None]]
    """Of neighbouring windows of equal length: their number, their rows each, which of these are seen (None: all)."""


def rows_of(batch: Batch, *, fill: bool) -> Rows:
    """One row for each position; to `fill`, windows to a multiple of STEP, and all to a number of `rounded`."""
    places = np.arange(len(batch.ids))
    if not fill:
        return Rows(places, places, [(number, length, None) for *_, number, length in batch.runs])
    lengths, begins = batch.lengths, batch.cu_seqlens[:-1]
    filled = np.where(lengths >= STEP_FROM, -(-lengths // STEP) * STEP, lengths)
    ends = np.cumsum(filled)
    away = ends - filled - begins
    source = np.minimum(np.arange(ends[-1]) - np.repeat(away, filled), np.repeat(batch.cu_seqlens[1:] - 1, filled))
    runs: list[tuple[int, int, BoolArray | None]] = []
    for _, first, number, length in replace(batch, cu_seqlens=np.append(0, ends)).runs:
        own = lengths[first : first + number, None]
        runs.append((number, length, None if own.min() == length else np.arange(length) < own))
    source = np.pad(source, (0, rounded(len(source)) - len(source)), "edge")
    return Rows(source, places + np.repeat(away, lengths), runs)


def run_by_run(rows: Rows, device: torch.device) -> Attention:
    """One call per run of windows of equal length."""
    seen = [None if mask is None else torch.from_numpy(mask[:, None, None]).to(device) for *_, mask in rows.runs]
    sizes = [number * length for number, length, _ in rows.runs]
    sizes.append(len(rows.source) - sum(sizes))

    def attention(qkv: Tensor, heads: int) -> Tensor:
        *parts, filling = torch.split(qkv, sizes)
        outputs = []
        for part, (number, length, _), mask in zip(parts, rows.runs, seen, strict=True):
            q, k, v = part.view(number, length, 3, heads, -1).permute(2, 0, 3, 1, 4)
            outputs.append(_attention(q, k, v, mask).transpose(1, 2).reshape(number * length, -1))
        return torch.cat([*outputs, filling[:, : qkv.shape[1] // 3]])

    return attention


def _fuses(device: torch.device, width: int) -> bool:
    """Whether there is a kernel for windows of all lengths at once: from the Ampere cards on, for heads so wide."""
    able = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return able and width % 8 == 0 and width <= 256


def all_at_once(batch: Batch, device: torch.device) -> Attention:
    """One call for windows of all lengths, for a GPU in bfloat16 (flash attention: Dao 2024)."""
    from torch.nn.attention.varlen import varlen_attn  # which brings the compiler along

    begins, longest = torch.from_numpy(batch.cu_seqlens).to(device, torch.int32), int(batch.lengths.max())

    def attention(qkv: Tensor, heads: int) -> Tensor:
        q, k, v = qkv.view(len(qkv), 3, heads, -1).unbind(1)
        attended = varlen_attn(q, k, v, begins, begins, longest, longest)
        assert isinstance(attended, Tensor)  # more comes only where it is asked for
        return attended.reshape(len(qkv), -1)

    return attention


def _attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    """Scaled dot-product attention, windows x heads x positions x width of a head, each.

    seen: windows x 1 x 1 x positions, which of these are looked at; None: all.

    Backwards in bfloat16, a processor's fused kernel takes two to seven times as long as the plain products, which
    AMX computes. They keep all scores, so long windows are left to the kernel.
    """
    plain = q.requires_grad and q.dtype == torch.bfloat16 and q.device.type == "cpu" and q.shape[2] <= PLAIN_LENGTH
    if plain:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if seen is not None:
            with torch.no_grad():  # the softmax hands no gradient back to what is not seen
                scores.masked_fill_(~seen, -torch.inf)
        shares: Tensor = scores.softmax(-1)
        return shares @ v
    return F.scaled_dot_product_attention(q, k, v, seen)


def dropped(x: Tensor, share: float, training: bool) -> Tensor:  # noqa: FBT001 - as in torch
    """Dropout as in torch: this share of the numbers is 0, the others are 1 / (1 - share) times as large.

    On a processor the mask is drawn two bytes a number, three to four times as fast as torch draws it, which would be
    a quarter of a training step in bfloat16; so the share is a multiple of 1 / 65,536.
    """
    if not training or share == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, share)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    fallen = min(round(share * 2**16), 2**16 - 1)
    kept = words.view(torch.int16)[: x.numel()] >= fallen - 2**15
    return x * kept.view(x.shape).to(x.dtype).mul_(2**16 / (2**16 - fallen))


def rounded(rows: int) -> int:
    """At least `rows`, in steps of a sixteenth to a thirty-second of it.

    A processor's bfloat16 products are compiled for each number of rows and kept; were all numbers to occur, they
    would take as long to compile as to run, and gigabytes to keep.
    """
    step = max(16, 1 << max(0, rows.bit_length() - 5))
    return -(-rows // step) * step


class PackedBert(nn.Module):
    """An encoder with BERT's layers over packed batches."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.embedding_size or config.hidden_size
        self.config = config
        self.dropout = config.hidden_dropout_prob
        self.words = nn.Embedding(config.vocab_size, width)
        self.positions = nn.Embedding(config.max_position_embeddings, width)
        self.types = nn.Embedding(config.type_vocab_size, width) if config.type_vocab_size else None
        self.norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.project = nn.Linear(width, config.hidden_size) if config.embedding_size else nn.Identity()
        self.layers = nn.ModuleList(
            Layer(config) for _ in range(1 if config.shared_layers else config.num_hidden_layers)
        )
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=config.initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    @property
    def width(self) -> int:
        """H."""
        return self.config.hidden_size

    @property
    def longest(self) -> int:
        """Positions that one window may have."""
        return self.config.longest

    @property
    def vocabulary(self) -> int:
        """Pieces it has vectors for."""
        return self.config.vocab_size

    def set_dropout(self, share: float | None) -> None:
        """Drop this share in training; None: as the configuration says."""
        share = self.config.hidden_dropout_prob if share is None else share
        for module in (self, *self.layers):
            module.dropout = share

    def forward(self, batch: Batch) -> Tensor:
        """Vectors of the last layer, T x H."""
        device = self.words.weight.device
        half = self.words.weight.dtype == torch.bfloat16 or torch.is_autocast_enabled(device.type)
        rows = rows_of(batch, fill=half and device.type == "cpu")
        ids, positions, types = (
            torch.from_numpy(column[rows.source]).to(device)
            for column in (batch.ids, batch.positions, batch.token_types)
        )
        x: Tensor = self.words(ids) + self.positions(positions + self.config.first_position)
        if self.types is not None:
            x = x + self.types(types.clamp(max=self.config.type_vocab_size - 1))
        x = self.project(dropped(self.norm(x), self.dropout, self.training))
        fused = half and _fuses(device, self.width // self.config.num_attention_heads)
        attention = all_at_once(batch, device) if fused else run_by_run(rows, device)
        for layer in [*self.layers] * (self.config.num_hidden_layers if self.config.shared_layers else 1):
            x = layer(x, attention)
        return x if len(x) == len(batch.ids) else x.index_select(0, torch.from_numpy(rows.places).to(device))
