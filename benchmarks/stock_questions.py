"""The rival in question answering: the usual recipe on `transformers`, its `Trainer` and question-answering class.

Windows of question and context that share 128 pieces, a quarter of the window at most (96 of 384); every window points
at the answer, or at its first position where it has none; the best of 20 starts times 20 ends over all windows of a
question, at most 30 pieces long; "no answer" where the least of the first positions' scores is greater. Padded batches,
the best epoch by loss on dev.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from benchmarks.duel import DEVICE
from spanbert import Document

WINDOW, OVERLAP, BEST, LONGEST = 384, 128, 20, 30


class Told(NamedTuple):
    """The best answer to a question, the odds of "no answer" against it, its share of the softmax over the n-best."""

    text: str
    doubt: float
    score: float


@dataclass(frozen=True)
class Asked:
    """A question with its context and the characters of its first answer, None where it has none."""

    id: str
    question: str
    context: str
    answer: tuple[int, int] | None


def asked(documents: Sequence[Document]) -> list[Asked]:
    return [
        Asked(
            question.id,
            question.text,
            document.text,
            next(((answer.start, answer.end) for answer in question.answers or ()), None),
        )
        for document in documents
        for question in document.questions
    ]


class Windows(torch.utils.data.Dataset[dict[str, Any]]):
    """Windows with start and end positions, the characters of their pieces, and the question each belongs to."""

    def __init__(self, members: Sequence[Asked], tokenizer: Any, longest: int) -> None:
        encoded = tokenizer(
            [each.question for each in members],
            [each.context for each in members],
            truncation="only_second",
            max_length=longest,
            stride=shared(longest),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        self.rows: list[dict[str, Any]] = []
        self.owner: list[int] = list(encoded["overflow_to_sample_mapping"])
        self.places: list[list[tuple[int, int] | None]] = []
        for index, owner in enumerate(self.owner):
            sides = encoded.sequence_ids(index)
            places = [
                place if side == 1 else None
                for side, place in zip(sides, encoded["offset_mapping"][index], strict=True)
            ]
            self.places.append(places)
            start, end = positions(places, members[owner].answer)
            row = {key: encoded[key][index] for key in ("input_ids", "token_type_ids") if key in encoded}
            self.rows.append({**row, "start_positions": start, "end_positions": end})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


def shared(longest: int) -> int:
    """Pieces that neighbouring windows share."""
    return min(OVERLAP, longest // 4)


def positions(places: Sequence[tuple[int, int] | None], answer: tuple[int, int] | None) -> tuple[int, int]:
    """Of the answer's first and last piece; 0 and 0 where it does not stand whole in the window."""
    real = [(index, place) for index, place in enumerate(places) if place is not None]
    if answer is None or not real or real[0][1][0] > answer[0] or real[-1][1][1] < answer[1]:
        return 0, 0
    first = max(index for index, place in real if place[0] <= answer[0])
    last = min(index for index, place in real if place[1] >= answer[1])
    return first, max(first, last)


def loop(
    encoder: Path, windows: Windows, held_out: Windows | None, tokenizer: Any, folder: str, **settings: Any
) -> Trainer:
    """A `Trainer` ready to go."""
    best = (
        {}
        if held_out is None
        else {
            "eval_strategy": "epoch",
            "save_strategy": "epoch",
            "save_total_limit": 1,
            "load_best_model_at_end": True,
            "metric_for_best_model": "loss",
        }
    )
    return Trainer(
        model=AutoModelForQuestionAnswering.from_pretrained(encoder),
        args=TrainingArguments(
            folder,
            per_device_eval_batch_size=32,
            warmup_steps=0.1,
            weight_decay=0.01,
            report_to=[],
            disable_tqdm=True,
            use_cpu=DEVICE == "cpu",
            logging_strategy="no",
            dataloader_pin_memory=DEVICE != "cpu",
            **({"save_strategy": "no"} | best | settings),
        ),
        train_dataset=windows,
        eval_dataset=held_out,
        data_collator=DataCollatorWithPadding(tokenizer),
    )


def train_and_predict(
    encoder: Path, parts: dict[str, list[Document]], *, rate: float, epochs: int, max_tokens: int, seed: int, bf16: bool
) -> dict[str, Told]:
    """For each question of the test part its best answer."""
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    longest = min(WINDOW, tokenizer.model_max_length)
    members = {part: asked(documents) for part, documents in parts.items()}
    windows = {part: Windows(listed, tokenizer, longest) for part, listed in members.items()}
    mean = float(np.mean([len(row["input_ids"]) for row in windows["train"].rows]))
    set_seed(seed)  # the trainer would set it after the head is drawn
    with tempfile.TemporaryDirectory() as folder:
        trainer = loop(
            encoder,
            windows["train"],
            windows["dev"],
            tokenizer,
            folder,
            learning_rate=rate,
            num_train_epochs=epochs,
            per_device_train_batch_size=max(1, round(max_tokens / mean)),
            seed=seed,
            bf16=bf16,
        )
        trainer.train()
        starts, ends = trainer.predict(windows["test"]).predictions
    return answers(members["test"], windows["test"].owner, windows["test"].places, starts, ends)


Places = Sequence[tuple[int, int] | None]
"""Characters of each position of a window, None where no piece of the context stands."""


def answers(
    members: Sequence[Asked],
    owners: Sequence[int],
    places_of: Sequence[Places],
    starts: Sequence[np.ndarray] | np.ndarray,
    ends: Sequence[np.ndarray] | np.ndarray,
) -> dict[str, Told]:
    """The recipe's double loop over the best starts and ends of each window."""
    best: dict[int, tuple[float, str]] = {}
    listed: dict[int, list[float]] = {}
    null: dict[int, float] = {}
    for places, owner, start, end in zip(places_of, owners, starts, ends, strict=True):
        null[owner] = min(null.get(owner, np.inf), float(start[0] + end[0]))
        for i in np.argsort(start)[: -BEST - 1 : -1].tolist():
            for j in np.argsort(end)[: -BEST - 1 : -1].tolist():
                if not i <= j < i + LONGEST or max(i, j) >= len(places):
                    continue
                first, last = places[i], places[j]
                if first is None or last is None:
                    continue
                score = float(start[i] + end[j])
                listed.setdefault(owner, []).append(score)
                if score > best.get(owner, (-np.inf, ""))[0]:
                    best[owner] = score, members[owner].context[first[0] : last[1]]
    found = {}
    for index, each in enumerate(members):
        score, text = best.get(index, (-np.inf, ""))
        odds = np.exp(np.array(sorted(listed.get(index, []))[-BEST:]) - score)
        found[each.id] = Told(text, null.get(index, np.inf) - score, float(1.0 / odds.sum()) if len(odds) else 0.0)
    return found
