"""`spanbert ask`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console

from ..documents import Question
from ..errors import UsageError
from ..formats import Reading
from ..formats.jsonl import to_json
from .flags import Device, Dtype, InputFormat, Verbose, split, with_settings
from .show import answer_in_place, read_all
from .thresholds import Thresholds


@with_settings([Thresholds, Reading], skip=())
def command(
    *,
    questions: Annotated[list[str], typer.Argument(help="One or more questions, each in quotes.")],
    model: Annotated[str, typer.Option(help="Folder of a model trained for questions, or a hub name.")],
    document: Annotated[str, typer.Option(help="File to read; - is standard input.")],
    n_best: Annotated[int, typer.Option(help="How many answers to show of each question.")] = 1,
    input_format: InputFormat = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    verbose: Verbose = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each question.")] = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert ask --model my-reader --document filing.txt "When does the agreement end?" """
    if n_best < 1:
        raise UsageError(f"--n-best {n_best}", "a whole number from 1 on", "leave it out for the best answer alone")
    thresholds = Thresholds(**split(Thresholds, settings))
    reading = Reading(**split(Reading, settings))
    documents = read_all([document], input_format, reading, name=Path(document).name, verbose=verbose)

    from ..inference.span_model import SpanModel

    loaded = SpanModel.from_pretrained(model, device, dtype)
    chosen = thresholds.of(loaded)
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    for each in documents:
        found = loaded.answer(questions, each, **chosen)
        for question in found:
            # to people; where none is given, the best guess says more than nothing
            alone = n_best == 1 and question.answers and not json
            shown = replace(question, n_best=() if alone else question.n_best[:n_best])
            if json:
                bare = replace(each, spans=(), relations=(), clusters=(), questions=(shown,))
                record: dict[str, Any] = to_json(bare)
                typer.echo(orjson.dumps({"document": each.id, **record["questions"][0]}))
            else:
                _show(console, shown, each.text, several=len(documents) > 1, name=each.id)


def _show(console: Console, question: Question, text: str, *, several: bool, name: str) -> None:
    with console.capture() as captured:
        for line in answer_in_place(question, text, name if several else ""):
            console.print(line)
    typer.echo(captured.get(), nl=False)
