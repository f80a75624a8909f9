"""Recall of spans of 30, 60 and 120 words, and of a span of the same label inside them, beside other tools.

    python -m benchmarks.long_spans run [--gliner PYTHON]    # PYTHON: the interpreter of GLiNER's environment
    python -m benchmarks.long_spans report

The clauses are planted, so that their length is under control: one of six openings, running text of annual reports,
one of three closings; every other one has a shorter clause of the same label inside. A passage is some 250 words of the
same reports with one clause in it, which every tool's encoder reads at once. Same encoder, epochs and rate for all.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import packed_json
from benchmarks.accuracy import DTYPE, MAX_TOKENS
from benchmarks.accuracy_report import counts_of, mean
from benchmarks.datasets import DATA
from benchmarks.duel import DEVICE
from benchmarks.other_tools import ask
from benchmarks.stock import Recipe
from benchmarks.stock import train_and_predict as stock
from encoder import minilm
from spanbert import Document, Span, SpanModel, TrainConfig, train
from spanbert.metrics.bootstrap import bounds, resample
from spanbert.metrics.spans import f1, recall

RESULTS = Path(__file__).resolve().parent / "results" / "long_spans"
LENGTHS, INNER = (30, 60, 120), 12
PARTS = {"train": 150, "dev": 30, "test": 240}
PASSAGE, EPOCHS, RATE, SEEDS = 250, 10, 2.8e-4, 2
OPENINGS = (
    "notwithstanding the foregoing", "it is hereby agreed that", "subject to the terms hereof",
    "for the avoidance of doubt", "the parties acknowledge that", "save as set out above",
)  # fmt: skip
CLOSINGS = ("and not otherwise", "without further notice", "in each such case")
Trained = tuple[float, list[list[Span]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "report"))
    parser.add_argument("--gliner", metavar="PYTHON", help="an interpreter that has it; left out without")
    options = parser.parse_args()
    parts = passages()
    systems = systems_with(options.gliner)
    if options.verb == "report":
        report(parts["test"], list(systems_with("python")))
        return
    for seed in range(SEEDS):
        for name, run in systems.items():
            path = RESULTS / f"{name}-{seed}.json.gz"
            if not path.exists():
                keep(path, *run(parts, seed))


def systems_with(gliner: str | None) -> dict[str, Callable[[dict[str, list[Document]], int], Trained]]:
    systems: dict[str, Callable[[dict[str, list[Document]], int], Trained]] = {
        "tokens": lambda parts, seed: own("token-classification", parts, seed, {}),
        "spans": lambda parts, seed: own("span-classification", parts, seed, {"policy": "nested"}),
        "stock": lambda parts, seed: stock(
            minilm(), parts, Recipe(RATE, EPOCHS, MAX_TOKENS, seed, DEVICE, bf16=DTYPE == "bfloat16")
        ),
    }
    if gliner:
        systems["gliner"] = lambda parts, seed: theirs(gliner, parts, seed)
    return systems


def own(task: str, parts: dict[str, list[Document]], seed: int, settings: dict[str, object]) -> Trained:
    model = SpanModel.create(minilm(), task=task, labels=[], settings=settings, seed=seed)
    config = TrainConfig(
        epochs=EPOCHS, patience=EPOCHS, learning_rate=RATE, max_tokens=MAX_TOKENS, seed=seed, dtype=DTYPE, device=DEVICE
    )
    trained = train(model, parts["train"], parts["dev"], config)
    return float(trained.bundle.facts["report"]["micro"]["f1"]), [
        list(document.spans) for document in trained.predict(parts["test"])
    ]


def theirs(python: str, parts: dict[str, list[Document]], seed: int) -> Trained:
    found, record = ask("gliner", python, parts, wide=True, rate=RATE, seed=seed, epochs=EPOCHS, nested=True)
    return float(record["dev_f1"]), found


def keep(path: Path, dev_f1: float, found: list[list[Span]]) -> None:
    record = {"dev_f1": dev_f1, "spans": [[[s.start, s.end] for s in spans] for spans in found]}
    packed_json.write(path, record)
    print(f"{path.name}: dev F1 {dev_f1:.4f}", flush=True)


def passages() -> dict[str, list[Document]]:
    """The same on any machine: drawn by a seed from the reports in their order."""
    draw = random.Random(0)
    text = words()
    return {
        part: [
            passage(f"{part}-{n}", draw, text, LENGTHS[n % len(LENGTHS)], nested=n % 2 == 0) for n in range(documents)
        ]
        for part, documents in PARTS.items()
    }


def words() -> Iterator[str]:
    with gzip.open(DATA / "pretrain" / "sec_10k-00.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield from json.loads(line)["text"].split()


def passage(name: str, draw: random.Random, text: Iterator[str], length: int, *, nested: bool) -> Document:
    before = draw.randrange(20, PASSAGE - length - 20)
    clause, inner = clause_of(draw, text, length, nested=nested)
    after = PASSAGE - length - before
    listed = [*take(text, before), *clause, *take(text, after)]
    places, position = [], 0
    for word in listed:
        places.append((position, position + len(word)))
        position += len(word) + 1
    ranges = [(before, before + len(clause)), *((before + a, before + b) for a, b in inner)]
    spans = tuple(Span(places[a][0], places[b - 1][1], "CLAUSE") for a, b in ranges)
    return Document(name, " ".join(listed), spans, meta={"tokens": [list(place) for place in places]})


def clause_of(
    draw: random.Random, text: Iterator[str], length: int, *, nested: bool
) -> tuple[list[str], list[tuple[int, int]]]:
    """Words of a clause of so many, and the places of the clause inside it, if one is."""
    opening, closing = draw.choice(OPENINGS).split(), draw.choice(CLOSINGS).split()
    room = length - len(opening) - len(closing)
    if not nested:
        return [*opening, *take(text, room), *closing], []
    inner, _ = clause_of(draw, text, INNER, nested=False)
    before = draw.randrange(3, room - INNER - 2)
    clause = [*opening, *take(text, before), *inner, *take(text, room - INNER - before), *closing]
    start = len(opening) + before
    return clause, [(start, start + INNER)]


def take(text: Iterator[str], count: int) -> list[str]:
    return [next(text) for _ in range(count)]


def report(gold: Sequence[Document], systems: Sequence[str]) -> None:
    """Recall with its interval over passages, mean of the seeds that were run, in Markdown."""
    kinds: dict[str, Callable[[int], bool]] = {f"{n} words": lambda size, n=n: size == n for n in LENGTHS}  # type: ignore[misc]
    kinds[f"inside another ({INNER} words)"] = lambda size: size == INNER
    print("| system | seeds | strict F1 | " + " | ".join(f"recall, {kind}" for kind in kinds) + " |")
    print("|---|--:|--:|" + ":-:|" * len(kinds))
    for name in systems:
        found = [read(path, gold) for seed in range(SEEDS) if (path := RESULTS / f"{name}-{seed}.json.gz").exists()]
        if found:
            cells = [recalled(gold, found, wanted) for wanted in kinds.values()]
            print(
                f"| {name} | {len(found)} | {mean([counts_of(gold, f) for f in found], f1)} | "
                + " | ".join(cells)
                + " |"
            )


def read(path: Path, gold: Sequence[Document]) -> list[Document]:
    record = packed_json.read(path)
    return [
        Document(d.id, d.text, tuple(Span(a, b, "CLAUSE") for a, b in spans))
        for d, spans in zip(gold, record["spans"], strict=True)
    ]


def recalled(gold: Sequence[Document], found: Sequence[Sequence[Document]], wanted: Callable[[int], bool]) -> str:
    def places(document: Document) -> set[tuple[int, int]]:
        return {(s.start, s.end) for s in document.spans if wanted(len(document.text[s.start : s.end].split()))}

    rows = [[np.mean([len(places(g) & places(f[n])) for f in found]), 0, len(places(g))] for n, g in enumerate(gold)]
    counts = np.array(rows)
    low, high = bounds(recall(resample(counts)))
    return f"{float(recall(counts.sum(0))):.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
