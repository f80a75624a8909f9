"""The model folder: safe to load, complete or refused, and readable by stock classes.

`config.json`, `model.safetensors`, `tokenizer.json` are what `transformers` expects; `spanbert.json` holds the tasks
with their settings, calibration and thresholds; `README.md` is the model card; `checksums.json` lists the SHA-256 of
every file and is written last, so a folder without it is no bundle.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from . import durable
from .calibration.curve import Calibration
from .calibration.decision import Decision
from .calibration.fitting import Outcomes
from .calibration.requirements import NEVER, OperatingPoint
from .encoder import files, loading
from .encoder.loading import Encoder
from .errors import DataError, UsageError, at
from .heads.head import Network
from .tasks import ANNOTATED, settings_from, task_class
from .tasks.task import Task
from .tokenization import Tokenizer

FORMAT = 1
CHECKSUMS = "checksums.json"
OUTCOMES = "outcomes.json"
KEPT_OUTCOMES = 20_000
"""Decoded spans of the calibration that the folder keeps."""
_FACTS = ("about", "added", "base_model", "learnt", "pretraining", "report", "training")
_MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What plain Python raises for values of another kind than those that we write."""
_Rows = Mapping[str, Mapping[str, Any]]
_FARTHEST = 1e6
"""Log-odds, and factors of them, that a calibration may have."""
_OURS = ("config.json", "model.safetensors", "spanbert.json", "tokenizer.json")


@dataclass(slots=True)
class Bundle:
    """A model in memory: one encoder, the heads of its tasks, and what makes predictions of what they decode."""

    network: Network
    tokenizer: Tokenizer
    tasks: dict[str, Task]
    decisions: dict[str, Decision]
    """Per task, what makes probabilities of its logits, and predictions of these."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Where it comes from and how good it is: `base_model`, `pretraining`, `training`, `report`; `learnt`, which
    documents it was made with (`evaluation/seen.py`); `added`, the same of tasks over the frozen encoder; and `about`,
    for the model card: its `title`, `license` and further `sections`, a text for each heading.
    """
    operating_points: dict[str, OperatingPoint] = field(default_factory=dict)
    """Thresholds by name."""

    @classmethod
    def build(cls, encoder: Encoder, tokenizer: Tokenizer, tasks: Mapping[str, Task], facts: dict[str, Any]) -> Bundle:
        """A bundle with new heads, for those tasks whose labels are known."""
        heads = {name: task.head(encoder) for name, task in tasks.items() if task.ready}
        network = Network(encoder, heads)
        decisions = {name: Decision(task.threshold) for name, task in tasks.items()}
        return cls(network, tokenizer, dict(tasks), decisions, facts)

    @property
    def fitted(self) -> dict[str, Outcomes]:
        """Per task whose probabilities were fitted, what it decoded in the held-out documents."""
        return {name: each.outcomes for name, each in self.decisions.items() if each.outcomes is not None}


def pretrained(folder: Path, tasks: Callable[[Encoder, Tokenizer], Mapping[str, Task]]) -> Bundle:
    """Encoder and tokenizer of a model folder, with heads for these tasks: those of the folder where it has them."""
    encoder, tokenizer, weights = _encoder(folder)
    bundle = Bundle.build(encoder, tokenizer, tasks(encoder, tokenizer), {})
    for name, task in bundle.tasks.items():
        state = bundle.network.heads[name].state_dict()
        stored = loading.head_names(encoder.config, task.stock, name, state)
        known = {key: weights[stored[key]] for key in state if stored[key] in weights}
        if all(known[key].shape == state[key].shape for key in known):
            bundle.network.heads[name].load_state_dict({**state, **known})
    return bundle


def load_base(folder: Path) -> tuple[Encoder, Tokenizer]:
    """Encoder and tokenizer of a model folder, whatever heads it has."""
    encoder, tokenizer, _ = _encoder(folder)
    return encoder, tokenizer


def read(folder: Path) -> Bundle:
    """A bundle of ours, every file checked against its checksum, or a stock fine-tuned checkpoint."""
    _check_ended(folder)
    if not (folder / "spanbert.json").exists() and not (folder / CHECKSUMS).exists():
        return _read_stock(folder)
    verify(folder)
    record = files.read_json(folder / "spanbert.json")
    with at(file=folder / "spanbert.json"):
        if record.get("format") != FORMAT:
            raise DataError(
                f"format {record.get('format')!r}", f"format {FORMAT}", "update spanbert to read this model"
            )
        tokenizer = Tokenizer.from_folder(folder)
        try:
            states = cast(dict[str, dict[str, Any]], record["tasks"])
            tasks = {name: _task(name, state["settings"], tokenizer) for name, state in states.items()}
            decisions = {name: _decision(state) for name, state in states.items()}
            if not tasks:
                raise ValueError("none")
            facts = _facts(record.get("facts", {}))
            points = {
                name: _point(point, tasks) for name, point in cast(_Rows, record.get("operating_points", {})).items()
            }
            for name, outcomes in _outcomes(folder, tasks).items():
                decisions[name] = dataclasses.replace(decisions[name], outcomes=outcomes)
        except _MALFORMED as error:
            raise DataError(
                f"tasks that cannot be read ({type(error).__name__}: {error})",
                "tasks with settings, calibration and threshold",
                "save the model anew",
            ) from None
    config = loading.read_config(folder)
    weights = loading.read_weights(folder, config)
    encoder = loading.encoder_from(config, weights)
    _check_fit(folder, encoder, tokenizer, tasks, weights)
    bundle = Bundle.build(encoder, tokenizer, tasks, facts)
    _load_heads(bundle.network, tasks, weights)
    bundle.decisions, bundle.operating_points = decisions, points
    _check_told(bundle, folder)
    return bundle


def write(bundle: Bundle, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the bundle into `folder`, which may hold other files; its checksums come last. dtype: of the weights.

    Raises UsageError for a task that has no labels yet.
    """
    for name, task in bundle.tasks.items():
        if not task.ready:
            raise UsageError(f"the {name} of this model has no labels yet", "a trained model", "train it first")
    with contextlib.ExitStack() as stack:
        stack.enter_context(durable.on_disk(folder))
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".tmp-bundle-", dir=folder)))
        _fill(bundle, staging, dtype)
        files = sorted(staging.iterdir())
        sums = {path.name: durable.digest(path) for path in files}
        (folder / CHECKSUMS).unlink(missing_ok=True)  # until the last file is in place this is no bundle
        if not (staging / OUTCOMES).exists():
            (folder / OUTCOMES).unlink(missing_ok=True)  # of an older model: no promise may be made of it
        for path in files:
            path.chmod(0o644)  # the weights writer makes files that only their owner can read
            durable.sync(path)
            path.replace(folder / path.name)
        durable.write(folder / CHECKSUMS, json.dumps(sums, indent=2) + "\n")


def verify(folder: Path) -> None:
    """Refuse a bundle of which a file is missing or changed."""
    sums = files.read_json(folder / CHECKSUMS)
    for name in (*_OURS, *sums):
        if Path(name).name != name or name not in sums:
            raise DataError(
                f"{CHECKSUMS} of {folder} " + (f"lacks {name}" if name in _OURS else f"names {name!r}"),
                "each file of the model folder, by its name alone",
                "copy the model folder again",
            )
    for name, expected in sums.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path} is missing", "every file that checksums.json lists", "copy the model folder again")
        files.check_size(path)
        if durable.digest(path) != expected:
            raise DataError(
                f"{path} was changed after the model was saved",
                f"SHA-256 {expected}",
                "copy the model folder again; if the change was wanted, save the model anew",
            )


def _fill(bundle: Bundle, folder: Path, dtype: torch.dtype) -> None:
    from safetensors.torch import save_file

    encoder = bundle.network.encoder
    before = loading.prefix(encoder.config)
    weights = {f"{before}.{name}": tensor for name, tensor in loading.to_stock(encoder).items()}
    for name, task in bundle.tasks.items():
        state = bundle.network.heads[name].state_dict()
        stored = loading.head_names(encoder.config, task.stock, name, state)
        weights |= {stored[key]: tensor.detach().float().cpu().contiguous() for key, tensor in state.items()}
    weights = {name: tensor.to(dtype) for name, tensor in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    bundle.tokenizer.save(folder, bundle.network.encoder.longest)
    _write_json(folder / "config.json", _stock_config(bundle))
    states = {
        name: {"settings": dataclasses.asdict(task.settings), **_state(bundle.decisions[name])}
        for name, task in bundle.tasks.items()
    }
    points = {name: dataclasses.asdict(point) for name, point in bundle.operating_points.items()}
    record = {"format": FORMAT, "tasks": states, "facts": bundle.facts, "operating_points": points}
    _write_json(folder / "spanbert.json", record)
    if bundle.fitted:
        outcomes = {name: each.first(KEPT_OUTCOMES).to_json() for name, each in bundle.fitted.items()}
        (folder / OUTCOMES).write_text(json.dumps(outcomes, separators=(",", ":")), encoding="utf-8")
    from .model_card import model_card

    (folder / "README.md").write_text(model_card(bundle), encoding="utf-8")


def _stock_config(bundle: Bundle) -> dict[str, object]:
    encoder = bundle.network.encoder
    stock = next((task for task in bundle.tasks.values() if task.stock), None)
    head = stock.stock if stock and loading.has_plain_head(encoder.config) else None
    config: dict[str, object] = {
        "architectures": [loading.stock_class(encoder.config, head)],
        "pad_token_id": bundle.tokenizer.ids["pad"],  # where the encoder itself says nothing of it
        "dtype": "float32",
        **loading.to_stock_config(encoder),
    }
    return config | (stock.stock_config() if stock else {})


def _read_stock(folder: Path) -> Bundle:
    record = files.read_json(folder / "config.json")
    architectures = record.get("architectures")
    architecture = architectures[0] if isinstance(architectures, list) and architectures else None
    shape = loading.read_config(folder)
    for name in ANNOTATED:
        kind = task_class(name)
        if kind.adopts and loading.has_plain_head(shape) and architecture == loading.stock_class(shape, kind.adopts):
            encoder, tokenizer, weights = _encoder(folder)
            with at(file=folder / "config.json"):
                settings = kind.adopted(record)
                window = min(settings.window, encoder.longest)
                tasks = {name: kind(dataclasses.replace(settings, window=window), tokenizer)}
            bundle = Bundle.build(encoder, tokenizer, tasks, {"base_model": {"name": folder.name}})
            _load_heads(bundle.network, tasks, weights)
            return bundle
    raise DataError(
        f"{folder} holds {architecture or 'an encoder'} and no spanbert.json",
        "a model that was trained for a task",
        "train one first: spanbert train --base-model " + str(folder),
    )


def _load_heads(network: Network, tasks: Mapping[str, Task], weights: Mapping[str, Tensor]) -> None:
    for name, task in tasks.items():
        wanted = network.heads[name].state_dict()
        stored = loading.head_names(network.encoder.config, task.stock, name, wanted)
        missing = [stored[key] for key in wanted if stored[key] not in weights]
        if missing:
            remedy = "copy the model folder again, or train it anew where an earlier version made it"
            raise DataError(f"the weights lack {missing[0]}", f"the head of {name}", remedy)
        state = {key: weights[stored[key]] for key in wanted}
        wrong = [key for key in wanted if state[key].shape != wanted[key].shape]
        if wrong:
            raise DataError(
                f"{stored[wrong[0]]} has shape {tuple(state[wrong[0]].shape)}",
                f"{tuple(wanted[wrong[0]].shape)}, as the labels say",
                "use the configuration that belongs to these weights",
            )
        network.heads[name].load_state_dict(state)


def _task(name: str, settings: Mapping[str, Any], tokenizer: Tokenizer) -> Task:
    try:
        task: Task = task_class(name)(settings_from(name, settings), tokenizer)
    except UsageError as error:  # nobody has asked for it: it stands in the folder
        remedy = f"use the version of spanbert that wrote the folder, or train the model anew ({error.fix})"
        raise DataError(error.found, error.expected, remedy) from None
    return task


def _threshold(value: object) -> float:
    if not isinstance(value, int | float) or not 0.0 <= value <= NEVER:
        raise ValueError(f"the threshold {value!r}")
    return float(value)


def _state(decision: Decision) -> dict[str, Any]:
    """Curve and threshold; the outcomes have a file of their own."""
    given = {} if decision.given is None else {"given": _state(decision.given)}
    return {"calibration": dataclasses.asdict(decision.calibration), "threshold": decision.threshold, **given}


def _decision(state: Mapping[str, Any]) -> Decision:
    given = _decision(state["given"]) if "given" in state else None
    return Decision(_threshold(state["threshold"]), _calibration(state["calibration"]), given=given)


def _calibration(values: Mapping[str, Any]) -> Calibration:
    knots, labels, silence = values.get("knots", ()), values.get("labels", {}), values.get("silence")
    numbers = [value for name, value in values.items() if name not in ("knots", "labels", "silence")]
    numbers += [*labels.values(), *(number for knot in knots for number in knot), *(silence or ())]
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in numbers):
        raise TypeError(f"calibration {dict(values)}"[:200])
    if not all(abs(value) <= _FARTHEST for value in numbers):
        raise ValueError(f"calibration {dict(values)}"[:200])
    if any(len(knot) != 2 for knot in knots) or any(a[0] >= b[0] for a, b in pairwise(knots)):
        raise ValueError("a curve whose knots do not rise")
    if silence is not None and len(silence) != 2:
        raise ValueError(f"silence {silence!r}")
    curve = tuple((float(a), float(b)) for a, b in knots)
    return Calibration(**{**values, "knots": curve, "silence": None if silence is None else tuple(silence)})


def _point(record: Mapping[str, Any], tasks: Mapping[str, Task]) -> OperatingPoint:
    thresholds = {
        name: {str(label): _threshold(threshold) for label, threshold in of.items()}
        for name, of in record["thresholds"].items()
        if name in tasks
    }
    return OperatingPoint(str(record["requirement"]), thresholds)


def _outcomes(folder: Path, tasks: Mapping[str, Task]) -> dict[str, Outcomes]:
    if OUTCOMES not in files.read_json(folder / CHECKSUMS):  # one that no checksum names is of another model
        return {}
    record = files.read_json(folder / OUTCOMES)
    return {name: Outcomes.from_json(cast(_Rows, record[name])) for name in tasks if name in record}


def _facts(facts: object) -> dict[str, Any]:
    if not isinstance(facts, dict) or not all(isinstance(facts.get(key, {}), dict) for key in _FACTS):
        raise TypeError("facts that are no table")
    for each in (facts, *facts.get("added", {}).values()):
        if not all(type(mark) is int for marks in each.get("learnt", {}).values() for mark in marks):
            raise TypeError("texts that were learnt from, and are no hashes")
    return facts


def _check_told(bundle: Bundle, folder: Path) -> None:
    """Refuse facts of which no model card can be made: of those that `write` leaves one can, so others are damaged."""
    from .model_card import model_card

    try:
        model_card(bundle)
    except _MALFORMED as error:
        raise DataError(
            f"{folder / 'spanbert.json'}: facts that cannot be read ({type(error).__name__}: {error})",
            "facts as `save_pretrained` writes them",
            "copy the model folder again",
        ) from None


def _check_fit(
    folder: Path, encoder: Encoder, tokenizer: Tokenizer, tasks: Mapping[str, Task], weights: Mapping[str, Tensor]
) -> None:
    """Refuse settings that the encoder or the weights cannot have, before heads are made of them."""
    _check_vocabulary(folder, tokenizer, encoder.vocabulary)
    numbers = sum(tensor.numel() for tensor in weights.values())
    for name, task in tasks.items():
        window, outputs = task.settings.window, len(task.outputs)
        if window > encoder.longest:
            raise DataError(f"a window of {window} for {name}", f"at most {encoder.longest}", "save the model anew")
        if not task.ready or outputs * encoder.width > numbers:
            raise DataError(f"{outputs} labels of {name}", "those of its weights", "save the model anew")


def _encoder(folder: Path) -> tuple[Encoder, Tokenizer, dict[str, Tensor]]:
    """Encoder, tokenizer and all weights of a folder of ours, which is verified, or of a stock one."""
    _check_ended(folder)
    if (folder / CHECKSUMS).exists():
        verify(folder)
    config = loading.read_config(folder)
    weights = loading.read_weights(folder, config)
    encoder, tokenizer = loading.encoder_from(config, weights), Tokenizer.from_folder(folder)
    _check_vocabulary(folder, tokenizer, encoder.vocabulary)
    return encoder, tokenizer, weights


def _check_ended(folder: Path) -> None:
    if (folder / "checkpoints").is_dir() and not (folder / CHECKSUMS).exists():
        raise DataError(
            f"{folder} holds a training run that has not come to its end", "a trained model", "go on with --resume auto"
        )


def _check_vocabulary(folder: Path, tokenizer: Tokenizer, vocabulary: int) -> None:
    if tokenizer.size > vocabulary:
        raise DataError(
            f"the tokenizer of {folder} has {tokenizer.size} pieces, the encoder {vocabulary}",
            "a vocabulary no larger than vocab_size in config.json",
            "use the vocabulary that belongs to this checkpoint",
        )


def _write_json(path: Path, record: Mapping[str, object]) -> None:
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
