"""`spanbert select`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..errors import DataError, UsageError, check_among
from ..formats import Reading, write_documents
from .flags import Device, Dtype, InputFormat, Verbose, refuse_overwriting, with_settings
from .show import counted, number, read_all, talk, told_lost

FORMATS = ("jsonl", "label-studio")
"""Those that hold probabilities and further fields."""


@with_settings([Reading], skip=())
def command(
    *,
    model: Annotated[str, typer.Option(help="Folder of a trained model, or a hub name.")],
    input: Annotated[list[str], typer.Option(help="Files of texts that nobody has annotated (one or more).")],
    budget: Annotated[int, typer.Option(help="How many documents you can annotate.")],
    output: Annotated[str, typer.Option(help="File to write; - is standard output.")],
    format: Annotated[str, typer.Option(help=f"{' or '.join(FORMATS)} (tasks with predictions).")] = FORMATS[0],
    input_format: InputFormat = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    verbose: Verbose = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert select --model my-model --input texts.jsonl --budget 100 --output annotate-these.jsonl"""
    check_among("format", format, FORMATS)
    if budget < 1:
        raise UsageError(f"a budget of {budget}", "at least one document", "say how many you can annotate")
    refuse_overwriting(input, output)
    documents = read_all(input, input_format, Reading(**settings), name="input", verbose=verbose)
    bare = [document for document in documents if document.unannotated]
    if len(bare) < len(documents):
        talk().print(f"  {number(len(documents) - len(bare), 'document')} with annotations left out", markup=False)
    if not bare:
        raise DataError("no document without annotations", "texts to choose from", "check the files of --input")

    from ..inference.span_model import SpanModel
    from ..selection import select

    chosen = select(SpanModel.from_pretrained(model, device, dtype), counted(bare, "reading"), budget)
    told_lost(write_documents(chosen, output, format), format)
    spans = sum(len(document.spans) for document in chosen)
    talk().print(
        f"{number(len(chosen), 'document')} of {len(bare):,} in {output}, the best first, with {number(spans, 'span')} "
        "to confirm or correct",
        markup=False,
    )
