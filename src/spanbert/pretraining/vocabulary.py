"""A WordPiece vocabulary of one's own, trained with the `tokenizers` library."""

from __future__ import annotations

import re
import tempfile
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers, trainers

from .. import durable
from ..documents import Document, only_documents
from ..errors import DataError, UsageError
from ..tokenization import SPECIAL, Tokenizer
from .corpus import slices

UNUSED = 32
"""Pieces without a meaning yet, for those who want to give them one."""
LEAST = 100
"""Pieces of more than a letter."""
FEWEST_LETTERS, MOST_LETTERS = 200, 1000
"""Letters that have a piece, one for 25 pieces between these; text of rarer ones is unknown to the vocabulary."""
RARE = 0.001
"""Share of the text whose letters need none, of scripts with many: a letter takes two pieces, all at most half."""


def train_vocabulary(documents: Iterable[Document], size: int, *, lowercase: bool = False) -> Tokenizer:
    """The tokenizer of a new vocabulary: `size` pieces of the texts, special and unused ones among them.

    The same texts give the same vocabulary. Raises DataError for texts without words, UsageError for a size that
    cannot be.
    """
    backend = Backend(models.WordPiece(unk_token=SPECIAL["unk"]))
    backend.normalizer = normalizers.BertNormalizer(strip_accents=lowercase, lowercase=lowercase)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.txt"
        letters = _spooled(only_documents(documents), backend.normalizer, path)
        alphabet = list(letters)[: _number(letters, size)]
        first = _first_pieces(alphabet)
        if size < len(first) + LEAST:
            raise UsageError(
                f"a vocabulary of {size}",
                f"at least {len(first) + LEAST} pieces: single letters take {len(first)}",
                "8000 to 30000 are usual",
            )
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            # with a fixed order of the single letters ties are broken in one way; the trainer's own order is random
            special_tokens=first,
            min_frequency=2,
            show_progress=False,
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
        )
        backend.train([str(path)], trainer)
        ordered = sorted(backend.get_vocab().items(), key=lambda item: item[1])
        if len(ordered) <= len(first) and all(map(str.isascii, alphabet)):  # where words are letters there are no more
            raise DataError("texts without words that occur twice", "a corpus of text", "check the files")
        vocabulary = Path(folder) / "vocab.txt"
        vocabulary.write_text("".join(f"{piece}\n" for piece, _ in ordered), encoding="utf-8")
        return Tokenizer.from_vocabulary(vocabulary, lowercase=lowercase)


_LONG = re.compile(r"\w{500}(?=\w)")
"""The beginning of a word of more than that: the trainer's time grows with the square of a word's length."""


def _number(letters: Mapping[str, int], size: int) -> int:
    """How many letters have a piece: in scripts with more of them than usual, all but the rarest, as there is room."""
    usual = min(max(size // 25, FEWEST_LETTERS), MOST_LETTERS)
    reached = list(accumulate(letters.values()))
    return max(usual, min(bisect_left(reached, (1 - RARE) * reached[-1]) + 1, size // 4))


def _spooled(documents: Iterable[Document], normalizer: normalizers.Normalizer, path: Path) -> dict[str, int]:
    """Write the texts into a file; how often ASCII and the characters that occur twice or more do, the most frequent
    first."""
    counts: Counter[str] = Counter()
    with path.open("w", encoding="utf-8") as file:
        for document in documents:
            for part in slices(_LONG.sub(r"\g<0> ", document.text)):
                counts.update(normalizer.normalize_str(part))
                file.write(part)
            file.write("\n")
    counts += Counter(dict.fromkeys(normalizer.normalize_str("".join(map(chr, range(33, 127)))), 2))
    seen = (letter for letter, count in counts.items() if count > 1 and not letter.isspace())
    return {c: counts[c] for c in sorted(seen, key=lambda letter: (not letter.isascii(), -counts[letter], letter))}


def _first_pieces(alphabet: Sequence[str]) -> list[str]:
    """Special and unused pieces, then every letter; of those that words go on with, that form as well.

    Words go on with all but what BERT's tokenizer takes for punctuation: signs such as ° and € too. A form that were
    left out would be numbered by the trainer, in an order that changes with every process.
    """
    going_on = [f"##{letter}" for letter in alphabet if not _is_punctuation(letter)]
    return [*SPECIAL.values(), *(f"[unused{number}]" for number in range(UNUSED)), *alphabet, *going_on]


def _is_punctuation(letter: str) -> bool:
    return unicodedata.category(letter)[0] == "P" or letter.isascii() and not letter.isalnum()


def write_vocabulary(tokenizer: Tokenizer, folder: Path, longest: int) -> None:
    """`vocab.txt` and what `Tokenizer.save` writes; the folder appears when all of it is there."""
    with durable.staged(folder) as staging:
        pieces = "".join(f"{tokenizer.token(number)}\n" for number in range(tokenizer.size))
        (staging / "vocab.txt").write_text(pieces, encoding="utf-8")
        tokenizer.save(staging, longest)
