"""What pre-training is worth: the same small encoder with random weights and after three ways of pre-training.

    python -m benchmarks.pretraining_value pretrain        # each variant and seed; kept in --work, resumable
    python -m benchmarks.pretraining_value tune            # fine-tune each on each corpus, resumable too
    python -m benchmarks.pretraining_value report          # the tables of docs/pretraining.md

All variants have one architecture (4 layers of 256, from scratch) and one vocabulary. The first four begin with random
weights, and three of them read the same number of positions. `neighbours` is the default start alone, `words` is it on
random layers, `heads` with its word vectors dealt out to other pieces; `neighbours-sixth` reads a sixth of that number
from there (with `-token` and `-span` by these objectives), `neighbours-all` the whole. Corpora: FIRE, the five domains
of CrossNER (each fine-tuned by itself would be too little: they are one corpus, whose labels name the domain's kinds),
and the clauses of those contracts of CUAD that are not in the pre-training corpus, for long spans; and SQuAD 1.1, of
which 6,000 questions are for training. Predictions of the test parts are kept in benchmarks/results/pretraining_value;
pretraining_value_20m beside it holds a first round, of 20 million positions in steps of 8,192 at a rate of 1.5e-3
(`report --results`).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import packed_json
from benchmarks.accuracy import epochs_for, parts_of, some_of, with_known_labels
from benchmarks.datasets import DATA, OUTPUT, ROOT, content
from benchmarks.questions import by_article, some
from spanbert import (
    Document,
    PretrainConfig,
    Span,
    SpanModel,
    TrainConfig,
    new_model,
    pretrain,
    read_texts,
    train,
    train_vocabulary,
)
from spanbert.documents import Question
from spanbert.evaluation.compare import predicted_by
from spanbert.evaluation.kinds import KINDS, Kind
from spanbert.metrics.bootstrap import bounds, resample
from spanbert.metrics.spans import Rate, recall
from spanbert.pretraining.vocabulary import write_vocabulary

RESULTS = Path(__file__).resolve().parent / "results" / "pretraining_value"
SIZE, PIECES, WINDOW, MAX_TOKENS = "mini", 8000, 256, 2048


@dataclass(frozen=True)
class Variant:
    """A way to pre-train."""

    settings: Mapping[str, object] = field(default_factory=dict)
    """Of the objective."""
    start: str = "random"
    share: float = 1.0
    """Of the positions that are read."""
    less: Callable[[SpanModel, SpanModel], None] | None = None
    """In place of pre-training: takes a part of `neighbours` away again, given the model with random weights."""


def layers_as_random(model: SpanModel, random: SpanModel) -> None:
    model.bundle.network.encoder.layers.load_state_dict(random.bundle.network.encoder.layers.state_dict())


def words_dealt_out(model: SpanModel, random: SpanModel) -> None:  # noqa: ARG001
    """Each piece gets the vector of another: as long, in the same columns, and without a meaning."""
    words = model.bundle.network.encoder.words.weight.data
    words.copy_(words[torch.randperm(len(words), generator=torch.Generator().manual_seed(0))])


VARIANTS = {
    "random": Variant(share=0.0),
    "token": Variant({"masking": "token", "boundary_weight": 0.0}),
    "span": Variant({"boundary_weight": 0.0}),
    "span+boundary": Variant(),
    "neighbours": Variant(start="neighbours", share=0.0),
    "words": Variant(less=layers_as_random),
    "heads": Variant(less=words_dealt_out),
    "neighbours-sixth": Variant(start="neighbours", share=1 / 6),
    "neighbours-sixth-token": Variant({"masking": "token", "boundary_weight": 0.0}, start="neighbours", share=1 / 6),
    "neighbours-sixth-span": Variant({"boundary_weight": 0.0}, start="neighbours", share=1 / 6),
    "neighbours-all": Variant(start="neighbours"),
}
PRETRAINING_SEEDS, TUNING_SEEDS = range(2), range(3)
TEXTS = ("sec_10k", "sec_8k", "fed_speeches", "openstax_textbooks", "wikipedia_vital_leads", "wikipedia_squad_articles")
DOMAINS = ("ai", "literature", "music", "politics", "science")
CLAUSES = (
    "Parties", "Document Name", "Agreement Date", "Effective Date", "Expiration Date", "Governing Law",
    "Anti-Assignment", "License Grant", "Cap On Liability", "Audit Rights", "Insurance", "Revenue/Profit Sharing",
)  # fmt: skip
CORPORA = ("fire", "crossner", "cuad", "squad")
QUESTIONS, QUESTION_EPOCHS = {"train": 6000, "dev": 400, "test": 1500}, 3
RATE = 5e-4
COMPARED = {
    ("random", "token", "span", "span+boundary"): (
        ("token", "random"), ("span+boundary", "random"), ("span", "token"), ("span+boundary", "token"),
        ("span+boundary", "span"),
    ),
    ("random", "span+boundary", "words", "heads", "neighbours", "neighbours-sixth", "neighbours-all"): (
        ("neighbours", "random"), ("neighbours-sixth", "random"), ("neighbours-all", "random"),
        ("neighbours-sixth", "neighbours"), ("neighbours-all", "neighbours-sixth"), ("neighbours-all", "span+boundary"),
    ),
    ("neighbours", "neighbours-sixth-token", "neighbours-sixth-span", "neighbours-sixth"): (
        ("neighbours-sixth-token", "neighbours"), ("neighbours-sixth-span", "neighbours-sixth-token"),
        ("neighbours-sixth", "neighbours-sixth-token"), ("neighbours-sixth", "neighbours-sixth-span"),
    ),
}  # fmt: skip
"""Variants in one table, and differences beside them."""
BY_LENGTH = (
    ("span", "token"),
    ("span+boundary", "span"),
    ("neighbours-sixth-span", "neighbours-sixth-token"),
    ("neighbours-sixth", "neighbours-sixth-span"),
)
BUCKETS = ((1, 1), (2, 3), (4, 7), (8, 10**9))


@dataclass(frozen=True)
class Run:
    """One fine-tuning and what it found in the test part."""

    corpus: str
    variant: str
    pretraining_seed: int
    seed: int
    results: Path

    @property
    def path(self) -> Path:
        return self.results / f"{self.corpus}-{self.variant}-{self.pretraining_seed}-{self.seed}.json.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("pretrain", "tune", "report"))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "pretraining_value")
    parser.add_argument("--tokens", type=int, default=30_000_000)
    parser.add_argument("--corpora", nargs="*", default=list(CORPORA))
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.verb == "report":
        report(options.data, options.corpora, options.results)
    elif options.verb == "pretrain":
        for seed, variant in product(PRETRAINING_SEEDS, VARIANTS):
            encoder(variant, seed, options.work, options.data, options.tokens)
    else:
        for seed, pretraining_seed, corpus, variant in product(
            TUNING_SEEDS, PRETRAINING_SEEDS, options.corpora, VARIANTS
        ):
            run = Run(corpus, variant, pretraining_seed, seed, options.results)
            if not run.path.exists():
                folder = encoder(variant, pretraining_seed, options.work, options.data, options.tokens)
                execute(run, folder, parts(corpus, options.data), options.tokens)


def encoder(variant: str, seed: int, work: Path, data: Path, tokens: int) -> Path:
    """The folder of a variant, pre-trained where it is not there yet."""
    files, folder = files_in(data), work / f"{variant}-{seed}"
    vocabulary = vocabulary_of(files, PIECES, work / "vocabulary")
    if (folder / "checksums.json").exists():
        return folder
    chosen = VARIANTS[variant]
    if chosen.less:
        full, random = (encoder(each, seed, work, data, tokens) for each in ("neighbours", "random"))
        begun = SpanModel.from_pretrained(full)
        chosen.less(begun, SpanModel.from_pretrained(random))
        begun.save_pretrained(folder)
        return folder
    model = new_model(SIZE, vocabulary, settings={"window": WINDOW, **chosen.settings}, seed=seed)
    # in a run of one step the rate is 0: what comes out is what it began with
    length = {"tokens": round(chosen.share * tokens)} if chosen.share else {"steps": 1}
    return read(model, folder, data, seed, **length, start=chosen.start)


def read(model: SpanModel, folder: Path, data: Path, seed: int, **settings: Any) -> Path:
    """The folder, with this model after pre-training by these settings."""
    where = {"output": str(folder), "resume": "auto"}
    config = PretrainConfig(**settings, **where, max_tokens=MAX_TOKENS, evaluations=4, seed=seed)
    begun = time.perf_counter()
    trained = pretrain(model, read_texts(files_in(data)), config)
    held_out = trained.bundle.facts["report"]["perplexities"]
    print(f"{folder.name}: {time.perf_counter() - begun:.0f} s, held-out perplexities {held_out}", flush=True)
    return folder


def files_in(data: Path) -> list[str]:
    return [str(data / "pretrain" / f"{name}-00.jsonl.gz") for name in TEXTS]


def vocabulary_of(files: list[str], pieces: int, folder: Path) -> Path:
    """The folder, with a vocabulary of these files where it was not there yet."""
    if not folder.exists():
        write_vocabulary(train_vocabulary(read_texts(files), pieces), folder, 512)
    return folder


def execute(run: Run, folder: Path, split: dict[str, list[Document]], tokens: int) -> None:
    if run.corpus == "squad":
        epochs, task, dev = QUESTION_EPOCHS, "question-answering", split["dev"]
    else:  # twice as many epochs as elsewhere: encoders that know little learn slowly
        epochs, task, dev = 2 * epochs_for(split["train"]), "span-classification", with_known_labels(split)
    config = TrainConfig(epochs=epochs, patience=epochs, learning_rate=RATE, seed=run.seed)
    tune(run, SpanModel.create(folder, task=task, seed=run.seed), {**split, "dev": dev}, config, tokens=tokens)


def tune(run: Run, model: SpanModel, split: dict[str, list[Document]], config: TrainConfig, **told: int) -> None:
    """Train, read the test part, and keep what was found."""
    start = time.perf_counter()
    trained = train(model, split["train"], split["dev"], config)
    found = predicted_by(trained, split["test"])
    record = {
        **{name: value for name, value in vars(run).items() if name != "results"},
        **told,
        "epochs": config.epochs,
        "dtype": trained.precision,
        "dev_f1": trained.bundle.facts["report"]["micro"]["f1"],
        "seconds": round(time.perf_counter() - start),
        "found": list(map(bare, found)),
    }
    packed_json.write(run.path, record)
    print(f"{run.path.name}: dev F1 {record['dev_f1']:.4f}, {record['seconds']} s", flush=True)


def bare(document: Document) -> dict[str, Any]:
    """Where spans and answers were found; text and questions are in `parts`."""
    return {
        "spans": [[span.start, span.end, span.label] for span in document.spans],
        "answers": {each.id: [[answer.start, answer.end] for answer in each.answers] for each in document.questions},
    }


def whole(told: dict[str, Any], known: Document) -> Document:
    """The document that `bare` was made of, with those of its questions that the known one has."""
    questions = tuple(
        Question(each.id, each.text, tuple(Span(*place, "answer") for place in told["answers"][each.id]))
        for each in known.questions
    )
    return Document(known.id, known.text, tuple(Span(*place) for place in told["spans"]), questions=questions)


def parts(corpus: str, data: Path) -> dict[str, list[Document]]:
    """Train, dev and test of one of CORPORA."""
    if corpus == "cuad":
        return contracts(data)
    if corpus == "squad":
        articles = by_article(data / "squad_v1.1" / "train-v1.1.json.gz")
        apart = by_article(data / "squad_v1.1" / "dev-v1.1.shared36.json.gz")
        chosen = {"dev": articles[:40], "train": articles[40:], "test": apart}
        return {part: some(listed, QUESTIONS[part]) for part, listed in chosen.items()}
    if corpus != "crossner":
        return parts_of(corpus, data, OUTPUT)
    domains = [parts_of(f"crossner_{domain}", data, OUTPUT) for domain in DOMAINS]
    return {
        part: [document for domain in domains for document in some_of(domain[part], words)]
        for part, words in (("train", 10_000), ("dev", 3_000), ("test", 8_000))
    }


def contracts(data: Path) -> dict[str, list[Document]]:
    """The 50 contracts that the pre-training corpus lacks, their clauses of CLAUSES as spans: 32, 6 and 12 of them."""
    read = contracts_of_pretraining(data)
    documents = []
    for contract in json.loads(content(data / "cuad" / "cuad_train100.json.gz"))["data"]:
        if contract["title"] not in read:
            documents += [labelled(contract["title"], paragraph) for paragraph in contract["paragraphs"]]
    documents.sort(key=lambda document: hashlib.sha256(document.text.encode()).digest())
    return {"train": documents[:32], "dev": documents[32:38], "test": documents[38:]}


def contracts_of_pretraining(data: Path) -> set[str]:
    """Titles of the contracts of CUAD that the pre-training corpus holds."""
    lines = gzip.decompress((data / "pretrain" / "cuad_contracts-00.jsonl.gz").read_bytes()).splitlines()
    return {json.loads(line)["id"].removeprefix("cuad_contracts/") for line in lines}


def labelled(title: str, paragraph: dict[str, Any]) -> Document:
    spans = {
        Span(answer["answer_start"], answer["answer_start"] + len(answer["text"]), kind.replace(" ", "-"))
        for question in paragraph["qas"]
        if (kind := question["id"].rpartition("__")[2]) in CLAUSES
        for answer in question["answers"]
    }
    return Document(title, paragraph["context"], tuple(sorted(spans, key=lambda s: (s.start, -s.end, s.label))))


def report(data: Path, corpora: Sequence[str], results: Path) -> None:
    """Mean F1 of the seeds by corpus (of SQuAD the official one) and by length of span, differences with intervals over
    documents.
    """
    for shown, compared in COMPARED.items():
        print("| corpus | " + " | ".join(shown) + " | " + " | ".join(f"{a} - {b}" for a, b in compared) + " |")
        print("|---|" + "--:|" * len(shown) + ":-:|" * len(compared))
        for corpus in corpora:
            gold, rate = parts(corpus, data)["test"], kind(corpus).rate
            counts = {variant: list(all_counts(corpus, variant, gold, results)) for variant in shown}
            means = [(np.mean([rate(c.sum(0)) for c in runs]), len(runs)) if runs else None for runs in counts.values()]
            cells = ["{:.3f} ({})".format(*mean) if mean else "" for mean in means]
            cells += [difference(counts[a], counts[b], rate) for a, b in compared]
            print(f"| {corpus} | " + " | ".join(cells) + " |")
        print()
    print(
        "Recall by words of the gold span; of SQuAD F1 of the questions with such an answer, others too:\n\n"
        "| corpus | words | spans | " + " | ".join([*VARIANTS, *(f"{a} - {b}" for a, b in BY_LENGTH)]) + " |"
    )
    print("|---|---|--:|" + "--:|" * len(VARIANTS) + ":-:|" * len(BY_LENGTH))
    for corpus, (least, most) in product(corpora, BUCKETS):
        gold = [within(document, least, most) for document in parts(corpus, data)["test"]]
        spans = sum(len(document.spans) + len(document.questions) for document in gold)
        rate = kind(corpus).rate if corpus == "squad" else recall
        counts = {variant: list(all_counts(corpus, variant, gold, results)) for variant in VARIANTS}
        cells = [f"{np.mean([rate(c.sum(0)) for c in runs]):.3f}" if runs else "" for runs in counts.values()]
        cells += [difference(counts[a], counts[b], rate) for a, b in BY_LENGTH]
        shown = f"{least}" if least == most else f"{least} to {most}" if most < 10**9 else f"{least} and more"
        print(f"| {corpus} | {shown} | {spans} | " + " | ".join(cells) + " |")


def all_counts(corpus: str, variant: str, gold: Sequence[Document], results: Path) -> Iterator[np.ndarray]:
    """What adds up over documents, [documents, K], of each seed that was run."""
    for pretraining_seed, seed in product(PRETRAINING_SEEDS, TUNING_SEEDS):
        path = Run(corpus, variant, pretraining_seed, seed, results).path
        if path.exists():
            found = list(map(whole, packed_json.read(path)["found"], gold))
            yield kind(corpus).table(gold, found).counts[:, 0]


def kind(corpus: str) -> Kind:
    return KINDS["questions" if corpus == "squad" else "spans"]


def difference(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], rate: Rate) -> str:
    """Of the means over seeds, with the interval of a paired bootstrap over documents."""
    if not ours or not theirs:
        return ""
    drawn = [np.mean([rate(resample(counts)) for counts in runs], axis=0) for runs in (ours, theirs)]
    low, high = bounds(drawn[0] - drawn[1])
    middle = np.mean([rate(c.sum(0)) for c in ours]) - np.mean([rate(c.sum(0)) for c in theirs])
    return f"{middle:+.3f} [{low:+.3f}, {high:+.3f}]"


def within(document: Document, least: int, most: int) -> Document:
    """The document with its gold spans of so many words alone, and questions with such an answer."""

    def fits(span: Span) -> bool:
        return least <= len(document.text[span.start : span.end].split()) <= most

    questions = tuple(question for question in document.questions if any(map(fits, question.answers or ())))
    return Document(document.id, document.text, tuple(filter(fits, document.spans)), questions=questions)


if __name__ == "__main__":
    main()
