"""`spanbert init`."""

from __future__ import annotations

import dataclasses
import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..models import BASE
from ..tasks import ANNOTATED, settings_class, task_class
from ..training.config import TrainConfig
from .flags import sentences

CONFIG, SAMPLE = "spanbert.toml", "sample.jsonl"
_EXAMPLES: tuple[tuple[str, dict[str, str]], ...] = (
    ("Acme Corp. bought Bolt Ltd. for $12 million in May 2021.", {"Acme Corp.": "ORG", "Bolt Ltd.": "ORG"}),
    ("Marie Curie worked in Paris.", {"Marie Curie": "PERSON", "Paris": "LOCATION"}),
    ("Nothing to find here.", {}),
)
_OTHER_KINDS: tuple[dict[str, object], ...] = (
    {
        "id": "sample-4",
        "text": "Acme Corp. bought Bolt Ltd. in May 2021.",
        "spans": [{"start": 0, "end": 10, "label": "ORG"}, {"start": 18, "end": 27, "label": "ORG"}],
        "relations": [{"head": 0, "tail": 1, "label": "bought"}],
        "questions": [
            {"id": "q1", "question": "When was Bolt bought?", "answers": [{"start": 31, "end": 39}]},
            {"id": "q2", "question": "Who sold it?", "answers": []},
        ],
    },
    {
        "id": "sample-5",
        "text": "Marie Curie said that she had two daughters.",
        "clusters": [{"spans": [{"start": 0, "end": 11}, {"start": 22, "end": 25}]}],
    },
)


def command(
    *,
    folder: Annotated[Path, typer.Argument(help="Where to write; made if need be.")] = Path(),
    task: Annotated[str, typer.Option(help=f"One of {', '.join(ANNOTATED)}.")] = ANNOTATED[0],
    base_model: Annotated[str, typer.Option(help="Encoder to start from.")] = BASE,
) -> None:
    """Example: spanbert init my-project"""
    task_class(task)
    for name in (CONFIG, SAMPLE):
        if (folder / name).exists():
            raise UsageError(f"{folder / name} is there already", "a folder without it", "choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(_config(task, base_model), encoding="utf-8")
    (folder / SAMPLE).write_text("".join(_sample()), encoding="utf-8")
    typer.echo(
        f"wrote {folder / CONFIG}: every setting with its default, all but the first few commented out", err=True
    )
    typer.echo(f"wrote {folder / SAMPLE}: what annotated text looks like", err=True)
    typer.echo(
        f"next: put your train.jsonl and dev.jsonl beside it, then: spanbert train --config {folder / CONFIG}", err=True
    )


def _config(task: str, base_model: str) -> str:
    lines = [
        "# Settings of spanbert train --config. Flags and SPANBERT_… variables win over this file.",
        "# Paths are relative to this file.",
        "",
        f"task = {jsonlib.dumps(task)}",
        "# An encoder of the package, a folder, or a hub name: mind the licence of the weights you name.",
        f"base_model = {jsonlib.dumps(base_model)}",
        'train = ["train.jsonl"]',
        'dev = ["dev.jsonl"]',
        'output = "model"',
    ]
    for kind in (settings_class(task), TrainConfig):
        told = sentences(kind)
        for field in dataclasses.fields(kind):
            if field.name in ("output", "tags"):
                continue
            default = field.default
            shown = jsonlib.dumps(list(default) if isinstance(default, tuple) else default)
            lines += ["", f"# {told[field.name]}", f"# {field.name} = {'' if default is None else shown}"]
    return "\n".join(lines) + "\n"


def _sample() -> list[str]:
    lines = []
    for number, (text, found) in enumerate(_EXAMPLES, start=1):
        spans = [
            {"start": text.index(part), "end": text.index(part) + len(part), "label": label, "text": part}
            for part, label in found.items()
        ]
        lines.append(jsonlib.dumps({"id": f"sample-{number}", "text": text, "spans": spans}) + "\n")
    lines += [jsonlib.dumps(record) + "\n" for record in _OTHER_KINDS]
    return lines
