"""`spanbert pretrain`."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from ..documents import Document
from ..errors import UsageError
from ..formats import Reading, ReadReport
from ..formats.corpora import CorpusReading, files_of, read_texts
from ..pretraining.config import SIZES, TASK, PretrainConfig
from ..pretraining.corpus import joined
from ..pretraining.inspection import inspection_of
from ..tasks import settings_class
from .flags import kinds_of_values, read_config, split, with_settings
from .masks import show_masks
from .show import TrainingDisplay, bar, counted, talk, told

SETTINGS = settings_class(TASK)
_HIDDEN = ("labels", "overlap", "output", "strict", "offset_unit", "normalise", "undirected")


@with_settings([PretrainConfig, SETTINGS, CorpusReading, Reading], skip=_HIDDEN)
def command(
    *,
    corpus: Annotated[
        list[str] | None, typer.Option(help="Text, JSON lines, Parquet, or folders of these (one or more).")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option(help="Encoder to go on from: a folder, or a hub name.", envvar="SPANBERT_BASE_MODEL")
    ] = None,
    size: Annotated[str | None, typer.Option(help=f"A new encoder: {', '.join(SIZES)}, or a folder's shape.")] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            help="Folder of `spanbert vocabulary`, or of any tokenizer: for a new encoder; or for the base model to "
            "read with from now on."
        ),
    ] = None,
    layers: Annotated[int | None, typer.Option(help="Keep only the first so many layers of the base model.")] = None,
    output: Annotated[str | None, typer.Option(help="New folder for the model.", envvar="SPANBERT_OUTPUT")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of these settings.")] = None,
    inspect: Annotated[
        int | None, typer.Option(help="Show so many blocks with what would be hidden in them, and train nothing.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the held-out report as JSON.")] = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert pretrain --corpus texts/ --size mini --vocabulary my-vocabulary --output my-encoder"""
    own = {"corpus": corpus, "base_model": base_model, "size": size, "vocabulary": vocabulary, "output": output}
    given = {name: value for name, value in {**own, "layers": layers, **settings}.items() if value is not None}
    values = read_config(config, _known(), ("corpus", "output"), ("base_model", "size", "vocabulary"))
    if "size" in {**values, **given} and base_model == os.environ.get("SPANBERT_BASE_MODEL"):
        given.pop("base_model", None)  # what was set for all commands gives way to what was asked of this one
    values |= given
    paths = _checked(values, inspecting=inspect is not None)
    report = ReadReport(Reading(**split(Reading, values)))
    masking = split(SETTINGS, values)
    texts = counted(read_texts(paths, CorpusReading(**split(CorpusReading, values)), report), "reading")
    if inspect is not None:
        _inspect(values, masking, texts, inspect)
        return
    pretrain_config = PretrainConfig(**split(PretrainConfig, values))

    from ..pretraining.pretrain import continued, new_model, pretrain  # torch, only now that the flags are sound

    if "size" in values:
        model = new_model(values["size"], values["vocabulary"], settings=masking, seed=pretrain_config.seed)
    else:
        change = {name: values.get(name) for name in ("vocabulary", "layers")}
        model = continued(values["base_model"], **change, settings=masking, seed=pretrain_config.seed)
    with bar("pre-training") as progress:
        display = TrainingDisplay(progress, "evaluation")
        trained = pretrain(model, texts, pretrain_config, [display], source=_source(paths, values))
    if report.documents:  # a run that is gone on with has read them before
        told(report, "corpus", verbose=False)
    talk().print(
        f"the encoder is in {values['output']}\n"
        f"next:\n  spanbert train --base-model {values['output']} --train FILE --output MODEL",
        markup=False,
    )
    if json:
        typer.echo(orjson.dumps(trained.bundle.facts["report"]))


def _inspect(values: dict[str, Any], masking: dict[str, Any], texts: Iterable[Document], blocks: int) -> None:
    inspection = inspection_of(values.get("vocabulary") or values["base_model"], masking)
    show_masks(inspection, joined(texts) if values.get("join_documents") else texts, blocks, values.get("seed", 0))


def _known() -> dict[str, tuple[type, ...]]:
    """What a configuration file may set, and the types of the values."""
    own: dict[str, tuple[type, ...]] = dict.fromkeys(("base_model", "size", "vocabulary", "output"), (str,))
    settings = kinds_of_values([PretrainConfig, SETTINGS, CorpusReading, Reading])
    listed: dict[str, tuple[type, ...]] = {"corpus": (list,), "layers": (int,)}
    return {name: kinds for name, kinds in settings.items() if name not in _HIDDEN} | own | listed


def _checked(values: dict[str, Any], *, inspecting: bool) -> list[str]:
    """The paths of the corpus. Raises UsageError for flags that are missing or do not go together."""
    for name in ("corpus",) if inspecting else ("corpus", "output"):
        if not values.get(name):
            raise UsageError(f"no --{name}", f"--{name} and a value", f"give --{name}, or {name} in the --config file")
    new, old = "size" in values, "base_model" in values
    if new == old and not inspecting:
        raise UsageError(
            "both --size and --base-model" if new else "neither --base-model nor --size",
            "one of them: the encoder to go on from, or the size of a new one",
            "leave out one" if new else "for a new encoder give --size mini --vocabulary FOLDER",
        )
    for there, flag, whose in ((new, "layers", "--base-model"), (old, "start", "--size")):
        if there and flag in values:
            raise UsageError(f"--{flag} without {whose}", f"{flag} is for {whose} alone", f"leave out --{flag}")
    if not old and "vocabulary" not in values:
        raise UsageError("no --vocabulary", "the folder of a tokenizer", "make one: spanbert vocabulary")
    return [str(path) for path in values["corpus"]]


def _source(paths: list[str], values: dict[str, Any]) -> str:
    """What decides the corpus: what stands in its files, wherever they lie, and how they are read."""
    files = []
    for path in filter(Path.is_file, files_of(paths)):
        with suppress(OSError), path.open("rb") as file:  # of what cannot be read the reader tells more
            files.append((path.name, hashlib.file_digest(file, "sha256").hexdigest()))
    reading = dataclasses.asdict(CorpusReading(**split(CorpusReading, values)))
    return str((files, reading, values.get("join_documents"), values.get("held_out")))
