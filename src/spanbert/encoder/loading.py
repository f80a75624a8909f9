"""Loading encoders safely: nothing in a model folder can run code, and sizes are checked before memory is taken.

Rules (reference: the project's SECURITY.md): an allow-list of model types; `config.json` is read by us and only known
keys are kept; safetensors first; `.bin` only through `torch.load(weights_only=True)`, never retried without.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import DataError, MachineError, UsageError, at
from .packed import ACTIVATIONS, EncoderConfig, PackedBert

MODEL_TYPES = ("bert",)
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_BOUNDS = {
    "vocab_size": 1_000_000,
    "hidden_size": 8192,
    "num_hidden_layers": 64,
    "num_attention_heads": 256,
    "intermediate_size": 65_536,
    "max_position_embeddings": 65_536,
    "type_vocab_size": 64,
}
_MAX_CONFIG = 1_000_000
_MAX_HEADER = 10_000_000

# Our names -> names of the stock class. Three names on the right are the parts of one fused matrix. Reading and
# writing both go through this table, so they cannot drift.
_EMBEDDINGS = {
    "words.weight": ("embeddings.word_embeddings.weight",),
    "positions.weight": ("embeddings.position_embeddings.weight",),
    "types.weight": ("embeddings.token_type_embeddings.weight",),
    "norm.weight": ("embeddings.LayerNorm.weight",),
    "norm.bias": ("embeddings.LayerNorm.bias",),
}
_LAYER = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "out": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "output_norm": ("output.LayerNorm",),
}
_UNUSED = ("pooler.", "embeddings.position_ids", "embeddings.token_type_ids", "cls.")


def locate(name: str | Path) -> Path:
    """The folder of a model: `name` itself where it is one, else a hub repository `owner/name`, downloaded once."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    no_folder = UsageError(
        f"{name} is not a folder",
        "a model folder, or the name of a hub model such as SpanBERT/spanbert-base-cased",
        "check the path",
    )
    if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
        raise no_folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
        "spanbert.json",
        "checksums.json",
        "README.md",
    ]
    try:
        listed = snapshot_download(str(name), allow_patterns=[*wanted, WEIGHT_FILES[0]])
        if not (Path(listed) / WEIGHT_FILES[0]).exists():
            listed = snapshot_download(str(name), allow_patterns=[*wanted, WEIGHT_FILES[1]])
        return Path(listed)
    except HFValidationError:  # `../model` and the like
        raise no_folder from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise MachineError(
            f"there is no folder {name}, and the hub model of that name cannot be had ({type(error).__name__})",
            "a model folder, or a network and the name of a hub model",
            f"download {name} on a machine with a network and pass its folder",
        ) from None


def read_json(path: Path) -> dict[str, object]:
    """A JSON object from a model folder, size-limited."""
    with at(file=path):
        if not path.is_file():
            raise DataError(f"{path.name} is missing", "a complete model folder", "copy the folder again, all files")
        if path.stat().st_size > _MAX_CONFIG:
            raise DataError(f"{path.stat().st_size} bytes of JSON", f"at most {_MAX_CONFIG}", "check the file")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"not JSON ({error})", "a JSON object", "copy the file again") from None
        if not isinstance(record, dict):
            raise DataError(f"a JSON {type(record).__name__}", "a JSON object", "copy the file again")
        return record


def read_config(folder: Path) -> EncoderConfig:
    """The shape of the encoder; keys that could name code or another implementation are never read."""
    record = read_json(folder / "config.json")
    with at(file=folder / "config.json"):
        # checkpoints of 2019, SpanBERT's own release among them, name no type: their weights are checked by name
        if (kind := record.get("model_type", "bert")) not in MODEL_TYPES:
            raise DataError(
                f"model_type {kind!r}",
                f"one of {', '.join(MODEL_TYPES)}",
                "use a BERT checkpoint; other encoders are not supported yet",
            )
        known = {f.name: f for f in dataclasses.fields(EncoderConfig)}
        for name, field in known.items():
            if field.default is dataclasses.MISSING and name not in record:
                raise DataError(f"{name} is missing", "the shape of a BERT encoder", "use the checkpoint's own config")
        config = EncoderConfig(**{k: v for k, v in record.items() if k in known})  # type: ignore[arg-type]
        check_config(config)
        if record.get("position_embedding_type", "absolute") != "absolute":
            raise DataError(
                f"position_embedding_type {record['position_embedding_type']!r}", "'absolute'", "use another checkpoint"
            )
        return config


def check_config(config: EncoderConfig) -> None:
    """Refuse shapes that are not numbers in sensible bounds, before any memory is taken for them."""
    for name, top in _BOUNDS.items():
        value = getattr(config, name)
        if type(value) is not int or not 0 < value <= top:
            raise DataError(f"{name} = {value!r}", f"a whole number from 1 to {top}", "use the checkpoint's own config")
    if config.hidden_size % config.num_attention_heads:
        raise DataError(
            f"hidden_size {config.hidden_size} with {config.num_attention_heads} attention heads",
            "a multiple of the number of heads",
            "use the checkpoint's own config",
        )
    if not isinstance(config.hidden_act, str) or config.hidden_act not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise DataError(f"hidden_act {config.hidden_act!r}", f"one of {known}", "use another checkpoint")
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range"):
        value = getattr(config, name)
        if not isinstance(value, int | float) or not 0.0 <= value < 1.0:
            raise DataError(f"{name} = {value!r}", "a number from 0 to less than 1", "use the checkpoint's own config")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint under stock names, without the `bert.` prefix, floating point as fp32."""
    path = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(
            f"{folder} has no weights", f"one of {', '.join(WEIGHT_FILES)}", "copy the weights of the checkpoint"
        )
    with at(file=path):
        raw = _read_safetensors(path) if path.suffix == ".safetensors" else _read_bin(path)
    weights = {}
    for name, tensor in raw.items():
        plain = name.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight")
        plain = plain.replace("LayerNorm.beta", "LayerNorm.bias")
        # fp16 is sixty times slower than fp32 on most processors: the precision to run in is chosen later
        weights[plain] = tensor.float() if tensor.is_floating_point() else tensor
    return weights


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > _MAX_HEADER:
        raise DataError(f"a header of {header} bytes", f"at most {_MAX_HEADER}", "this is no sound weights file")
    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise DataError(f"damaged weights ({error})", "a complete safetensors file", "copy the file again") from None


def _read_bin(path: Path) -> dict[str, Tensor]:
    try:
        raw = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file can make the weights-only loader raise almost anything
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(
            f"weights that cannot be loaded safely ({first})",
            "a pickle file that holds tensors and nothing else",
            "convert the checkpoint to model.safetensors on a machine you trust it on",
        ) from None
    if not isinstance(raw, dict) or not all(_is_plain(key, value) for key, value in raw.items()):
        raise DataError("an object that is not a table of tensors", "a state dict", "use the checkpoint's own file")
    return raw


def _is_plain(key: object, value: object) -> bool:
    """A named tensor whose numbers all stand in the file: a view can claim any size of a storage of one number."""
    if not isinstance(key, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def encoder_from(config: EncoderConfig, weights: Mapping[str, Tensor]) -> PackedBert:
    """The encoder with these weights (stock names)."""
    with torch.device("meta"):
        encoder = PackedBert(config)
    wanted = encoder.state_dict()
    state: dict[str, Tensor] = {}
    for ours, theirs in _names(config):
        rows, *rest = wanted[ours].shape
        for name in theirs:
            _check_weight(name, weights.get(name), (rows // len(theirs), *rest))
        state[ours] = torch.cat([weights[name] for name in theirs])
    encoder.load_state_dict(state, assign=True)
    return encoder.requires_grad_()


def _check_weight(name: str, weight: Tensor | None, shape: tuple[int, ...]) -> None:
    if weight is None:
        raise DataError(f"the weights lack {name}", "all weights of a BERT encoder", "use the checkpoint's own file")
    if tuple(weight.shape) != shape:
        raise DataError(
            f"{name} has shape {tuple(weight.shape)}",
            f"{shape}, as config.json says",
            "use the config.json that belongs to these weights",
        )
    if not weight.is_floating_point():
        raise DataError(f"{name} holds {weight.dtype}", "floating-point numbers", "use the unquantised checkpoint")


def to_stock(encoder: PackedBert) -> dict[str, Tensor]:
    """The encoder's weights under stock names (without a prefix)."""
    state = encoder.state_dict()
    weights = {}
    for ours, theirs in _names(encoder.config):
        for name, part in zip(theirs, state[ours].chunk(len(theirs)), strict=True):
            weights[name] = part.detach().float().contiguous().clone()
    return weights


def leftover(config: EncoderConfig, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that are not the encoder's: heads of a fine-tuned checkpoint."""
    used = {name for _, theirs in _names(config) for name in theirs}
    return {n: w for n, w in weights.items() if n not in used and not n.startswith(_UNUSED)}


def _names(config: EncoderConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from _EMBEDDINGS.items()
    for layer in range(config.num_hidden_layers):
        for ours, theirs in _LAYER.items():
            for kind in ("weight", "bias"):
                yield (
                    f"layers.{layer}.{ours}.{kind}",
                    tuple(f"encoder.layer.{layer}.{name}.{kind}" for name in theirs),
                )
