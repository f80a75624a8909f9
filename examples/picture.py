"""Draws docs/filing.svg: passages of the annual report with the spans that the demo found. Run it after `make demo`."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console

from demo import FOUND, passages
from spanbert import read_documents
from spanbert.cli.show import highlighted

TARGET = Path("docs/filing.svg")


def main() -> None:
    document = next(read_documents(FOUND))
    labels = sorted({span.label for span in document.spans})
    console = Console(record=True, width=110, highlight=False)
    richest = sorted(passages(document), key=lambda p: -len({span.label for span in p.spans}) + len(p.text) / 300)
    for passage in sorted(richest[:4], key=lambda p: int(p.id)):
        console.print(highlighted(passage, labels))
        console.print()
    drawn = console.export_svg(title="spanbert predict --format highlight")
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # fonts from the network: the viewer's will do
    TARGET.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
