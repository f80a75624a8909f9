"""Training speed: pieces a second of one epoch, against the `Trainer` of `transformers` with its padding collator.

    python -m benchmarks.training [--rounds 5]

Same encoder (that of `make demo`), same passages of FIRE. `trainer_8` is its default batch of 8 passages,
`trainer_same` has as many positions in a step as ours, `trainer_grouped` also puts passages of one length together.
In fp32 and, where the processor computes it natively, in bfloat16, beside the rival's default (fp32) once more.
On a GPU with DEVICE=cuda.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from benchmarks.datasets import prepare
from benchmarks.duel import DEVICE, dtypes, duel, keep, machine, ratio

PASSAGES = 200
MAX_TOKENS = 2048
CONTESTANTS = ("ours_tags", "ours_spans", "trainer_8", "trainer_same", "trainer_grouped")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", action="store_true", help="measure beside other work")
    options = parser.parse_args()
    facts = machine()
    for dtype in dtypes(facts):
        names = [*CONTESTANTS, *["trainer_8_fp32"] * (dtype != "float32")]
        found = duel("benchmarks.training", names, {"dtype": dtype}, options.rounds)
        rows = {}
        for name, result in found.items():
            rows[name] = {
                "pieces_per_second": round(result.made["pieces"] / result.median),
                "peak_mib": round(result.peak_mib),
                "tags_are_faster": ratio(result, found["ours_tags"]),
                "spans_are_faster": ratio(result, found["ours_spans"]),
            }
            print(f"{dtype} {name:16} {rows[name]}", flush=True)
        keep("training", {"dtype": dtype, "rows": rows, **facts})


def documents() -> list[Any]:
    from spanbert import read_documents

    return list(read_documents(prepare("fire").train))[:PASSAGES]


def pieces_of(listed: list[Any]) -> int:
    from encoder import minilm
    from spanbert.tokenization import Tokenizer

    found = Tokenizer.from_folder(minilm()).pieces([document.text for document in listed])
    return sum(map(len, found))


# The contestants; see `duel.py`.


def ours_tags(dtype: str) -> Iterator[Any]:
    yield from ours("token-classification", dtype)


def ours_spans(dtype: str) -> Iterator[Any]:
    yield from ours("span-classification", dtype)


def ours(task: str, dtype: str) -> Iterator[Any]:
    from encoder import minilm
    from spanbert import SpanModel, TrainConfig, train

    listed = documents()
    model = SpanModel.create(minilm(), task=task)
    config = TrainConfig(epochs=1, max_tokens=MAX_TOKENS, dtype=dtype, device=DEVICE)
    made, pieces = None, pieces_of(listed)
    while True:
        yield made
        train(model, listed, listed[:2], config)
        made = {"pieces": pieces}


def trainer_8(dtype: str) -> Iterator[Any]:
    yield from trainer(8, dtype)


def trainer_8_fp32(dtype: str) -> Iterator[Any]:  # noqa: ARG001
    yield from trainer(8, "float32")


def trainer_same(dtype: str) -> Iterator[Any]:
    yield from trainer(None, dtype)


def trainer_grouped(dtype: str) -> Iterator[Any]:
    yield from trainer(None, dtype, train_sampling_strategy="group_by_length")


def trainer(batch: int | None, dtype: str, **settings: Any) -> Iterator[Any]:
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        Trainer,
        TrainingArguments,
    )

    from benchmarks.stock import Encoded, units
    from encoder import minilm
    from spanbert import tag_schemes

    listed = documents()
    labels = sorted({span.label for document in listed for span in document.spans})
    names = tag_schemes.tag_names(labels, "iob2")
    tokenizer = AutoTokenizer.from_pretrained(minilm())
    data = Encoded(list(units(listed)), tokenizer, names)
    mean = sum(len(row["input_ids"]) for row in data.rows) / len(data.rows)
    model = AutoModelForTokenClassification.from_pretrained(minilm(), num_labels=len(names))
    made, pieces = None, pieces_of(listed)
    with tempfile.TemporaryDirectory() as folder:
        loop = Trainer(
            model=model,
            args=TrainingArguments(
                folder,
                num_train_epochs=1,
                per_device_train_batch_size=batch or max(1, round(MAX_TOKENS / mean)),
                use_cpu=DEVICE == "cpu",
                bf16=dtype == "bfloat16",
                report_to=[],
                disable_tqdm=True,
                save_strategy="no",
                logging_strategy="no",
                dataloader_pin_memory=False,
                **settings,
            ),
            train_dataset=data,
            data_collator=DataCollatorForTokenClassification(tokenizer),
        )
        while True:
            yield made
            loop.train()
            made = {"pieces": pieces}


if __name__ == "__main__":
    main()
