"""Which encoder to start from: strict F1 on dev parts after the same fine-tuning.

    python -m benchmarks.base_models run [CANDIDATE ...] [--seeds 1]   # what is there is not run again
    python -m benchmarks.base_models report                            # the table of docs/models.md

Candidates: `spanbert-mini`, the encoder in the package; `before`, its layers under its vocabulary before its
pre-training; `random`, its shape with random weights; `neighbours` and `neighbours-30m`, from scratch by the default
start (four layers of 256, 8,000 pieces), nothing read and 30 million positions; `neighbours-5m` and `distilled`, that
after five million (another seed), without and with a teacher (`distillation.py`); `minilm`, the encoder that the others
were made from (six layers, uncased, 30,522 pieces); `trimmed-16000` and `trimmed-22500`, that with so many of its
pieces; `spanbert-minilm`, the last after its pre-training, on 64 million positions. Kept as results alone: those after
12 million (`minilm-12m`) and after 100 million at a rate of 2.5e-4 (`minilm-100m`); `mini-80m`, like `spanbert-mini`
after 80 million at 3e-4; `scratch`, its shape with random weights after 30 million at 5e-4; `mini-10048…`, the model of
that name before, with 10,048 pieces, after 16 million. Span classification, 25,000 words of training text a corpus, the
same rate and epochs for all.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from examples.pretrain.spanbert_mini import LAYERS, SOURCES
from examples.pretrain.spanbert_minilm import trimmed as with_most_used_pieces

from benchmarks.accuracy import epochs_for, minilm, parts_of, with_known_labels
from benchmarks.datasets import DATA, OUTPUT, ROOT
from benchmarks.distillation import distilled
from benchmarks.pretraining_value import encoder
from spanbert import SpanModel, TrainConfig, continued, train
from spanbert.bundle import load_base
from spanbert.encoder.files import locate
from spanbert.encoder.packed import PackedBert

RESULTS = Path(__file__).resolve().parent / "results" / "base_models.jsonl"
WORK = ROOT / "build" / "benchmarks" / "base_models"
CORPORA = ("fire", "wnut17", "crossner_politics", "ncbi_disease")
RATE, MAX_TOKENS = 2.8e-4, 1024
MINI, MINILM = "spanbert-mini", "spanbert-minilm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "report"))
    parser.add_argument("candidates", nargs="*", metavar="CANDIDATE", help="all, unless named")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--vocabulary", default=locate(MINI), help="folder with the vocabulary of `before` and `random`"
    )
    options = parser.parse_args()
    if options.verb == "report":
        report()
        return
    for seed in range(options.seeds):
        for candidate in options.candidates or list(CANDIDATES):
            for corpus in CORPORA:
                if (corpus, candidate, seed) not in done():
                    execute(corpus, candidate, seed, CANDIDATES[candidate](options.vocabulary))


def done() -> dict[tuple[str, str, int], float]:
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    records = map(json.loads, lines)
    return {(r["corpus"], r["candidate"], r["seed"]): r["dev_f1"] for r in records}


def execute(corpus: str, candidate: str, seed: int, base: Path) -> None:
    parts = parts_of(corpus, DATA, OUTPUT)
    epochs, start = epochs_for(parts["train"]), time.perf_counter()
    model = SpanModel.create(base, task="span-classification", labels=[], seed=seed)
    config = TrainConfig(epochs=epochs, patience=epochs, learning_rate=RATE, max_tokens=MAX_TOKENS, seed=seed)
    trained = train(model, parts["train"], with_known_labels(parts), config)
    record = {
        "corpus": corpus,
        "candidate": candidate,
        "seed": seed,
        "dev_f1": round(float(trained.bundle.facts["report"]["micro"]["f1"]), 4),
        "epochs": epochs,
        "seconds": round(time.perf_counter() - start),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    print(record, flush=True)


def report() -> None:
    found = done()
    print("| start | " + " | ".join(CORPORA) + " | mean |\n|---|" + "--:|" * (len(CORPORA) + 1))
    for candidate in dict.fromkeys([*CANDIDATES, *(name for _, name, _ in found)]):
        rows = [[f1 for (c, name, _), f1 in found.items() if (c, name) == (corpus, candidate)] for corpus in CORPORA]
        if all(rows):
            means = [float(np.mean(row)) for row in rows]
            cells = [f"{value:.3f}" for value in (*means, np.mean(means))]
            print(f"| {candidate} ({min(map(len, rows))} seeds) | " + " | ".join(cells) + " |")


# The candidates: each a folder with an encoder.


def before(vocabulary: str) -> Path:
    folder = WORK / "before"
    if not folder.exists():
        continued(minilm(), vocabulary=vocabulary, layers=LAYERS).save_pretrained(folder)
    return folder


def random(vocabulary: str) -> Path:
    folder = WORK / "random"
    if not folder.exists():
        model = continued(before(vocabulary))
        begun, _ = load_base(before(vocabulary))
        model.bundle.network.encoder.load_state_dict(PackedBert(begun.config).state_dict())
        model.save_pretrained(folder)
    return folder


def trimmed(pieces: int) -> Path:
    files = [str(ROOT.parent / "shared" / "data" / "pretrain" / f"{name}-00.jsonl.gz") for name in SOURCES]
    return with_most_used_pieces(WORK / f"trimmed-{pieces}", files, pieces)


def from_scratch(variant: str, seed: int = 0) -> Path:
    return encoder(variant, seed, ROOT / "build" / "pretraining_value", DATA, 30_000_000)


CANDIDATES: dict[str, Callable[[str], Path]] = {
    "random": random,
    "neighbours": lambda vocabulary: from_scratch("neighbours"),  # noqa: ARG005
    "neighbours-30m": lambda vocabulary: from_scratch("neighbours-all"),  # noqa: ARG005
    "neighbours-5m": lambda vocabulary: from_scratch("neighbours-sixth", 1),  # noqa: ARG005
    "distilled": lambda vocabulary: distilled(1),  # noqa: ARG005
    "before": before,
    "trimmed-16000": lambda vocabulary: trimmed(16_000),  # noqa: ARG005 - all are called alike
    "trimmed-22500": lambda vocabulary: trimmed(22_500),  # noqa: ARG005
    MINI: lambda vocabulary: locate(MINI),  # noqa: ARG005
    MINILM: lambda vocabulary: locate(MINILM),  # noqa: ARG005
    "minilm": lambda vocabulary: minilm(),  # noqa: ARG005
}


if __name__ == "__main__":
    main()
