"""All clauses of a kind in whole contracts: 41 questions on each, many answers or none (CUAD).

    python -m benchmarks.clauses run [--kinds 8]       # trains and reads the test contracts, unless that is done
    python -m benchmarks.clauses report [--kinds 8]    # the table of benchmarks/README.md

A training that was cut off goes on where it was (`build/benchmarks/clauses`).

Of the 100 contracts at hand the 50 that are not in the pre-training corpus give 14 for the test and 4 to fit
probabilities on; the others are for training. Encoder: that of `make demo`. Every window of a contract is read for
every question (`--kinds`: of the first so many of the 41). results/clauses_before is of readers that were taught any of
the answers, not each, results/clauses_weighted of those in whose loss windows without an answer were weighted,
results/clauses_one_epoch of `--epochs 1`, results/clauses_five_epochs of `--epochs 5`. A clause is found where half of
its words agree, precision is told at 80 and 90 % recall, as CUAD does (Hendrycks et al. 2021, section 4).
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from benchmarks import packed_json
from benchmarks.datasets import DATA, OUTPUT
from benchmarks.pretraining_value import contracts_of_pretraining
from encoder import minilm
from spanbert import Document, SpanModel, TrainConfig, read_documents, train
from spanbert.metrics.bootstrap import bounds
from spanbert.metrics.clauses import clause_scores
from spanbert.metrics.probabilities import corrected_ece

RESULTS = Path(__file__).resolve().parent / "results" / "clauses"
RUNS = OUTPUT.parent / "clauses"
TEST, HELD_OUT, ALL = 14, 4, 41
EPOCHS, RATE, MAX_TOKENS, SILENT = 2, 2e-4, 2048, 1  # windows without an answer, of each question of a contract
DRAWS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "report"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--kinds", type=int, default=ALL, help="of clauses, in the order of the file")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.verb == "report":
        report(options.seeds, options.kinds, options.results)
        return
    for seed in range(options.seeds):
        path = path_of(seed, options.kinds, options.results)
        if not path.exists():
            run(seed, options.kinds, options.epochs, path)


def path_of(seed: int, kinds: int, results: Path) -> Path:
    return results / f"cuad-{kinds}-{seed}.json.gz"


def parts(kinds: int) -> dict[str, list[Document]]:
    known = contracts_of_pretraining(DATA)
    listed = [
        replace(document, questions=document.questions[:kinds])
        for document in read_documents(DATA / "cuad" / "cuad_train100.json.gz")
    ]
    listed.sort(key=lambda document: hashlib.sha256(document.text.encode()).digest())
    unread = [document for document in listed if document.meta["title"] not in known]
    apart = {document.id for document in unread[: TEST + HELD_OUT]}
    return {
        "test": unread[:TEST],
        "dev": unread[TEST : TEST + HELD_OUT],
        "train": [document for document in listed if document.id not in apart],
    }


def run(seed: int, kinds: int, epochs: int, path: Path) -> None:
    documents = parts(kinds)
    settings = {"policy": "flat", "null_windows": SILENT, "overlap": 128}
    model = SpanModel.create(minilm(), task="question-answering", settings=settings, seed=seed)
    config = TrainConfig(
        epochs=epochs,
        patience=epochs,
        learning_rate=RATE,
        max_tokens=MAX_TOKENS,
        seed=seed,
        output=str(RUNS / f"{kinds}-{epochs}-{seed}"),
        resume="auto",
    )
    trained = train(model, documents["train"], documents["dev"], config)
    learned = time.perf_counter()
    told = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for document in trained.predict_stream(documents["test"]):
        told[document.id] = [
            [[span.start, span.end, span.score] for span in question.n_best] for question in document.questions
        ]
    now = time.perf_counter()
    record = {
        "seed": seed,
        "kinds": kinds,
        "training_seconds": round(trained.bundle.facts["training"]["seconds"]),
        "reading_seconds": round(now - learned),
        "more_memory_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
        "training": trained.bundle.facts["training"],
        "report": trained.bundle.facts["report"],
        "threshold": trained.bundle.decisions["question-answering"].threshold,
        "told": told,
    }
    packed_json.write(path, record)
    print({name: value for name, value in record.items() if name != "told"}, flush=True)


def report(seeds: int, kinds: int, results: Path) -> None:
    """Scores with intervals by drawing contracts; calibration of every clause that was told."""
    test = parts(kinds)["test"]
    print(
        "| seed | area under precision and recall | precision at 80 % recall | at 90 % | clauses | ECE less chance | "
        "two questions with the same best answer |"
    )
    print("|--:|:-:|--:|--:|--:|--:|--:|")
    for seed in range(seeds):
        path = path_of(seed, kinds, results)
        if not path.exists():
            continue
        told = packed_json.read(path)["told"]
        pairs = [judged(document, told[document.id]) for document in test]
        found = clause_scores([pair for each in pairs for pair in each])
        draw, areas = np.random.default_rng(0), []
        for _ in range(DRAWS):
            drawn = draw.integers(0, len(pairs), len(pairs))
            areas.append(clause_scores([pair for k in drawn for pair in pairs[k]])["aupr"] or 0.0)
        low, high = bounds(np.array(areas))
        p, right = exactly_right(test, told)
        cells = [said(found[name]) for name in ("precision_at_80_recall", "precision_at_90_recall")]
        gold = sum(len(texts) for each in pairs for texts, _ in each)
        print(
            f"| {seed} | {found['aupr']:.1f} [{low:.1f}, {high:.1f}] | {cells[0]} | {cells[1]} | {gold} | "
            f"{corrected_ece(p, right):.3f} | {100 * alike(told):.0f} % |"
        )


def judged(document: Document, told: Sequence[Any]) -> list[tuple[list[str], list[tuple[str, float]]]]:
    return [
        (
            [document.text[a.start : a.end] for a in question.answers or ()],
            [(document.text[start:end], score) for start, end, score in guesses],
        )
        for question, guesses in zip(document.questions, told, strict=True)
    ]


def exactly_right(test: Sequence[Document], told: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    rows = [
        (score, any((a.start, a.end) == (start, end) for a in question.answers or ()))
        for document in test
        for question, guesses in zip(document.questions, told[document.id], strict=True)
        for start, end, score in guesses
    ]
    return np.array([score for score, _ in rows]), np.array([right for _, right in rows], dtype=bool)


def alike(told: dict[str, Any]) -> float:
    """Share of the pairs of questions about one contract whose best answers are the same: of a reader that does not see
    what it is asked, nearly all."""
    best = [[guesses[0][:2] if guesses else None for guesses in each] for each in told.values()]
    return float(np.mean([a == b and a is not None for each in best for a, b in combinations(each, 2)]))


def said(value: float | None) -> str:
    return "not reached" if value is None else f"{value:.1f} %"


if __name__ == "__main__":
    main()
