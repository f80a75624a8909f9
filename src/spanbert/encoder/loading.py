"""Encoders from model folders and back: an allow-list of model types, of whose settings only known ones are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import DataError, at, nearest
from .families import FAMILIES, Family
from .files import read_json, read_tensors
from .kinds import KINDS, Kind, first_position
from .packed import ACTIVATIONS, EncoderConfig, PackedBert
from .stock import StockConfig, StockEncoder

_BOUNDS = {
    "vocab_size": 1_000_000,
    "hidden_size": 8192,
    "num_hidden_layers": 64,
    "num_attention_heads": 256,
    "intermediate_size": 65_536,
    "max_position_embeddings": 65_536,
    "type_vocab_size": 64,
}
_OURS = ("first_position", "shared_layers")  # fields that follow from the family and are no keys
_NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MOST_LEAVES = 1000
_DEEPEST = 4
_TOKENS, _MASKED, _ANSWERS = (
    "TokenClassification",
    "MaskedLM",
    "QuestionAnswering",
)  # what the stock classes with our heads are for
_LARGEST = 1e12

Config = EncoderConfig | StockConfig
Encoder = PackedBert | StockEncoder


class _NoDraws(TorchFunctionMode):
    """Leaves out the random numbers of new modules: on the meta device, drawing them would import torch's compiler,
    which takes as long as all the rest of a first prediction."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", "") == nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def read_config(folder: Path) -> Config:
    """The shape of the encoder; keys that could name code or another implementation are never read."""
    record = read_json(folder / "config.json")
    with at(file=folder / "config.json"):
        # checkpoints of 2019, SpanBERT's own release among them, name no type: their weights are checked by name
        kind = record.get("model_type", "bert")
        if isinstance(kind, str) and kind in KINDS:
            return _stock_shape(kind, record)
        if not isinstance(kind, str) or kind not in FAMILIES:
            raise DataError(
                f"model_type {kind!r}",
                f"one of {', '.join((*FAMILIES, *KINDS))}",
                nearest(kind, (*FAMILIES, *KINDS), "use a checkpoint of one of these types"),
            )
        return _shape(kind, record)


def _shape(kind: str, record: Mapping[str, object]) -> EncoderConfig:
    family = FAMILIES[kind]
    values: dict[str, object] = {"model_type": kind, **family.fixed}
    for field in dataclasses.fields(EncoderConfig):
        key = family.keys.get(field.name, field.name)
        if field.name in values or field.name in _OURS:
            continue
        if key in record:
            values[field.name] = record[key]
        elif field.default is dataclasses.MISSING:
            raise DataError(f"{key} is missing", f"the shape of a {family.stock}", "use the checkpoint's own config")
    values["first_position"] = first_position(record)
    if not family.projection or values.get("embedding_size") == values["hidden_size"] and not family.always_projects:
        values["embedding_size"] = None
    config = EncoderConfig(**values)  # type: ignore[arg-type]
    check_config(config)
    for key, only in (("position_embedding_type", "absolute"), ("num_hidden_groups", 1), ("inner_group_num", 1)):
        if record.get(key, only) != only:
            raise DataError(f"{key} {record[key]!r}", repr(only), "use another checkpoint")
    return config


def _stock_shape(kind: str, record: Mapping[str, object]) -> StockConfig:
    """Values of known keys, each a number in bounds, a short word, or a small table or list of them."""
    values = {key: record[key] for key in KINDS[kind].keys if key in record}
    for name, top in _BOUNDS.items():
        if name in values and name != "type_vocab_size" or name == "max_position_embeddings":
            _check_count(name, values.get(name), top)
    if values.get("pad_token_id") is not None and type(vocabulary := values.get("vocab_size")) is int:
        _check_count("pad_token_id", values["pad_token_id"], vocabulary - 1, least=0)
    for key, value in values.items():
        for number, leaf in enumerate(_leaves(value)):
            if number > _MOST_LEAVES or not _is_sound(leaf):
                raise DataError(f"{key} = {str(value)[:60]!r}", "plain settings", "use the checkpoint's own config")
    return StockConfig(kind, values)


def _leaves(value: object, depth: int = 0) -> Iterator[object]:
    """What lies in lists and tables; those that are nested deeply come as they are."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list) and depth < _DEEPEST:
        for item in value:
            yield from _leaves(item, depth + 1)
    else:
        yield value


def _is_sound(leaf: object) -> bool:
    if isinstance(leaf, str):
        return len(leaf) <= 100
    return leaf is None or isinstance(leaf, int | float) and abs(leaf) <= _LARGEST


def check_config(config: EncoderConfig) -> None:
    """Refuse shapes that are not numbers in sensible bounds, before any memory is taken for them."""
    for name, top in _BOUNDS.items():
        _check_count(name, getattr(config, name), top, least=0 if name == "type_vocab_size" else 1)
    _check_count("the first position", config.first_position, config.max_position_embeddings - 1, least=0)
    if config.embedding_size is not None:
        _check_count("embedding_size", config.embedding_size, _BOUNDS["hidden_size"])
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


def _check_count(name: str, value: object, top: int, least: int = 1) -> None:
    if type(value) is not int or not least <= value <= top:
        raise DataError(
            f"{name} = {value!r}", f"a whole number from {least} to {top}", "use the checkpoint's own config"
        )


def read_weights(folder: Path, config: Config) -> dict[str, Tensor]:
    """All tensors of a checkpoint under stock names, without the encoder's prefix, floating point as fp32."""
    raw = read_tensors(folder)
    weights = {}
    for name, tensor in raw.items():
        plain = name.removeprefix(f"{prefix(config)}.").replace("LayerNorm.gamma", "LayerNorm.weight")
        plain = plain.replace("LayerNorm.beta", "LayerNorm.bias")
        # fp16 is sixty times slower than fp32 on most processors: the precision to run in is chosen later
        weights[plain] = tensor.float() if tensor.dtype in _NUMBERS else tensor
    return weights


def encoder_from(config: Config, weights: Mapping[str, Tensor]) -> Encoder:
    """The encoder with these weights (stock names)."""
    with torch.device("meta"), _NoDraws():  # no memory is taken before the weights are known to have these shapes
        encoder = _built(config)
    wanted = encoder.state_dict()
    state: dict[str, Tensor] = {}
    for ours, theirs in _names(encoder):
        rows, *rest = wanted[ours].shape
        for name in theirs:
            _check_weight(name, weights.get(name), (rows // len(theirs), *rest))
        state[ours] = weights[theirs[0]] if len(theirs) == 1 else torch.cat([weights[name] for name in theirs])
    if isinstance(config, StockConfig):
        encoder = _built(config)  # it holds more than its weights
    encoder.load_state_dict(state, assign=True)
    return encoder.requires_grad_()


def _built(config: Config) -> Encoder:
    if isinstance(config, EncoderConfig):
        return PackedBert(config)
    try:
        return StockEncoder(config)
    except (ImportError, MemoryError, OSError):
        raise
    except Exception as error:  # settings that do not go together make the stock class raise almost anything
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise DataError(
            f"settings that {config.model_type} cannot have ({first})", "a sound config.json", "copy it again"
        ) from None


def _check_weight(name: str, weight: Tensor | None, shape: tuple[int, ...]) -> None:
    if weight is None:
        raise DataError(f"the weights lack {name}", "all weights of the encoder", "use the checkpoint's own file")
    if tuple(weight.shape) != shape:
        raise DataError(
            f"{name} has shape {tuple(weight.shape)}",
            f"{shape}, as config.json says",
            "use the config.json that belongs to these weights",
        )
    if weight.dtype not in _NUMBERS:
        raise DataError(f"{name} holds {weight.dtype}", "floating-point numbers", "use the unquantised checkpoint")


def to_stock(encoder: Encoder) -> dict[str, Tensor]:
    """The encoder's weights under stock names, without a prefix."""
    state = encoder.state_dict()
    weights = {}
    for ours, theirs in _names(encoder):
        for name, part in zip(theirs, state[ours].chunk(len(theirs)), strict=True):
            weights[name] = part.detach().float().contiguous().clone()
    return weights


def to_stock_config(encoder: Encoder) -> dict[str, object]:
    """What `config.json` says of the encoder."""
    config = encoder.config
    if isinstance(config, StockConfig):
        return {"model_type": config.model_type, **config.values}
    family = FAMILIES[config.model_type]
    values = dataclasses.asdict(config)
    for name in {*_OURS, *family.fixed}:
        del values[name]
    if config.embedding_size is None and family.projection:
        values["embedding_size"] = config.hidden_size
    if not family.projection:
        del values["embedding_size"]
    if family.counts_after_padding:
        values["pad_token_id"] = config.first_position - 1
    return {family.keys.get(name, name): value for name, value in values.items()}


def stock_class(config: Config, head: str | None) -> str:
    """Name of the stock class of the encoder, with a head for `head` (TokenClassification) where there is one."""
    kind = _kind(config)
    return f"{kind.stock}Model" if head is None else f"{kind.stock}For{head}"


def has_plain_head(config: Config) -> bool:
    """Whether the stock class for tokens puts one matrix on the vectors, as our head does."""
    return _kind(config).plain_head


def head_names(config: Config, stock: str | None, task: str, keys: Iterable[str]) -> dict[str, str]:
    """Name of each weight of a task's head in the file: that of the stock class where it has it, else our own."""
    tables: dict[str | None, Mapping[str, str]] = {
        _TOKENS: {"classifier": "classifier"},
        _ANSWERS: {"qa_outputs": "qa_outputs"},
    }
    if isinstance(config, EncoderConfig):
        tables[_MASKED] = FAMILIES[config.model_type].masked
    names = {}
    for key in keys:
        module = next((name for name in tables.get(stock, {}) if key == name or key.startswith(f"{name}.")), None)
        names[key] = f"heads.{task}.{key}" if module is None else key.replace(module, tables[stock][module], 1)
    return names


def prefix(config: Config) -> str:
    """What stands before the encoder's weights in a checkpoint that has a head too."""
    return _kind(config).prefix


def _kind(config: Config) -> Family | Kind:
    return KINDS[config.model_type] if isinstance(config, StockConfig) else FAMILIES[config.model_type]


def _names(encoder: Encoder) -> Iterator[tuple[str, tuple[str, ...]]]:
    config = encoder.config
    if isinstance(config, StockConfig):
        return ((name, (name.removeprefix("model."),)) for name in encoder.state_dict())
    return FAMILIES[config.model_type].weights(
        1 if config.shared_layers else config.num_hidden_layers,
        projects=config.embedding_size is not None,
        has_types=config.type_vocab_size > 0,
    )
