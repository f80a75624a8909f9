"""Inputs: files, folders and standard input as UTF-8 text, unpacked and checked, with clear refusals."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..durable import is_folder
from ..errors import DataError, UsageError, at, nearest
from .report import ReadReport

STDIN = "-"
HEAD_BYTES = 524_288  # enough to tell the formats apart: a long first document included
_RATIO = 200  # honest text packs about 1:3 to 1:20; beyond this the archive was made to fill the memory
_UNSUSPECTED = 10_000_000  # bytes: small archives of repeated text may pack better than that
_MAY_BE_EMPTY = (".ann", ".txt", ".text", ".md")  # .ann: brat's way to say that a text has no annotations
_ARCHIVES: dict[bytes, Callable[[Any], Any]] = {  # by how they begin
    b"\x1f\x8b": lambda packed: gzip.GzipFile(fileobj=packed),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
_PACKED = (".gz", ".bz2", ".xz")
_LONGEST_MAGIC = max(map(len, _ARCHIVES))
_JSON_LINE = re.compile(rb"\s*\{.*\}[ \r]*\n")
_NOT_TEXT = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive (.zip, .docx, .xlsx)",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x7fELF": "a program",
    b"SQLite format 3": "an SQLite database",
    b"PAR1": "a Parquet file",
}


class Source:
    """One input. A file can be read several times, standard input or a pipe once.

    Raises UsageError for a missing path, DataError for what is empty, binary, truncated or not UTF-8.
    """

    def __init__(self, name: str | Path, report: ReadReport, *, may_be_empty: bool = False) -> None:
        self.path = None if str(name) == STDIN else expanded(name)
        self.name = "standard input" if self.path is None else readable(str(self.path))
        self.is_folder = self.path is not None and is_folder(self.path)
        self._once = self._opened_once()
        self._exhausted = False
        self._report = report
        self.head = ""
        """The beginning of the text, up to HEAD_BYTES; of standard input less where a JSON line has arrived."""
        self.head_is_all = False
        if not self.is_folder:
            with report.at(file=self.name), self._opened() as stream:
                if self._once is None:
                    start = stream.read(HEAD_BYTES)
                else:
                    start, self._once = _arrived(stream)
                if not start and not may_be_empty and self.suffix not in _MAY_BE_EMPTY:
                    raise DataError("0 bytes", "text or annotations", "check the tool that wrote the file")
                _refuse_binary(start)
                if not start and self.suffix not in (".ann", ""):
                    report.warn("files without content")
                if start.startswith(codecs.BOM_UTF8):
                    report.repair("files with a byte order mark (removed)")
                self.head = start.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="ignore")
                self.head_is_all = len(start) < HEAD_BYTES and self._once is None

    @property
    def suffix(self) -> str:
        """`.jsonl` of `a.jsonl` and of `a.jsonl.gz`; empty for standard input."""
        return "" if self.path is None else unpacked(self.path).suffix.lower()

    @property
    def stem(self) -> str:
        """`a` of `a.jsonl` and of `a.jsonl.gz`."""
        return "stdin" if self.path is None else readable(unpacked(self.path).stem)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Line number (from 1) and text without its line end."""
        offset = 0
        with at(file=self.name), self._opened() as stream:
            self._exhausted = self._once is not None
            for number, raw in enumerate(stream, start=1):
                try:  # not `at`: this is the loop over every line of a corpus
                    line = self._decode(raw, offset)
                except DataError as error:
                    error.line = number
                    raise
                yield number, line.removesuffix("\n").removesuffix("\r")
                offset += len(raw)

    def text(self) -> str:
        """The whole text, line ends as they are."""
        with at(file=self.name), self._opened() as stream:
            self._exhausted = self._once is not None
            return self._decode(stream.read(), 0)

    def _decode(self, raw: bytes, offset: int) -> str:
        """Text of bytes that lie at `offset` of the file, without the file's byte order mark."""
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            place = f"byte 0x{raw[error.start]:02x} at offset {offset + error.start}"
            if self._report.reading.encoding_errors != "replace":
                raise DataError(
                    f"{place} is not UTF-8",
                    "text in UTF-8",
                    "convert it, for example: iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW; "
                    "or let such bytes be replaced: --encoding-errors replace",
                ) from None
            text = raw.decode("utf-8", errors="replace")
            self._report.repair("texts with bytes that are not UTF-8 (replaced)", f"the first is {place}")
        return text.removeprefix("\ufeff") if offset == 0 else text

    def _opened_once(self) -> io.BufferedReader | None:
        """The stream of standard input, a pipe or a device, which cannot be read again; None for a file."""
        if self.path is None:
            return _standard_input()
        if self.is_folder or self.path.is_file() or not self.path.exists():
            return None
        with at(file=self.name):
            try:
                raw = self.path.open("rb", buffering=0)
            except OSError as error:
                raise _unreadable(error) from None
        return _unpacked(io.BufferedReader(raw, HEAD_BYTES))

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            if self._once is not None:
                if self._exhausted:
                    raise UsageError(
                        f"{self.name} is needed twice", "a file for this format", "save it and give the path"
                    )
                yield self._once
            else:
                assert self.path is not None
                with self.path.open("rb") as packed:
                    yield _unpacked(packed)
        except FileNotFoundError:
            raise _missing(Path(self.name)) from None
        except IsADirectoryError:
            raise DataError("a folder", "a file", "give a file of it, or another --input-format") from None
        except EOFError:
            raise DataError("the archive ends early", "a complete archive", "copy or download the file again") from None
        except (gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
            raise _damaged(error) from None
        except OSError as error:
            if error.errno is None:  # what bz2 raises for bytes that are not its own
                raise _damaged(error) from None
            raise _unreadable(error) from None


def expanded(name: str | Path) -> Path:
    """With the home folder in the place of `~`; a name such as `~$report.txt` is one."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - pathlib raises where there is no such user


def readable(name: str) -> str:
    """A file name that can be written: bytes of it that are not UTF-8 are replaced."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def refuse_link_out(path: Path, folder: Path) -> None:
    """DataError where `path`, found in `folder`, is a pipe, or a link to somewhere else (it might lead to secrets)."""
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        raise DataError(f"{path.name} is a link that leads round", "files", "remove the link") from None
    if path.exists() and not path.is_file():
        raise DataError(f"{path.name} is no file", "files of the folder", "take it out of the folder")
    if not inside:
        raise DataError(f"{path.name} is a link out of the folder", "files of the folder", "copy the file here")


class _Inflated(io.RawIOBase):
    """The content of an archive, as long as it does not unpack to suspiciously much."""

    def __init__(self, packed: _Chained, content: Any) -> None:
        self._packed, self._content, self._size = packed, content, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._content.read(len(buffer))
        buffer[: len(data)] = data
        self._size += len(data)
        if self._size > _UNSUSPECTED and self._size > _RATIO * self._packed.size:
            raise DataError(
                f"the archive unpacks to more than {_RATIO} times its size",
                "compressed text",
                "unpack it yourself if you trust it, and read the unpacked file",
            )
        return len(data)


class _Chained(io.RawIOBase):
    """What was read of a stream, and then the rest of it as it comes; a pipe cannot tell its place itself."""

    def __init__(self, start: bytes, rest: io.BufferedReader) -> None:
        self._start, self._rest, self.size = start, rest, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data, self._start = self._start[: len(buffer)], self._start[len(buffer) :]
        data = data or self._rest.read1(len(buffer))
        buffer[: len(data)] = data
        self.size += len(data)
        return len(data)


def _arrived(stream: io.BufferedReader) -> tuple[bytes, io.BufferedReader]:
    """The beginning of a stream that can be read once, and the stream with it.

    A JSON line is answered as it comes, so no more than one is waited for; other formats are told apart by more.
    """
    start = b""
    while len(start) < HEAD_BYTES and not _JSON_LINE.match(start) and (more := stream.read1(HEAD_BYTES - len(start))):
        start += more
    return start, io.BufferedReader(_Chained(start, stream), HEAD_BYTES)


def _standard_input() -> io.BufferedReader:
    if sys.stdin is None or sys.stdin.buffer.closed:
        raise UsageError("standard input is closed", "it is named at most once", "name each input once")
    # The raw stream: sys.stdin.buffer has a smaller buffer to peek at, and read through it we would wait to fill ours.
    raw: Any = sys.stdin.buffer
    return _unpacked(io.BufferedReader(getattr(raw, "raw", raw), HEAD_BYTES))


def _unpacked(stream: io.BufferedReader) -> io.BufferedReader:
    start = stream.peek(_LONGEST_MAGIC)
    unpack = next((unpack for magic, unpack in _ARCHIVES.items() if start.startswith(magic)), None)
    if unpack is None:
        return stream
    packed = _Chained(b"", stream)
    return io.BufferedReader(_Inflated(packed, unpack(io.BufferedReader(packed))), HEAD_BYTES)


def unpacked(path: Path) -> Path:
    """`a.txt` of `a.txt` and of `a.txt.gz`."""
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path


def _refuse_binary(start: bytes) -> None:
    """DataError for UTF-16, for well-known binary files, and where a tenth or more is NUL."""
    zeros = start.count(0)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or zeros > 2 and _every_other_is_nul(start):
        raise DataError(
            "bytes that look like UTF-16", "text in UTF-8", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"
        )
    kind = next((name for magic, name in _NOT_TEXT.items() if start.startswith(magic)), None)
    if start[257:262] == b"ustar":
        kind = "a tar archive"
    if kind is None and zeros > max(1, len(start) // 10):
        kind = "a binary file"
    if kind is not None:
        raise DataError(
            kind, "text in UTF-8, plain or packed with gzip, bzip2 or xz", "unpack or export it as text first"
        )


def _every_other_is_nul(start: bytes) -> bool:
    """Latin letters in UTF-16; were both halves NUL, it would be no text at all."""
    return sum(start[first::2].count(0) * 10 > len(start[first::2]) * 9 for first in (0, 1)) == 1


def _unreadable(error: OSError) -> DataError:
    return DataError(
        f"cannot be read: {error.strerror or error}", "a readable file", "check the path and its permissions"
    )


def _damaged(error: Exception) -> DataError:
    return DataError(
        f"a damaged archive ({error})", "an archive that gzip, bzip2 or xz accepts with -t", "copy or download it again"
    )


def _missing(path: Path) -> UsageError:
    folder = path.parent
    beside = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return UsageError("no such file or folder", "an existing path", nearest(path.name, beside, "check the path"))
