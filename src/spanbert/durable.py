"""Files that survive a power cut: written beside their place, synced, then renamed into it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO

from safetensors import SafetensorError

from .errors import MachineError, UsageError

_NUMBERS = count()  # of temporary names: two threads may write at once


def sync(path: Path) -> None:
    """Force a file or a folder's table of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_folder(path: Path) -> bool:
    """Whether it is one; raises UsageError for a path that may not be looked at, or is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError) as error:  # no right to look, a name that is too long, a null character
        told = getattr(error, "strerror", None) or error
        raise UsageError(f"the path {str(path)[:100]!r} ({told})", "one that can be read", "check it") from None


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, text: str) -> None:
    """Replace a small text file in one step."""
    with on_disk(path), replacing(path) as stream:
        stream.write(text.encode("utf-8"))


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A stream to a file that takes the place of `path` when the block ends well."""
    beside = path.with_name(f".{path.name[:50]}.{os.getpid()}-{next(_NUMBERS)}.tmp")
    try:
        with beside.open("wb") as stream:
            yield stream
        sync(beside)
        beside.replace(path)
        sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A new folder to fill; when the block ends well it is synced and replaces `folder`, else it is removed."""
    staging = folder.with_name(f".tmp-{folder.name}-{os.getpid()}-{next(_NUMBERS)}")
    old = folder.with_name(f"{staging.name}-old")
    with on_disk(folder):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            yield staging
            for path in (*staging.rglob("*"), staging):
                sync(path)
            if folder.exists():
                folder.rename(old)
            staging.rename(folder)
            sync(folder.parent)
        finally:
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(staging, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Make a failure to write a message that says what to do."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # the weights writer wraps what the system says
        raise MachineError(
            f"cannot write {path} ({getattr(error, 'strerror', None) or error})",
            "a folder that can be written to, with room on its disk",
            "free some space or choose another folder; what was there before is unchanged",
        ) from error
