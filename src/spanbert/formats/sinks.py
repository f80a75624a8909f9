"""Outputs: whole files or nothing, and file names that no document id can turn against the folder."""

from __future__ import annotations

import gzip
import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from .. import durable
from ..errors import UsageError, at
from .sources import expanded

STDOUT = "-"
ODD_IDS = "ids that are no file names (changed)"
_UNSAFE = re.compile(r"[^\w.\- ]|^[. ]|[. ]$")
_LONGEST = 200  # bytes of a name: file systems allow 255, the suffix needs some


class Stream(Protocol):
    """What bytes can be written to."""

    def write(self, data: bytes, /) -> object: ...


@contextmanager
def sink(target: str | Path) -> Iterator[Stream]:
    """A stream to a file (packed if it ends in `.gz`) that appears when the block ends well; `-`: standard output.

    Raises UsageError where `target` is a folder, MachineError where the disk refuses.
    """
    if str(target) in (STDOUT, "/dev/stdout"):
        if sys.stdout is None:
            raise UsageError("standard output is closed", "a file to write", "name one")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = expanded(target)
    if path.is_dir():
        raise UsageError(f"{target}: a folder", "a file to write", "give a file name inside it")
    with durable.on_disk(Path(target)):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # a pipe or /dev/null must not be replaced by a file
            with path.open("wb") as stream:
                yield stream
            return
        with durable.replacing(path.resolve()) as stream:
            if path.suffix.lower() == ".gz":
                # Neither time nor name of the temporary file in the header: same documents, same bytes.
                with gzip.GzipFile(filename="", fileobj=stream, mode="wb", mtime=0) as packed:
                    yield packed
            else:
                yield stream


@contextmanager
def new_folder(target: str | Path) -> Iterator[Path]:
    """A folder to write into, which appears when the block ends well; one that is there and empty is filled.

    Raises UsageError where it has content already, so that nothing old mixes in.
    """
    path = expanded(target).absolute()
    with at(file=target):
        if str(target) == STDOUT:
            raise UsageError("standard output", "a folder, since this format needs several files", "give a folder")
        if path.is_file() or path.is_dir() and any(path.iterdir()):
            raise UsageError("something is there already", "a new or empty folder", "choose another name")
    if path.is_dir():  # whoever made it may stand in it
        with durable.on_disk(path):
            yield path
        return
    with durable.staged(path) as folder:
        yield folder


def write_text(path: Path, text: str) -> None:
    """Write `text` with its line ends as they are. Raises MachineError where the disk refuses.

    Before a text that begins with a byte order mark goes another one, which readers take away.
    """
    with at(file=path), durable.on_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8-sig" if text.startswith("\ufeff") else "utf-8"))


class FileNames:
    """Distinct relative file names for document ids: `a/b` stays a path, what is unsafe becomes `%XX`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, identifier: str, suffix: str) -> str:
        parts = identifier.split("/")
        stem = "/".join(map(_safe, parts)) if all(parts) else _safe(identifier)
        first, times = stem, 0
        while (stem + suffix).casefold() in self._taken:  # ids that differ in case only, or not at all
            stem, times = f"{first}-{_digest(identifier * (times + 1))}", times + 1
        self._taken.add((stem + suffix).casefold())
        return stem + suffix


def _safe(part: str) -> str:
    name = _UNSAFE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), part) or "%00"
    if len(name.encode()) > _LONGEST:
        name = name.encode()[: _LONGEST - 20].decode(errors="ignore") + "-" + _digest(part)
    return name


def _digest(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()[:16]
