"""Coreference on LitBank against a baseline of heads and recency: the official scores on its test part.

    python -m benchmarks.coreference run [SEED ...]   # train, predict the test part; what is there is not run again
    python -m benchmarks.coreference chains [SEED ...] # the same, taught without mentions that stand alone
    python -m benchmarks.coreference rival [SEED ...] # without such too: a coarse-to-fine model, rebuilt
    python -m benchmarks.coreference report           # the table of benchmarks/README.md
    python -m benchmarks.coreference length           # seconds and memory by length of a document

Eighty openings of novels of some 2,000 words, put in the order of their names' hash: 56 to learn from, 8 that choose
the epoch, 16 to measure on. The baseline: a mention goes back to the nearest earlier one that ends in the same word, a
pronoun to the nearest earlier mention of the same pronoun; of our mentions, and of the gold ones, which flatters it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from benchmarks import packed_json
from benchmarks.datasets import DATA
from benchmarks.duel import DEVICE, peak_mib
from encoder import minilm
from spanbert import Document, SpanModel, TrainConfig, read_documents, train
from spanbert.decoding.clusters import components
from spanbert.documents import Cluster
from spanbert.formats.jsonl import from_json, to_json
from spanbert.metrics.bootstrap import bounds, resample
from spanbert.metrics.coreference import conll_f1, count_documents
from spanbert.metrics.coreference_report import coreference_report

RESULTS = Path(__file__).resolve().parent / "results" / "coreference"
TRAIN, DEV = 56, 8
EPOCHS, RATE, MAX_TOKENS = 4, 2e-4, 1600
RIVAL_EPOCHS, RIVAL_RATES = 10, (1e-4, 2e-4)
"""It reads three segments of a text in an epoch, so as many pieces in all as ours; the rate that is better on dev."""
NAMES = {"run": "litbank", "chains": "chains", "rival": "rival"}
LENGTHS = (1_000, 5_000, 20_000, 50_000)
DENSITIES = {"about as many as a trained model finds": 4.86, "as many as the limits allow": 6.0}
SHOWN = ("muc", "bcub", "ceafe", "lea", "mentions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=(*NAMES, "report", "length"))
    parser.add_argument("seeds", nargs="*", type=int, default=[0])
    options = parser.parse_args()
    if options.verb in NAMES:
        for seed in options.seeds:
            if not kept(seed, options.verb).exists():
                execute(seed, options.verb)
    elif options.verb == "report":
        report()
    else:
        for density, bias in DENSITIES.items():
            print(f"\nmentions: {density}")
            by_length(bias)


def kept(seed: int, verb: str = "run") -> Path:
    return RESULTS / f"{NAMES[verb]}-{seed}.json.gz"


def documents() -> dict[str, list[Document]]:
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(DATA / "litbank" / "litbank_coref_conll.tar.gz") as archive:
            for member in archive.getmembers():
                if member.isfile():
                    content = archive.extractfile(member)
                    assert content is not None
                    (Path(folder) / Path(member.name).name).write_bytes(io.BytesIO(content.read()).getvalue())
        listed = [document for path in sorted(Path(folder).iterdir()) for document in read_documents(path)]
    listed.sort(key=lambda document: hashlib.sha256(document.id.encode()).digest())
    return {"train": listed[:TRAIN], "dev": listed[TRAIN : TRAIN + DEV], "test": listed[TRAIN + DEV :]}


def execute(seed: int, verb: str) -> None:
    from benchmarks.rivals.coarse_to_fine import dropped

    start = time.perf_counter()
    parts = documents()
    if verb != "run":
        parts |= {part: dropped(parts[part]) for part in ("train", "dev")}
    found = rival(parts, seed) if verb == "rival" else ours(parts, seed, singletons=verb == "run")
    record = {
        "seed": seed,
        "seconds": round(time.perf_counter() - start),
        "documents": [{**to_json(document), "text": ""} for document in found],
    }
    packed_json.write(kept(seed, verb), record)
    scores = coreference_report(parts["test"], found, singletons=verb == "run").scores["coref"]
    print(f"{verb}, seed {seed}: CoNLL F1 {scores['conll_f1']:.2f}, {record['seconds']} s", flush=True)


def rival(parts: dict[str, list[Document]], seed: int) -> list[Document]:
    from benchmarks.rivals.coarse_to_fine import train_and_predict

    runs = [train_and_predict(minilm(), parts, epochs=RIVAL_EPOCHS, rate=rate, seed=seed) for rate in RIVAL_RATES]
    return max(runs, key=lambda run: run[0])[1]


def ours(parts: dict[str, list[Document]], seed: int, *, singletons: bool) -> list[Document]:
    model = SpanModel.create(minilm(), task="coreference", settings={"singletons": singletons}, seed=seed)
    config = TrainConfig(
        epochs=EPOCHS, patience=EPOCHS, learning_rate=RATE, max_tokens=MAX_TOKENS, seed=seed, device=DEVICE
    )
    return train(model, parts["train"], parts["dev"], config).predict(parts["test"])


def read(seed: int, test: list[Document], verb: str = "run") -> list[Document]:
    record: dict[str, Any] = packed_json.read(kept(seed, verb))
    texts = {document.id: document.text for document in test}
    return [from_json({**_bare(row), "text": texts[row["id"]]}) for row in record["documents"]]


def _bare(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("coverage", "meta")}


def baseline(document: Document) -> Document:
    """The mentions of all clusters, each back to the nearest earlier one that ends in the same word."""
    mentions = sorted(
        {span for cluster in document.clusters for span in cluster.spans}, key=lambda span: (span.start, span.end)
    )
    last: dict[str, int] = {}
    links = []
    for number, span in enumerate(mentions):
        head = document.text[span.start : span.end].lower().split()[-1]
        if head in last:
            links.append((number, last[head]))
        last[head] = number
    groups = components(len(mentions), links)
    clusters = tuple(Cluster(tuple(mentions[k] for k in group)) for group in groups)
    return Document(document.id, document.text, clusters=clusters)


def report() -> None:
    test = documents()["test"]
    systems = {"heads and recency, gold mentions": [[baseline(document) for document in test]]}
    seeds = sorted(int(path.stem.split("-")[1].split(".")[0]) for path in RESULTS.glob("litbank-*.json.gz"))
    systems["ours"] = [read(seed, test) for seed in seeds]
    systems["heads and recency, our mentions"] = [[baseline(each) for each in found] for found in systems["ours"]]
    print("| system | seeds | CoNLL F1 [95 %] | MUC | B-cubed | CEAF-e | LEA | mentions |")
    print("|---|--:|:-:|--:|--:|--:|--:|--:|")
    ratios = {}
    for name, runs in systems.items():
        scores = [coreference_report(test, found, singletons=True).scores["coref"] for found in runs]
        mean = {key: float(np.mean([each[key]["f1"] for each in scores])) for key in SHOWN}
        ratios[name] = np.mean([count_documents(test, found).ratios for found in runs], axis=0)
        low, high = bounds(100 * conll_f1(resample(ratios[name])))
        middle = float(np.mean([each["conll_f1"] for each in scores]))
        cells = " | ".join(f"{mean[key]:.1f}" for key in SHOWN)
        print(f"| {name} | {len(runs)} | {middle:.1f} [{low:.1f}, {high:.1f}] | {cells} |")
    both = resample(np.stack([ratios["heads and recency, our mentions"], ratios["ours"]], axis=1))
    low, high = bounds(100 * (conll_f1(both[:, 1]) - conll_f1(both[:, 0])))
    print(f"\nours less the baseline on our mentions, CoNLL F1: [{low:+.1f}, {high:+.1f}] (95 %, paired by document)")
    others = {
        verb: [read(seed, test, verb) for seed in seeds if kept(seed, verb).exists()] for verb in ("chains", "rival")
    }
    ours = {"ours": systems["ours"], "ours, taught so": others["chains"]}
    for name, runs in (ours | {"rival": others["rival"]}).items():
        values = [coreference_report(test, found, singletons=False).scores["coref"]["conll_f1"] for found in runs]
        if values:
            print(f"without singletons, {name}: CoNLL F1 {np.mean(values):.1f}, seeds {len(values)}")
    for name, runs in ours.items():
        pair = (runs, others["rival"])
        if number := min(map(len, pair)):
            both = [np.mean([_bare_ratios(test, found) for found in side[:number]], axis=0) for side in pair]
            drawn = resample(np.stack(both, axis=1))
            low, high = bounds(100 * (conll_f1(drawn[:, 0]) - conll_f1(drawn[:, 1])))
            print(f"{name}, less the rival: [{low:+.1f}, {high:+.1f}] (95 %, paired by document)")


def _bare_ratios(gold: list[Document], found: list[Document]) -> np.ndarray:
    """Of each document, without singletons."""
    from benchmarks.rivals.coarse_to_fine import dropped

    return count_documents(dropped(gold), dropped(found)).ratios


def by_length(bias: float) -> None:
    """An untrained model whose spans are mentions by this bias, and which links them all."""
    import torch

    model = SpanModel.create(minilm(), task="coreference")
    with torch.no_grad():
        head = model.bundle.network.heads["coreference"]
        head.pairs.width_bias += bias  # type: ignore[union-attr, operator]
        head.bias += 4.0  # type: ignore[operator]  # each goes back to another
    text = " ".join(document.text for document in documents()["test"])
    (pieces,) = model.bundle.tokenizer.pieces([text * 2])
    print("| pieces | seconds | pieces a second | mentions in clusters | peak MiB |\n|--:|--:|--:|--:|--:|")
    for length in LENGTHS:
        part = (text * 2)[: int(pieces.ends[min(length, len(pieces)) - 1])]
        start = time.perf_counter()
        found = model.predict(part, threshold=0.0)
        seconds = time.perf_counter() - start
        mentions = sum(len(cluster.spans) for cluster in found.clusters)
        print(
            f"| {length:,} | {seconds:.1f} | {length / seconds:,.0f} | {mentions:,} | {peak_mib():,.0f} |", flush=True
        )


if __name__ == "__main__":
    main()
