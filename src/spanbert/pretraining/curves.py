"""The log of a run as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .. import durable
from ..errors import MachineError

_SMOOTH = 0.95


def draw_curves(log: Path, picture: Path) -> None:
    """Losses while learning and on held-out text, and the rate, from `train.jsonl` as SVG.

    Raises MachineError where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MachineError(
            "no picture of the curves: matplotlib is not installed", "it", "pip install matplotlib"
        ) from None
    steps, rates, losses, points = read_log(log)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, values) in enumerate(losses.items()):
        colour = f"C{number}"
        axes.plot(steps[-len(values) :], smooth(values), color=colour, linewidth=1, label=f"{name}, learning")
        at = [step for step, _ in points]
        axes.plot(at, [found[name] for _, found in points], "o-", color=colour, markersize=4, label=f"{name}, held out")
    axes.set_xlabel("step")
    axes.set_ylabel("loss in nats")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    right = axes.twinx()
    right.plot(steps, rates, color="grey", linewidth=0.8, linestyle=":")
    right.set_ylabel("learning rate (dotted)")
    with durable.on_disk(picture), durable.replacing(picture) as stream:
        figure.savefig(stream, format="svg", metadata={"Date": None})


def read_log(log: Path) -> tuple[list[int], list[float], dict[str, list[float]], list[tuple[int, dict[str, float]]]]:
    """Steps, their rates, their losses by name, and (step, losses) of every evaluation; of steps that a resumed run
    took again the later ones."""
    stepped: dict[int, dict[str, Any]] = {}
    evaluated: dict[int, dict[str, float]] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:  # half a line, of a run that was killed
            continue
        if record["event"] == "stepped" and not record["skipped"]:
            stepped[record["step"]] = record
        elif record["event"] == "evaluated":
            evaluated[record["step"]] = record["report"]["losses"]
    steps = sorted(stepped)
    names = stepped[steps[0]]["losses"] if steps else {}
    losses = {name: [stepped[step]["losses"][name] for step in steps] for name in names}
    return steps, [stepped[step]["rate"] for step in steps], losses, sorted(evaluated.items())


def smooth(values: list[float]) -> list[float]:
    """An exponential mean that starts at the first value."""
    result: list[float] = []
    for value in values:
        result.append(value if not result else _SMOOTH * result[-1] + (1 - _SMOOTH) * value)
    return result
