"""What every head states, and the one module that is trained: an encoder with the heads of its tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, cast

import torch
from torch import Tensor, nn

from ..encoder.loading import Encoder
from ..packing import Batch


class Head(Protocol):
    """A `torch.nn.Module` that turns vectors (T x H, fp32) into outputs for one task."""

    weights: Mapping[str, float]
    """Weight of each named loss in the total."""
    over_vocabulary: bool
    """Whether it is an `OverVocabulary`."""

    def __call__(self, vectors: Tensor, batch: Batch, floor: float) -> Mapping[str, Tensor]:
        """Predicting: a Table of the rows that its windows own, at most a stated number per piece.

        Rows of candidates whose logit is not above `floor` may be left out.
        """
        ...

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[Any]) -> Mapping[str, Tensor]:
        """Training: the *sum* of each named loss; `targets` one per group, as the task made them."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]: ...


class OverVocabulary(Protocol):
    """A head that scores the whole vocabulary, which takes so long that its loss runs in the encoder's precision."""

    def loss(self, vectors: Tensor, batch: Batch, targets: Sequence[Any], words: Tensor) -> Mapping[str, Tensor]:
        """As of other heads. words: vectors of the encoder's vocabulary, V x E."""
        ...


class Network(nn.Module):
    """Encoder and heads. Its `forward` is the loss, so that wrappers of the module see the training step.

    With `precision` bfloat16 the encoder is autocast in training: master weights and heads stay in fp32. One that is
    `frozen` reads in training as in prediction, without dropout and gradients.
    """

    def __init__(self, encoder: Encoder, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(cast(Mapping[str, nn.Module], heads))
        self.precision = torch.float32
        self.frozen = False

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - torch's own signature
        """Training mode of all but a frozen encoder."""
        super().train(mode)
        self.encoder.train(mode and not self.frozen)
        return self

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(self.encoder.parameters()).device

    def head(self, task: str) -> Head:
        """The head of a task."""
        return cast(Head, self.heads[task])

    def forward(self, task: str, batch: Batch, targets: Sequence[Any]) -> Mapping[str, Tensor]:
        """The summed losses of one batch of one task."""
        head = self.head(task)
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
                vectors = self.encoder(batch)
            if head.over_vocabulary:
                return cast(OverVocabulary, head).loss(vectors, batch, targets, self.encoder.words.weight)
        return head.loss(vectors.float(), batch, targets)
