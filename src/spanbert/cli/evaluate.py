"""`spanbert evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from ..documents import Document
from ..durable import on_disk
from ..errors import UsageError, plain
from ..formats import Reading
from ..formats.sources import readable
from .flags import Device, Dtype, InputFormat, split, with_settings
from .show import LISTED, read_all, talk, told_seen
from .thresholds import Thresholds

if TYPE_CHECKING:
    from ..inference.span_model import SpanModel
    from ..metrics.report import Report


@with_settings([Thresholds, Reading], skip=())
def command(
    *,
    model: Annotated[str, typer.Option(help="Folder of a trained model, or a hub name.")],
    data: Annotated[list[str], typer.Option(help="Annotated files (one or more).")],
    task: Annotated[
        str | None, typer.Option(help="Which of the model's tasks, where it has several; none: the first.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.json and report.html: everything, by group, with examples.")
    ] = None,
    train: Annotated[
        list[str] | None, typer.Option(help="What the model learned from; the report then tells seen from unseen.")
    ] = None,
    input_format: InputFormat = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    verbose: Annotated[bool, typer.Option("--verbose", help="List every repair and every span out of reach.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert evaluate --model my-model --data test.jsonl --json"""
    if train and report is None:
        raise UsageError(
            "--train without --report", "a folder for the report", "add --report DIR, or leave out --train"
        )
    thresholds = Thresholds(**split(Thresholds, settings))
    reading = Reading(**split(Reading, settings))
    documents = read_all(data, input_format, reading, name="data", verbose=verbose)
    learned = read_all(train, input_format, reading, name="train", verbose=verbose) if train else None

    if report is not None:
        with on_disk(report):  # found out now, not after the model has read everything
            report.mkdir(parents=True, exist_ok=True)

    from ..evaluation.evaluate import evaluate
    from ..evaluation.full_report import full_report
    from ..inference.span_model import SpanModel

    loaded = SpanModel.from_pretrained(model, device, dtype)
    chosen = thresholds.of(loaded)
    _check_kinds(loaded, task, documents)
    told_seen(loaded.bundle.facts, documents)
    if report is None:
        done = evaluate(loaded, documents, task=task, **chosen)
    else:
        names = {"model": Path(model).name, "data": ", ".join(readable(Path(each).name) for each in data)}
        full = full_report(loaded, documents, train=learned, names=names, task=task, **chosen)
        done, place = full.report, full.write(report)
        talk().print(f"the report is in {plain(str(place))}", markup=False)
    if json:
        typer.echo(orjson.dumps(done.to_json()))
        return
    typer.echo(plain(done.to_text()))
    _list_unreachable(done, verbose=verbose)


def _check_kinds(model: SpanModel, task: str | None, documents: Sequence[Document]) -> None:
    """Warn where nothing is annotated of the kind that is measured: every rate would be 0, and mean nothing."""
    tasks = model.bundle.tasks
    tells = tasks[task].tells if task in tasks else next(iter(tasks.values())).tells
    if not any(getattr(document, kind) for document in documents for kind in tells):
        what = f"the data have no {' and no '.join(tells)} at all, so there is nothing to find"
        talk().print(f"warning: {what}: the rates mean nothing", markup=False)


def _list_unreachable(done: Report, *, verbose: bool) -> None:
    """On standard error, the first of them or all."""
    console = talk()
    for missed in done.unreachable if verbose else done.unreachable[:LISTED]:
        place = f"{missed.document} [{missed.span.start}, {missed.span.end}) {missed.span.label}"
        console.print(plain(f"out of reach: {place}: {missed.reason}"), markup=False)
    if len(done.unreachable) > LISTED and not verbose:
        console.print(f"… and {len(done.unreachable) - LISTED} more; --verbose lists all", markup=False)
