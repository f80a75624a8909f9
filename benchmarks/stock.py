"""The rival: token classification as a careful user of `transformers` does it, with its `Trainer`.

One BIO tag a word, on the word's first piece; padded batches; the best epoch by F1 on dev; a unit is a sentence, where
the corpus has sentences. Words beyond the encoder's length are cut off, and what is cut off is not found.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)

from spanbert import Document, Span, tag_schemes
from spanbert.decoding.resolve import resolve
from spanbert.metrics.spans import count_documents, f1

IGNORED = -100
LONGEST = 512


@dataclass(frozen=True)
class Unit:
    """A sentence: its words, and where they lie in the document."""

    document: int
    words: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]


def units(documents: Sequence[Document]) -> Iterator[Unit]:
    """One for each line of a document; of spans that overlap the longest is taught."""
    for number, document in enumerate(documents):
        tokens = [(start, end) for start, end in document.meta["tokens"]]  # type: ignore[union-attr, misc]
        spans, _ = resolve("flat", document.spans, "longest")
        starts = {start: index for index, (start, _) in enumerate(tokens)}
        ends = {end: index + 1 for index, (_, end) in enumerate(tokens)}
        tags = tag_schemes.encode([(starts[s.start], ends[s.end], s.label) for s in spans], len(tokens), "iob2")
        first = 0
        for index, (_, end) in enumerate(tokens):
            last = index + 1 == len(tokens)
            if last or "\n" in document.text[end : tokens[index + 1][0]]:
                places = tuple(tokens[first : index + 1])
                words = tuple(document.text[a:b] for a, b in places)
                yield Unit(number, words, places, tuple(tags[first : index + 1]))
                first = index + 1


class Encoded(torch.utils.data.Dataset[dict[str, list[int]]]):
    """Pieces and the tag of each word's first piece."""

    def __init__(self, members: Sequence[Unit], tokenizer: Any, names: Sequence[str]) -> None:
        number = {name: index for index, name in enumerate(names)}
        encoded = tokenizer(
            [list(unit.words) for unit in members], is_split_into_words=True, truncation=True, max_length=LONGEST
        )
        self.firsts: list[list[int]] = []
        """Position of each word's first piece; words that were cut off have none."""
        self.rows: list[dict[str, list[int]]] = []
        for index, unit in enumerate(members):
            of_position = encoded.word_ids(index)
            firsts = [p for p, w in enumerate(of_position) if w is not None and (p == 0 or of_position[p - 1] != w)]
            labels = [IGNORED] * len(of_position)
            for position in firsts:
                labels[position] = number.get(unit.tags[of_position[position]], 0)
            self.firsts.append(firsts)
            self.rows.append({"input_ids": encoded["input_ids"][index], "labels": labels})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return self.rows[index]


@dataclass(frozen=True)
class Recipe:
    """How the rival is trained."""

    rate: float
    epochs: int
    max_tokens: int
    """What a step holds on average."""
    seed: int
    device: str
    bf16: bool

    def arguments(self, folder: str, mean: float) -> TrainingArguments:
        """For a `Trainer` that keeps its best epoch by F1; mean: positions of an example."""
        return TrainingArguments(
            folder,
            learning_rate=self.rate,
            num_train_epochs=self.epochs,
            per_device_train_batch_size=max(1, round(self.max_tokens / mean)),
            per_device_eval_batch_size=32,
            warmup_steps=0.1,
            weight_decay=0.01,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model="f1",
            seed=self.seed,
            report_to=[],
            disable_tqdm=True,
            use_cpu=self.device == "cpu",
            bf16=self.bf16,
            logging_strategy="no",
            dataloader_pin_memory=torch.cuda.is_available(),
        )


def train_and_predict(
    encoder: Path, parts: dict[str, list[Document]], recipe: Recipe
) -> tuple[float, list[list[Span]]]:
    """The best F1 on dev, and the spans of each test document."""
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    labels = sorted({span.label for document in parts["train"] for span in document.spans})
    names = tag_schemes.tag_names(labels, "iob2")
    members = {part: list(units(documents)) for part, documents in parts.items()}
    data = {part: Encoded(listed, tokenizer, names) for part, listed in members.items()}
    mean = np.mean([len(row["input_ids"]) for row in data["train"].rows])
    set_seed(recipe.seed)  # the trainer would set it after the head is drawn
    model = AutoModelForTokenClassification.from_pretrained(
        encoder, num_labels=len(names), id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)}
    )

    def spans(part: str, logits: np.ndarray) -> list[list[Span]]:
        found: list[list[Span]] = [[] for _ in parts[part]]
        for unit, firsts, row in zip(members[part], data[part].firsts, logits, strict=True):
            tags = [names[index] for index in row[firsts].argmax(-1)]
            for start, end, label in tag_schemes.decode(tags, "iob2"):
                found[unit.document].append(Span(unit.places[start][0], unit.places[end - 1][1], label))
        return found

    def score(prediction: Any) -> dict[str, float]:
        return {"f1": micro_f1(parts["dev"], spans("dev", prediction.predictions))}

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=recipe.arguments(folder, float(mean)),
            train_dataset=data["train"],
            eval_dataset=data["dev"],
            data_collator=DataCollatorForTokenClassification(tokenizer),
            compute_metrics=score,
        )
        trainer.train()
        trainer.compute_metrics = None  # it scores dev
        return float(trainer.state.best_metric or 0.0), spans("test", trainer.predict(data["test"]).predictions)


def micro_f1(gold: Sequence[Document], found: Sequence[Sequence[Span]]) -> float:
    """Strict F1 over all documents."""
    predicted = [
        Document(document.id, document.text, tuple(spans)) for document, spans in zip(gold, found, strict=True)
    ]
    return float(f1(count_documents(gold, predicted).by_label.sum((0, 1))))
