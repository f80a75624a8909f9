"""What a run tells its observers: records, not callbacks into the loop."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from ..documents import JSON
from ..durable import on_disk
from ..metrics.report import LossReport, Report


@dataclass(frozen=True, slots=True)
class Started:
    """Before the first step."""

    facts: Mapping[str, JSON]
    """What is learnt from: for annotated documents the numbers of `documents`, `held_out`, `spans`, the `labels`, and
    `unreachable` spans by reason."""
    lines: tuple[str, ...]
    """The same for people."""
    epochs: int
    resumed_at: int
    """Steps already done."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """After every step."""

    step: int
    epoch: int
    """Evaluations done; for annotated documents epochs."""
    share: float
    """Of all training, 0 to 1."""
    losses: dict[str, float]
    """Mean of each named loss over the step."""
    rate: float
    """Learning rate of the encoder."""
    tokens: int
    """Positions of the step."""
    seconds: float
    skipped: bool
    """The loss or its gradient was not a number: the weights were left alone."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """After the held-out documents were predicted."""

    step: int
    epoch: int
    report: Report | LossReport
    value: float
    """The number that picks the checkpoint."""
    best: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """After the last step."""

    steps: int
    epochs: int
    seconds: float
    report: dict[str, Any]
    """JSON form of the report of the best checkpoint."""
    reason: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should know, and that did not stop the run."""

    message: str


Event: TypeAlias = Warned | Started | Stepped | Evaluated | Finished
Observer: TypeAlias = Callable[[Event], None]


class JsonLog:
    """Appends every event as one JSON line; a loss that is not a number is null there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with contextlib.suppress(OSError), path.open("rb+") as file:  # a run that was killed may have left half a line
            if file.seek(0, 2) and file.seek(-1, 2) >= 0 and file.read(1) != b"\n":
                file.write(b"\n")

    def __call__(self, event: Event) -> None:
        record = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
        if isinstance(event, Evaluated):
            record["report"] = event.report.to_json()
        if isinstance(event, Started):
            del record["lines"]
            record = {**record.pop("facts"), **record}
        record = {"event": type(event).__name__.lower(), **record}
        with on_disk(self._path), self._path.open("ab") as file:
            file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
