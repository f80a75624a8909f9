"""The model types that `transformers` runs for us: what is read of their `config.json`, and how they name things.

A new type is one entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .families import FAMILIES

_COMMON = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "initializer_range", "pad_token_id",
)  # fmt: skip
_POST_NORM = ("hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps")


@dataclass(frozen=True)
class Kind:
    """A model type that `transformers` runs."""

    stock: str
    """First part of the names of the stock classes."""
    prefix: str
    """What stands before the encoder's weights in a checkpoint that has a head too."""
    keys: tuple[str, ...]
    """The keys of config.json that are read; all others are left out."""
    first_position: int = 0
    plain_head: bool = True
    """Its token classification is one matrix on the vectors, as ours is."""


KINDS: Mapping[str, Kind] = {
    "mpnet": Kind("MPNet", "mpnet", (*_COMMON, *_POST_NORM, "relative_attention_num_buckets"), first_position=2),
    "deberta-v2": Kind(
        "DebertaV2",
        "deberta",
        (
            *_COMMON, *_POST_NORM, "type_vocab_size", "relative_attention", "max_relative_positions",
            "position_biased_input", "pos_att_type", "position_buckets", "norm_rel_ebd", "share_att_key",
            "conv_kernel_size", "conv_act", "conv_groups", "embedding_size", "attention_head_size",
        ),
    ),
    "modernbert": Kind(
        "ModernBert",
        "model",
        (
            *_COMMON, "hidden_activation", "initializer_cutoff_factor", "norm_eps", "norm_bias", "attention_bias",
            "attention_dropout", "layer_types", "rope_parameters", "global_attn_every_n_layers", "local_attention",
            "global_rope_theta", "local_rope_theta", "rope_theta", "embedding_dropout", "mlp_bias", "mlp_dropout",
        ),
        plain_head=False,
    ),
}  # fmt: skip


def first_position(record: Mapping[str, Any]) -> Any:
    """The number of the first position, by a `config.json` of any known type; whatever stands there is not checked."""
    kind = record.get("model_type", "bert")
    if kind in KINDS:
        return KINDS[kind].first_position
    if kind not in FAMILIES or not FAMILIES[kind].counts_after_padding:
        return 0
    padding = record.get("pad_token_id", 1)
    return padding + 1 if type(padding) is int else padding
