"""`spanbert compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from .. import durable
from ..documents import Document
from ..errors import UsageError, plain
from ..formats import FORMATS, Reading, format_named
from ..formats.sources import readable
from ..models import shipped
from .flags import Device, Dtype, InputFormat, Verbose, with_settings
from .show import number, read_all, talk

_OF_A_MODEL = ("config.json", "spanbert.json", "checksums.json", "checkpoints")


@with_settings([Reading], skip=())
def command(
    *,
    a: Annotated[str, typer.Argument(metavar="A", help="A model, or a file of predictions in any of our formats.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another; is it better than A?")],
    data: Annotated[list[str], typer.Option(help="Annotated files (one or more): what is right.")],
    threshold: Annotated[
        float | None, typer.Option(help="Least probability of models' spans; none: each model's own. Files stay whole.")
    ] = None,
    of: Annotated[
        str | None,
        typer.Option(help="spans, questions, relations or clusters; none: the first that the data are annotated with."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for compare.json, and compare.html with what changed in the texts.")
    ] = None,
    input_format: InputFormat = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    verbose: Verbose = False,
    json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert compare old-model new-model --data test.jsonl --report comparison"""
    reading = Reading(**settings)
    gold = read_all(data, input_format, reading, name="data", verbose=verbose)

    from ..evaluation.compare import answered, compare, matched, predicted_by
    from ..evaluation.compare_page import page
    from ..evaluation.kinds import kind_of
    from ..inference.span_model import SpanModel

    kind = kind_of(gold, of).name
    if not any(getattr(document, kind) for document in gold):
        said = f"the data have no {kind} at all, so there is nothing to find: all rates are 0/0 or 0, and mean nothing"
        talk().print(f"warning: {said}", markup=False)
    if report is not None:
        with durable.on_disk(report):  # found out now, not after the models have read everything
            report.mkdir(parents=True, exist_ok=True)
    sides: dict[str, Sequence[Document]] = {}
    given = {"A": a, "B": b}
    for side, name in sorted(given.items(), key=lambda item: _is_model(item[1])):  # a wrong file is found at once
        if _is_model(name):
            model = SpanModel.from_pretrained(name, device, dtype)
            sides[side] = predicted_by(model, gold, of=of, threshold=threshold)
        elif (texts := _answers(name, kind)) is not None:
            sides[side] = answered(gold, texts)
        else:
            found = read_all([name], None, reading, name=side, verbose=verbose, predicted=True)
            sides[side] = matched(gold, found, side)
            _tell_odd(side, kind, found, more=len(found) - len(gold))
    comparison = compare(gold, sides["A"], sides["B"], names=(readable(a), readable(b)), of=of)
    record = orjson.dumps(comparison.to_json())
    if report is not None:
        durable.write(report / "compare.json", record.decode() + "\n")
        durable.write(report / "compare.html", page(comparison))
        talk().print(plain(f"wrote {readable(str(report))}/compare.json and compare.html"), markup=False)
    typer.echo(record if json else plain(comparison.to_text()))


def _tell_odd(side: str, kind: str, found: Sequence[Document], *, more: int) -> None:
    """more: documents that the data do not have."""
    if not any(getattr(document, kind) for document in found):
        talk().print(f"warning: {side} has no {kind} at all", markup=False)
    if more > 0:
        talk().print(f"{side}: {number(more, 'document')} not in the data, left out", markup=False)


def _answers(name: str, kind: str) -> dict[str, str] | None:
    """Texts by question id, where the file is what official scorers of answers read. Raises UsageError where it is, and
    something else is compared.
    """
    path = Path(name).expanduser()
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    try:
        record = orjson.loads(path.read_bytes())
    except ValueError:
        return None  # the readers say what is wrong with it
    whole = isinstance(record, dict) and record and all(isinstance(text, str) for text in record.values())
    if not whole or "text" in record:  # {"id", "text"} is a document with nothing in it
        return None
    if kind != "questions":
        raise UsageError(
            f"answers by question id ({name}) to compare {kind}",
            f"a model, or a file of documents with {kind}",
            "to compare answers: --of questions",
        )
    answers: dict[str, str] = record
    return answers


def _is_model(given: str) -> bool:
    """Whether it names a model; a path that is not there is a file if it has the ending of one."""
    path = Path(given).expanduser()
    if path.is_dir():
        return any((path / name).exists() for name in _OF_A_MODEL)
    if path.exists() or given == "-":
        return False
    endings = {ending for name in FORMATS for ending in format_named(name).SUFFIXES if ending}
    return given in shipped() or not {ending.lower() for ending in path.suffixes} & endings
