"""Strict F1 of this package's two span tasks against token classification with `transformers`' Trainer.

    python -m benchmarks.accuracy rates                # the peak rate of each system, on the dev parts of two corpora
    python -m benchmarks.accuracy run [CORPUS ...]     # train, predict the test parts; what is there is not run again
    python -m benchmarks.accuracy report               # the tables of benchmarks/README.md

Same encoder (that of `make demo`), corpora (`benchmarks/datasets.py`), epochs, positions a step, warm-up and decay;
each keeps its best epoch on dev. All train in bfloat16 over fp32 weights (rates were chosen in fp32). So that a run
takes minutes on two slow cores, a corpus gives at most the words below, its documents in the order of their hash.
Predictions are kept in benchmarks/results/accuracy, a file a run, so that
every figure can be computed anew. `--device cuda` runs all three systems there.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from benchmarks import packed_json
from benchmarks.datasets import CORPORA, DATA, OUTPUT, prepare
from encoder import minilm
from spanbert import Document, Span, read_documents

RESULTS = Path(__file__).resolve().parent / "results" / "accuracy"
MAX_TOKENS = 1024
DTYPE = "bfloat16"  # of all three; runs that say nothing of it, those that chose the rates among them, were in fp32
WORDS = {"train": 25_000, "dev": 8_000, "test": 40_000}
SEEN, FEWEST, MOST = 100_000, 4, 40  # words that a training reads, which gives its epochs, within bounds
SYSTEMS = {"stock": None, "tokens": "token-classification", "spans": "span-classification"}
RATES = (2.8e-4, 1.4e-4, 5.6e-4)  # 7e-5 came last on the first corpus, and stays out
CHOSEN_ON = ("fire", "wnut17")
SEEDS = dict.fromkeys(CORPORA, 3) | dict.fromkeys(("fire", "kpi_edgar", "wnut17", "sec_filings_ner"), 5)
NOT_COMPARED = ("redocred",)


@dataclass(frozen=True)
class Run:
    """One training and what it found in the test part."""

    corpus: str
    system: str
    rate: float
    seed: int
    folder: Path = RESULTS

    @property
    def path(self) -> Path:
        return self.folder / f"{self.corpus}-{self.system}-{self.rate:g}-{self.seed}.json.gz"

    def keep(self, epochs: int, found: list[list[Span]], record: dict[str, Any]) -> None:
        """Write the spans of each test document, and what else is to be known of it."""
        labels = sorted({span.label for spans in found for span in spans})
        whole = {
            **{name: getattr(self, name) for name in ("corpus", "system", "rate", "seed")},
            **record,
            "epochs": epochs,
            "max_tokens": MAX_TOKENS,
            "dtype": DTYPE,
            "labels": labels,
            "spans": [[[s.start, s.end, labels.index(s.label)] for s in spans] for spans in found],
        }
        packed_json.write(self.path, whole)
        print(f"{self.path.stem}: dev F1 {record['dev_f1']:.4f}, {record['seconds']} s", flush=True)

    def read(self) -> dict[str, Any]:
        record: dict[str, Any] = packed_json.read(self.path)
        return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("rates", "run", "report"))
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help="all, unless named")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the prepared corpora lie")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS))
    options = parser.parse_args()
    corpora = options.corpora or [name for name in CORPORA if name not in NOT_COMPARED]
    if options.verb == "report":
        from benchmarks.accuracy_report import report

        report(corpora, options.data, options.output)
        return
    for run in rate_runs(options.systems) if options.verb == "rates" else all_runs(corpora, options.systems):
        if not run.path.exists():
            parts = parts_of(run.corpus, options.data, options.output)
            execute(run, parts, epochs_for(parts["train"]), options.device)


def rate_runs(systems: Iterable[str]) -> Iterator[Run]:
    for corpus in CHOSEN_ON:
        for rate in RATES:
            for system in systems:
                yield Run(corpus, system, rate, seed=0)


def all_runs(corpora: Sequence[str], systems: Sequence[str]) -> Iterator[Run]:
    """Seed by seed, so that an unfinished table has all corpora."""
    for seed in range(max(SEEDS.values())):
        for corpus in corpora:
            for system in systems:
                if seed < SEEDS[corpus]:
                    yield Run(corpus, system, chosen_rate(system), seed)


def chosen_rate(system: str) -> float:
    """The rate with the highest mean F1 on the dev parts of CHOSEN_ON."""
    runs = list(rate_runs([system]))
    missing = [run for run in runs if not run.path.exists()]
    if missing:
        raise SystemExit(f"the rate of {system} is not chosen yet; run: python -m benchmarks.accuracy rates")
    return max(RATES, key=lambda rate: sum(run.read()["dev_f1"] for run in runs if run.rate == rate))


def parts_of(
    corpus: str, data: Path, output: Path, words: Mapping[str, int] = MappingProxyType(WORDS)
) -> dict[str, list[Document]]:
    split = prepare(corpus, data, output)
    return {part: some_of(read_documents(getattr(split, part)), most) for part, most in words.items()}


def some_of(documents: Iterable[Document], words: int) -> list[Document]:
    """Documents in the order of their texts' hash, until they have so many words."""
    chosen: list[Document] = []
    for document in sorted(documents, key=lambda d: (hashlib.sha256(d.text.encode()).digest(), d.id)):
        words -= len(document.text.split())
        if words < 0 and chosen:
            break
        chosen.append(document)
    return chosen


def execute(run: Run, parts: dict[str, list[Document]], epochs: int, device: str) -> None:
    """Train, predict and keep it; for the systems of this file."""
    import torch

    start = time.perf_counter()
    train = stock if SYSTEMS[run.system] is None else own
    dev_f1, found = train(run, parts, epochs, device)
    seconds = round(time.perf_counter() - start)
    run.keep(epochs, found, {"dev_f1": dev_f1, "seconds": seconds, "device": device, "torch": torch.__version__})


def epochs_for(documents: Sequence[Document]) -> int:
    words = sum(len(document.text.split()) for document in documents)
    return min(MOST, max(FEWEST, round(SEEN / words)))


def own(run: Run, parts: dict[str, list[Document]], epochs: int, device: str) -> tuple[float, list[list[Span]]]:
    from spanbert import SpanModel, TrainConfig, train

    settings = {"policy": "nested"} if CORPORA[run.corpus].nested and run.system == "spans" else {}
    task = SYSTEMS[run.system]
    assert task is not None
    model = SpanModel.create(minilm(), task=task, labels=[], settings=settings, seed=run.seed)
    config = TrainConfig(
        epochs=epochs,
        patience=epochs,
        learning_rate=run.rate,
        max_tokens=MAX_TOKENS,
        seed=run.seed,
        device=device,
        dtype=DTYPE,
    )
    trained = train(model, parts["train"], with_known_labels(parts), config)
    dev_f1 = float(trained.bundle.facts["report"]["micro"]["f1"])
    return dev_f1, [list(document.spans) for document in trained.predict(parts["test"])]


def with_known_labels(parts: dict[str, list[Document]]) -> list[Document]:
    """Dev without the few spans whose label train lacks: training refuses labels that it was not taught."""
    known = {span.label for document in parts["train"] for span in document.spans}
    return [
        Document(d.id, d.text, tuple(span for span in d.spans if span.label in known), meta=d.meta)
        for d in parts["dev"]
    ]


def stock(run: Run, parts: dict[str, list[Document]], epochs: int, device: str) -> tuple[float, list[list[Span]]]:
    from benchmarks.stock import Recipe, train_and_predict

    recipe = Recipe(run.rate, epochs, MAX_TOKENS, run.seed, device, bf16=DTYPE == "bfloat16")
    return train_and_predict(minilm(), {**parts, "dev": with_known_labels(parts)}, recipe)


if __name__ == "__main__":
    main()
