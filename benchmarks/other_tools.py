"""Strict F1 of GLiNER and SpanMarker, fine-tuned over the same encoder, beside this package's two span tasks.

    python -m benchmarks.other_tools run --gliner PYTHON --span-marker PYTHON    # interpreters of their environments
    python -m benchmarks.other_tools report

FIRE and GENIA, two seeds, all four on the same 8,000 words, since SpanMarker reads some seven hundred positions for
each sentence of thirty words: six epochs, in steps of eight of its windows; but thirty for GLiNER, in steps of eight
sentences, as its head begins at random and learns nothing in six; ours with six, and again with thirty. Rates: ours as
in `benchmarks/accuracy.py`, of theirs the better of two on the dev part of FIRE. Theirs keep the last epoch (neither
library scores spans while it trains); GLiNER's threshold is chosen on dev. A sentence is a unit for them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import DTYPE, MAX_TOKENS, Run, chosen_rate, execute, parts_of
from benchmarks.accuracy_report import counts_of, difference, mean, predictions
from benchmarks.datasets import CORPORA, DATA, OUTPUT
from benchmarks.duel import DEVICE
from encoder import minilm
from spanbert import Document, Span
from spanbert.metrics.spans import f1

RESULTS = Path(__file__).resolve().parent / "results" / "other_tools"
LONGER = RESULTS / "thirty_epochs"
RIVALS = {"gliner": "gliner_rival.py", "span-marker": "span_marker_rival.py"}
OURS = ("tokens", "spans")
RATES = {"gliner": (1e-4, 3e-4), "span-marker": (2.8e-4, 1e-4)}
EPOCHS = {"gliner": 30, "span-marker": 6, "tokens": 6, "spans": 6}
SETS, CHOSEN_ON, SEEDS = ("fire", "genia"), "fire", 2
WORDS = {"train": 8_000, "dev": 8_000, "test": 40_000}
LONGEST = 8  # words of a span, as SpanMarker has it by default: it reads one window of 384 for every 170 of them


@dataclass(frozen=True)
class Unit:
    """A line of a document: its words, where they lie, and its spans as (first word, last word, label)."""

    document: int
    words: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    spans: tuple[tuple[int, int, str], ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "report"))
    for system in RIVALS:
        parser.add_argument(f"--{system}", metavar="PYTHON", help="an interpreter that has it; left out without")
    options = parser.parse_args()
    if options.verb == "report":
        report()
        return
    for results in (RESULTS, LONGER):
        for system in OURS:
            study(system, chosen_rate(system), "", results)
    for system in RIVALS:
        if python := getattr(options, system.replace("-", "_")):
            for run in rate_runs(system):
                ensure(run, python)
            study(system, best_rate(system), python, RESULTS)


def study(system: str, rate: float, python: str, results: Path) -> None:
    for seed in range(SEEDS):
        for corpus in SETS:
            ensure(Run(corpus, system, rate, seed, results), python)


def rate_runs(system: str) -> list[Run]:
    return [Run(CHOSEN_ON, system, rate, 0, RESULTS) for rate in RATES[system]]


def best_rate(system: str) -> float:
    return max(rate_runs(system), key=lambda run: float(run.read()["dev_f1"])).rate


def ensure(run: Run, python: str) -> None:
    """Train, predict and keep it, unless it is there."""
    if run.path.exists():
        return
    parts = parts_of(run.corpus, DATA, OUTPUT, WORDS)
    epochs = EPOCHS["gliner" if run.folder == LONGER else run.system]
    if run.system in OURS:
        execute(run, parts, epochs, DEVICE)
        return
    found, record = ask(
        run.system, python, parts, rate=run.rate, seed=run.seed, epochs=epochs, nested=CORPORA[run.corpus].nested
    )
    run.keep(epochs, found, record)


def ask(
    system: str, python: str, parts: dict[str, list[Document]], *, wide: bool = False, **job: Any
) -> tuple[list[list[Span]], dict[str, Any]]:
    """Spans of each test document by a rival in its own environment, and what else it says of the run."""
    members = {part: units_of(documents) for part, documents in parts.items()}
    pieces = sum(len(unit.words) for unit in members["train"]) * 1.3  # of the encoder, roughly, for the batch
    exchange = {
        **{part: [{"words": u.words, "spans": u.spans} for u in listed] for part, listed in members.items()},
        **job,
        "wide": wide,
        "labels": sorted({span.label for document in parts["train"] for span in document.spans}),
        "encoder": str(minilm()),
        "batch": max(1, round(MAX_TOKENS / (pieces / len(members["train"])))),
        "bf16": DTYPE == "bfloat16",
        "device": DEVICE,
        "longest": LONGEST,
    }
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "job.json", Path(folder) / "found.json"
        source.write_text(json.dumps(exchange), encoding="utf-8")
        script = Path(__file__).resolve().parent / "rivals" / RIVALS[system]
        subprocess.run([python, script, source, target], check=True)
        record = json.loads(target.read_text())
    found: list[list[Span]] = [[] for _ in parts["test"]]
    for unit, spans in zip(members["test"], record.pop("found"), strict=True):
        found[unit.document] += [Span(unit.places[a][0], unit.places[b][1], label) for a, b, label in spans]
    return found, record


def units_of(documents: Sequence[Document]) -> list[Unit]:
    """Lines with all their spans; one that runs over a line's end is left out, as these tools cannot read it."""
    units = []
    for number, document in enumerate(documents):
        places: list[tuple[int, int]] = []
        tokens = [(start, end) for start, end in document.meta["tokens"]]  # type: ignore[union-attr, misc]
        for index, (start, end) in enumerate(tokens):
            places.append((start, end))
            if index + 1 == len(tokens) or "\n" in document.text[end : tokens[index + 1][0]]:
                units.append(unit_of(number, document, tuple(places)))
                places = []
    return units


def unit_of(number: int, document: Document, places: tuple[tuple[int, int], ...]) -> Unit:
    first = {start: index for index, (start, _) in enumerate(places)}
    last = {end: index for index, (_, end) in enumerate(places)}
    spans = tuple((first[s.start], last[s.end], s.label) for s in document.spans if s.start in first and s.end in last)
    return Unit(number, tuple(document.text[a:b] for a, b in places), places, spans)


def report() -> None:
    """Print the table in Markdown, from whatever runs are there; differences are of the same seeds."""
    rivals = [name for name in RIVALS if all(run.path.exists() for run in rate_runs(name))]
    rates = {**{name: chosen_rate(name) for name in OURS}, **{name: best_rate(name) for name in rivals}}
    ours = [(name, results) for results in (RESULTS, LONGER) for name in OURS]
    systems = [*ours, *((name, RESULTS) for name in rivals)]
    shown = {RESULTS: f", {EPOCHS['tokens']} epochs", LONGER: f", {EPOCHS['gliner']} epochs"}
    less = " | ".join(f"{name}{shown[results]}, less it" for name, results in ours)
    print(f"| corpus | system | rate | seeds | strict F1 | {less} |")
    print("|---|---|--:|--:|--:|" + ":-:|" * len(ours))
    for corpus in SETS:
        gold = parts_of(corpus, DATA, OUTPUT, WORDS)["test"]
        runs = {
            (name, results): [
                counts_of(gold, found) for found in predictions(corpus, {name: rates[name]}, gold, SEEDS, results)[name]
            ]
            for name, results in systems
        }
        for system, counts in runs.items():
            if counts:
                name, results = system
                cells = [against(runs[own], counts) if name in RIVALS else "" for own in ours]
                told = name if name in RIVALS else f"{name}{shown[results]}"
                print(
                    f"| {corpus} | {told} | {rates[name]:g} | {len(counts)} | {mean(counts, f1)} | "
                    + " | ".join(cells)
                    + " |"
                )


def against(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> str:
    both = min(len(ours), len(theirs))
    return difference(ours[:both], theirs[:both])[0] if both else ""


if __name__ == "__main__":
    main()
