"""`spanbert evaluate`."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
import typer

from ..errors import plain
from ..formats import Reading
from .flags import with_settings
from .show import LISTED, read_all, talk


@with_settings([Reading], skip=())
def command(
    *,
    model: Annotated[str, typer.Option(help="Folder of a trained model, or a hub name.")],
    data: Annotated[list[str], typer.Option(help="Annotated files (one or more).")],
    threshold: Annotated[float | None, typer.Option(help="Least probability; none: the model's own.")] = None,
    operating_point: Annotated[
        str | None, typer.Option(help="Thresholds stored under this name by `spanbert calibrate`.")
    ] = None,
    input_format: Annotated[str | None, typer.Option(help="Format of the files; none: recognised.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    verbose: Annotated[bool, typer.Option("--verbose", help="List every repair and every span out of reach.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert evaluate --model my-model --data test.jsonl --json"""
    documents = read_all(data, input_format, Reading(**settings), name="data", verbose=verbose)

    if not any(document.spans for document in documents):
        talk().print("warning: the data have no spans at all, so there is nothing to find", markup=False)

    from ..evaluation.evaluate import evaluate
    from ..inference.span_model import SpanModel

    loaded = SpanModel.from_pretrained(model, device, dtype)
    report = evaluate(loaded, documents, threshold=threshold, operating_point=operating_point)
    if json:
        typer.echo(orjson.dumps(report.to_json()))
        return
    typer.echo(report.to_text())
    console = talk()
    for missed in report.unreachable if verbose else report.unreachable[:LISTED]:
        place = f"{missed.document} [{missed.span.start}, {missed.span.end}) {missed.span.label}"
        console.print(plain(f"out of reach: {place}: {missed.reason}"), markup=False)
    if len(report.unreachable) > LISTED and not verbose:
        console.print(f"… and {len(report.unreachable) - LISTED} more; --verbose lists all", markup=False)
