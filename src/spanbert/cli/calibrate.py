"""`spanbert calibrate`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from ..calibration.requirements import NEVER, Promise, Requirement
from ..errors import UsageError
from ..formats import Reading
from .flags import Device, Dtype, InputFormat, Verbose, with_settings
from .show import read_all, talk, told_seen, told_unknown
from .thresholds import CONFIDENCE

if TYPE_CHECKING:
    from ..inference.span_model import SpanModel


@with_settings([Reading], skip=())
def command(
    *,
    model: Annotated[Path, typer.Option(help="Folder of a trained model.")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="Annotated files that training has not seen; none: those of the last calibration."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder to write; none: the model's own.")] = None,
    require: Annotated[
        str | None, typer.Option(help="Find thresholds that keep this: precision>=0.99, or recall>=0.9.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help=f"How sure it must be that they do; none: {CONFIDENCE}.")
    ] = None,
    operating_point: Annotated[
        str | None, typer.Option(help="Name to store these thresholds under; none: the requirement itself.")
    ] = None,
    input_format: InputFormat = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    verbose: Verbose = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert calibrate --model my-model --data held-out.jsonl --require 'precision>=0.9'"""
    if not data and require is None:
        raise UsageError("neither --data nor --require", "one of them", "give held-out documents with --data")
    if output is None and not model.expanduser().is_dir():
        raise UsageError(f"{model} is no folder of yours", "a folder to write the model to", "give one with --output")
    folder = output or model
    wanted = _wanted(require, confidence, operating_point)
    documents = read_all(data, input_format, Reading(**settings), name="data", verbose=verbose) if data else []

    from ..evaluation.calibrate import calibrate, summary
    from ..inference.span_model import SpanModel

    loaded = SpanModel.from_pretrained(model, device, dtype)
    record: dict[str, object] = {}
    lines: list[str] = []
    dropped = [*loaded.bundle.operating_points] if data else []
    if data:
        told_seen(loaded.bundle.facts, documents, chosen=False)
        told_unknown(loaded, documents)
        loaded, done = calibrate(loaded, documents)
        record["calibration"] = {name: each.to_json() for name, each in done.items()}
        left = [
            f"{name} was not calibrated: too little of its kind" for name in loaded.bundle.tasks if name not in done
        ]
        lines = [*summary(done), *left]
    if wanted is not None:
        name = operating_point or str(require).replace(" ", "")
        record["operating_point"], more = _pointed(loaded, wanted, name, folder)
        lines += more
    _say(lines)
    loaded.save_pretrained(folder)
    _say(f"operating point {old!r} was of the probabilities before: dropped" for old in dropped)
    if json:
        typer.echo(orjson.dumps(record))


def _pointed(model: SpanModel, wanted: Requirement, name: str, folder: Path) -> tuple[dict[str, object], list[str]]:
    """Store the thresholds that keep what is wanted under a name; what they are, for programs and for people.

    folder: where the model will be.
    """
    from ..evaluation.calibrate import operating_point

    point, promised = operating_point(model.bundle, wanted)
    model.bundle.operating_points[name] = point
    rows = {task: [_row(promise) for promise in each] for task, each in promised.items()}
    lines = [_line(promise, wanted) for each in promised.values() for promise in each]
    lines.append(f"use it with: spanbert predict --model '{folder}' --operating-point '{name}'")
    return {"name": name, "requirement": point.requirement, "promises": rows}, lines


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        talk().print(line, markup=False)


def _wanted(require: str | None, confidence: float | None, operating_point: str | None) -> Requirement | None:
    for flag, value in (("--operating-point", operating_point), ("--confidence", confidence)):
        if value is not None and require is None:
            raise UsageError(f"{flag} {value} without --require", "both, or neither", "say what is to be kept")
    return None if require is None else Requirement.parse(require, CONFIDENCE if confidence is None else confidence)


def _row(promise: Promise) -> dict[str, object]:
    kept = promise.threshold < NEVER
    return {
        "labels": list(promise.labels),
        "threshold": promise.threshold if kept else None,
        "spans": promise.spans,
        "documents": promise.documents,
        "bound": promise.bound,
        "precision": promise.precision,
        "recall": promise.recall,
    }


def _line(promise: Promise, wanted: Requirement) -> str:
    labels = ", ".join(promise.labels)
    if promise.threshold == NEVER:
        return f"{labels}: the documents cannot support {wanted}; left out at this operating point"
    return (
        f"{labels}: from {promise.threshold:.3f} on {wanted.rate} is at least {promise.bound:.3f}; "
        f"measured precision {promise.precision:.3f}, recall {promise.recall:.3f} "
        f"({promise.spans:,} spans in {promise.documents:,} documents)"
    )
