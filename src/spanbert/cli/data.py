"""`spanbert data`."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
import typer

from ..advice.findings import NOTE, SHOWN, WARNING, Example, Finding
from ..errors import CheckFailed, UsageError, check_among, plain
from ..formats import Reading, ReadReport, read_documents
from ..models import BASE
from .flags import InputFormat, with_settings

ACTIONS = ("check",)
_LOOK = "look at these places and correct them in the file: the reader keeps them as they are"
_REPAIRED = "nothing, if the repairs are right; correct the files to be rid of them"


@with_settings([Reading], skip=("strict",))
def command(
    *,
    action: Annotated[str, typer.Argument(help=f"What to do with the data: {', '.join(ACTIONS)}.")],
    train: Annotated[list[str], typer.Option(help="Annotated files (one or more).")],
    dev: Annotated[list[str] | None, typer.Option(help="Held-out files.")] = None,
    base_model: Annotated[
        str | None,
        typer.Option(
            help=f"Encoder that training will start from: its tokenizer is asked. Default: {BASE}, if it is at hand.",
            envvar="SPANBERT_BASE_MODEL",
        ),
    ] = None,
    window: Annotated[int | None, typer.Option(help="Window of training; none: as the spans want it.")] = None,
    input_format: InputFormat = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert data check --train train.jsonl --dev dev.jsonl

    Exit code 1 where training would stop, or more than 5 % of the spans are out of its reach.
    """
    check_among("data", action, ACTIONS)
    if window is not None and window < 3:
        raise UsageError(f"a window of {window}", "at least 3 positions", "leave --window out")
    report = ReadReport(Reading(**settings))
    documents = list(read_documents(train, input_format, report))
    held_out = list(read_documents(dev, input_format, report)) if dev else None

    from ..advice.advise import advise

    advice = advise(documents, held_out, base_model=base_model, window=window, reading=_reading(report))
    typer.echo(orjson.dumps(advice.to_json()).decode() if json else plain(advice.to_text()))
    if advice.errors:
        first = advice.errors[0]
        raise CheckFailed(first.what, "data that training can learn from", first.fix)


def _reading(report: ReadReport) -> list[Finding]:
    """What readers repaired and warned of."""
    told = (("repaired", NOTE, report.repaired, _REPAIRED), ("doubtful", WARNING, report.warned, _LOOK))
    return [
        Finding(
            kind,
            severity,
            times,
            f"{kind} when reading: {times:,} {what}",
            fix,
            tuple(
                Example(f"{note.place}: {note.what}")
                for note in [note for note in report.notes if note.what.partition(": ")[0] == what][:SHOWN]
            ),
        )
        for kind, severity, counts, fix in told
        for what, times in counts.most_common()
    ]
