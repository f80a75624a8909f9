"""What decides the result of a run: by it a checkpoint or a finished model is known as that of the same run."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

from ..bundle import Bundle
from .config import TrainConfig
from .material import Material

_UNDECIDING = ("output", "resume", "checkpoint_minutes")


def deciding(config: TrainConfig, bundle: Bundle, material: Material) -> dict[str, str]:
    """Everything that changes the result, by name: settings, the data, the starting weights and the tokenizer."""
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name not in _UNDECIDING}
    return {name: repr(value) for name, value in settings.items()} | {
        "settings of the task": repr({name: task.settings for name, task in bundle.tasks.items()}),
        "data": repr(material.fingerprint),
        "tokenizer": bundle.tokenizer.fingerprint,
        "starting weights": weights(bundle),
    }


def digest(run: Mapping[str, str]) -> str:
    """A fingerprint of everything that decides a result."""
    return hashlib.sha256(repr(sorted(run.items())).encode()).hexdigest()[:16]


def weights(bundle: Bundle) -> str:
    """A hash of all weights."""
    state = hashlib.sha256()
    for name, tensor in bundle.network.state_dict().items():
        state.update(name.encode())
        state.update(tensor.detach().cpu().contiguous().numpy().data)
    return state.hexdigest()
