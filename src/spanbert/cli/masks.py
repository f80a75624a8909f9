"""The view of `spanbert pretrain --inspect`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from rich.console import Console
from rich.text import Text

from ..documents import Document
from ..errors import DataError, check_whole, plain
from ..pretraining.corpus import SHORTEST
from ..pretraining.inspection import DRAWS, Inspection, Shown

_BAR = 40
_STYLES = {"visible": "", "mask": "bold cyan", "random": "bold yellow", "kept": "bold green"}


def show_masks(inspection: Inspection, documents: Iterable[Document], blocks: int, seed: int) -> None:
    """Print blocks with their hidden pieces in colour, then how long the drawn spans are and should be."""
    check_whole("inspect", blocks, 1, "leave it out to train")
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    hidden = total = 0
    for name, pieces in islice(inspection.blocks(documents, seed), blocks):
        number = sum(piece.fate != "visible" for piece in pieces)
        hidden, total = hidden + number, total + len(pieces)
        console.rule(f"{plain(name)}: {number} of {len(pieces)} pieces hidden")
        console.print(_coloured(pieces))
    if not total:
        raise DataError("no text of which a piece could be hidden", f"documents of {SHORTEST} pieces", "give others")
    console.rule("hidden: [cyan]shown as mask[/cyan]  [yellow]as a random piece[/yellow]  [green]as it is[/green]")
    console.print(f"{hidden / total:.1%} of the pieces are hidden")
    if lengths := inspection.lengths(seed):
        mean = sum(length * drawn for length, drawn, _ in lengths)
        console.print(f"\nwords of a span, {DRAWS:,} draws (mean {mean:.3f}) against theory:")
        for length, drawn, theory in lengths:
            bar = "█" * round(_BAR * drawn / max(row[2] for row in lengths))
            console.print(f"{length:>3}  {drawn:6.2%}  {theory:6.2%}  {bar}")


def _coloured(pieces: Iterable[Shown]) -> Text:
    """`[piece]` for what is hidden, so that it can be told without colours too."""
    text = Text()
    for shown in pieces:
        piece = shown.piece.removeprefix("##")
        text.append("" if piece != shown.piece else " ")
        instead = f"→{shown.instead}" if shown.instead else ""
        text.append(plain(piece if shown.fate == "visible" else f"[{piece}{instead}]"), style=_STYLES[shown.fate])
    return text
