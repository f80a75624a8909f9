"""Pre-training speed: pieces a second, against the `Trainer` of `transformers` with its masking collator.

    python -m benchmarks.pretraining [--rounds 2] [--dtype bfloat16]

A new encoder, 6 layers of 384 and 16,000 pieces (those of `spanbert-ner`), on an annual report: in full blocks of 128
positions, and paragraph by paragraph, where the rival pads. `limit` multiplies large square matrices in the same
rounds: what the others reach of its rate is their share of the machine's limit. `ours_masked` has the rival's
objective, `ours_boundary` the span-boundary objective as well. Both sides hide 15 %, drop nothing and take steps of as
many positions. In fp32 and, where the processor computes it natively, in bfloat16, beside the rival's default (fp32)
once more. Tokenising is not measured. On a GPU with DEVICE=cuda: 16 times the positions a step, and processes that
prepare steps on either side.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.duel import DEVICE, ROOT, dtypes, duel, keep, machine, ratio

WINDOW = 128
POSITIONS, STEPS, WORKERS, COPIES = (2048, 8, 0, 1) if DEVICE == "cpu" else (32_768, 40, 6, 40)
"""A step's positions; how many; processes that prepare steps; how often the text is repeated."""
WIDTH, LAYERS, HEADS, INNER = 384, 6, 6, 1536
SIDE, PRODUCTS = (2048, 40) if DEVICE == "cpu" else (8192, 40)
CONTESTANTS = {
    "blocks": ("ours_masked", "ours_boundary", "trainer"),
    "ragged": ("ours_masked_ragged", "trainer_ragged"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", help="only this one of the precisions that the machine computes natively")
    parser.add_argument("--busy", action="store_true", help="measure beside other work")
    options = parser.parse_args()
    facts = machine()
    for dtype in (each for each in dtypes(facts) if options.dtype in (None, each)):
        rows: dict[str, dict[str, Any]] = {}
        for names in CONTESTANTS.values():
            extra = [f"{names[-1]}_fp32"] * (dtype != "float32")
            found = duel("benchmarks.pretraining", [*names, *extra, "limit"], {"dtype": dtype}, options.rounds)
            products = found.pop("limit")
            for name, result in found.items():
                pieces = result.made["pieces"]
                work = flops(pieces, both=name == "ours_boundary") / products.made["flops"]
                shares = [work * most / each for most, each in zip(products.seconds, result.seconds, strict=True)]
                rows[name] = {
                    "pieces_per_second": round(pieces / result.median),
                    "share_of_limit": f"{median(shares):.3f} [{min(shares):.3f}, {max(shares):.3f}]",
                    "peak_mib": round(result.peak_mib),
                    "ours_is_faster": ratio(result, found[names[0]]),
                }
                print(f"{dtype} {name:20} {rows[name]}", flush=True)
            rows[f"limit_{names[-1]}"] = {"tflops": round(products.made["flops"] / products.median / 1e12, 3)}
        keep("pretraining", {"dtype": dtype, "rows": rows, **facts})


def flops(pieces: int, *, both: bool) -> float:
    """What a training step over so many pieces cannot do without: the vocabulary only where something is hidden."""
    from spanbert.tokenization import Tokenizer

    words = Tokenizer.from_folder(vocabulary()).size
    encoder = 2 * LAYERS * (4 * WIDTH**2 + 2 * WIDTH * INNER) + 4 * LAYERS * WINDOW * WIDTH
    head = 0.15 * 2 * WIDTH * (WIDTH + words)
    if both:
        head += 0.15 * 2 * WIDTH * (3 * WIDTH + 200 + words)
    return 3.0 * pieces * (encoder + head)


def vocabulary() -> Path:
    """A folder with 16,000 of the pieces of MiniLM."""
    from spanbert.encoder.files import locate

    return locate("spanbert-ner")


def texts() -> list[str]:
    from spanbert import read_documents

    (filing,) = read_documents(ROOT / "examples" / "data" / "filing" / "annual_report.txt")
    return [line for line in filing.text.splitlines() if len(line.split()) > 20] * COPIES


# The contestants; see `duel.py`.


def limit(dtype: str) -> Iterator[Any]:
    import torch

    a, b = (torch.randn(SIDE, SIDE, device=DEVICE).to(getattr(torch, dtype)) for _ in range(2))
    made: Any = None
    while True:
        yield made
        for _ in range(PRODUCTS):
            product = a @ b
        product[0, 0].item()  # a GPU is waited for
        made = {"flops": PRODUCTS * 2 * SIDE**3}


def ours_masked(dtype: str) -> Iterator[Any]:
    yield from ours("\n".join(texts()), boundary_weight=0.0, dtype=dtype)


def ours_boundary(dtype: str) -> Iterator[Any]:
    yield from ours("\n".join(texts()), boundary_weight=1.0, dtype=dtype)


def ours_masked_ragged(dtype: str) -> Iterator[Any]:
    yield from ours(*texts(), boundary_weight=0.0, dtype=dtype)


def ours(*documents: str, boundary_weight: float, dtype: str) -> Iterator[Any]:
    import torch

    from spanbert import Document, PretrainConfig
    from spanbert.bundle import Bundle
    from spanbert.encoder.packed import EncoderConfig, PackedBert
    from spanbert.pretraining.corpus import write_corpus
    from spanbert.pretraining.material import Blocks, Stream
    from spanbert.tasks import settings_from, task_class
    from spanbert.tokenization import Tokenizer
    from spanbert.training.loop import held, learn
    from spanbert.training.tracking import Stepped

    tokenizer = Tokenizer.from_folder(vocabulary())
    torch.manual_seed(0)
    encoder = PackedBert(
        EncoderConfig(
            vocab_size=tokenizer.size,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=INNER,
        )
    )
    encoder.set_dropout(0.0)
    name = "span-masking"
    settings = settings_from(name, {"window": WINDOW, "boundary_weight": boundary_weight})
    task = task_class(name)(settings, tokenizer)
    bundle = Bundle.build(encoder, tokenizer, {name: task}, {})
    config = PretrainConfig(max_tokens=POSITIONS, device=DEVICE, dtype=dtype).for_loop(1, 1e-3, 1e-3)
    listed = [Document(str(number), text) for number, text in enumerate(documents)]
    seen: list[int] = []
    made: Any = None
    with tempfile.TemporaryDirectory() as folder:
        corpora = write_corpus(listed, tokenizer, Path(folder) / "corpus", block=WINDOW - 2, held_out=100)
        blocks = Blocks(Stream(corpora[0], name, task, 0, POSITIONS), corpora[1], 1, STEPS, WORKERS)
        while True:
            yield made
            seen.clear()
            with held(config) as hold:
                learn(bundle, blocks, config, [lambda e: seen.append(e.tokens) if isinstance(e, Stepped) else 0], hold)
            made = {"pieces": sum(seen)}


def trainer(dtype: str) -> Iterator[Any]:
    yield from stock(["\n".join(texts())], dtype)


def trainer_fp32(dtype: str) -> Iterator[Any]:  # noqa: ARG001
    yield from trainer("float32")


def trainer_ragged(dtype: str) -> Iterator[Any]:
    yield from stock(texts(), dtype)


def trainer_ragged_fp32(dtype: str) -> Iterator[Any]:  # noqa: ARG001
    yield from trainer_ragged("float32")


def stock(documents: list[str], dtype: str) -> Iterator[Any]:
    import torch
    from transformers import (
        AutoTokenizer,
        BertConfig,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(vocabulary())
    rows = []
    for text in documents:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        for first in range(0, len(ids), WINDOW - 2):
            part = ids[first : first + WINDOW - 2]
            rows.append({"input_ids": [tokenizer.cls_token_id, *part, tokenizer.sep_token_id]})
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    chosen, positions = [], 0
    while positions < STEPS * POSITIONS - WINDOW:
        chosen.append(rows[order[len(chosen) % len(rows)]])
        positions += len(chosen[-1]["input_ids"])
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=INNER,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    made: Any = None
    with tempfile.TemporaryDirectory() as folder:
        loop = Trainer(
            model=model,
            args=TrainingArguments(
                folder,
                num_train_epochs=1,
                per_device_train_batch_size=-(-len(chosen) // STEPS),
                use_cpu=DEVICE == "cpu",
                bf16=dtype == "bfloat16",
                report_to=[],
                disable_tqdm=True,
                save_strategy="no",
                logging_strategy="no",
                dataloader_pin_memory=DEVICE != "cpu",
                dataloader_num_workers=WORKERS,
            ),
            train_dataset=chosen,
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
        )
        while True:
            yield made
            loop.train()
            made = {"pieces": positions}


if __name__ == "__main__":
    main()
