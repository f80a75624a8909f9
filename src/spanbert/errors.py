"""What can go wrong, in five kinds.

SpanbertError            every error this package raises on purpose
├── CheckFailed          a check that was asked for did not hold        exit code 1
├── UsageError           flags, arguments or settings                   exit code 2
├── DataError            text, annotations or model folders             exit code 3
└── MachineError         disk, memory, network, missing packages        exit code 4

A message has three parts: what was found, what was expected, what to do. Where it happened (file, line,
document) is filled in on the way up by `at`, since the code that finds a fault seldom knows the place.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from numbers import Real

MEANT = "did you mean"  # so advice begins that names one of our own choices
_LONGEST = 1000  # characters of a finding


class SpanbertError(Exception):
    """An error with a place and three sentences: found, expected, do this."""

    exit_code = 1

    def __init__(self, found: str, expected: str, fix: str) -> None:
        if len(found) > _LONGEST:  # whatever stood there
            found = f"{found[:_LONGEST]} … ({len(found):,} characters)"
        super().__init__(found)
        self.found, self.expected, self.fix = found, expected, fix
        self.file: str | None = None
        self.line: int | None = None
        self.document: str | None = None

    @property
    def place(self) -> str:
        """`file:line, document 'id'`, as far as known; empty where nothing is."""
        parts = []
        if self.file is not None:
            parts.append(self.file if self.line is None else f"{self.file}:{self.line}")
        if self.document is not None:
            parts.append(f"document {self.document!r}")
        return ", ".join(parts)

    def __str__(self) -> str:
        head = f"{self.place}: " if self.place else ""
        return f"{head}{self.found}\n  expected: {self.expected}\n  do this:  {self.fix}"


class CheckFailed(SpanbertError):
    """A check that was asked for did not hold."""

    exit_code = 1


class SpanbertWarning(UserWarning):
    """Something was done in another way than was asked for."""


class UsageError(SpanbertError):
    """Flags, arguments or settings that do not fit together."""

    exit_code = 2


class DataError(SpanbertError):
    """Text, annotations or a model folder that cannot be used as they are."""

    exit_code = 3


class MachineError(SpanbertError):
    """Disk, memory, network or a missing package."""

    exit_code = 4


@contextmanager
def at(*, file: object = None, line: int | None = None, document: str | None = None) -> Iterator[None]:
    """Fill in the place of any SpanbertError that passes; a place already known is kept."""
    try:
        yield
    except SpanbertError as error:
        if error.file is None and file is not None:
            error.file = str(file)
            error.line = line if error.line is None else error.line
        if error.document is None:
            error.document = document
        raise


def nearest(value: object, choices: Iterable[str], otherwise: str) -> str:
    """What to do about a value that is no choice: `did you mean 'x'?`, or `otherwise` where none is like it."""
    original = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(str(value).lower(), original, n=1, cutoff=0.6)
    return f"{MEANT} {original[close[0]]!r}?" if close else otherwise


def check_among(
    what: str, value: object, choices: Collection[str], otherwise: str = "name one of these", *, where: str = ""
) -> None:
    """Raise UsageError for a value that is none of the choices. what: comes before it in the message; where: after."""
    try:
        known = value in choices
    except TypeError:  # what cannot be hashed
        known = False
    if not known:
        found = f"{what} {value!r} {where}".rstrip()
        raise UsageError(found, f"one of {', '.join(choices)}", nearest(value, choices, otherwise))


def check_whole(what: str, value: object, least: int, fix: str = "leave it out", *, most: int | None = None) -> int:
    """The value; raises UsageError for what is no `int` from `least` on, to `most` if that is given. Numbers of numpy
    are none: settings are saved as JSON."""
    if type(value) is not int or value < least or (most is not None and value > most):
        reach = "on" if most is None else f"to {most}"
        raise UsageError(f"{what} = {value!r}", f"a whole number (int) from {least} {reach}", fix)
    return value


def check_above_zero(what: str, value: object, fix: str = "leave it out") -> None:
    """Raise UsageError for what is no finite `float` or `int` above 0."""
    if type(value) not in (int, float) or not 0 < value < math.inf:  # type: ignore[operator]
        raise UsageError(f"{what} = {value!r}", "a number above 0 (float)", fix)


def check_share(what: str, value: object, fix: str = "leave it out") -> None:
    """Raise UsageError for what is no `float` or `int` from 0 to less than 1."""
    if type(value) not in (int, float) or not 0 <= value < 1:  # type: ignore[operator]
        raise UsageError(f"{what} = {value!r}", "a number from 0 to less than 1 (float)", fix)


def check_threshold(value: object) -> None:
    """Raise UsageError for what is no probability."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 <= float(value) <= 1.0:
        raise UsageError(f"threshold {value!r}", "a probability from 0 to 1", "0.5 keeps what is likely right")


def plain(text: str) -> str:
    """Text that cannot steer a terminal: controls and direction marks are shown as their code, any space as a space."""
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character in "\n\t" or character.isprintable() and unicodedata.category(character) != "Cf":
        return character
    return " " if unicodedata.category(character) == "Zs" else f"<U+{ord(character):04X}>"
