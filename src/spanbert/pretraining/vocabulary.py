"""A WordPiece vocabulary of one's own, trained with the `tokenizers` library."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, trainers

from .. import durable
from ..documents import Document
from ..errors import DataError, UsageError
from ..tokenization import SPECIAL, Tokenizer
from .corpus import slices

UNUSED = 32
"""Pieces without a meaning yet, for those who want to give them one."""
LEAST = 500


def train_vocabulary(documents: Iterable[Document], size: int, *, lowercase: bool = False) -> Tokenizer:
    """The tokenizer of a new vocabulary: `size` pieces of the texts, special and unused ones among them.

    The same texts give the same vocabulary. Raises DataError for texts without words, UsageError for a size that
    cannot be.
    """
    if size < LEAST:
        raise UsageError(f"a vocabulary of {size}", f"at least {LEAST} pieces", "8000 to 30000 are usual")
    backend = Backend(models.WordPiece(unk_token=SPECIAL["unk"]))
    backend.normalizer = normalizers.BertNormalizer(strip_accents=lowercase, lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [*SPECIAL.values(), *(f"[unused{number}]" for number in range(UNUSED))]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=special,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=[chr(number) for number in range(33, 127)],
        limit_alphabet=1000,
    )
    backend.train_from_iterator(_texts(documents), trainer)
    ordered = sorted(backend.get_vocab().items(), key=lambda item: item[1])
    if len(ordered) <= len(special) + 2 * 94:
        raise DataError("texts without words that occur twice", "a corpus of text", "check the files")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocab.txt"
        path.write_text("".join(f"{piece}\n" for piece, _ in ordered), encoding="utf-8")
        return Tokenizer.from_vocabulary(path, lowercase=lowercase)


def write_vocabulary(tokenizer: Tokenizer, folder: Path, longest: int) -> None:
    """`vocab.txt` and what `Tokenizer.save` writes; the folder appears when all of it is there."""
    with durable.staged(folder) as staging:
        pieces = "".join(f"{tokenizer.token(number)}\n" for number in range(tokenizer.size))
        (staging / "vocab.txt").write_text(pieces, encoding="utf-8")
        tokenizer.save(staging, longest)


def _texts(documents: Iterable[Document]) -> Iterator[str]:
    for document in documents:
        yield from slices(document.text)
