"""Choices behind the defaults of training, measured: the peak rate, and what keeps rare spans stable.

    python benchmarks/training_choices.py rate     # F1 on FIRE by learning rate, both tasks
    python benchmarks/training_choices.py rare     # one rare label: prior, and what the loss is divided by

Results are appended to benchmarks/results/training_choices.jsonl as they come; what is there is not run again.
Needs the encoder of `make demo`. One row takes one to five minutes on two cores.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import torch

from encoder import minilm
from spanbert import Document, SpanModel, TrainConfig, evaluate, read_documents, train
from spanbert.tasks.span_classification import SpanClassification
from spanbert.training.tracking import Event, Stepped

FIRE = Path(__file__).resolve().parents[1] / "examples" / "data" / "fire"
RESULTS = Path(__file__).resolve().parent / "results" / "training_choices.jsonl"
RARE = "GeopoliticalEntity"


def main() -> None:
    studies = {"rate": rate_study, "rare": rare_study}
    if len(sys.argv) != 2 or sys.argv[1] not in studies:
        raise SystemExit(__doc__)
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    studies[sys.argv[1]]()


def rate_study() -> None:
    """The same three epochs on half of FIRE with several peak rates of the encoder."""
    documents = list(read_documents(FIRE / "train.jsonl.gz"))[::2]
    for task in ("span-classification", "token-classification"):
        for rate in (7e-5, 1.4e-4, 2.8e-4, 5.6e-4):
            for seed in (0,):
                run({"study": "rate", "task": task, "rate": rate, "seed": seed}, documents, [])


def rare_study() -> None:
    """Some 70 spans of one label in 400 documents: does training find them, and how does its loss behave?"""
    documents = only(list(read_documents(FIRE / "train.jsonl.gz")), RARE)
    with_one = [document for document in documents if document.spans]
    without = [document for document in documents if not document.spans]
    some = with_one[:60] + without[:340]
    for seed in (0, 1, 2):
        for variant in ("prior, by pieces", "no prior, by pieces", "prior, by pairs"):
            run({"study": "rare", "variant": variant, "seed": seed}, some, [RARE])


def run(key: dict[str, object], documents: list[Document], labels: list[str]) -> None:
    """Train and evaluate one row, unless it is there already."""
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    row = next((row for row in done if key.items() <= row.items()), None)
    if row is None:
        row = measured(key, documents, labels)
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


def measured(key: dict[str, object], documents: list[Document], labels: list[str]) -> dict[str, object]:
    dev, test = (list(read_documents(FIRE / f"{name}.jsonl.gz")) for name in ("dev", "test"))
    if labels:
        dev, test = only(dev, labels[0]), only(test, labels[0])
    seed = int(str(key["seed"]))
    model = SpanModel.create(minilm(), task=str(key.get("task", "span-classification")), labels=labels, seed=seed)
    restore = apply(str(key.get("variant", "")), model)
    losses: list[float] = []
    rate = key.get("rate")
    config = TrainConfig(epochs=3, seed=seed, learning_rate=float(str(rate)) if rate else None)
    began = time.monotonic()
    try:
        trained = train(model, documents, dev, config, [lambda event: note(event, losses)])
    finally:
        restore()
    report = evaluate(trained, test + dev if labels else test)
    return {
        **key,
        "f1": round(report.micro.f1, 4),
        "f1_interval": [round(x, 4) for x in report.micro.f1_interval or ()],
        "first_losses": [round(loss, 3) for loss in losses[:5]],
        "largest_loss": round(max(losses), 3),
        "last_loss": round(losses[-1], 4),
        "seconds": round(time.monotonic() - began),
    }


def apply(variant: str, model: SpanModel) -> Callable[[], None]:
    """Change what the variant names; returns what undoes it."""
    if variant.startswith("no prior"):
        with torch.no_grad():
            model.bundle.network.heads["span-classification"].width_bias.zero_()  # type: ignore[union-attr,operator]
    if variant.endswith("by pairs"):
        original = SpanClassification.examples

        def by_pairs(self, document, pieces, draw):  # type: ignore[no-untyped-def]
            for example in original(self, document, pieces, draw):
                n = example.counts["spans"]
                yield replace(example, counts={"spans": n * (n + 1) / 2})

        SpanClassification.examples = by_pairs  # type: ignore[method-assign]
        return lambda: setattr(SpanClassification, "examples", original)
    return lambda: None


def note(event: Event, losses: list[float]) -> None:
    if isinstance(event, Stepped):
        losses.append(sum(event.losses.values()))


def only(documents: list[Document], label: str) -> list[Document]:
    return [replace(d, spans=tuple(span for span in d.spans if span.label == label)) for d in documents]


if __name__ == "__main__":
    main()
