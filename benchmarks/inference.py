"""From strings to spans: this package against the token-classification pipeline of `transformers`, same weights.

    python -m benchmarks.inference short [--size base|mini]     # ragged short texts, mean 28 pieces
    python -m benchmarks.inference long [--size base|mini]      # one document of 20,000 pieces
    python -m benchmarks.inference single [--size base|mini]    # one short request at a time, p50
    python -m benchmarks.inference shares [--size base|mini]    # where the time goes

On a GPU with DEVICE=cuda, where there are eight times as many short texts. Weights are random (speed does not depend
on them), with a bias that makes one piece in twenty something else than O.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from benchmarks.duel import DEVICE, ROOT, dtypes, duel, keep, machine, ratio

WORK = ROOT / "build" / "benchmarks" / "inference"
SHAPES = {"base": (768, 12, 12, 3072), "mini": (384, 6, 12, 1536)}
LABELS = ["PER", "ORG", "LOC", "MISC"]
SHORT_PIECES, SHORT_TEXTS = 28, {"base": 120, "mini": 600}
LONG_PIECES = 20_000
CALLS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("short", "long", "single", "shares"))
    parser.add_argument("--size", choices=tuple(SHAPES), default="base")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", action="store_true", help="measure beside other work")
    options = parser.parse_args()
    facts = machine()
    folder = model_folder(options.size)
    works = {"short": short, "long": long, "single": single, "shares": shares}
    works[options.work](folder, options.size, facts, options.rounds)


def short(folder: Path, size: str, facts: dict[str, Any], rounds: int) -> None:
    """Throughput on ragged short texts."""
    rivals = {"pipeline_32": "its batches of 32", "pipeline_1": "one at a time", "pipeline_sorted": "sorted, 32"}
    if DEVICE == "cuda":  # it would take minutes
        del rivals["pipeline_1"]
    texts = {"number": SHORT_TEXTS[size] * (1 if DEVICE == "cpu" else 8)}
    table("short", folder, size, facts, rounds, rivals, texts)


def long(folder: Path, size: str, facts: dict[str, Any], rounds: int) -> None:
    """Throughput on one long document."""
    rivals = {"pipeline_stride": "stride 128", "pipeline_stride_8": "stride 128, batches of 8"}
    table("long", folder, size, facts, rounds, rivals, {"pieces": LONG_PIECES})


def table(
    work: str,
    folder: Path,
    size: str,
    facts: dict[str, Any],
    rounds: int,
    rivals: dict[str, str],
    texts: dict[str, int],
) -> None:
    """Measure, print and keep one table."""
    pieces, flops = cost(size, texts)
    for dtype in dtypes(facts):
        if dtype == "bfloat16":  # and what its user gets who changes nothing
            rivals = {**rivals, f"{next(iter(rivals))}_fp32": "its default, fp32"}
        names = ["ours_tags", "ours_spans", *rivals]
        found = duel("benchmarks.inference", names, {"folder": str(folder), "dtype": dtype, "texts": texts}, rounds)
        print(f"\n{work}, {size}, {dtype}: {pieces:,} pieces")
        rate = facts["fp32_tflops" if dtype == "float32" else "bf16_tflops"] * 1e12
        rows = {}
        for name, result in found.items():
            share = flops / result.median / rate
            rows[name] = {
                "pieces_per_second": round(pieces / result.median),
                "share_of_limit": round(share, 3),
                "peak_mib": round(result.peak_mib),
                "ours_is_faster": ratio(result, found["ours_tags"]),
                "made": result.made,
            }
            print(
                f"  {rivals.get(name, name):24} {pieces / result.median:9,.0f} pieces/s {share:6.1%} of the limit "
                f"{result.peak_mib:6,.0f} MiB, ours is {rows[name]['ours_is_faster']} times as fast, {result.made}"
            )
        keep("inference", {"work": work, "size": size, "dtype": dtype, "pieces": pieces, "rows": rows, **facts})


def single(folder: Path, size: str, facts: dict[str, Any], rounds: int) -> None:
    """Latency of one request of some 28 pieces."""
    for dtype in dtypes(facts):
        names = ["ours_each", "pipeline_1", *["pipeline_1_fp32"] * (dtype == "bfloat16")]
        arguments = {"folder": str(folder), "dtype": dtype, "texts": {"number": CALLS}}
        found = duel("benchmarks.inference", names, arguments, rounds)
        ours = found["ours_each"]
        rows = {}
        for name, result in found.items():
            times = round(result.made["p50_ms"] / ours.made["p50_ms"], 2)
            memory = round(ours.peak_mib / result.peak_mib, 2)
            rows[name] = {**result.made, "peak_mib": round(result.peak_mib), "times": times, "our_memory": memory}
            print(f"single, {size}, {dtype}, {name}: {rows[name]}")
        keep("inference", {"work": "single", "size": size, "dtype": dtype, "rows": rows, **facts})


def shares(folder: Path, size: str, facts: dict[str, Any], rounds: int) -> None:
    """Time of each stage on the short texts and on the long one, one stage after the other, the median of rounds."""
    from spanbert import Document, SpanModel
    from spanbert.inference.predictor import read_chunk

    for kind in ("tags", "spans"):
        predictor = SpanModel.from_pretrained(folder / kind, device=DEVICE, dtype=dtypes(facts)[-1]).predictor()
        ((name, task),) = predictor.tasks.items()
        tokenizer = predictor.tokenizer
        for work, texts in (("short", corpus(SHORT_TEXTS[size])), ("long", corpus(pieces=LONG_PIECES))):
            documents = [Document(str(number), text) for number, text in enumerate(texts)]
            times: dict[str, list[float]] = {}
            for _ in range(rounds):
                clock = Clock(times)
                tokenizer._backend.encode_batch(texts, add_special_tokens=False)
                clock("bare tokenizer")
                tokenizer.pieces(texts)
                clock("tokenising")
                readings = read_chunk(documents, tokenizer, predictor.tasks, predictor.backend, {name: task.floor})
                clock("tokenising, windows, encoder, head")
                for reading in readings:
                    task.decode(reading.document, reading.pieces, reading.tables[name])
                clock("decoding")
            row = {stage: round(statistics.median(values), 4) for stage, values in times.items()}
            share = row["decoding"] / row["tokenising, windows, encoder, head"]
            speed = row["bare tokenizer"] / row["tokenising"]
            print(
                f"{kind}, {work}, {size}: decoding {share:.1%} of the rest, tokenising at {speed:.0%} of its own rate"
            )
            keep(
                "inference",
                {"work": f"shares {work} {kind}", "size": size, "dtype": dtypes(facts)[-1], "seconds": row, **facts},
            )


class Clock:
    """Seconds since the last call, kept under a name."""

    def __init__(self, times: dict[str, list[float]]) -> None:
        self.times, self.last = times, time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        self.times.setdefault(stage, []).append(now - self.last)
        self.last = time.perf_counter()


def cost(size: str, texts: dict[str, int]) -> tuple[int, float]:
    """Pieces of the texts, and the floating-point operations that an encoder cannot do without (no padding)."""
    from spanbert.tokenization import Tokenizer

    width, layers, _, inner = SHAPES[size]
    found = Tokenizer.from_folder(encoder_folder()).pieces(corpus(**texts))
    lengths = [len(pieces) for pieces in found]
    linear = 2 * layers * (4 * width**2 + 2 * width * inner)
    attention = sum(4 * layers * width * length * min(length, 512) for length in lengths)
    return sum(lengths), float(linear * sum(lengths) + attention)


def encoder_folder() -> Path:
    from encoder import minilm

    return minilm()


def corpus(number: int = 0, pieces: int = 0) -> list[str]:
    """`number` ragged stretches of real business prose, or one text of about so many `pieces`; always the same."""
    import numpy as np

    from spanbert import read_documents

    filing = next(iter(read_documents(ROOT / "examples" / "data" / "filing" / "annual_report.txt")))
    words = filing.text.split()
    if pieces:
        return [" ".join(words[: round(pieces / 1.35)])]
    draw = np.random.default_rng(0)
    lengths = draw.lognormal(mean=np.log(SHORT_PIECES / 1.35) - 0.18, sigma=0.6, size=number).clip(2, 300).astype(int)
    starts = draw.integers(0, len(words) - 300, number)
    return [" ".join(words[a : a + n]) for a, n in zip(starts.tolist(), lengths.tolist(), strict=True)]


def model_folder(size: str) -> Path:
    """One folder for each of our two tasks, over the same random encoder; that of tags is a stock checkpoint too."""
    import torch

    from spanbert import SpanModel
    from spanbert.bundle import Bundle
    from spanbert.encoder.packed import EncoderConfig, PackedBert
    from spanbert.tasks import settings_from, task_class
    from spanbert.tokenization import Tokenizer

    folder = WORK / size
    if (folder / "spans" / "checksums.json").exists():
        return folder
    width, layers, heads, inner = SHAPES[size]
    tokenizer = Tokenizer.from_folder(encoder_folder())
    torch.manual_seed(0)
    encoder = PackedBert(
        EncoderConfig(
            vocab_size=tokenizer.size,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner,
        )
    )
    for name, task in (("tags", "token-classification"), ("spans", "span-classification")):
        made = task_class(task)(settings_from(task, {"labels": tuple(LABELS), "overlap": 40}), tokenizer)
        bundle = Bundle.build(encoder, tokenizer, {task: made}, {})
        if name == "tags":
            head = bundle.network.heads[task]
            with torch.no_grad():
                head.classifier.bias[0] = 3.5 * float(head.classifier.weight.norm(dim=1).mean())  # type: ignore[union-attr]
        SpanModel(bundle, "cpu", "float32").save_pretrained(folder / name)
    return folder


# The contestants; see `duel.py`.


def ours_tags(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:
    """Our token classification."""
    yield from ours(f"{folder}/tags", dtype, corpus(**texts))


def ours_spans(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:
    """Our span classification, over the same encoder."""
    yield from ours(f"{folder}/spans", dtype, corpus(**texts))


def ours(folder: str, dtype: str, texts: list[str]) -> Iterator[Any]:
    from spanbert import SpanModel

    model = SpanModel.from_pretrained(folder, device=DEVICE, dtype=dtype)
    found: Any = None
    while True:
        yield found
        found = {"spans": sum(len(document.spans) for document in model.predict(texts))}


def ours_each(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:
    from spanbert import SpanModel

    model = SpanModel.from_pretrained(f"{folder}/tags", device=DEVICE, dtype=dtype)
    yield from each(model.predict, corpus(**texts))


def each(call: Any, texts: list[str]) -> Iterator[Any]:
    found: Any = None
    while True:
        yield found
        times = []
        for text in texts:
            start = time.perf_counter()
            call(text)
            times.append(time.perf_counter() - start)
        found = {"p50_ms": round(1000 * statistics.median(times), 2)}


def pipeline(folder: str, dtype: str, **settings: Any) -> Any:
    import torch
    from transformers import pipeline as make

    return make(
        "token-classification",
        f"{folder}/tags",
        device=DEVICE,
        dtype=getattr(torch, dtype),
        aggregation_strategy="simple",
        **settings,
    )


def stock(call: Any, texts: list[str]) -> Iterator[Any]:
    found: Any = None
    while True:
        yield found
        found = {"spans": sum(len(spans) for spans in call(texts))}


def pipeline_32(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:
    yield from stock(pipeline(folder, dtype, batch_size=32), corpus(**texts))


def pipeline_32_fp32(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:  # noqa: ARG001
    yield from pipeline_32(folder, "float32", texts)


def pipeline_1_fp32(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:  # noqa: ARG001
    yield from pipeline_1(folder, "float32", texts)


def pipeline_sorted(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:
    """What a careful user does: texts of one length together."""
    call = pipeline(folder, dtype, batch_size=32)
    listed = corpus(**texts)
    lengths = {text: len(call.tokenizer(text)["input_ids"]) for text in listed}
    yield from stock(lambda texts: call(sorted(texts, key=lengths.__getitem__)), listed)


def pipeline_1(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:
    call = pipeline(folder, dtype)
    if texts.get("number") == CALLS:
        yield from each(call, corpus(**texts))
    else:
        yield from stock(call, corpus(**texts))


def pipeline_stride(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:
    yield from stock(pipeline(folder, dtype, stride=128), corpus(**texts))


def pipeline_stride_fp32(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:  # noqa: ARG001
    yield from pipeline_stride(folder, "float32", texts)


def pipeline_stride_8(folder: str, dtype: str, texts: dict[str, int]) -> Iterator[Any]:
    yield from stock(pipeline(folder, dtype, stride=128, batch_size=8), corpus(**texts))


if __name__ == "__main__":
    main()
