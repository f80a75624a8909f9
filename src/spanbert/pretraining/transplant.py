"""An encoder under another vocabulary: its layers stay, and new pieces begin with what the old ones knew of them."""

from __future__ import annotations

import dataclasses

import torch

from ..encoder.packed import PackedBert
from ..errors import UsageError
from ..tokenization import Tokenizer


def transplanted(encoder: PackedBert, old: Tokenizer, new: Tokenizer, layers: int | None = None) -> PackedBert:
    """A copy of the encoder that reads with the tokenizer `new`, with its first `layers` layers (None: all).

    The vector of a piece that both vocabularies have is kept; that of another one is the mean over the old pieces that
    spell it, in the old vocabulary's case. Pieces that nothing spells get the mean of all. The upper layers go first
    where some are to go: they are the ones that belong most to what the encoder was trained for last (Sajjad et al.
    2023, "On the effect of dropping layers", section 4). Raises UsageError for vocabularies that are no WordPiece.
    """
    config = encoder.config
    kept = config.num_hidden_layers if layers is None else layers
    if not 1 <= kept <= config.num_hidden_layers:
        raise UsageError(
            f"{kept} layers", f"1 to {config.num_hidden_layers}, those that there are", "leave out --layers"
        )
    size = -(-new.size // 64) * 64  # a multiple that matrix units like
    copy = PackedBert(dataclasses.replace(config, vocab_size=size, num_hidden_layers=kept))
    state = {name: tensor for name, tensor in encoder.state_dict().items() if name in copy.state_dict()}
    state["words.weight"] = _vectors(encoder.words.weight.detach(), old, new, size)
    copy.load_state_dict(state)
    return copy


def _vectors(table: torch.Tensor, old: Tokenizer, new: Tokenizer, size: int) -> torch.Tensor:
    """V x E to `size` x E."""
    vectors = table[: old.size].mean(0).repeat(size, 1)
    for number in range(new.size):
        if spelling := old.spelling(new.token(number)):
            vectors[number] = table[spelling].mean(0)
    for role, number in new.ids.items():
        vectors[number] = table[old.ids[role]]
    return vectors
