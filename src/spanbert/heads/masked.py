"""Hidden pieces from their context, and from the borders of their span (Joshi et al. 2020, section 3.2).

T positions, H hidden size, E size of a word vector, V pieces of the vocabulary, M hidden pieces. Both losses end in
the same product with the encoder's own word vectors, and only for hidden pieces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..encoder.families import FAMILIES
from ..encoder.loading import Encoder
from ..encoder.packed import ACTIVATIONS, EncoderConfig, PackedBert, rounded
from ..errors import UsageError
from ..packing import Batch
from ..targets import MaskTargets

PLACES = 20
"""Places inside a span that have a vector; further ones share the last."""
PLACE_WIDTH = 200
IGNORED = -100
"""In the place of an id: a row that only fills up, for the sake of `rounded`; it has no loss."""
ROWS = 2048
"""Rows of V scores that are in memory at once."""


class Transform(nn.Module):
    """A layer as before the vocabulary of stock masked-language models: linear, GELU, LayerNorm."""

    def __init__(self, width: int, out: int, config: EncoderConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.hidden_act]
        self.dense, self.norm = nn.Linear(width, out), nn.LayerNorm(out, config.layer_norm_eps)
        nn.init.normal_(self.dense.weight, std=config.initializer_range)
        nn.init.zeros_(self.dense.bias)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.activation(self.dense(x)))
        return normed


class MaskedHead(nn.Module):
    """Two losses over the hidden pieces: `masked` from the vector at the piece, `boundary` from the two vectors right
    outside its span and the place inside it."""

    over_vocabulary = True

    def __init__(self, config: EncoderConfig, boundary_weight: float) -> None:
        super().__init__()
        width, embedding = config.hidden_size, config.embedding_size or config.hidden_size
        self.weights: Mapping[str, float] = {"masked": 1.0}
        self.masked = Transform(width, embedding, config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.boundary: nn.ModuleDict | None = None
        if boundary_weight:
            self.weights = {"masked": 1.0, "boundary": boundary_weight}
            places = nn.Embedding(PLACES, PLACE_WIDTH)
            nn.init.normal_(places.weight, std=config.initializer_range)
            self.boundary = nn.ModuleDict(
                {
                    "places": places,
                    "first": Transform(2 * width + PLACE_WIDTH, width, config),
                    "second": Transform(width, embedding, config),
                }
            )
            self.boundary_bias = nn.Parameter(torch.zeros(config.vocab_size))

    @classmethod
    def on(cls, encoder: Encoder, boundary_weight: float) -> MaskedHead:
        """A new head for this encoder. Raises UsageError where the encoder's type is not one of our packed ones."""
        if not isinstance(encoder, PackedBert):
            raise UsageError(
                f"pre-training of a {encoder.config.model_type}",
                f"one of {', '.join(FAMILIES)}",
                "start from a checkpoint of one of these types",
            )
        return cls(encoder.config, boundary_weight)

    def forward(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Nothing: pre-training finds no spans."""
        return {}

    def loss(
        self, vectors: Tensor, batch: Batch, targets: Sequence[MaskTargets], words: Tensor
    ) -> Mapping[str, Tensor]:
        """Cross-entropy summed over the hidden pieces. words: V x E."""
        starts = batch.cu_seqlens[:-1][np.argsort(batch.groups)]  # one window a group
        hidden = [each.columns.shape[1] for each in targets]
        table = np.zeros((5, rounded(sum(hidden))), dtype=np.int64)
        table[4] = IGNORED
        np.concatenate([each.columns for each in targets], axis=1, out=table[:, : sum(hidden)])
        table[:3, : sum(hidden)] += np.repeat(starts, hidden)
        at, left, right, offset, ids = torch.from_numpy(table).to(vectors.device).unbind()
        losses = {"masked": _cross_entropy(self.masked(vectors[at]), words, self.bias, ids)}
        if self.boundary is not None:
            places = self.boundary["places"](offset.clamp(max=PLACES - 1))
            outside = torch.cat([vectors[left], vectors[right], places.to(vectors.dtype)], dim=-1)
            x = self.boundary["second"](self.boundary["first"](outside))
            losses["boundary"] = _cross_entropy(x, words, self.boundary_bias, ids)
        return losses

    def scores(self, vectors: Tensor, words: Tensor) -> Tensor:
        """Logits over the vocabulary, T x V, as the stock class gives them."""
        return F.linear(self.masked(vectors), words, self.bias)


def _cross_entropy(x: Tensor, words: Tensor, bias: Tensor, ids: Tensor) -> Tensor:
    """Summed over the rows of x whose id is not IGNORED, some at a time."""
    total = x.new_zeros((), dtype=torch.float32)
    for rows, gold in zip(torch.split(x, ROWS), torch.split(ids, ROWS), strict=True):
        total = total + F.cross_entropy(
            F.linear(rows, words, bias).float(), gold, reduction="sum", ignore_index=IGNORED
        )
    return total
