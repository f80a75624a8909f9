"""Whether probabilities mean what they say on test parts that nothing was fitted on, and whether promises are kept.

    python -m benchmarks.calibration train [CORPUS ...]   # train, calibrate on dev, decode the test parts
    python -m benchmarks.calibration report               # the tables of benchmarks/README.md
    python -m benchmarks.calibration promises [--require 'recall>=0.5']

Encoder and corpora are those of `benchmarks/accuracy.py` with its rate; training ends with the calibration on dev, as
everywhere. What was decoded in the test parts is kept in benchmarks/results/calibration, a file a run, with what other
tools would have said of the same spans: the head's own probability; a temperature fitted on the same dev part; and,
for tags, the mean and the product of the tags' probabilities over the span's pieces.

A promise (precision>=0.9, unless another is named) is tried twice REDRAWS times. Halved: probabilities and thresholds
from one half of the test part's documents, the rate on the other, whose own chance then speaks too. Drawn: the test
part stands for all text, as many documents are drawn from it with replacement, and the rate is that of the whole part.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import packed_json
from benchmarks.accuracy import SYSTEMS, Run, epochs_for, minilm, parts_of, with_known_labels
from benchmarks.datasets import CORPORA, DATA, OUTPUT
from spanbert import Document, SpanModel, TrainConfig, train
from spanbert.calibration.fitting import Outcomes, fit, temperature
from spanbert.calibration.requirements import NEVER, Requirement, promises
from spanbert.errors import DataError
from spanbert.evaluation.outcomes import collected
from spanbert.metrics.probabilities import brier, corrected_ece, ece, log_loss

RESULTS = Path(__file__).resolve().parent / "results" / "calibration"
TRIED = ("fire", "wnut17", "crossner_politics", "crossner_science", "ncbi_disease", "kpi_edgar")
RATE, SAMPLES, REDRAWS = 2.8e-4, 1000, 200
OURS, HEAD, WARMED, MEAN, PRODUCT = "ours", "head", "temperature", "mean of tags", "product of tags"
RIVALS = (HEAD, WARMED, MEAN, PRODUCT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("train", "report", "promises"))
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help="some, unless named")
    parser.add_argument("--require", default="precision>=0.9")
    options = parser.parse_args()
    corpora = options.corpora or list(TRIED)
    if options.verb == "report":
        report(corpora)
        return
    if options.verb == "promises":
        promised(corpora, Requirement.parse(options.require))
        return
    for corpus in corpora:
        for system, task in SYSTEMS.items():
            if task is not None and not kept(corpus, system).exists():
                execute(Run(corpus, system, RATE, seed=0), task)


def kept(corpus: str, system: str) -> Path:
    return RESULTS / f"{corpus}-{system}.json.gz"


def execute(run: Run, task: str) -> None:
    """Train, decode the test part, keep."""
    parts = parts_of(run.corpus, DATA, OUTPUT)
    epochs = epochs_for(parts["train"])
    settings = {"policy": "nested"} if CORPORA[run.corpus].nested and run.system == "spans" else {}
    model = SpanModel.create(minilm(), task=task, labels=[], settings=settings, seed=run.seed)
    config = TrainConfig(epochs=epochs, patience=epochs, learning_rate=run.rate, max_tokens=1024, seed=run.seed)
    trained = train(model, parts["train"], with_known_labels(parts), config)
    found, others = decoded(trained, parts["test"])
    calibration = trained.bundle.decisions[task].calibration
    said = {
        OURS: found.probabilities(calibration),
        HEAD: 1 / (1 + np.exp(-found.logits)),
        WARMED: temperature(trained.bundle.fitted[task]).probabilities(found.logits),
        **others,
    }
    record = {
        "corpus": run.corpus,
        "system": run.system,
        "epochs": epochs,
        "dev_spans": len(trained.bundle.fitted[task]),
        "curve": {name: getattr(calibration, name) for name in ("slope", "offset", "bend")},
        "outcomes": found.to_json(),
        "said": {name: np.round(values, 5).tolist() for name, values in said.items()},
    }
    packed_json.write(kept(run.corpus, run.system), record)
    print(f"{run.corpus} {run.system}: {len(found)} spans, Brier {brier(said[OURS], found.right):.4f}", flush=True)


def decoded(model: SpanModel, documents: Sequence[Document]) -> tuple[Outcomes, dict[str, Any]]:
    """What the model decodes in gold documents; and, for tags, what their probabilities would say of each span."""
    predictor = model.predictor()
    ((name, task),) = predictor.tasks.items()
    judged, means, products = [], [], []
    for document, (reading, found) in zip(
        documents, predictor.decoded(task.visible(document) for document in documents), strict=True
    ):
        judged.append(task.judged(document, found[name]))
        if "emission" not in reading.tables[name]:
            continue
        table = reading.tables[name]
        emission = table["emission"][np.argsort(table["piece"], kind="stable")].astype(np.float64)
        shares = np.exp(emission - emission.max(1, keepdims=True))
        best = (shares / shares.sum(1, keepdims=True)).max(1)
        for span in found[name].spans:
            inside = (reading.pieces.starts >= span.start) & (reading.pieces.ends <= span.end)
            means.append(float(best[inside].mean()))
            products.append(float(best[inside].prod()))
    others = {MEAN: np.array(means), PRODUCT: np.array(products)} if means else {}
    return collected(judged, task.settings.labels), others


def report(corpora: Sequence[str]) -> None:
    """Calibration errors with their intervals by document, Brier scores beside those of others."""
    rivals = " | ".join(RIVALS)
    print(f"| corpus | head | spans | ECE | ECE less chance [95 %] | log loss | Brier: ours | {rivals} |")
    print("|---|---|--:|--:|:-:|--:|--:|" + "--:|" * len(RIVALS))
    for corpus, system in rows(corpora):
        record, found = read(kept(corpus, system))
        said = {name: np.array(values) for name, values in record["said"].items()}
        p = said[OURS]
        low, high = interval(p, found)
        briers = [f"{brier(said[name], found.right):.4f}" if name in said else "" for name in RIVALS]
        print(
            f"| {corpus} | {system} | {len(found):,} | {ece(p, found.right):.3f} | "
            f"{corrected_ece(p, found.right):.3f} [{low:.3f}, {high:.3f}] | {log_loss(p, found.right):.3f} | "
            f"{brier(p, found.right):.4f} | " + " | ".join(briers) + " |"
        )


def rows(corpora: Sequence[str]) -> list[tuple[str, str]]:
    return [(corpus, system) for corpus in corpora for system in SYSTEMS if kept(corpus, system).exists()]


def promised(corpora: Sequence[str], requirement: Requirement) -> None:
    """How often a promise is kept, and what is left of the other rate."""
    other = {"precision": "recall", "recall": "precision"}[requirement.rate]
    what = f"{requirement.rate} >= {requirement.least:g}"
    print(f"| corpus | head | {what}, drawn: kept in | {other} left (median) | halved: kept in |")
    print("|---|---|--:|--:|--:|")
    for corpus, system in rows(corpora):
        _, found = read(kept(corpus, system))
        cells = []
        for drawn in (True, False):
            held, refused, left = redraws(found, requirement, drawn=drawn)
            tried = REDRAWS - refused
            cells.append(f"{held / tried:.1%} of {tried}" if tried else f"refused in {refused}")
            if drawn:
                cells.append(f"{np.median(left):.2f}" if left else "-")
        print(f"| {corpus} | {system} | " + " | ".join(cells) + " |", flush=True)


def read(path: Path) -> tuple[dict[str, Any], Outcomes]:
    record: dict[str, Any] = packed_json.read(path)
    return record, Outcomes.from_json(record["outcomes"])


def interval(p: Any, found: Outcomes) -> tuple[float, float]:
    """Of the ECE less chance: 2.5 and 97.5 % of it over documents drawn anew, less what drawing adds to it."""
    draw = np.random.default_rng(0)
    rows = [np.flatnonzero(found.documents == number) for number in np.unique(found.documents)]
    values = []
    for _ in range(SAMPLES // 5):
        chosen = np.concatenate([rows[number] for number in draw.integers(0, len(rows), len(rows))])
        values.append(corrected_ece(p[chosen], found.right[chosen]))
    # a sample drawn with repetition is less even than the data: its error is larger by about as much again
    shift = float(np.mean(values)) - corrected_ece(p, found.right)
    low, high = np.quantile(values, [0.025, 0.975]) - shift
    return max(0.0, float(low)), max(0.0, float(high))


def redraws(found: Outcomes, requirement: Requirement, *, drawn: bool) -> tuple[int, int, list[float]]:
    """How often the promise was kept, and refused; and what it left of the other rate.

    Both rates are of all labels of which something is told: each has a promise of its own.
    """
    draw = np.random.default_rng(0)
    number = max(len(counts) for counts in found.gold.values())
    kept, refused, left = 0, 0, []
    for _ in range(REDRAWS):
        if drawn:
            one, other = resampled(found, draw.integers(0, number, number)), found
        else:
            is_in = draw.permutation(number) < number // 2
            one, other = half(found, is_in), half(found, ~is_in)
        try:
            curve = fit(one).calibration
            made = promises(one, one.probabilities(curve), requirement)
        except DataError:
            refused += 1
            continue
        p = other.probabilities(curve)
        thresholds = {label: each.threshold for each in made for label in each.labels}
        above = p >= np.array([thresholds.get(label, NEVER) for label in other.labels])
        told = other.gold if requirement.rate == "precision" else {n for n, t in thresholds.items() if t < NEVER}
        gold = sum(int(counts.sum()) for label, counts in other.gold.items() if label in told)
        hits = float((other.right & above).sum())
        rates = {"precision": hits / above.sum() if above.any() else 1.0, "recall": hits / max(1, gold)}
        kept += rates.pop(requirement.rate) >= requirement.least
        left += rates.values()
    return kept, refused, left


def resampled(found: Outcomes, chosen: np.ndarray) -> Outcomes:
    """The outcomes of these documents, some of them several times, each time as a document of its own."""
    order = np.argsort(found.documents, kind="stable")
    edges = np.searchsorted(found.documents[order], np.arange(len(next(iter(found.gold.values()))) + 1))
    rows = [order[edges[k] : edges[k + 1]] for k in chosen]
    places = np.concatenate(rows)
    number = np.repeat(np.arange(len(chosen)), [len(row) for row in rows])
    gold = {label: counts[chosen] for label, counts in found.gold.items()}
    labels = tuple(found.labels[k] for k in places)
    return Outcomes(found.logits[places], found.right[places], labels, number, gold)


def half(found: Outcomes, is_in: Any) -> Outcomes:
    """The outcomes of these documents, numbered anew."""
    place = np.cumsum(is_in) - 1
    mine = found.take(is_in[found.documents])
    gold = {label: counts[is_in] for label, counts in found.gold.items()}
    return Outcomes(mine.logits, mine.right, mine.labels, place[mine.documents], gold)


if __name__ == "__main__":
    main()
