"""What reading did to the data: everything repaired, doubted or refused, counted and listed with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import DataError, at, check_among
from .offset_units import DETECTED, UNITS

NOTES_KEPT = 10_000  # beyond it notes are still counted, so that a bad corpus cannot fill the memory


@dataclass(frozen=True, slots=True)
class Reading:
    """How annotated files are read. Raises UsageError for a word that is not one of those told."""

    strict: bool = False
    """Refuse data that would need repairs or give rise to warnings."""
    offset_unit: str = DETECTED
    """What offsets count: detected (from the copies of the spans' texts), code-points, utf-16, utf-8, crlf-as-one,
    after-byte-order-mark or inclusive-ends."""
    encoding_errors: str = "strict"
    """Bytes that are not UTF-8: strict (refused) or replace (by U+FFFD, counted)."""
    normalise: str = "no"
    """nfc: compose letters and accents, and move the offsets; no: keep texts as they are."""
    undirected: str = ""
    """Labels of relations without a direction, parted by commas: the argument that begins first is the head."""

    def __post_init__(self) -> None:
        for name, words in (
            ("offset_unit", (DETECTED, *UNITS)),
            ("encoding_errors", ("strict", "replace")),
            ("normalise", ("no", "nfc")),
        ):
            check_among(name, getattr(self, name), words)


class Note(NamedTuple):
    """One thing that was repaired, warned of or rejected."""

    kind: str
    place: str
    what: str


@dataclass
class ReadReport:
    """Counts of what was read and what was done to it. Each `what` begins with a plural noun ending in -s."""

    reading: Reading = Reading()
    documents: int = 0
    spans: int = 0
    repaired: Counter[str] = field(default_factory=Counter)
    warned: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    notes: list[Note] = field(default_factory=list)
    predicted: bool = False
    """Whether what is read is what a system told: of a file that holds both, the predictions."""
    place: str = ""
    """Where the reader is now: `file:line` or `file, document`, as far as known."""
    _unlisted: int = 0

    @contextmanager
    def at(self, *, file: str, line: int | None = None, document: str | None = None) -> Iterator[None]:
        """Say where the reader is: notes and errors from inside the block carry this place."""
        self.place = f"{file}:{line}" if line is not None else file if document is None else f"{file}, {document}"
        with at(file=file, line=line, document=document):
            yield

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Forget what is counted inside the block where a DataError leaves it."""
        counts, notes, unlisted = (Counter(self.repaired), Counter(self.warned)), len(self.notes), self._unlisted
        try:
            yield
        except DataError:
            (self.repaired, self.warned), self._unlisted = counts, unlisted
            del self.notes[notes:]
            raise

    def repair(self, what: str, detail: str = "", times: int = 1) -> None:
        """Count a repair. Raises DataError under `strict`."""
        self._note("repaired", self.repaired, what, detail, times)

    def warn(self, what: str, detail: str = "", times: int = 1) -> None:
        """Count something doubtful that was kept or left out. Raises DataError under `strict`."""
        self._note("warned", self.warned, what, detail, times)

    def reject(self, error: DataError) -> None:
        """Count an error that ends the reading."""
        self.rejected[error.found] += 1
        self.notes.append(Note("rejected", error.place, error.found))

    def summary(self) -> list[str]:
        """One line per kind of thing, the most frequent first: `3 spans trimmed of white space`."""
        counters = (("", self.repaired), ("warning: ", self.warned), ("rejected: ", self.rejected))
        return [
            prefix + (_counted(times, what) if counter is not self.rejected else what)
            for prefix, counter in counters
            for what, times in counter.most_common()
        ]

    def listing(self) -> Iterator[str]:
        """Every note on a line of its own, with its place; then how many were counted only."""
        for note in self.notes:
            yield f"{note.place}: {note.kind}: {note.what}" if note.place else f"{note.kind}: {note.what}"
        if self._unlisted:
            yield f"and {self._unlisted} more"

    def _note(self, kind: str, counter: Counter[str], what: str, detail: str, times: int) -> None:
        full = f"{what}: {detail}" if detail else what
        if self.reading.strict:
            raise DataError(
                full,
                "data that needs neither repair nor warning, since reading is strict",
                "correct the data, or read it without --strict",
            )
        counter[what] += times
        if len(self.notes) < NOTES_KEPT:
            self.notes.append(Note(kind, self.place, full))
        else:
            self._unlisted += 1


def _counted(times: int, what: str) -> str:
    noun, _, rest = what.partition(" ")
    return f"{times:,} {noun if times != 1 else noun.removesuffix('s')} {rest}".rstrip()
