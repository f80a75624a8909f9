"""What the span head, its loss and its training gain from each of their parts, and from what they do without.

    python -m benchmarks.span_choices run [CORPUS ...]    # all variants, all seeds; what is there is not run again
    python -m benchmarks.span_choices report              # mean F1, and the paired difference from the default

6,000 words of each corpus to learn from, of which a tenth chooses the epoch; F1 on the whole dev part (9,500 words at
most), which nothing else sees. Encoder and rates as in `benchmarks/accuracy.py`. A variant changes the package from
outside while it trains, so nothing that lost is left in there.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import packed_json
from benchmarks.accuracy import DTYPE, MAX_TOKENS, SYSTEMS, chosen_rate, parts_of
from benchmarks.accuracy_report import counts_of, difference, mean
from benchmarks.datasets import CORPORA, DATA, OUTPUT
from benchmarks.duel import DEVICE
from encoder import minilm
from spanbert import Document, Span, SpanModel, TrainConfig, train
from spanbert.documents import Candidate, Decoded
from spanbert.heads import pairs
from spanbert.heads.pairs import PairHead
from spanbert.metrics.spans import f1
from spanbert.targets import TagTargets
from spanbert.tasks.token_classification import TokenClassification
from spanbert.tokenization import Pieces
from spanbert.training import loop
from spanbert.windows import Table

RESULTS = Path(__file__).resolve().parent / "results" / "span_choices"
WORDS = {"train": 6_000, "dev": 9_500, "test": 0}
SETS, SEEDS, EPOCHS = ("fire", "genia", "ncbi_disease"), 2, 8
Change = Callable[[SpanModel], contextlib.AbstractContextManager[object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "report"))
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help=f"{', '.join(SETS)} unless named")
    parser.add_argument("--systems", nargs="*", default=["spans", "tokens"])
    parser.add_argument("--variants", nargs="*", help="all, unless named")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    options = parser.parse_args()
    corpora = options.corpora or list(SETS)
    if options.verb == "report":
        report(corpora, options.systems, options.seeds)
        return
    for seed in range(options.seeds):
        for system in options.systems:
            for variant in options.variants or VARIANTS[system]:
                for corpus in corpora:
                    run(corpus, system, variant, seed)


def path_of(corpus: str, system: str, variant: str, seed: int) -> Path:
    return RESULTS / f"{corpus}-{system}-{variant.replace(' ', '-')}-{seed}.json.gz"


def run(corpus: str, system: str, variant: str, seed: int) -> None:
    """Train, predict the dev part and keep it, unless it is there."""
    path = path_of(corpus, system, variant, seed)
    task = SYSTEMS[system]
    if path.exists() or task is None:
        return
    start = time.perf_counter()
    parts = parts_of(corpus, DATA, OUTPUT, WORDS)
    settings = {"policy": "nested"} if CORPORA[corpus].nested and system == "spans" else {}
    model = SpanModel.create(minilm(), task=task, labels=[], settings=settings, seed=seed)
    config = TrainConfig(
        epochs=EPOCHS * (2 if variant == TWICE else 1),
        patience=2 * EPOCHS,
        learning_rate=chosen_rate(system),
        max_tokens=MAX_TOKENS,
        seed=seed,
        device=DEVICE,
        dtype=DTYPE,
    )
    with VARIANTS[system][variant](model):
        trained = train(model, parts["train"], None, config)
        found = [[[s.start, s.end, s.label] for s in document.spans] for document in trained.predict(parts["dev"])]
    record = {"corpus": corpus, "system": system, "variant": variant, "seed": seed, "dtype": DTYPE, "spans": found}
    packed_json.write(path, {**record, "seconds": round(time.perf_counter() - start)})
    score = float(f1(counts_of(parts["dev"], documents(found, parts["dev"])).sum(0)))
    print(f"{path.stem}: F1 {score:.4f}, {time.perf_counter() - start:.0f} s", flush=True)


def documents(found: Sequence[Any], gold: Sequence[Document]) -> list[Document]:
    return [Document(d.id, d.text, tuple(Span(*span) for span in spans)) for d, spans in zip(gold, found, strict=True)]


def report(corpora: Sequence[str], systems: Sequence[str], seeds: int) -> None:
    print(f"Differences are from the default, those of {SHORT!r} from {TWICE!r}.\n")
    print("| head | variant | corpus | seeds | F1 | difference [95 %] |\n|---|---|---|--:|--:|:-:|")
    for system in systems:
        for variant in VARIANTS[system]:
            for corpus in corpora:
                gold = parts_of(corpus, DATA, OUTPUT, WORDS)["dev"]
                other = TWICE if variant == SHORT else DEFAULT  # which takes as many steps
                both = [
                    seed
                    for seed in range(seeds)
                    if all(path_of(corpus, system, name, seed).exists() for name in (variant, other))
                ]
                ours, default = (
                    [
                        counts_of(gold, documents(packed_json.read(path_of(corpus, system, name, seed))["spans"], gold))
                        for seed in both
                    ]
                    for name in (variant, other)
                )
                told = "" if variant == DEFAULT else difference(ours, default)[0]
                print(f"| {system} | {variant} | {corpus} | {len(both)} | {mean(ours, f1)} | {told} |")


# The variants. Each takes the model before training, and holds what it changes for as long as the training lasts.


@contextlib.contextmanager
def averaged(_model: SpanModel, share: float = 0.3) -> Iterator[None]:
    """At the end the weights are the mean of those after each step of the last `share` of the training."""
    done, sums, number = [0.0, 0.0], dict[str, Tensor](), 0
    set_rates, take_step = loop.set_rates, loop.take_step

    def noting(optimizer: Any, now: float, *rest: Any) -> float:
        done[:] = [now, now - done[0]]
        return set_rates(optimizer, now, *rest)

    def adding(network: nn.Module, *rest: Any) -> dict[str, float]:
        nonlocal number
        losses = take_step(network, *rest)  # type: ignore[arg-type]
        if done[0] >= 1 - share:
            number += 1
            for name, weight in network.state_dict().items():
                sums[name] = sums[name] + weight.double() if name in sums else weight.double()
        if done[0] + done[1] >= 1 - 1e-9:
            network.load_state_dict({name: (total / number).float() for name, total in sums.items()})
        return losses

    with mock.patch.object(loop, "set_rates", noting), mock.patch.object(loop, "take_step", adding):
        yield


@contextlib.contextmanager
def decaying_by_layer(_model: SpanModel, factor: float) -> Iterator[None]:
    """Each layer learns at `factor` times the rate of the one above it."""

    def grouped(network: Any, rate: float, head_rate: float, weight_decay: float) -> torch.optim.AdamW:
        depth = len(network.encoder.layers)
        groups = []
        for name, parameter in network.named_parameters():
            peak = head_rate
            if name.startswith("encoder."):
                level = int(name.split(".")[2]) if ".layers." in name else -1
                peak = rate * factor ** (depth - 1 - level)
            decay = weight_decay if parameter.ndim > 1 and "norm" not in name and "bias" not in name else 0.0
            groups.append({"params": [parameter], "peak": peak, "lr": 0.0, "weight_decay": decay})
        return torch.optim.AdamW(groups, fused=True)

    with mock.patch.object(loop, "make_optimizer", grouped):
        yield


@contextlib.contextmanager
def dropping(model: SpanModel, *, head: float | None = None, encoder: float | None = None) -> Iterator[None]:
    """Other dropout in the head, or in the encoder."""
    init = nn.Dropout.__init__
    if encoder is not None:
        model.bundle.network.encoder.set_dropout(encoder)

    def chosen(self: nn.Dropout, p: float = 0.5, inplace: bool = False) -> None:  # noqa: FBT001, FBT002
        init(self, p if head is None else head, inplace)

    with mock.patch.object(nn.Dropout, "__init__", chosen):  # training makes the head anew, for the labels of the data
        yield


def losing(rule: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Change:
    """Another loss of a block of pairs: rule(logits n x rows x C x columns, which count, gold cells, their logits)."""

    def block_loss(self: PairHead, block: Any, batch: Any, cells: Tensor, taught: Tensor, *terms: Tensor) -> Tensor:
        logits = self._logits(block, *terms)
        counted = self._real(block, batch, logits.device)[:, :, None] & taught[:, None, :, None]
        window, row, column, label = cells.unbind(1)
        place = (window, row, label, column)
        return rule(logits, counted.expand_as(logits), torch.stack(place), logits[place])

    return lambda _model: mock.patch.object(PairHead, "_block_loss", block_loss)


def smoothed(logits: Tensor, counted: Tensor, _place: Tensor, gold: Tensor) -> Tensor:
    """A gold span is to be 95 % probable; what is none stays at 0, or the many would outweigh the few."""
    return F.softplus(logits).masked_fill(~counted, 0.0).sum() - 0.95 * gold.sum()


def half_of_the_rest(logits: Tensor, counted: Tensor, place: Tensor, gold: Tensor) -> Tensor:
    """Half of the pairs that are no span, drawn anew in each step, with twice their weight."""
    weight = 2.0 * (torch.rand_like(logits) < 0.5)
    weight[tuple(place)] = 1.0
    return (weight * F.softplus(logits)).masked_fill(~counted, 0.0).sum() - gold.sum()


def focal(logits: Tensor, counted: Tensor, place: Tensor, gold: Tensor) -> Tensor:
    """(1 - p)^2 of what is right (Lin et al. 2017): what is nearly right counts little."""
    absent = torch.sigmoid(logits) ** 2 * F.softplus(logits)
    absent = absent.masked_fill(~counted, 0.0).sum() - absent[tuple(place)].sum()
    return absent + (torch.sigmoid(-gold) ** 2 * F.softplus(-gold)).sum()


def scoring(term: Callable[[Tensor, PairHead], Tensor] | None = None, *, inside: bool = True) -> Change:
    """Other terms of a pair's logit."""
    logits_of, terms_of = PairHead._logits, PairHead._terms

    def terms(self: PairHead, vectors: Tensor) -> pairs._Terms:
        found = terms_of(self, vectors)
        if term is not None:  # the views as they come: the nonlinearity is between the two
            found = found._replace(**dict(zip(("first", "last"), self.views(vectors).chunk(2, dim=-1), strict=True)))
        return found if inside else found._replace(inside=torch.zeros_like(found.inside))

    def logits(self: PairHead, block: Any, *given: Tensor) -> Tensor:
        if term is None:
            return logits_of(self, block, *given)
        first, last = (
            part[block.at : block.at + block.number * block.length].view(block.number, block.length, -1)
            for part in given[:2]
        )
        both = first[:, block.top : block.bottom, None] + last[:, None, block.top :]  # n x rows x columns x size
        rest = logits_of(self, block, torch.zeros_like(given[0]), torch.zeros_like(given[1]), *given[2:])
        return rest + term(both, self).transpose(2, 3)

    @contextlib.contextmanager
    def change(_model: SpanModel) -> Iterator[None]:
        with mock.patch.object(PairHead, "_terms", terms), mock.patch.object(PairHead, "_logits", logits):
            yield

    return change


def concatenated(both: Tensor, head: PairHead) -> Tensor:
    """A layer over both ends beside one another: W [f; l] is the sum of the two views. (The bilinear term's weights, of
    which the first row is used, begin at 1 / size.)"""
    return F.gelu(both) @ head.bilinear[:, :, 0]


@contextlib.contextmanager
def first_pieces(_model: SpanModel) -> Iterator[None]:
    """One tag a word, that of its first piece, as in the usual recipes; words as the vocabulary parts them."""
    targets_of = TokenClassification._targets

    def begins(pieces: Pieces) -> np.ndarray:
        return np.diff(pieces.words, prepend=-1) != 0

    def targets(self: TokenClassification, document: Document, pieces: Pieces) -> TagTargets:
        found = targets_of(self, document, pieces)
        return dataclasses.replace(found, tags=np.where(begins(pieces), found.tags, -100))

    def decode(self: TokenClassification, document: Document, pieces: Pieces, table: Table) -> Decoded:  # noqa: ARG001
        if not table:
            return Decoded()
        order = np.argsort(table["piece"])
        order = order[begins(pieces)[table["piece"][order]]]
        first = table["piece"][order]
        last = np.append(first[1:], len(pieces)) - 1
        spans = [
            Candidate(*pieces.span(first[a], last[b]), label, logit)
            for a, b, label, logit in self.lattice.decode(table["emission"][order])
        ]
        return Decoded(tuple(spans))

    with (
        mock.patch.object(TokenClassification, "_targets", targets),
        mock.patch.object(TokenClassification, "decode", decode),
    ):
        yield


def reading(window: int) -> Change:
    """Windows of so many positions, so less text around a span than the 512 of the default."""

    @contextlib.contextmanager
    def change(model: SpanModel) -> Iterator[None]:
        for name, task in model.bundle.tasks.items():
            settings = dataclasses.replace(task.settings, window=window)
            model.bundle.tasks[name] = dataclasses.replace(task, settings=settings)  # type: ignore[type-var]
        yield

    return change


def smoothed_tags(_model: SpanModel) -> contextlib.AbstractContextManager[object]:
    return mock.patch.object(F, "cross_entropy", partial(F.cross_entropy, label_smoothing=0.05))


DEFAULT, TWICE, SHORT = "as it is", "twice the epochs", "windows of 64"
TRAINING: Mapping[str, Change] = {
    DEFAULT: contextlib.nullcontext,
    "averaged weights": averaged,
    "rates by layer": partial(decaying_by_layer, factor=0.85),
    "head without dropout": partial(dropping, head=0.0),
    "encoder without dropout": partial(dropping, encoder=0.0),
    SHORT: reading(64),  # neighbours share half of it: twice as many steps, so it is held against TWICE
    TWICE: contextlib.nullcontext,
}
VARIANTS: Mapping[str, Mapping[str, Change]] = {
    "spans": {
        **TRAINING,
        "no inside term": scoring(inside=False),
        "concatenation": scoring(concatenated),
        "smoothed": losing(smoothed),
        "half of the rest": losing(half_of_the_rest),
        "focal": losing(focal),
    },
    "tokens": {**TRAINING, "smoothed": smoothed_tags, "first pieces": first_pieces},
}


if __name__ == "__main__":
    main()
