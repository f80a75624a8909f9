"""`spanbert train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from ..errors import UsageError
from ..formats import Reading
from ..models import BASE
from ..tasks import ANNOTATED, settings_class, task_class
from ..tasks.presets import PRESETS
from ..tasks.presets import preset as find_preset
from ..training.config import TrainConfig
from .flags import InputFormat, Verbose, kinds_of_values, read_config, split, with_settings
from .show import TrainingDisplay, bar, read_all, talk

if TYPE_CHECKING:
    from ..documents import Document
    from ..inference.span_model import SpanModel

SETTINGS = [settings_class(name) for name in ANNOTATED]
_HIDDEN = ("tags", "output", "limits")


@with_settings([TrainConfig, *SETTINGS, Reading], skip=_HIDDEN)
def command(
    *,
    base_model: Annotated[
        str | None,
        typer.Option(
            help=f"Encoder to start from: a folder, or a hub name. Default: {BASE}, which is in the package.",
            envvar="SPANBERT_BASE_MODEL",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(ANNOTATED)}, or several that share the encoder. Default: {ANNOTATED[0]}."),
    ] = None,
    add_to: Annotated[
        str | None,
        typer.Option(
            help="A trained model that gets --task too; with --freeze-encoder its own tasks stay as they are."
        ),
    ] = None,
    train: Annotated[list[str] | None, typer.Option(help="Annotated files (one or more).")] = None,
    dev: Annotated[list[str] | None, typer.Option(help="Held-out files; none: a tenth of the training data.")] = None,
    output: Annotated[str | None, typer.Option(help="New folder for the model.", envvar="SPANBERT_OUTPUT")] = None,
    preset: Annotated[
        str | None, typer.Option(help=f"A published recipe, which other settings win over: {', '.join(PRESETS)}.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of these settings.")] = None,
    input_format: InputFormat = None,
    verbose: Verbose = False,
    json: Annotated[bool, typer.Option("--json", help="Print the held-out report as JSON.")] = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert train --train train.jsonl --dev dev.jsonl --output my-model"""
    own = {
        "base_model": base_model,
        "task": task or None,
        "add_to": add_to,
        "train": train,
        "dev": dev,
        "output": output,
    }
    own |= {"input_format": input_format}
    given = {name: value for name, value in {**own, **settings}.items() if value is not None}
    values = _resolved(
        read_config(config, _known(), ("train", "dev", "output", "add_to"), ("base_model",)) | given, preset
    )
    form = values.get("input_format")
    reading = Reading(**split(Reading, values))
    documents = read_all(values["train"], form, reading, name="train", verbose=verbose)
    held_out = None
    if values.get("dev"):
        held_out = read_all(values["dev"], form, reading, name="dev", verbose=verbose)
    trained = _trained(values, TrainConfig(**split(TrainConfig, values)), documents, held_out)
    report = _told(trained, values)
    if json:
        typer.echo(orjson.dumps(report))


def _told(trained: SpanModel, values: dict[str, Any]) -> dict[str, Any]:
    """Say how good it is and what to do next; the report on what was learnt."""
    facts, name = trained.bundle.facts, next(iter(trained.bundle.tasks))
    for added in {*_names(values)} & facts.get("added", {}).keys():  # the model that it was added to has its own report
        facts, name = facts["added"][added], added
    report: dict[str, Any] = facts["report"]
    best = " that is best on them" if name in trained.bundle.fitted else ""
    measured = f"on held-out documents, at the threshold{best} ({trained.bundle.decisions[name].threshold:.3f})"
    _next_commands(values["output"], report, measured, task_class(name).command)
    return report


def _trained(
    values: dict[str, Any], config: TrainConfig, documents: list[Document], held_out: list[Document] | None
) -> SpanModel:
    """The model that was learnt; a task over a frozen encoder is then saved with the model that it was added to."""
    # torch is imported only now, when the files are known to be sound
    from ..inference.span_model import SpanModel
    from ..training.loop import train as run

    known = SpanModel.from_pretrained(values["add_to"]) if values.get("add_to") else None
    model = _model(known, values, config)
    with bar("training") as progress:
        trained = run(model, documents, held_out, config, [TrainingDisplay(progress)])
    if known is not None and config.freeze_encoder and not set(known.bundle.tasks) & set(trained.bundle.tasks):
        known.join(trained).save_pretrained(values["output"])  # a run that had come to its end gives the joined model
    return trained


def _model(known: SpanModel | None, values: dict[str, Any], config: TrainConfig) -> SpanModel:
    """What is to be trained: of new tasks, or `known` with one more; over a frozen encoder the new one alone."""
    from ..inference.span_model import SpanModel

    names = _names(values)
    settings = _task_settings(values)
    labels = settings.pop("labels", ())
    if known is not None and names[0] in known.bundle.tasks:
        raise UsageError(
            f"task {names[0]}, which {values['add_to']} has", "another task", "train it anew without --add-to"
        )
    if known is None or config.freeze_encoder:
        return SpanModel.create(values["base_model"], task=names, labels=labels, settings=settings, seed=config.seed)
    return known.adding(names[0], labels=labels, settings=settings, seed=config.seed)


def _names(values: dict[str, Any]) -> list[str]:
    """Of the tasks to learn."""
    named = values.get("task", ANNOTATED[0])
    return [named] if isinstance(named, str) else list(named)


def _resolved(values: dict[str, Any], preset: str | None) -> dict[str, Any]:
    """With the defaults and the recipe that stand behind them. Raises UsageError where what must be given is not."""
    recipe = values.pop("preset", None) if preset is None else preset
    values = {"base_model": BASE, **({} if recipe is None else find_preset(recipe))} | values
    values["base_model"] = values.get("add_to") or values["base_model"]
    _check_added(values)
    for name in ("train", "output"):
        if not values.get(name):
            raise UsageError(f"no --{name}", f"--{name} and a value", f"give --{name}, or {name} in the --config file")
    return values


def _check_added(values: dict[str, Any]) -> None:
    """A task is added to a model one at a time, over its encoder. Raises UsageError."""
    added = values.get("add_to")
    if not added:
        return
    named = values.get("task")
    if not named or (not isinstance(named, str) and len(named) != 1):
        raise UsageError(
            "--add-to without one --task", "the task to add", "name it; for several, add one after another"
        )


def _task_settings(values: dict[str, Any]) -> dict[str, Any]:
    """The settings of tasks among the values; lists that came as flags or variables are taken apart at commas."""
    lists = {name for name, kinds in kinds_of_values(SETTINGS).items() if kinds == (list,)}
    chosen = {key: value for kind in SETTINGS for key, value in split(kind, values).items()}
    return {
        key: [part.strip() for part in value.split(",") if part.strip()]
        if key in lists and isinstance(value, str)
        else value
        for key, value in chosen.items()
    }


def _known() -> dict[str, tuple[type, ...]]:
    """What a configuration file may set, and the types of the values."""
    own: dict[str, tuple[type, ...]] = dict.fromkeys(
        ("base_model", "add_to", "output", "input_format", "preset"), (str,)
    )
    own |= {"train": (list,), "dev": (list,), "task": (str, list)}
    settings = kinds_of_values([TrainConfig, *SETTINGS, Reading])
    del settings["tags"]
    return settings | own


def _next_commands(output: str, report: dict[str, Any], measured: str, verb: str) -> None:
    """measured: on what, and how. verb: what shows a model of this task at work."""
    console = talk()
    micro = report["micro"]
    interval = micro["f1_interval"]
    shown = f", 95 % interval {interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
    official = ", ".join(f"{name} {value:.1f}" for name, value in report.get("headline", {}).items())
    said = official or f"F1 {micro['f1']:.3f}{shown}"
    console.print(f"the model is in {output}: {said} {measured}", markup=False)
    console.print(
        "next:\n"
        f"  spanbert evaluate --model {output} --data FILE\n"
        f"  spanbert predict --model {output} --input FILE --output predictions.jsonl\n"
        f"  spanbert {verb.format(model=output)}",
        markup=False,
    )
