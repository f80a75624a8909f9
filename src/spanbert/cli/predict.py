"""`spanbert predict`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..documents import Document
from ..errors import UsageError
from ..formats import FORMATS, ReadReport, read_documents, write_documents
from .show import counted, highlighted, talk, told

HIGHLIGHT = "highlight"


def command(
    *,
    model: Annotated[str, typer.Option(help="Folder of a trained model, or a hub name.")],
    input: Annotated[list[str], typer.Option(help="Files of text or documents (one or more); - is standard input.")],
    output: Annotated[str, typer.Option(help="File to write; - is standard output.")] = "-",
    threshold: Annotated[float | None, typer.Option(help="Least probability; none: the model's own.")] = None,
    policy: Annotated[
        str | None, typer.Option(help="flat, nested, overlapping or arg-max; none: the model's own.")
    ] = None,
    format: Annotated[str, typer.Option(help=f"{', '.join(FORMATS)} or {HIGHLIGHT} (for people).")] = "jsonl",
    input_format: Annotated[str | None, typer.Option(help="Format of the files; none: recognised.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
) -> None:
    """Example: spanbert predict --model my-model --input report.txt --output spans.jsonl"""
    if format != HIGHLIGHT and format not in FORMATS:
        raise UsageError(f"format {format!r}", f"one of {', '.join(FORMATS)}, {HIGHLIGHT}", "jsonl is the default")
    report = ReadReport()
    documents = read_documents(input, input_format, report)

    from ..inference.span_model import SpanModel

    loaded = SpanModel.from_pretrained(model, device, dtype)
    predicted = counted(loaded.predict_stream(documents, threshold=threshold, policy=policy), "predicting")
    if format == HIGHLIGHT:
        _highlight(predicted, output, loaded.labels)
        return
    lost = write_documents(predicted, output, format)
    told(report, "input", verbose=False)
    for what, number in lost.items():
        talk().print(f"  {number:,} {what} left out: {format} cannot hold them", markup=False)


def _highlight(predicted: Iterator[Document], output: str, labels: tuple[str, ...]) -> None:
    with contextlib.nullcontext(sys.stdout) if output == "-" else Path(output).open("w", encoding="utf-8") as stream:
        console = Console(file=stream, highlight=False, soft_wrap=True)
        for document in predicted:
            console.print(f"── {document.id} ", markup=False, style="dim")
            console.print(highlighted(document, labels))
