"""State of a run on disk: complete or absent, without pickle, so that a resumed run equals an uninterrupted one.

`checkpoints/step-00000123/` holds the weights, the optimizer's moments, the state of the random generator and
`state.json`; `manifest.json` lists the SHA-256 of each and is written last, before the folder gets its name. The
best weights so far lie in `checkpoints/best-00000100/`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .. import durable
from ..bundle import CHECKSUMS
from ..errors import DataError, MachineError, UsageError

_MANIFEST = "manifest.json"
_KEPT = 2


@dataclass(slots=True)
class State:
    """Where a run stands. Everything else follows from the configuration and the data."""

    epoch: int = 0
    position: int = 0
    """Steps done in this epoch."""
    steps: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = -1
    best_report: dict[str, Any] = field(default_factory=dict)
    stale: int = 0
    """Evaluations since the best one."""
    best_loss: float = math.inf
    """The sum of the held-out losses of the best one."""


class Checkpoints:
    """The checkpoints of one output folder."""

    def __init__(self, output: Path) -> None:
        self.folder = output / "checkpoints"

    def save(self, network: nn.Module, optimizer: torch.optim.Optimizer, state: State, run: Mapping[str, str]) -> None:
        """Write a checkpoint, then remove older ones, and later ones: those of a resumed run that were passed over."""
        with durable.staged(self.folder / f"step-{state.steps:08d}") as staging:
            save_file(_tensors(network), staging / "model.safetensors")
            save_file(_moments(network, optimizer), staging / "optimizer.safetensors")
            save_file(_generators(), staging / "random.safetensors")
            record = {"state": dataclasses.asdict(state), "run": dict(run)}
            (staging / "state.json").write_text(json.dumps(record), encoding="utf-8")
            _seal(staging)
        self._remove_but("step-", state.steps, _KEPT)

    def save_best(self, network: nn.Module, step: int) -> None:
        """Keep these weights as the best ones."""
        if _fault(self.folder / f"best-{step:08d}") is None:  # a resumed run comes by here again
            return
        with durable.staged(self.folder / f"best-{step:08d}") as staging:
            save_file(_tensors(network), staging / "model.safetensors")
            _seal(staging)
        # the newest checkpoint on disk may still name the one before: it goes when that checkpoint does
        self._remove_but("best-", step, 2)

    def load_best(self, network: nn.Module, step: int) -> None:
        """Put the best weights back."""
        network.load_state_dict(load_file(self.folder / f"best-{step:08d}" / "model.safetensors"))

    def resume(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, run: Mapping[str, str]
    ) -> tuple[State | None, list[str]]:
        """State of the newest sound checkpoint, everything restored to it; and what was passed over, with reasons.

        run: what decides the result, by name. Raises UsageError where the checkpoint is of another run.
        """
        skipped = []
        for folder in self._newest("step-"):
            if fault := _fault(folder):
                skipped.append(f"{folder.name}: {fault}")
                continue
            record = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            before = record.get("run", {})
            if before != run:
                raise other_run(folder, [name for name in run if before.get(name) != run[name]])
            state = State(**record["state"])
            if state.best_step >= 0 and (fault := _fault(self.folder / f"best-{state.best_step:08d}")):
                skipped.append(f"{folder.name}: its best weights: {fault}")
                continue
            network.load_state_dict(load_file(folder / "model.safetensors"))
            _restore_moments(network, optimizer, load_file(folder / "optimizer.safetensors"))
            _restore_generators(load_file(folder / "random.safetensors"))
            return state, skipped
        return None, skipped

    def remove(self) -> None:
        """Once the trained model is written they have served."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_but(self, prefix: str, step: int, kept: int) -> None:
        """Keep the newest so many folders up to this step."""
        folders = self._newest(prefix)
        known = [folder for folder in folders if folder.name <= f"{prefix}{step:08d}"]
        for folder in {*folders} - {*known[:kept]}:
            shutil.rmtree(folder)

    def _newest(self, prefix: str) -> list[Path]:
        return sorted(self.folder.glob(f"{prefix}*"), reverse=True)


def other_run(found: Path, changed: Sequence[str] = ()) -> UsageError:
    """What a checkpoint or model of another run is answered with; changed: the names of what is not the same."""
    return UsageError(
        f"{found} was made with other data or settings" + (f" ({', '.join(changed)})" if changed else ""),
        "the data and settings that the run was started with",
        "start with those again, or train into a new folder",
    )


@contextmanager
def output_folder(output: Path, *, resume: bool) -> Iterator[None]:
    """Hold the folder for this run alone; it must be empty unless a run is resumed in it."""
    if not durable.is_folder(output) and output.exists():
        raise UsageError(f"{output} is a file", "a folder", "choose another --output")
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = FileLock(output / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(
            f"another run is writing to {output}", "a folder of its own for each run", "choose another --output"
        ) from None
    except OSError as error:
        raise MachineError(
            f"cannot write to {output} ({error.strerror})", "a folder that can be written to", "choose another --output"
        ) from None
    try:
        others = sorted(
            path.name for path in output.iterdir() if path.name != ".lock" and not path.name.startswith(".tmp-")
        )
        if others and not resume:
            raise UsageError(
                f"{output} is not empty (it has {others[0]})",
                "a new or empty folder, so that nothing is lost",
                "choose another --output, or go on with an interrupted run by --resume auto",
            )
        if others and not any((output / name).exists() for name in ("checkpoints", "corpus", "train.jsonl", CHECKSUMS)):
            raise UsageError(
                f"{output} holds no training run (it has {others[0]})",
                "the folder of an interrupted run, or an empty one",
                "choose another --output",
            )
        for litter in (*output.glob(".tmp-*"), *output.glob("checkpoints/.tmp-*")):  # of a run that was killed
            shutil.rmtree(litter, ignore_errors=True)
        for litter in output.glob(".*.tmp"):  # files that it was replacing
            litter.unlink(missing_ok=True)
        yield
    finally:
        with contextlib.suppress(OSError):  # what ended the run must be told, not this
            (output / ".lock").unlink(missing_ok=True)  # while it is still ours
        lock.release()


def require_room(output: Path, network: nn.Module) -> None:
    """Refuse to go on where the disk cannot hold the checkpoints: better now than in three hours.

    Those that are there already count as room: they will make way.
    """
    weights = sum(parameter.numel() * 4 for parameter in network.parameters())
    needed = weights * (3 * (_KEPT + 1) + 2)  # a checkpoint is the weights and two moments; and twice the best weights
    free = shutil.disk_usage(output).free
    free += sum(path.stat().st_size for path in (output / "checkpoints").rglob("*") if path.is_file())
    if free < needed:
        raise MachineError(
            f"{free / 1e9:.1f} GB free where {output} lies",
            f"{needed / 1e9:.1f} GB for checkpoints",
            "free some space or choose an --output on another disk",
        )


def _seal(folder: Path) -> None:
    sums = {path.name: durable.digest(path) for path in folder.iterdir()}
    (folder / _MANIFEST).write_text(json.dumps(sums), encoding="utf-8")


def _fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint; None where nothing is."""
    try:
        sums = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        wrong = [name for name, expected in sums.items() if durable.digest(folder / name) != expected]
    except (OSError, ValueError) as error:
        return f"incomplete ({type(error).__name__})"
    return f"{wrong[0]} is damaged" if wrong else None


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}


def _moments(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors under `parameter|moment`."""
    tensors = {}
    for name, parameter in network.named_parameters():
        for moment, tensor in optimizer.state.get(parameter, {}).items():
            tensors[f"{name}|{moment}"] = tensor.detach().cpu().contiguous()
    return tensors


def _restore_moments(network: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = dict(network.named_parameters())
    for key, tensor in tensors.items():
        name, moment = key.split("|")
        if name not in parameters:
            raise DataError(f"a checkpoint with {name}", "the parameters of this model", "train into a new folder")
        parameter = parameters[name]
        # fused AdamW counts its steps on the parameters' device too
        optimizer.state[parameter][moment] = tensor.to(parameter.device).clone()


def _generators() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call] # a run on a processor leaves a GPU alone
        states |= {f"cuda{n}": state for n, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _restore_generators(states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            if f"cuda{number}" in states:
                torch.cuda.set_rng_state(states[f"cuda{number}"], number)
