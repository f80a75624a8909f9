"""How to spend a small budget of pre-training from scratch: one change at a time, two million positions each.

    python -m benchmarks.pretraining_recipes run [RECIPE ...]   # pre-train and fine-tune, kept in --work, resumable
    python -m benchmarks.pretraining_recipes report             # the table of docs/pretraining.md

Corpus, start (neighbours) and fine-tuning are those of `pretraining_value.py`; of `usual` the shape, the vocabulary and
the settings too. One pre-training and one fine-tuning seed: it tells large differences from none.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.datasets import DATA, ROOT
from benchmarks.pretraining_value import (
    MAX_TOKENS,
    PIECES,
    WINDOW,
    Run,
    all_counts,
    difference,
    execute,
    files_in,
    kind,
    parts,
    vocabulary_of,
)
from spanbert import PretrainConfig, SpanModel, continued, new_model, pretrain, read_texts
from spanbert.pretraining.pretrain import default_rates

RESULTS = Path(__file__).resolve().parent / "results" / "pretraining_recipes"
PERPLEXITIES = RESULTS / "perplexities.jsonl"
TOKENS = 2_000_000
CORPORA = ("fire", "crossner")


@dataclass(frozen=True)
class Recipe:
    """What is other than usual."""

    settings: Mapping[str, object] = field(default_factory=dict)
    """Of the objective."""
    width: int = 256
    layers: int = 4
    pieces: int = PIECES
    max_tokens: int = MAX_TOKENS
    rate: float = 1.0
    """In place of the usual learning rate, so many times that."""
    short: float = 0.0
    """Share of the positions that is read first, in windows a quarter as long, as a run of its own."""


RECIPES = {
    "usual": Recipe(),
    "rate-30": Recipe({"masking_rate": 0.3}),
    "deep": Recipe(width=192, layers=8),
    "wide": Recipe(width=384, layers=2),
    "short-first": Recipe(short=0.75),
    "pieces-16000": Recipe(pieces=16_000),
    "steps-1024": Recipe(max_tokens=1024),
    "rate-double": Recipe(rate=2.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "report"))
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="all, unless named")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "pretraining_recipes")
    options = parser.parse_args()
    if options.verb == "report":
        report()
        return
    for name in options.recipes or RECIPES:
        folder = encoder(name, options.work)
        for corpus in CORPORA:
            run = Run(corpus, name, 0, 0, RESULTS)
            if not run.path.exists():
                execute(run, folder, parts(corpus, DATA), TOKENS)


def encoder(name: str, work: Path) -> Path:
    """The folder of a recipe, pre-trained where it is not there yet."""
    recipe, folder = RECIPES[name], work / name
    if (folder / "checksums.json").exists():
        return folder
    files, shape = files_in(DATA), work / f"shape-{recipe.width}-{recipe.layers}"
    vocabulary = vocabulary_of(files, recipe.pieces, work / f"vocabulary-{recipe.pieces}")
    shape.mkdir(exist_ok=True)
    (shape / "config.json").write_text(json.dumps(config_of(recipe)), encoding="utf-8")
    settings, begun = {"window": WINDOW, **recipe.settings}, time.perf_counter()
    model = new_model(shape, vocabulary, settings=settings)
    if recipe.short:
        # in a run of one step the rate is 0: what comes out is what it began with
        pretrain(model, read_texts(files), PretrainConfig(steps=1)).save_pretrained(still := work / f"{name}-still")
        model = continued(still, settings={**settings, "window": WINDOW // 4})
        read(model, files, recipe, recipe.short, work / f"{name}-first")
        model = continued(work / f"{name}-first", settings=settings)
    trained = read(model, files, recipe, 1.0 - recipe.short, folder)
    perplexities = trained.bundle.facts["report"]["perplexities"]
    parameters = sum(tensor.numel() for tensor in trained.bundle.network.encoder.parameters())
    told = {"recipe": name, "perplexities": perplexities, "parameters": parameters}
    told |= {"seconds": round(time.perf_counter() - begun), "dtype": trained.precision}
    RESULTS.mkdir(exist_ok=True)
    with PERPLEXITIES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
    print(told, flush=True)
    return folder


def config_of(recipe: Recipe) -> dict[str, object]:
    return {
        "model_type": "bert",
        "vocab_size": recipe.pieces,
        "hidden_size": recipe.width,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.width // 64,
        "intermediate_size": 4 * recipe.width,
    }


def read(model: SpanModel, files: list[str], recipe: Recipe, share: float, output: Path) -> SpanModel:
    """The model after that share of the positions, at the rate of a new encoder whatever it began with."""
    encoder_rate, head_rate = default_rates(recipe.width, scratch=True)
    config = PretrainConfig(
        tokens=round(share * TOKENS),
        max_tokens=recipe.max_tokens,
        evaluations=2,
        learning_rate=recipe.rate * encoder_rate,
        head_learning_rate=recipe.rate * head_rate,
        output=str(output),
        resume="auto",
    )
    return pretrain(model, read_texts(files), config)


def report() -> None:
    """F1 on test parts with its difference from `usual`, 95 % by document, and held-out perplexities."""
    lines = PERPLEXITIES.read_text(encoding="utf-8").splitlines()
    told = {record["recipe"]: record for record in map(json.loads, lines)}
    gold = {corpus: parts(corpus, DATA)["test"] for corpus in CORPORA}
    print("| recipe | parameters | masked | boundary | " + " | ".join(f"{c} | less usual" for c in CORPORA) + " |")
    print("|---|--:|--:|--:|" + "--:|:-:|" * len(CORPORA))
    for name in filter(told.__contains__, RECIPES):
        cells = []
        for corpus in CORPORA:
            rate = kind(corpus).rate
            ours, usual = (list(all_counts(corpus, each, gold[corpus], RESULTS)) for each in (name, "usual"))
            cells += [f"{rate(ours[0].sum(0)):.3f}" if ours else "", difference(ours, usual, rate)]
        perplexities = [f"{value:.0f}" for value in told[name]["perplexities"].values()]
        print(f"| {name} | {told[name]['parameters'] / 1e6:.1f} M | " + " | ".join([*perplexities, *cells]) + " |")


if __name__ == "__main__":
    main()
