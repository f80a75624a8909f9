"""What pre-training would hide, to look at before a machine is busy with it for days."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from .. import masking
from ..documents import Document
from ..errors import plain
from ..tasks import LEARNS_FROM_TEXT, settings_from, task_class

(TASK,) = LEARNS_FROM_TEXT
DRAWS = 10_000
_BAR = 40


def show_masks(documents: Iterable[Document], tokenizer_folder: str, settings: Mapping[str, Any], blocks: int) -> None:
    """Print blocks with their hidden pieces in colour, then how long the drawn spans are and should be."""
    from ..encoder.files import locate
    from ..tokenization import Tokenizer

    console = Console(highlight=False, soft_wrap=True)
    tokenizer = Tokenizer.from_folder(locate(tokenizer_folder))
    task = task_class(TASK)(settings_from(TASK, settings), tokenizer)
    draw = np.random.default_rng(0)
    examples = (
        (document, example)
        for document in documents
        for example in task.examples(document, tokenizer.pieces([document.text])[0], draw)
    )
    hidden = pieces = 0
    for document, example in islice(examples, blocks):
        window, targets = example.windows[0], example.targets
        hidden, pieces = hidden + len(targets.at), pieces + int((window.pieces >= 0).sum())
        console.rule(f"{plain(document.id)}: {len(targets.at)} of {(window.pieces >= 0).sum()} pieces hidden")
        console.print(_coloured(tokenizer, window, targets))
    console.rule("hidden: [cyan]shown as mask[/cyan]  [yellow]as a random piece[/yellow]  [green]as it is[/green]")
    if pieces:
        console.print(f"{hidden / pieces:.1%} of the pieces are hidden; asked for: {task.settings.masking_rate:.1%}")
    if task.settings.masking == "span":
        _histogram(console, masking.LENGTHS[task.settings.lengths](task.settings.longest_masked), draw)


def _coloured(tokenizer: Any, window: Any, targets: Any) -> Text:
    ids = window.ids.copy()
    ids[targets.at] = targets.ids
    shown = dict(zip(targets.at.tolist(), window.ids[targets.at].tolist(), strict=True))
    text = Text()
    for position in np.flatnonzero(window.pieces >= 0).tolist():
        piece = plain(tokenizer.token(ids[position]))
        space, style, note = " ", "", ""
        if piece.startswith("##"):
            piece, space = piece[2:], ""
        if position in shown:
            seen = shown[position]
            style = "bold cyan" if seen == tokenizer.ids["mask"] else "bold green"
            if seen not in (tokenizer.ids["mask"], ids[position]):
                style, note = "bold yellow", f"→{plain(tokenizer.token(seen))}"
        text.append(space)
        text.append(piece + note, style=style)
    return text


def _histogram(console: Console, theory: masking.FloatArray, draw: np.random.Generator) -> None:
    lengths = [length for length, _ in islice(masking.draws(1, theory, draw), DRAWS)]
    counts = np.bincount(lengths, minlength=len(theory) + 1)[1:]
    console.print(f"\nwords of a span, {DRAWS:,} draws (mean {np.mean(lengths):.3f}) against theory:")
    for length, (count, share) in enumerate(zip(counts.tolist(), theory.tolist(), strict=True), start=1):
        bar = "█" * round(_BAR * count / DRAWS / max(theory))
        console.print(f"{length:>3}  {count / DRAWS:6.2%}  {share:6.2%}  {bar}")
