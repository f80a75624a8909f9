"""The main job on real data: train, evaluate with intervals, find spans in a filing of 58 pages, show them.

It types the commands that you would type; each is printed before it runs. Run it by `make demo`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console

from spanbert import Document, read_documents
from spanbert.cli.show import highlighted

DATA = Path("examples/data")
RUN = Path("demo-run")
MODEL, FOUND = RUN / "model", RUN / "filing.jsonl"
SHOWN = 8

console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    began = time.monotonic()
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir()
    fire = DATA / "fire"
    title("1. Train on 1,925 annotated passages of business news and SEC filings (FIRE, CC BY 4.0)")
    spanbert(
        f"train --task span-classification --train {fire}/train.jsonl.gz "
        f"--dev {fire}/dev.jsonl.gz --output {MODEL} --epochs 3"
    )
    title("2. Evaluate on passages that training has not seen")
    spanbert(f"evaluate --model {MODEL} --data {fire}/test.jsonl.gz")
    title("3. Find spans in the annual report of The Walt Disney Company (Form 10-K, 58 pages)")
    spanbert(f"predict --model {MODEL} --input {DATA}/filing/annual_report.txt --output {FOUND}")
    show(next(read_documents(FOUND)))
    console.print(f"\ndone in {(time.monotonic() - began) / 60:.1f} minutes. Next, on data of your own:\n")
    console.print(
        "  .venv/bin/spanbert init my-project            # a commented configuration and a sample of the data format\n"
        f"  .venv/bin/spanbert predict --model {MODEL} --input YOUR.txt --format highlight\n"
        "  .venv/bin/spanbert train --train YOUR.jsonl --output my-model",
        markup=False,
    )


def title(text: str) -> None:
    console.print(f"\n{text}", style="bold")


def spanbert(arguments: str) -> None:
    """Run a command of ours the way a user does."""
    console.print(f"$ spanbert {arguments}\n", style="dim", markup=False)
    command = [str(Path(sys.executable).parent / "spanbert"), *arguments.split()]
    code = subprocess.run(command, check=False).returncode
    if code:
        raise SystemExit(code)


def show(document: Document) -> None:
    """Some paragraphs with their spans, and what was found in all."""
    counts = Counter(span.label for span in document.spans)
    labels = sorted(counts)
    richest = sorted(passages(document), key=lambda passage: -len({span.label for span in passage.spans}))
    for passage in sorted(richest[:SHOWN], key=lambda passage: int(passage.id)):
        console.print(highlighted(passage, labels))
        console.print()
    console.print("most frequent: " + ", ".join(f"{label} {number:,}" for label, number in counts.most_common(6)))


def passages(document: Document) -> list[Document]:
    """The paragraphs of at most 600 characters, each with its spans; the id is its place in the document."""
    result, start = [], 0
    for paragraph in document.text.split("\n"):
        end = start + len(paragraph)
        if 0 < len(paragraph) <= 600:
            inside = (span for span in document.spans if start <= span.start and span.end <= end)
            moved = tuple(type(span)(span.start - start, span.end - start, span.label, span.score) for span in inside)
            result.append(Document(str(start), paragraph, moved))
        start = end + 1
    return result


if __name__ == "__main__":
    main()
