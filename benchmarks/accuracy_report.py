"""The tables of `python -m benchmarks.accuracy report`: F1 by corpus, paired differences, long and nested spans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy import RESULTS, SEEDS, SYSTEMS, Run, chosen_rate, parts_of
from benchmarks.datasets import CORPORA
from spanbert import Document, Span
from spanbert.decoding.resolve import resolve
from spanbert.metrics.bootstrap import bounds, resample
from spanbert.metrics.spans import count_documents, f1, recall

BUCKETS = ((1, 1), (2, 3), (4, 7), (8, 10**9))
Counts = np.ndarray
"""[documents, 3]: correct, predicted, gold."""


def report(corpora: Sequence[str], data: Path, output: Path) -> None:
    """Print the tables in Markdown, from whatever runs are there."""
    rates = {system: rate for system in SYSTEMS if (rate := _rate(system)) is not None}
    print("Rates: " + ", ".join(f"{system} {rate:g}" for system, rate in rates.items()) + "\n")
    tests = {name: parts_of(name, data, output)["test"] for name in corpora}
    found = {name: predictions(name, rates, tests[name], SEEDS[name]) for name in corpora}
    found = {name: systems for name, systems in found.items() if any(systems.values())}
    print("| corpus | seeds | " + " | ".join(SYSTEMS) + " | tokens - stock | spans - stock |")
    print("|---|---|" + "---|" * (len(SYSTEMS) + 2))
    draws: dict[str, list[np.ndarray]] = {"tokens": [], "spans": []}
    for name, systems in found.items():
        counts = {system: [counts_of(tests[name], run) for run in runs] for system, runs in systems.items()}
        cells = [mean(values, f1) for values in counts.values()]
        pairs = []
        for system in draws:
            text, drawn = difference(counts[system], counts["stock"])
            pairs.append(text)
            if drawn is not None:
                draws[system].append(drawn)
        seeds = " ".join(str(len(runs)) for runs in systems.values())
        print(f"| {name} | {seeds} of {SEEDS[name]} | " + " | ".join([*cells, *pairs]) + " |")
    for system, drawn in draws.items():
        if drawn:
            low, high = bounds(np.mean(drawn, axis=0))
            print(f"\n{system} - stock, mean of {len(drawn)} corpora: {np.mean(drawn):+.4f} [{low:+.4f}, {high:+.4f}]")
    _by_length({name: systems for name, systems in found.items() if all(systems.values())}, tests)
    _inside(found, tests)


def _rate(system: str) -> float | None:
    try:
        return chosen_rate(system)
    except SystemExit:
        return None


def predictions(
    name: str, rates: dict[str, float], gold: Sequence[Document], seeds: int, folder: Path = RESULTS
) -> dict[str, list[list[Document]]]:
    """Of each system, the predicted documents of each of the first `seeds` that was run."""
    systems: dict[str, list[list[Document]]] = {system: [] for system in rates}
    for system, rate in rates.items():
        for seed in range(seeds):
            run = Run(name, system, rate, seed, folder)
            if run.path.exists():
                systems[system].append(list(_documents(run.read(), gold)))
    return systems


def _documents(record: dict[str, Any], gold: Sequence[Document]) -> Iterator[Document]:
    labels = record["labels"]
    for document, spans in zip(gold, record["spans"], strict=True):
        yield Document(document.id, document.text, tuple(Span(a, b, labels[label]) for a, b, label in spans))


def counts_of(gold: Sequence[Document], predicted: Sequence[Document]) -> Counts:
    return count_documents(gold, predicted).by_label.sum(axis=1)


def mean(runs: Sequence[Counts], rate: Callable[[np.ndarray], np.ndarray]) -> str:
    values = [float(rate(counts.sum(0))) for counts in runs]
    if not values:
        return ""
    return f"{np.mean(values):.4f}" + (f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else "")


def difference(ours: Sequence[Counts], theirs: Sequence[Counts]) -> tuple[str, np.ndarray | None]:
    """Mean difference of F1 over seeds, its 95 % interval by drawing documents, the same for both systems."""
    if not ours or not theirs:
        return "", None
    drawn = [np.mean([f1(resample(counts)) for counts in runs], axis=0) for runs in (ours, theirs)]
    low, high = bounds(drawn[0] - drawn[1])
    middle = np.mean([float(f1(c.sum(0))) for c in ours]) - np.mean([float(f1(c.sum(0))) for c in theirs])
    return f"{middle:+.4f} [{low:+.4f}, {high:+.4f}]", drawn[0] - drawn[1]


def _by_length(found: dict[str, dict[str, list[list[Document]]]], tests: dict[str, list[Document]]) -> None:
    print(f"\nF1 by words of the span, over the {len(found)} corpora that all have run on (in brackets recall):\n")
    print("| words | gold spans | " + " | ".join(SYSTEMS) + " |\n|---|---|" + "---|" * len(SYSTEMS))
    for low, high in BUCKETS:

        def wanted(document: Document, low: int = low, high: int = high) -> list[Span]:
            return [s for s in document.spans if low <= len(document.text[s.start : s.end].split()) <= high]

        total, cells = _rates_of(found, tests, wanted, both=True)
        print(f"| {low}{'' if low == high else '+' if high > 1000 else f'-{high}'} | {total:,} | {cells} |")


def _inside(found: dict[str, dict[str, list[list[Document]]]], tests: dict[str, list[Document]]) -> None:
    print("\nRecall of gold spans that lie inside another, and F1 of a flat model without a mistake:\n")
    print(
        "| corpus | such spans | "
        + " | ".join(SYSTEMS)
        + " | ceiling of flat |\n|---|---|"
        + "---|" * (len(SYSTEMS) + 1)
    )
    for name in found:
        if CORPORA[name].nested:
            total, cells = _rates_of({name: found[name]}, tests, _nested, both=False)
            flat = [Document(d.id, d.text, resolve("flat", d.spans, "longest")[0]) for d in tests[name]]
            print(f"| {name} | {total:,} | {cells} | {mean([counts_of(tests[name], flat)], f1)} |")


def _nested(document: Document) -> list[Span]:
    return [
        one
        for one in document.spans
        if any(o is not one and o.start <= one.start and one.end <= o.end for o in document.spans)
    ]


def _rates_of(
    found: dict[str, dict[str, list[list[Document]]]],
    tests: dict[str, list[Document]],
    wanted: Callable[[Document], Iterable[Span]],
    *,
    both: bool,
) -> tuple[int, str]:
    """How many gold spans are `wanted`, and each system's recall of them with its interval over documents; with `both`
    its F1 of spans that are `wanted` on either side, and the recall."""
    gold = {name: [{(s.start, s.end, s.label) for s in wanted(d)} for d in tests[name]] for name in found}
    cells = []
    for system in SYSTEMS:
        rows = []
        for name, systems in found.items():
            runs = [
                np.array(
                    [
                        [
                            len(g & {(s.start, s.end, s.label) for s in d.spans}),
                            len({(s.start, s.end, s.label) for s in wanted(d)}) if both else 0,
                            len(g),
                        ]
                        for g, d in zip(gold[name], run, strict=True)
                    ]
                )
                for run in systems[system]
            ]
            if runs:
                rows.append(np.mean(runs, axis=0))
        if not rows:
            cells.append("")
            continue
        counts = np.concatenate(rows)
        rate = f1 if both else recall
        low, high = bounds(rate(resample(counts)))
        text = f"{float(rate(counts.sum(0))):.3f} [{low:.3f}, {high:.3f}]"
        cells.append(f"{text} ({float(recall(counts.sum(0))):.3f})" if both else text)
    return sum(len(spans) for documents in gold.values() for spans in documents), " | ".join(cells)
