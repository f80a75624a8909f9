"""A corpus on disk as blocks of pieces: written once in one pass, read at any place without loading it.

A block is what the encoder reads at once. Blocks do not overlap and do not cross documents; those of one document are
nearly equally long. Three files of plain numbers and one that describes them:

- `pieces.bin`: ids of all pieces, 2 bytes each (4 where the vocabulary is larger than that);
- `begins.bin`: a byte each, whether the piece begins a word;
- `borders.bin`: where each block begins, and the end of the last, 8 bytes each;
- `corpus.json`: the numbers, the tokenizer's fingerprint, a hash of all pieces, and one of each file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import durable
from ..documents import Document
from ..errors import DataError
from ..tokenization import IntArray, Pieces, Tokenizer

SHORTEST = 8
"""Pieces that a block needs to be worth hiding any of."""
SLICE = 200_000
"""Characters that are tokenised at once; longer texts are cut at white space for it."""
COUNTED = 1 << 22
"""Pieces that are counted at once."""
JOINED = 20_000
"""Characters that joined documents have at least."""
PARTS = ("train", "held_out")
_ABOUT = "corpus.json"


@dataclass(frozen=True, slots=True)
class Counts:
    """What was written and what was not."""

    documents: int = 0
    blocks: int = 0
    pieces: int = 0
    unknown: int = 0
    """Pieces that the vocabulary does not know."""
    too_short: int = 0
    """Documents of fewer than SHORTEST pieces, left out."""


@dataclass(frozen=True, eq=False)
class BlockCorpus:
    """A corpus as it lies on disk."""

    pieces: np.ndarray
    begins: np.ndarray
    borders: np.ndarray
    counts: Counts
    tokenizer: str
    """Fingerprint of the tokenizer it was made with."""
    block: int
    """Most pieces of a block."""
    source: str
    """What it was made from, as the caller names it."""
    fingerprint: str
    folder: Path
    """Where it lies."""

    def __reduce__(self) -> tuple[Callable[[Path], BlockCorpus], tuple[Path]]:
        """For processes that read ahead: they open the files themselves."""
        return BlockCorpus.read, (self.folder,)

    def __len__(self) -> int:
        return len(self.borders) - 1

    def lengths(self, blocks: IntArray) -> IntArray:
        """Pieces of each of these blocks."""
        return np.asarray(self.borders[blocks + 1] - self.borders[blocks], dtype=np.int64)

    def block_pieces(self, number: int) -> Pieces:
        """The pieces of a block; they cover no text, each counts as one character."""
        first, end = int(self.borders[number]), int(self.borders[number + 1])
        words = np.cumsum(self.begins[first:end].astype(np.int64))
        places = np.arange(end - first)
        return Pieces(self.pieces[first:end].astype(np.int64), places, places + 1, words)

    def random_pieces(self, draw: np.random.Generator, size: int) -> IntArray:
        """Pieces as often as they occur in the corpus."""
        return np.asarray(self.pieces[draw.integers(len(self.pieces), size=size)], dtype=np.int64)

    def loss_by_frequency(self, known: BlockCorpus) -> float:
        """What predicting one of its pieces costs, in nats, if all that is known is how often each occurs in `known`
        (each once more than it does, so that none is impossible)."""
        size = 1 + max(int(corpus.pieces.max(initial=0)) for corpus in (self, known))
        mine, theirs = self.occurrences(size), 1 + known.occurrences(size)
        return float(-(mine / mine.sum()) @ np.log(theirs / theirs.sum()))

    def occurrences(self, size: int) -> IntArray:
        """`size`: how often each piece occurs."""
        parts = (self.pieces[begin : begin + COUNTED] for begin in range(0, len(self.pieces), COUNTED))
        return sum((np.bincount(part, minlength=size) for part in parts), np.zeros(size, dtype=np.int64))

    @classmethod
    def read(cls, folder: Path) -> BlockCorpus:
        """A corpus that was written before."""
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        counts = Counts(**about.pop("counts"))
        kind = np.dtype(about.pop("kind"))
        del about["sums"]
        return cls(
            pieces=_column(folder / "pieces.bin", kind),
            begins=_column(folder / "begins.bin", np.dtype(np.bool_)),
            borders=_column(folder / "borders.bin", np.dtype(np.int64)),
            counts=counts,
            folder=folder,
            **about,
        )


def _column(path: Path, kind: np.dtype) -> np.ndarray:
    """Mapped, as a plain array: slices of the other kind take longer."""
    return np.asarray(np.memmap(path, dtype=kind, mode="r")) if path.stat().st_size else np.zeros(0, dtype=kind)


def fault(folder: Path) -> str | None:
    """What is wrong with the corpus in this folder; None where every file has the hash that it was written with."""
    for name in PARTS:
        try:
            sums = json.loads((folder / name / _ABOUT).read_text(encoding="utf-8"))["sums"]
            wrong = [file for file, expected in sums.items() if durable.digest(folder / name / file) != expected]
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            return f"{name} cannot be read ({type(error).__name__})"
        if wrong:
            return f"{name}/{wrong[0]} is damaged"
    return None


def write_corpus(
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    folder: Path,
    *,
    block: int,
    held_out: int,
    source: str = "",
) -> tuple[BlockCorpus, BlockCorpus]:
    """Read the documents once, in constant memory, and write `folder`/train and `folder`/held_out.

    block: most pieces of a block. held_out: in every so many documents one is held out, until that part has
    HELD_OUT_PIECES. Where that is less than LEAST_HELD_OUT pieces, or a tenth of all, the last blocks are held out too.
    Raises DataError where nothing is left to learn from.
    """
    with durable.staged(folder) as staging, ExitStack() as stack:
        train, aside = (stack.enter_context(closing(_Part(staging / name, tokenizer))) for name in PARTS)
        for number, document in enumerate(documents):
            kept = number % held_out == held_out // 2 and aside.pieces < HELD_OUT_PIECES
            (aside if kept else train).add(document.text, block)
        lacking = min(LEAST_HELD_OUT, HELD_OUT_PIECES, (train.pieces + aside.pieces) // 10) - aside.pieces
        if train.blocks > 1 and (lacking > 0 or not aside.blocks):
            share = max(lacking / train.pieces, 0 if aside.blocks else 1 / held_out)
            train.give(aside, min(train.blocks - 1, math.ceil(share * train.blocks)))
        if not train.blocks or not aside.blocks:
            raise DataError(
                f"{train.documents + train.too_short} documents with {train.pieces} pieces of text in all",
                f"text for two blocks of at most {block} pieces, to learn from and to measure on",
                "give more text (words of over 100 characters are unknown), or join short documents: --join-documents",
            )
        for part in (train, aside):
            part.seal(block, source)
    return BlockCorpus.read(folder / "train"), BlockCorpus.read(folder / "held_out")


LEAST_HELD_OUT = 2_000
"""Pieces: on fewer the losses say little, and the best weights are chosen by them."""
HELD_OUT_PIECES = 200_000
"""More text than that does not make the held-out losses more certain, only slower."""


def joined(documents: Iterable[Document]) -> Iterator[Document]:
    """Neighbouring documents as one, of JOINED characters at least: for corpora of titles, tweets or sentences."""
    texts: list[str] = []
    first, length = "", 0
    for document in documents:
        first = first or document.id
        texts.append(document.text)
        length += len(document.text)
        if length >= JOINED:
            yield Document(first, "\n\n".join(texts))
            texts, first, length = [], "", 0
    if texts:
        yield Document(first, "\n\n".join(texts))


def slices(text: str) -> Iterator[str]:
    """The text in parts of SLICE characters at most, cut before white space where there is any."""
    first = 0
    while len(text) - first > SLICE:
        end = first + SLICE
        while end > first and not text[end].isspace():
            end -= 1
        end = end if end > first else first + SLICE
        yield text[first:end]
        first = end
    yield text[first:]


class _Part:
    """One part of a corpus while it is written."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        folder.mkdir()
        self._folder, self._tokenizer = folder, tokenizer
        self._kind = np.dtype(np.uint16 if tokenizer.size <= 1 << 16 else np.uint32)
        self._files = {name: (folder / f"{name}.bin").open("wb") for name in ("pieces", "begins", "borders")}
        self._hash = hashlib.sha256()
        self.documents = self.blocks = self.pieces = self.unknown = self.too_short = 0

    def add(self, text: str, block: int) -> None:
        """The blocks of a document."""
        before = self.pieces
        for part in slices(text):
            ids, words = self._tokenizer.ids_and_words(part)
            if len(ids) >= SHORTEST or self.pieces > before and len(ids):  # the rest of a long document
                self._write(ids, np.diff(words, prepend=-1) != 0, block)
        self.documents += self.pieces > before
        self.too_short += self.pieces == before

    def close(self) -> None:
        """Nothing more is written."""
        for file in self._files.values():
            file.close()

    def seal(self, block: int, source: str) -> None:
        """Write the end of the last block, and the description."""
        self._files["borders"].write(np.int64(self.pieces).tobytes())
        self.close()
        counts = Counts(self.documents, self.blocks, self.pieces, self.unknown, self.too_short)
        about: dict[str, Any] = {
            "kind": self._kind.name,
            "counts": asdict(counts),
            "tokenizer": self._tokenizer.fingerprint,
            "block": block,
            "source": source,
            "fingerprint": self._hash.hexdigest()[:16],
        }
        about["sums"] = {path.name: durable.digest(path) for path in sorted(self._folder.iterdir())}
        (self._folder / _ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")

    def give(self, other: _Part, blocks: int) -> None:
        """Move the last so many blocks to another part."""
        for file in self._files.values():
            file.flush()
        borders = np.fromfile(self._folder / "borders.bin", dtype=np.int64)
        cut = int(borders[-blocks])
        for name, kind in (("pieces", self._kind), ("begins", np.dtype(np.bool_))):
            moved = np.fromfile(self._folder / f"{name}.bin", dtype=kind, offset=cut * kind.itemsize)
            other._files[name].write(moved.tobytes())
            self._files[name].truncate(cut * kind.itemsize)
            other._hash.update(moved.tobytes())
            unknown = int((moved == self._tokenizer.ids["unk"]).sum()) if name == "pieces" else 0
            self.unknown, other.unknown = self.unknown - unknown, other.unknown + unknown
        self._files["borders"].truncate((len(borders) - blocks) * 8)
        for file in self._files.values():
            file.seek(0, 2)
        other._files["borders"].write((borders[-blocks:] - cut + other.pieces).tobytes())
        other.blocks, other.pieces = other.blocks + blocks, other.pieces + self.pieces - cut
        other.documents = max(1, other.documents)
        self.blocks, self.pieces = self.blocks - blocks, cut

    def _write(self, ids: IntArray, begins: np.ndarray, block: int) -> None:
        number = -(-len(ids) // block)
        firsts = np.linspace(0, len(ids), number + 1).round().astype(np.int64)[:-1]
        raw = ids.astype(self._kind).tobytes()
        self._files["pieces"].write(raw)
        self._files["begins"].write(begins.tobytes())
        self._files["borders"].write((firsts + self.pieces).tobytes())
        self._hash.update(raw)
        self._hash.update(firsts.tobytes())
        self.blocks += number
        self.pieces += len(ids)
        self.unknown += int((ids == self._tokenizer.ids["unk"]).sum())
