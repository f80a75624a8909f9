"""`spanbert vocabulary`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UsageError
from ..formats import Reading, ReadReport
from ..formats.corpora import CorpusReading, read_texts
from .flags import split, with_settings
from .show import counted, talk, told

LONGEST = 512


@with_settings([CorpusReading, Reading], skip=("strict", "offset_unit", "normalise", "undirected"))
def command(
    *,
    corpus: Annotated[list[str], typer.Option(help="Text, JSON lines, Parquet, or folders of these (one or more).")],
    output: Annotated[Path, typer.Option(help="New folder for the tokenizer.")],
    size: Annotated[int, typer.Option(help="Pieces of the vocabulary, the special ones among them.")] = 16_000,
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Fold case and accents; names lose theirs.")] = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert vocabulary --corpus texts/ --size 16000 --output my-vocabulary"""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"{output} is taken", "a new or empty folder", "choose another --output")
    from ..pretraining.vocabulary import train_vocabulary, write_vocabulary

    report = ReadReport(Reading(**split(Reading, settings)))
    texts = counted(read_texts(corpus, CorpusReading(**split(CorpusReading, settings)), report), "reading")
    tokenizer = train_vocabulary(texts, size, lowercase=lowercase)
    write_vocabulary(tokenizer, output, LONGEST)
    told(report, "corpus", verbose=False)
    fewer = f" ({size:,} were asked for: the text has no more)" if tokenizer.size < size else ""
    talk().print(
        f"a vocabulary of {tokenizer.size:,} pieces is in {output}{fewer}\n"
        f"next:\n  spanbert pretrain --corpus FILES --size mini --vocabulary {output} --output ENCODER",
        markup=False,
    )
