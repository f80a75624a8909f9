"""Relations: the recipe of pairs against a plain sequence classifier, and one pass against pairs.

    python -m benchmarks.relations semeval    # SemEval-2010 Task 8, three seeds; what is there is not run again
    python -m benchmarks.relations joint      # FIRE and KPI-EDGAR, from raw text to triples
    python -m benchmarks.relations speed      # documents a second of the two recipes, in turn; trains them where absent
    python -m benchmarks.relations report     # the tables of benchmarks/README.md

Same encoder (that of `make demo`), positions a step, warm-up, decay and precision (bfloat16), and epochs against the
classifier (those of the two recipes are in EPOCHS); each keeps its best epoch on dev. The classifier of `transformers`
reads the very pieces that our recipe makes, markers included. The 8,000 sentences of SemEval's training file are parted
by their texts' hash, since the test file is not at hand. Of FIRE and KPI-EDGAR 20,000 words are for training.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from benchmarks import packed_json
from benchmarks.accuracy import some_of
from benchmarks.datasets import DATA, OUTPUT, prepare
from encoder import minilm
from spanbert import Document, Relation, SpanModel, TrainConfig, evaluate, read_documents, train
from spanbert.formats.jsonl import from_json, to_json
from spanbert.metrics.bootstrap import bounds, resample
from spanbert.metrics.relation_report import joint_report, relation_counts
from spanbert.metrics.relations import NO_RELATION, OTHER, score_semeval2010_task8
from spanbert.metrics.spans import f1

RESULTS = Path(__file__).resolve().parent / "results" / "relations"
MODELS = Path(__file__).resolve().parents[1] / "build" / "benchmarks" / "relations"
SEEDS, DTYPE, MAX_TOKENS = 3, "bfloat16", 1024
SENTENCES = {"train": 5000, "dev": 600, "test": 2400}
SEMEVAL_EPOCHS, SEMEVAL_RATE = 4, 1.4e-4
JOINT_RATE, JOINT_WORDS = 2.8e-4, 20_000
CORPORA = ("kpi_edgar", "fire")
EPOCHS = {"pairs": 4, "joint": 12}  # an epoch of pairs reads some twenty times as many pieces
RECIPES: dict[str, list[str]] = {
    "pairs": ["span-classification", "relation-extraction"],
    "joint": ["joint-extraction"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("semeval", "joint", "speed", "report"))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.verb == "semeval":
        for seed in range(options.seeds):
            for system, run in (("stock", stock), ("ours", ours)):
                keep(RESULTS / f"semeval-{system}-{seed}.json.gz", lambda run=run, seed=seed: run(sentences(), seed))  # type: ignore[misc]
    elif options.verb == "joint":
        for seed in range(options.seeds):
            for corpus in CORPORA:
                for recipe in RECIPES:
                    path = RESULTS / f"{corpus}-{recipe}-{seed}.json.gz"
                    keep(path, lambda corpus=corpus, recipe=recipe, seed=seed: triples(corpus, recipe, seed))  # type: ignore[misc]
    elif options.verb == "speed":
        speed(options.rounds)
    else:
        report(options.seeds)


def keep(path: Path, run: Any) -> None:
    """What the run predicts of the test part, unless it is there."""
    if path.exists():
        return
    start = time.perf_counter()
    record = {**run(), "dtype": DTYPE}
    record["seconds"] = round(time.perf_counter() - start)
    packed_json.write(path, record)
    print(f"{path.name}: {record['seconds']} s, dev {record['dev']:.4f}", flush=True)


def read(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = packed_json.read(path)
    return record


def sentences() -> dict[str, list[Document]]:
    path = DATA / "semeval2010_task8" / "TRAIN_FILE.TXT.gz"
    listed = sorted(read_documents(path), key=lambda d: hashlib.sha256(d.text.encode()).digest())
    parts, begin = {}, 0
    for part, number in SENTENCES.items():
        parts[part] = listed[begin : begin + number]
        begin += number
    return parts


def labels_of(documents: Sequence[Document]) -> list[str]:
    return [OTHER if d.relations[0].label == NO_RELATION else d.relations[0].label for d in documents]


def config(seed: int, epochs: int, rate: float) -> TrainConfig:
    return TrainConfig(
        epochs=epochs, patience=epochs, learning_rate=rate, max_tokens=MAX_TOKENS, seed=seed, dtype=DTYPE
    )


def ours(parts: dict[str, list[Document]], seed: int) -> dict[str, Any]:
    model = SpanModel.create(minilm(), task="relation-extraction", seed=seed)
    trained = train(model, parts["train"], parts["dev"], config(seed, SEMEVAL_EPOCHS, SEMEVAL_RATE))
    shown = [Document(d.id, d.text, d.spans, (Relation(*d.spans[:2], NO_RELATION),)) for d in parts["test"]]
    found = [
        max(document.relations, key=lambda r: r.score or 0.0).label if document.relations else OTHER
        for document in trained.predict(shown)
    ]
    dev = evaluate(trained, parts["dev"]).value("semeval2010_task8/macro_f1")
    return {"dev": dev / 100, "found": found}


def stock(parts: dict[str, list[Document]], seed: int) -> dict[str, Any]:
    """`AutoModelForSequenceClassification` with its `Trainer`, on the pieces of our windows."""
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        set_seed,
    )

    from benchmarks.stock import Recipe

    names = sorted(set(labels_of(parts["train"])))
    made = SpanModel.create(minilm(), task="relation-extraction", labels=[n for n in names if n != OTHER], seed=seed)
    task = made.bundle.tasks["relation-extraction"].adapted(parts["train"], 1)
    rows = {
        part: [
            {"input_ids": next(iter(task.examples(d, pieces, None))).windows[0].ids.tolist(), "labels": number}
            for d, pieces, number in zip(
                documents,
                made.bundle.tokenizer.pieces([d.text for d in documents]),
                [names.index(label) if label in names else 0 for label in labels_of(documents)],
                strict=True,
            )
        ]
        for part, documents in parts.items()
    }
    set_seed(seed)
    recipe = Recipe(SEMEVAL_RATE, SEMEVAL_EPOCHS, MAX_TOKENS, seed, "cpu", bf16=DTYPE == "bfloat16")
    mean = np.mean([len(row["input_ids"]) for row in rows["train"]])
    gold = labels_of(parts["dev"])

    def score(prediction: Any) -> dict[str, float]:
        return {"f1": macro(gold, [names[k] for k in prediction.predictions.argmax(-1)])}

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=AutoModelForSequenceClassification.from_pretrained(minilm(), num_labels=len(names)),
            args=recipe.arguments(folder, float(mean)),
            train_dataset=rows["train"],
            eval_dataset=rows["dev"],
            data_collator=DataCollatorWithPadding(AutoTokenizer.from_pretrained(minilm())),
            compute_metrics=score,
        )
        trainer.train()
        trainer.compute_metrics = None
        best = trainer.predict(rows["test"]).predictions.argmax(-1)
        return {"dev": float(trainer.state.best_metric or 0.0), "found": [names[k] for k in best]}


def macro(gold: Sequence[str], found: Sequence[str]) -> float:
    return score_semeval2010_task8(list(enumerate(gold)), list(enumerate(found))).macro_f1 / 100


def parts_of(corpus: str) -> dict[str, list[Document]]:
    split = prepare(corpus, DATA, OUTPUT)
    parts = {part: list(read_documents(getattr(split, part))) for part in ("train", "dev", "test")}
    parts["train"] = some_of(parts["train"], JOINT_WORDS)
    known = {(r.head.label, r.tail.label, r.label) for d in parts["train"] for r in d.relations}
    labels = {span.label for d in parts["train"] for span in d.spans}
    parts["dev"] = [  # training refuses labels that it was not taught
        Document(
            d.id,
            d.text,
            tuple(s for s in d.spans if s.label in labels),
            tuple(r for r in d.relations if (r.head.label, r.tail.label, r.label) in known),
        )
        for d in parts["dev"]
    ]
    return parts


def trained_on(corpus: str, recipe: str, seed: int) -> tuple[SpanModel, dict[str, list[Document]]]:
    parts = parts_of(corpus)
    folder = MODELS / f"{corpus}-{recipe}-{seed}"
    if (folder / "checksums.json").exists():
        return SpanModel.from_pretrained(folder), parts
    settings = {} if recipe == "joint" else {"pairs": "all"}
    model = SpanModel.create(minilm(), task=RECIPES[recipe], settings=settings, seed=seed)
    trained = train(model, parts["train"], parts["dev"], config(seed, EPOCHS[recipe], JOINT_RATE))
    trained.save_pretrained(folder)
    return trained, parts


def triples(corpus: str, recipe: str, seed: int) -> dict[str, Any]:
    """From raw text: spans and the relations between them."""
    trained, parts = trained_on(corpus, recipe, seed)
    dev = joint_report(parts["dev"], trained.predict([Document(d.id, d.text) for d in parts["dev"]])).micro.f1
    start = time.perf_counter()
    found = trained.predict([Document(d.id, d.text) for d in parts["test"]])
    return {
        "dev": dev,
        "found": [to_json(Document(d.id, d.text, d.spans, d.relations)) for d in found],
        "predicting": round(time.perf_counter() - start, 2),
    }


def speed(rounds: int) -> None:
    """Documents a second from raw text to triples, the recipes in turn in one process."""
    print("| corpus | documents | pairs | joint | joint is faster by |\n|---|--:|--:|--:|--:|")
    for corpus in CORPORA:
        models = {recipe: trained_on(corpus, recipe, 0) for recipe in RECIPES}
        texts = [Document(d.id, d.text) for d in models["joint"][1]["test"]]
        for model, _ in models.values():
            model.predict(texts[:20])
        rates: dict[str, list[float]] = {recipe: [] for recipe in RECIPES}
        for _ in range(rounds):
            for recipe, (model, _) in models.items():
                start = time.perf_counter()
                model.predict(texts)
                rates[recipe].append(len(texts) / (time.perf_counter() - start))
        ratios = [joint / pair for joint, pair in zip(rates["joint"], rates["pairs"], strict=True)]
        cells = [f"{np.median(rates[recipe]):.0f}" for recipe in RECIPES]
        shown = f"{np.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        print(f"| {corpus} | {len(texts)} | " + " | ".join([*cells, shown]) + " |", flush=True)


def report(seeds: int) -> None:
    """Print the tables in Markdown, from whatever runs are there."""
    gold = labels_of(sentences()["test"])
    runs = {
        system: [
            read(path)["found"]
            for seed in range(seeds)
            if (path := RESULTS / f"semeval-{system}-{seed}.json.gz").exists()
        ]
        for system in ("stock", "ours")
    }
    if all(runs.values()):
        print("| SemEval-2010 Task 8 | seeds | macro F1 |\n|---|--:|--:|")
        for system, found in runs.items():
            values = [macro(gold, each) for each in found]
            print(f"| {system} | {len(values)} | {100 * np.mean(values):.1f} ± {100 * np.std(values):.1f} |")
        low, high = bounds(np.array(list(drawn_differences(gold, runs))))
        middle = np.mean([macro(gold, each) for each in runs["ours"]]) - np.mean(
            [macro(gold, each) for each in runs["stock"]]
        )
        print(f"\nours - stock: {100 * middle:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] (sentences drawn)\n")
    print("| corpus | recipe | seeds | strict relation F1 | spans F1 | joint less pairs |\n|---|---|--:|--:|--:|:-:|")
    for corpus in CORPORA:
        joint_table(corpus, seeds)


def drawn_differences(gold: Sequence[str], runs: dict[str, list[list[str]]], samples: int = 300) -> Iterator[float]:
    draw = np.random.default_rng(0)
    for _ in range(samples):
        chosen = draw.integers(0, len(gold), len(gold))
        said = [gold[k] for k in chosen]
        means = {
            system: np.mean([macro(said, [each[k] for k in chosen]) for each in found])
            for system, found in runs.items()
        }
        yield float(means["ours"] - means["stock"])


def joint_table(corpus: str, seeds: int) -> None:
    gold = parts_of(corpus)["test"]
    counts: dict[str, list[np.ndarray]] = {}
    for recipe in RECIPES:
        paths = [path for seed in range(seeds) if (path := RESULTS / f"{corpus}-{recipe}-{seed}.json.gz").exists()]
        found = [[from_json(each) for each in read(path)["found"]] for path in paths]
        counts[recipe] = [relation_counts(gold, each).by_label.sum(axis=1) for each in found]
        if found:
            reports = [joint_report(gold, each) for each in found]
            values, spans = [r.micro.f1 for r in reports], [float(r.scores["spans"]["f1"]) for r in reports]
            less = difference(counts["joint"], counts["pairs"]) if recipe == "joint" and counts["pairs"] else ""
            print(f"| {corpus} | {recipe} | {len(found)} | {np.mean(values):.3f} | {np.mean(spans):.3f} | {less} |")


def difference(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> str:
    drawn = [np.mean([f1(resample(counts)) for counts in runs], axis=0) for runs in (ours, theirs)]
    low, high = bounds(drawn[0] - drawn[1])
    middle = np.mean([float(f1(c.sum(0))) for c in ours]) - np.mean([float(f1(c.sum(0))) for c in theirs])
    return f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main()
