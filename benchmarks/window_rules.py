"""Which score a span gets that stands in several windows: rules compared on the same rows of the same model.

    python -m benchmarks.window_rules [CORPUS ...]    # trains a model where there is none yet; the table of the README

Novels (LitBank, whole: some 2,700 pieces each) and filings (SEC, all chunks of the test part in one text). The windows
are opened, so that the head emits every row that it has. The oracle reads windows of the same size that share half of
their pieces: every span is seen with at least a quarter of a window around it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.accuracy import RATES, epochs_for, minilm, parts_of, with_known_labels
from benchmarks.datasets import DATA, OUTPUT, ROOT
from spanbert import Document, Span, SpanModel, TrainConfig, train
from spanbert.decoding import decode_spans
from spanbert.documents import Candidate
from spanbert.metrics.significance import paired_intervals
from spanbert.metrics.spans import count_documents, f1
from spanbert.packing import lay_out, longest_first
from spanbert.tasks.task import Task
from spanbert.tokenization import Pieces
from spanbert.windows import Window, cut

CORPORA = {"litbank": "nested", "sec_filings_ner": "flat"}
SIZES = (64, 128, 512)
OPEN, BATCH = 2**40, 4096
Rows = dict[tuple[int, int, int], list[tuple[int, float]]]
"""Of each span (first piece, last, label) the windows that hold it, in their order, and what each says."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", metavar="CORPUS", help=f"{', '.join(CORPORA)}, unless named")
    options = parser.parse_args()
    names = ("ours", *RULES, "oracle")
    print("| corpus | window | documents | " + " | ".join(names) + " | ours less oracle |")
    print("|---|--:|--:|" + "--:|" * len(names) + ":-:|")
    for corpus in options.corpora or CORPORA:
        gold, parts = long_texts(corpus)
        model = trained(corpus)
        for size in SIZES:
            counts = {name: counted(gold, found, parts) for name, found in compared(model, gold, size).items()}
            values = (f"{100 * float(f1(counts[name].sum(axis=0))):.1f}" for name in names)
            (low, high), *_ = paired_intervals(counts["oracle"][:, None], counts["ours"][:, None]) or ((0.0, 0.0),)
            print(
                f"| {corpus} | {size} | {len(gold)} | {' | '.join(values)} | [{100 * low:+.1f}, {100 * high:+.1f}] |",
                flush=True,
            )


def long_texts(corpus: str) -> tuple[list[Document], list[list[int]]]:
    """And where in each the texts begin that it is made of, which are what is drawn for intervals."""
    parts = parts_of(corpus, DATA, OUTPUT)
    if corpus == "litbank":
        return parts["test"], [[0] for _ in parts["test"]]
    text, spans, begins = "", [], []
    for document in parts["test"]:
        begins.append(len(text))
        spans += [replace(span, start=span.start + len(text), end=span.end + len(text)) for span in document.spans]
        text += document.text + "\n"
    return [Document(corpus, text, tuple(spans))], [begins]


def counted(gold: Sequence[Document], found: Sequence[Document], parts: Sequence[Sequence[int]]) -> np.ndarray:
    """[texts, 3]: right, predicted and gold spans of each text that the documents are made of."""
    rows = []
    for document, other, begins in zip(gold, found, parts, strict=True):
        ends = [*begins[1:], len(document.text)]
        for begin, end in zip(begins, ends, strict=True):
            sides = [
                [replace(d, spans=tuple(span for span in d.spans if begin <= span.start < end))]
                for d in (document, other)
            ]
            rows.append(count_documents(*sides).by_label.sum((0, 1)))
    return np.array(rows)


def trained(corpus: str) -> SpanModel:
    folder = ROOT / "build" / "benchmarks" / "window_rules" / corpus
    if (folder / "checksums.json").exists():
        return SpanModel.from_pretrained(folder)
    parts = parts_of(corpus, DATA, OUTPUT)
    settings = {"policy": CORPORA[corpus]}
    epochs = epochs_for(parts["train"])
    config = TrainConfig(epochs=epochs, patience=epochs, learning_rate=RATES[0], max_tokens=1024, dtype="bfloat16")
    model = SpanModel.create(minilm(), task="span-classification", settings=settings)
    model = train(model, parts["train"], with_known_labels(parts), config)
    model.save_pretrained(folder)
    return model


def compared(model: SpanModel, gold: Sequence[Document], size: int) -> dict[str, list[Document]]:
    """What each rule finds with windows of this size, which share what the longest span of training wants."""
    (task,) = model.bundle.tasks.values()
    tokenizer = model.bundle.tokenizer
    found: dict[str, list[Document]] = {name: [] for name in ("ours", *RULES, "oracle")}
    frame = tokenizer.frame
    overlap = min(task.settings.overlap or 0, (size - len(frame)) // 2)
    for document, pieces in zip(gold, tokenizer.pieces([d.text for d in gold]), strict=True):
        windows = cut(pieces, size, overlap, frame)
        rows = opened(model, windows)
        scores = {"ours": owned(rows, windows), **{name: rule(rows) for name, rule in RULES.items()}}
        wide = cut(pieces, size, size, frame)  # as much as they can share: half
        scores["oracle"] = owned(opened(model, wide), wide)
        for name, logits in scores.items():
            chosen = longest if name == "longest wins" else best
            spans = chosen(task, pieces, {span: z for span, z in logits.items() if z > 0})
            found[name].append(Document(document.id, document.text, spans))
    return found


def opened(model: SpanModel, windows: Sequence[Window]) -> Rows:
    """What every window says of every span in it."""
    groups = [(replace(window, low=-1, high=OPEN),) for window in windows]
    rows: Rows = {}
    for members in longest_first(groups, BATCH):
        batch = lay_out(groups, members)
        number = batch.members[batch.groups]
        (table,) = model.backend.run(batch, dict.fromkeys(model.bundle.tasks, -6.0)).values()
        columns = (table[name].tolist() for name in ("first", "last", "label"))
        for window, *span, z in zip(number[table["window"]].tolist(), *columns, table["logit"].tolist(), strict=True):
            rows.setdefault((span[0], span[1], span[2]), []).append((window, z))
    return {span: sorted(said) for span, said in rows.items()}


def owned(rows: Rows, windows: Sequence[Window]) -> dict[tuple[int, int, int], float]:
    """Of each span what the window says that owns it."""
    return {
        span: next((z for k, z in said if windows[k].low < span[0] + span[1] <= windows[k].high), -np.inf)
        for span, said in rows.items()
    }


RULES: dict[str, Callable[[Rows], dict[tuple[int, int, int], float]]] = {
    "first window wins": lambda rows: {span: said[0][1] for span, said in rows.items()},
    "highest score wins": lambda rows: {span: max(z for _, z in said) for span, said in rows.items()},
    "mean logit": lambda rows: {span: float(np.mean([z for _, z in said])) for span, said in rows.items()},
    "longest wins": lambda rows: {span: max(z for _, z in said) for span, said in rows.items()},
}


def best(task: Task, pieces: Pieces, logits: dict[tuple[int, int, int], float]) -> tuple[Span, ...]:
    """Decoded under the policy of the task."""
    found = [candidate(task, pieces, span, z) for span, z in logits.items()]
    if not found:
        return ()
    numbers = {label: k for k, label in enumerate(task.settings.labels)}
    columns = zip(*((c.start, c.end, numbers[c.label], c.logit) for c in found), strict=True)
    starts, ends, labels, z = map(np.array, columns)
    chosen = decode_spans(task.settings.policy, starts, ends, labels, z, floor=0.0, room=0)  # type: ignore[attr-defined]
    return tuple(Span(found[k].start, found[k].end, found[k].label) for k in chosen.tolist())


def longest(task: Task, pieces: Pieces, logits: dict[tuple[int, int, int], float]) -> tuple[Span, ...]:
    """The longest first, as long as they may stand together."""
    kept: list[Candidate] = []
    nested = task.settings.policy == "nested"  # type: ignore[attr-defined]
    found = [candidate(task, pieces, span, z) for span, z in logits.items()]
    for one in sorted(found, key=lambda c: (c.start - c.end, c.start, -c.logit)):
        if all(apart(one, other) or (nested and inside(one, other)) for other in kept):
            kept.append(one)
    return tuple(Span(c.start, c.end, c.label) for c in kept)


def candidate(task: Task, pieces: Pieces, span: tuple[int, int, int], z: float) -> Candidate:
    return Candidate(int(pieces.starts[span[0]]), int(pieces.ends[span[1]]), task.settings.labels[span[2]], z)


def apart(one: Candidate, other: Candidate) -> bool:
    return one.end <= other.start or other.end <= one.start


def inside(one: Candidate, other: Candidate) -> bool:
    return other.start <= one.start and one.end <= other.end and (one.start, one.end) != (other.start, other.end)


if __name__ == "__main__":
    main()
