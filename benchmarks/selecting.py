"""What `spanbert select` saves: F1 by the number of annotated documents, beside a random choice.

    python -m benchmarks.selecting run [CORPUS ...] [--seeds 2]   # what is there is not run again
    python -m benchmarks.selecting report                         # the table of benchmarks/README.md

Both begin with the same random documents; a model is trained on them (tags, the encoder in the package), it or chance
names the next ones, and so on, each time from scratch. The documents are those of the training part of
`benchmarks/accuracy.py`, the dev part chooses epoch and probabilities, F1 is that of the test part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.accuracy import parts_of, with_known_labels
from benchmarks.datasets import DATA, OUTPUT
from spanbert import Document, SpanModel, TrainConfig, train
from spanbert.metrics.spans import count_documents, f1
from spanbert.selection import select

RESULTS = Path(__file__).resolve().parent / "results" / "selecting.jsonl"
CORPORA = ("fire", "kpi_edgar")
FIRST, STEP, ROUNDS = 60, 60, 6
RATE, MAX_TOKENS = 2.8e-4, 1024
READ, LEAST, MOST = 60_000, 12, 40  # words that a training reads at least, and its epochs
SYSTEMS = ("random", "select")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "report"))
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help=f"{', '.join(CORPORA)}, unless named")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    corpora = options.corpora or list(CORPORA)
    if options.verb == "report":
        report(corpora, options.seeds)
        return
    for seed in range(options.seeds):
        for corpus in corpora:
            for system in SYSTEMS:
                if len(curve(corpus, system, seed)) < ROUNDS:
                    course(corpus, system, seed)


def course(corpus: str, system: str, seed: int) -> None:
    """One line of documents annotated, step by step; a line is kept whole or not at all."""
    parts = parts_of(corpus, DATA, OUTPUT)
    pool = {document.id: document for document in parts["train"]}
    draw = np.random.default_rng(seed)
    order = [list(pool)[k] for k in draw.permutation(len(pool))]
    chosen, rows = order[:FIRST], []
    for _ in range(ROUNDS):
        model = learnt([pool[name] for name in chosen], parts, seed)
        rows.append((len(chosen), words(pool, chosen), score(model, parts["test"])))
        print(corpus, system, seed, rows[-1], flush=True)
        rest = [name for name in order if name not in set(chosen)]
        if system == "select":
            rest = [found.id for found in select(model, [Document(name, pool[name].text) for name in rest], STEP)]
        chosen = chosen + rest[:STEP]
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"corpus": corpus, "system": system, "seed": seed, "curve": rows}) + "\n")


def learnt(documents: Sequence[Document], parts: dict[str, list[Document]], seed: int) -> SpanModel:
    epochs = min(MOST, max(LEAST, round(READ / sum(len(document.text.split()) for document in documents))))
    config = TrainConfig(
        epochs=epochs, patience=epochs, learning_rate=RATE, max_tokens=MAX_TOKENS, seed=seed, dtype="bfloat16"
    )
    model = SpanModel.create(task="token-classification", seed=seed)
    return train(model, documents, with_known_labels({"train": list(documents), "dev": parts["dev"]}), config)


def score(model: SpanModel, gold: Sequence[Document]) -> float:
    found = model.predict([Document(document.id, document.text) for document in gold])
    return float(f1(count_documents(gold, found).by_label.sum((0, 1))))


def words(pool: dict[str, Document], chosen: Sequence[str]) -> int:
    return sum(len(pool[name].text.split()) for name in chosen)


def curve(corpus: str, system: str, seed: int) -> list[tuple[int, int, float]]:
    """Documents, their words and the F1 after each step; nothing where it was not run."""
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    for record in map(json.loads, lines):
        if (record["corpus"], record["system"], record["seed"]) == (corpus, system, seed):
            return [(documents, read, value) for documents, read, value in record["curve"]]
    return []


def report(corpora: Sequence[str], seeds: int) -> None:
    """Mean curves, and with how many documents and words the last F1 of random choice is reached, in Markdown."""
    print("| corpus | choice | seeds | " + " | ".join(str(FIRST + STEP * k) for k in range(ROUNDS)) + " |")
    print("|---|---|--:|" + "--:|" * ROUNDS)
    said = []
    for corpus in corpora:
        known = [seed for seed in range(seeds) if all(curve(corpus, system, seed) for system in SYSTEMS)]
        if not known:
            continue
        means = {system: np.mean([curve(corpus, system, seed) for seed in known], axis=0) for system in SYSTEMS}
        for system, mean in means.items():
            print(
                f"| {corpus} | {system} | {len(known)} | " + " | ".join(f"{value:.3f}" for value in mean[:, 2]) + " |"
            )
        target = means["random"][-1, 2]
        documents, read = (reached(means["select"], column, target) for column in (0, 1))
        all_documents, all_read = means["random"][-1, :2]
        said.append(
            f"{corpus}: F1 {target:.3f} of random choice after {all_documents:.0f} documents is reached with "
            f"{documents:.0f} ({1 - documents / all_documents:+.0%} saved), {1 - read / all_read:+.0%} of the words"
        )
    print("\n" + "\n".join(said))


def reached(mean: np.ndarray, column: int, target: float) -> float:
    """The number of documents (column 0) or words (1) at which the curve first has this F1, between its points."""
    for before, after in zip(mean, mean[1:], strict=False):
        if after[2] >= target:
            share = float(np.clip((target - before[2]) / max(after[2] - before[2], 1e-9), 0, 1))
            return float(before[column] + share * (after[column] - before[column]))
    return float("nan")


if __name__ == "__main__":
    main()
