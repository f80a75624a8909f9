"""The model types with BERT's layers: how each names what `EncoderConfig` and `PackedBert` hold.

Reading and writing both go through these tables, so they cannot drift. A new type is one entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Names = tuple[str, ...]  # three names are the parts of one fused matrix

_BERT_EMBEDDINGS: Mapping[str, str] = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "types": "embeddings.token_type_embeddings",
    "norm": "embeddings.LayerNorm",
}
_BERT_LAYER: Mapping[str, Names] = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "out": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "output_norm": ("output.LayerNorm",),
}
_ROBERTA_MASKED: Mapping[str, str] = {
    "masked.dense": "lm_head.dense",
    "masked.norm": "lm_head.layer_norm",
    "bias": "lm_head.bias",
}


@dataclass(frozen=True, kw_only=True)
class Family:
    """One model type."""

    stock: str
    """First part of the names of the stock classes."""
    prefix: str
    """What stands before the encoder's weights in a checkpoint that has a head too."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Field of `EncoderConfig` -> key of config.json, where the two differ."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Fields that no key gives, and their values."""
    counts_after_padding: bool = False
    """Positions begin after the id of the padding piece."""
    embeddings: Mapping[str, str] = field(default_factory=lambda: _BERT_EMBEDDINGS)
    projection: str = ""
    """The matrix from narrower embeddings to the layers; empty: there is none."""
    always_projects: bool = False
    """There is that matrix even where both are equally wide."""
    plain_head: bool = True
    """Its token classification is one matrix on the vectors, as ours is."""
    masked: Mapping[str, str]
    """Module of our head for hidden pieces -> its name in the stock class."""
    layers: str = "encoder.layer.{}"
    layer: Mapping[str, Names] = field(default_factory=lambda: _BERT_LAYER)

    def weights(self, layers: int, *, projects: bool, has_types: bool) -> Iterator[tuple[str, Names]]:
        """Our name of each weight and theirs."""
        modules: list[tuple[str, Names]] = [
            (ours, (theirs,)) for ours, theirs in self.embeddings.items() if ours != "types" or has_types
        ]
        modules += [("project", (self.projection,))] * projects
        for number in range(layers):
            before = self.layers.format(number)
            modules += [
                (f"layers.{number}.{ours}", tuple(f"{before}.{name}" for name in theirs))
                for ours, theirs in self.layer.items()
            ]
        for ours, theirs in modules:
            kinds = ("weight",) if ours in ("words", "positions", "types") else ("weight", "bias")
            for kind in kinds:
                yield f"{ours}.{kind}", tuple(f"{name}.{kind}" for name in theirs)


FAMILIES: Mapping[str, Family] = {
    "bert": Family(
        stock="Bert",
        prefix="bert",
        masked={
            "masked.dense": "cls.predictions.transform.dense",
            "masked.norm": "cls.predictions.transform.LayerNorm",
            "bias": "cls.predictions.bias",
        },
    ),
    "roberta": Family(stock="Roberta", prefix="roberta", counts_after_padding=True, masked=_ROBERTA_MASKED),
    "xlm-roberta": Family(stock="XLMRoberta", prefix="roberta", counts_after_padding=True, masked=_ROBERTA_MASKED),
    "electra": Family(
        stock="Electra",
        prefix="electra",
        projection="embeddings_project",
        masked={
            "masked.dense": "generator_predictions.dense",
            "masked.norm": "generator_predictions.LayerNorm",
            "bias": "generator_lm_head.bias",
        },
    ),
    "distilbert": Family(
        stock="DistilBert",
        prefix="distilbert",
        keys={
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
            "hidden_dropout_prob": "dropout",
            "attention_probs_dropout_prob": "attention_dropout",
        },
        fixed={"type_vocab_size": 0, "layer_norm_eps": 1e-12},
        masked={
            "masked.dense": "vocab_transform",
            "masked.norm": "vocab_layer_norm",
            "bias": "vocab_projector.bias",
        },
        layers="transformer.layer.{}",
        layer={
            "qkv": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
            "out": ("attention.out_lin",),
            "attention_norm": ("sa_layer_norm",),
            "up": ("ffn.lin1",),
            "down": ("ffn.lin2",),
            "output_norm": ("output_layer_norm",),
        },
    ),
    "albert": Family(
        stock="Albert",
        prefix="albert",
        fixed={"shared_layers": True},
        projection="encoder.embedding_hidden_mapping_in",
        always_projects=True,
        masked={
            "masked.dense": "predictions.dense",
            "masked.norm": "predictions.LayerNorm",
            "bias": "predictions.bias",
        },
        layers="encoder.albert_layer_groups.0.albert_layers.{}",
        layer={
            "qkv": ("attention.query", "attention.key", "attention.value"),
            "out": ("attention.dense",),
            "attention_norm": ("attention.LayerNorm",),
            "up": ("ffn",),
            "down": ("ffn_output",),
            "output_norm": ("full_layer_layer_norm",),
        },
    ),
}
