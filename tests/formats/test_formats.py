"""Recognising formats, packed and broken files, standard streams, and the report."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Coverage, Document, Relation, Span
from spanbert.errors import DataError, UsageError
from spanbert.formats import FORMATS, Reading, ReadReport, format_named, read_documents, sources, write_documents
from spanbert.formats import report as report_module
from spanbert.formats.composed import composed
from spanbert.formats.sinks import ODD_IDS

LINE = '{"id": "a", "text": "Paris", "spans": [{"start": 0, "end": 5}]}\n'
CONLL = "Paris\tB-LOC\n.\tO\n"
TASKS = '[{"id": 1, "data": {"text": "x"}, "annotations": []}]'


def file(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def fault(path: Path | str, input_format: str | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        list(read_documents(path, input_format))
    return caught.value


@pytest.mark.parametrize("name", FORMATS)
def test_every_row_of_the_table_is_a_format(name: str) -> None:
    module = format_named(name)
    assert callable(module.recognises) and callable(module.read) and callable(module.write)
    assert isinstance(module.SUFFIXES, tuple)


@pytest.mark.parametrize(
    ("name", "content", "identifier"),
    [
        ("a.dat", LINE, "a"),
        ("a.txt", LINE, "a"),
        ("a.json", f"[{LINE}]", "a"),
        ("a.json", TASKS, "1"),
        ("a.txt", TASKS, "1"),
        ("a.txt", CONLL, "a-1"),
        ("a.dat", CONLL, "a-1"),
        ("a.txt", "[note] Paris.\n", "a"),
        ("note", "Paris {x}\n", "note"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_formats_are_recognised_by_content(
    tmp_path: Path, name: str, content: str, identifier: str, packed: bool
) -> None:
    path = file(tmp_path, name + ".gz" * packed, gzip.compress(content.encode(), mtime=0) if packed else content)
    assert [document.id for document in read_documents(path)] == [identifier]


def test_a_folder_of_texts(tmp_path: Path) -> None:
    documents = [Document("a", "one\r\n"), Document("sub/b", "")]
    lost = write_documents(documents, tmp_path / "out", "text")
    assert list(read_documents(tmp_path / "out")) == documents
    assert not lost


def test_texts_of_a_folder_by_any_spelling_of_their_suffix(tmp_path: Path) -> None:
    """And packed in any way that a single file may be."""
    contents = {"a.txt": b"x", "b.TXT": b"x", "c.txt.gz": gzip.compress(b"x"), "d.txt.bz2": bz2.compress(b"x")}
    for name, content in {**contents, "e.txt.xz": lzma.compress(b"x"), "f.dat": b"x"}.items():
        file(tmp_path, name, content)
    assert [(document.id, document.text) for document in read_documents(tmp_path)] == [(name, "x") for name in "abcde"]


def test_a_text_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Readers take one away, so one more is written: offsets stay."""
    document = Document("a", "\ufeffParis", (Span(1, 6, "LOC"),))
    for form in ("text", "brat"):
        write_documents([document], tmp_path / form, form)
        (read,) = read_documents(tmp_path / form)
        assert read.text == document.text
    assert read.spans == document.spans


def test_links_out_of_a_folder_of_texts_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").symlink_to(file(tmp_path, "secret.txt", "x"))
    assert fault(tmp_path / "in").found == "a.txt is a link out of the folder"


def test_text_cannot_hold_annotations_and_says_so(tmp_path: Path) -> None:
    document = Document("a", "Paris", (Span(0, 5, "LOC", 0.5),))
    assert write_documents([document], tmp_path / "out", "text") == Counter(spans=1, scores=1)
    assert write_documents([Document("a:b", "x")], tmp_path / "other", "text") == {ODD_IDS: 1}


def test_unknown_format_names() -> None:
    with pytest.raises(UsageError) as caught:
        read_documents([], "jsonlines")
    assert caught.value.found == "unknown format 'jsonlines'"
    assert caught.value.fix == "did you mean 'jsonl'?"
    with pytest.raises(UsageError):
        write_documents([], "x", "connl")


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.jsonl", b"", "0 bytes"),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), "0 bytes"),
        ("a.txt", "Paris".encode("utf-16"), "bytes that look like UTF-16"),
        ("a.txt", "Paris now".encode("utf-16-le"), "bytes that look like UTF-16"),
        ("a.txt", b"%PDF-1.7 ...", "a PDF"),
        ("a.docx", b"PK\x03\x04rest", "a ZIP archive (.zip, .docx, .xlsx)"),
        ("a.txt", bytes(100), "a binary file"),
        ("a.txt", b"ab\x00\x00\x00", "a binary file"),
        ("a.txt", b"ab\xffcd", "byte 0xff at offset 2 is not UTF-8"),
        ("a.txt", b"\xef\xbb\xbfab\xffcd", "byte 0xff at offset 5 is not UTF-8"),
        ("a.xyz", b"some words\n", "a format that is not recognised"),
        ("a.jsonl", b"some words\n", "invalid JSON at column 1: unexpected character, expected a JSON value"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, found: str) -> None:
    error = fault(file(tmp_path, name, content))
    assert error.found == found
    assert error.file == str(tmp_path / name)
    assert error.expected and error.fix


def test_the_line_of_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    """The first line takes 64 bytes; the bad byte is the third of the second line."""
    assert len(LINE) == 64
    error = fault(file(tmp_path, "a.jsonl", LINE.encode() + b'{"\xe9": 1}\n'))
    assert (error.line, error.found) == (2, "byte 0xe9 at offset 66 is not UTF-8")


def test_a_byte_order_mark_is_removed_and_counted(tmp_path: Path) -> None:
    report = ReadReport()
    (document,) = read_documents(file(tmp_path, "a.jsonl", b"\xef\xbb\xbf" + LINE.encode()), report=report)
    assert document.text == "Paris"
    assert report.repaired == Counter({"files with a byte order mark (removed)": 1})


def test_missing_paths_and_folders(tmp_path: Path) -> None:
    file(tmp_path, "train.jsonl", LINE)
    with pytest.raises(UsageError) as caught:
        list(read_documents(tmp_path / "trian.jsonl"))
    assert caught.value.found == "no such file or folder"
    assert caught.value.fix == "did you mean 'train.jsonl'?"
    assert caught.value.file == str(tmp_path / "trian.jsonl")
    assert fault(tmp_path).found == "a folder without .ann or .txt files"
    for name, found in (("jsonl", "a folder"), ("text", "a folder without .txt files"), ("brat", "no .ann file")):
        error = fault(tmp_path, name)
        assert (error.file, error.found) == (str(tmp_path), found)


def test_broken_archives(tmp_path: Path) -> None:
    packed = gzip.compress(LINE.encode() * 100, mtime=0)
    assert fault(file(tmp_path, "a.jsonl.gz", packed[:-12])).found == "the archive ends early"
    damaged = packed[:-8] + b"\x00" * 4 + packed[-4:]
    assert fault(file(tmp_path, "b.jsonl.gz", damaged)).found.startswith("a damaged archive (CRC check failed")
    trailing = fault(file(tmp_path, "c.jsonl.gz", gzip.compress(LINE.encode(), mtime=0) + b"garbage"))
    assert trailing.found.startswith("a damaged archive (Not a gzipped file")


@pytest.mark.parametrize(("suffix", "pack"), [(".bz2", bz2.compress), (".xz", lzma.compress)])
def test_other_archives(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    """Named after the file inside; cut off, damaged and too good to be honest they are refused like gzip."""
    (document,) = read_documents(file(tmp_path, f"report.txt{suffix}", pack("été".encode())))
    assert (document.id, document.text) == ("report", "été")
    packed = pack(LINE.encode() * 100)
    assert fault(file(tmp_path, f"a.jsonl{suffix}", packed[:-12])).found == "the archive ends early"
    damaged = fault(file(tmp_path, f"b.jsonl{suffix}", packed[:20] + b"\x00\x01" + packed[22:]))
    assert damaged.found.startswith("a damaged archive (")
    bomb = fault(file(tmp_path, f"a.txt{suffix}", pack(b"x" * 30_000_000)))
    assert bomb.found == "the archive unpacks to more than 200 times its size"


def test_bytes_that_are_not_utf8_are_replaced_on_request(tmp_path: Path) -> None:
    report = ReadReport(Reading(encoding_errors="replace"))
    (document,) = read_documents(file(tmp_path, "a.txt", b"ab\xffcd"), report=report)
    assert document.text == "ab\ufffdcd"
    assert report.repaired == Counter({"texts with bytes that are not UTF-8 (replaced)": 1})
    assert report.notes[0].what.endswith("the first is byte 0xff at offset 2")


def test_texts_are_composed_on_request(tmp_path: Path) -> None:
    """'e' and an accent become one character: what follows moves one to the left, in every kind of annotation."""
    text = "Cafe\u0301 Ude\u0301 in Paris"  # Café [0, 5), Udé [6, 10), Paris [14, 19)
    cafe, paris = {"start": 0, "end": 5, "label": "ORG"}, {"start": 14, "end": 19, "label": "LOC"}
    record = {
        "id": "a",
        "text": text,
        "spans": [cafe, paris, {"start": 0, "end": 10, "parts": [[0, 5], [6, 10]]}],
        "relations": [{"head": 0, "tail": 1, "label": "in"}],
        "clusters": [{"spans": [cafe, paris]}],
        "questions": [
            {"id": "q", "question": "?", "answers": [paris], "n_best": [paris], "texts": ["Ude\u0301"]},
            {"id": "r", "question": "?"},
        ],
        "coverage": {"characters_read": 14, "characters": 19, "windows": 1, "unread": [{"start": 14, "end": 19}]},
    }
    path = file(tmp_path, "a.jsonl", json.dumps(record))
    report = ReadReport(Reading(normalise="nfc"))
    (document,) = read_documents(path, report=report)
    assert document.text == "Caf\u00e9 Ud\u00e9 in Paris"
    cafe_, paris_ = Span(0, 4, "ORG"), Span(12, 17, "LOC")
    assert document.spans == (cafe_, paris_, Span(0, 8, "span", None, ((0, 4), (5, 8))))
    assert (document.relations[0].head, document.relations[0].tail) == (cafe_, paris_)
    assert document.clusters[0].spans == (cafe_, paris_)
    assert [q.answers for q in document.questions] == [(Span(12, 17, "LOC"),), None]
    assert [(q.n_best, q.texts) for q in document.questions] == [((Span(12, 17, "LOC"),), ("Ud\u00e9",)), ((), ())]
    assert document.coverage == Coverage(12, 17, 1, ((12, 17),))
    assert report.repaired == Counter({"texts composed (NFC)": 1})
    (kept,) = read_documents(path)
    assert kept.text == text


@given(
    st.text(
        st.characters(exclude_categories=["Cs"]) | st.sampled_from("e\u0301\u1100\u1161\u11a8\u0cc6\u0cc2"), max_size=20
    )
)
def test_composition_grapheme_by_grapheme_is_composition(text: str) -> None:
    assert composed(Document("a", text)).text == unicodedata.normalize("NFC", text)


def test_unknown_words_for_reading_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        Reading(offset_unit="utf16")
    assert caught.value.found == "offset_unit 'utf16'"
    assert caught.value.fix == "did you mean 'utf-16'?"


def test_a_decompression_bomb_is_stopped(tmp_path: Path) -> None:
    """30 MB of one letter pack about 1:1000; below 10 MB the same is accepted."""
    bomb = file(tmp_path, "a.txt.gz", gzip.compress(b"x" * 30_000_000, mtime=0))
    assert fault(bomb).found == "the archive unpacks to more than 200 times its size"
    (document,) = read_documents(file(tmp_path, "b.txt.gz", gzip.compress(b"x" * 9_000_000, mtime=0)))
    assert len(document.text) == 9_000_000


def test_ids_are_unique_over_all_files(tmp_path: Path) -> None:
    first, second = file(tmp_path, "a.jsonl", LINE), file(tmp_path, "b.jsonl", "\n" + LINE)
    with pytest.raises(DataError) as caught:
        list(read_documents([first, second]))
    assert str(caught.value).startswith(
        f"{second}:2, document 'a': a second document of this id; the first is at {first}:1\n"
    )


class _Stdin:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


@pytest.mark.parametrize(
    ("content", "identifier"), [(LINE, "a"), ("Paris\n", "stdin"), (gzip.compress(LINE.encode(), mtime=0), "a")]
)
def test_standard_input(monkeypatch: pytest.MonkeyPatch, content: str | bytes, identifier: str) -> None:
    monkeypatch.setattr(sys, "stdin", _Stdin(content.encode() if isinstance(content, str) else content))
    (document,) = read_documents("-")
    assert (document.id, document.text.strip()) == (identifier, "Paris")


class _Slow(io.RawIOBase):
    """Standard input that comes a little at a time."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part = self.parts.pop(0) if self.parts else b""
        buffer[: len(part)] = part
        return len(part)


def test_standard_input_that_comes_slowly_is_recognised_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its first line, of which half a line has no say; and no second line is waited for."""
    slow = _Slow([b'{"id": "a", ', b'"text": "Paris"}\n', b'{"id": "b", "text": "Rome"}\n'])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(raw=slow, closed=False)))
    documents = read_documents("-")
    assert next(documents) == Document("a", "Paris") and len(slow.parts) == 1
    assert list(documents) == [Document("b", "Rome")]
    slow = _Slow([b'{"data": [{"title": "t", ', b'"paragraphs": [{"context": "Paris", "qas": []}]}]}\n'])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(raw=slow, closed=False)))
    assert [document.text for document in read_documents("-")] == ["Paris"]


def test_standard_input_cannot_be_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Stdin(CONLL.encode()))
    with pytest.raises(UsageError, match="standard input: standard input is needed twice"):
        list(read_documents("-", "conll"))


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_documents([Document("a", "x")], "-")
    assert capfdbinary.readouterr().out == b'{"id":"a","text":"x"}\n'


def test_writing_over_the_input_and_packed(tmp_path: Path) -> None:
    path = file(tmp_path, "a.jsonl.gz", gzip.compress(LINE.encode(), mtime=0))
    write_documents(read_documents(path), path)
    assert json.loads(gzip.decompress(path.read_bytes()))["text"] == "Paris"
    once = path.read_bytes()
    write_documents(read_documents(path), path)
    assert path.read_bytes() == once
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.jsonl.gz"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    old, bad = file(tmp_path, "old.jsonl", LINE), file(tmp_path, "bad.jsonl", LINE.replace('"a"', '"b"') + "oops\n")
    with pytest.raises(DataError) as caught:
        write_documents(read_documents(bad), old)
    assert (caught.value.file, caught.value.line) == (str(bad), 2)
    assert old.read_text() == LINE
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["bad.jsonl", "old.jsonl"]
    with pytest.raises(UsageError, match="a folder"):
        write_documents([], tmp_path)


def test_the_report_counts_lists_and_sums_up(tmp_path: Path) -> None:
    spans = [{"start": 0, "end": 6}, {"start": 0, "end": 5, "label": "X"}, {"start": 5, "end": 8}]
    record = json.dumps({"id": "a", "text": "Paris x y", "spans": spans})
    path, report = file(tmp_path, "a.jsonl", f"{record}\n\n[]\n"), ReadReport()
    with pytest.raises(DataError):
        list(read_documents(path, report=report))
    assert (report.documents, report.spans) == (1, 3)
    assert report.summary() == [
        "2 spans trimmed of white space",
        "warning: 1 line left blank",
        "rejected: a document is a list",
    ]
    assert list(report.listing()) == [
        f"{path}:1: repaired: spans trimmed of white space: [0, 6) to [0, 5)",
        f"{path}:1: repaired: spans trimmed of white space: [5, 8) to [6, 7)",
        f"{path}:2: warned: lines left blank",
        f"{path}:3: rejected: a document is a list",
    ]


def test_notes_are_bounded_and_counts_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "NOTES_KEPT", 2)
    report = ReadReport()
    for _ in range(5):
        report.warn("lines left blank")
    assert report.summary() == ["warning: 5 lines left blank"]
    assert list(report.listing()) == ["warned: lines left blank"] * 2 + ["and 3 more"]


def test_strict_turns_repairs_and_warnings_into_errors(tmp_path: Path) -> None:
    path = file(tmp_path, "a.jsonl", LINE.replace("5}", '"5"}'))
    assert len(list(read_documents(path))) == 1
    with pytest.raises(DataError) as caught:
        list(read_documents(path, report=ReadReport(Reading(strict=True))))
    assert caught.value.found == "offsets written as strings: '5'"
    assert (caught.value.file, caught.value.line) == (str(path), 1)
    control = file(tmp_path, "b.jsonl", '{"id": "a", "text": "x\\u0000y"}\n')
    with pytest.raises(DataError, match="b.jsonl:1, document 'a': documents with control characters: U"):
        list(read_documents(control, report=ReadReport(Reading(strict=True))))


def test_files_of_one_name_in_two_folders(tmp_path: Path) -> None:
    """Their ids are made of their names; the second says where it lies."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "report.txt").write_text(folder)
    paths = [tmp_path / folder / "report.txt" for folder in ("a", "b")]
    report = ReadReport()
    found = [document.id for document in read_documents(paths, report=report)]
    assert found == ["report", str(tmp_path / "b" / "report")]
    assert report.repaired["ids that an earlier file has too (renamed)"] == 1


def test_an_empty_text_does_not_stop_the_others(tmp_path: Path) -> None:
    report = ReadReport()
    paths = [file(tmp_path, "a.txt", ""), file(tmp_path, "b.txt", "x")]
    assert [document.text for document in read_documents(paths, report=report)] == ["", "x"]
    assert report.warned == {"files without content": 1}


def test_whole_numbers_of_any_size_stay_as_they_are(tmp_path: Path) -> None:
    document = Document("a", "Paris", meta={"n": 2**70, "x": None})
    write_documents([document], tmp_path / "a.jsonl")
    assert list(read_documents(tmp_path / "a.jsonl")) == [document]
    with pytest.raises(DataError, match="`meta` cannot be written"):
        write_documents([Document("a", "x", meta={"n": {2**70}})], tmp_path / "b.jsonl")


def test_relations_without_a_direction_are_read_in_the_order_of_the_text(tmp_path: Path) -> None:
    """Both orders are one relation; other labels keep theirs."""
    anna, bert = Span(0, 4, "P"), Span(9, 13, "P")
    told = [(anna, bert, "spouse"), (bert, anna, "spouse"), (bert, anna, "child")]
    document = Document("a", "Anna and Bert", (anna, bert), tuple(Relation(*each) for each in told))
    write_documents([document], tmp_path / "a.jsonl")
    report = ReadReport(Reading(undirected="spouse, sibling"))
    (read,) = read_documents(tmp_path / "a.jsonl", report=report)
    assert read.relations == (Relation(anna, bert, "spouse"), Relation(bert, anna, "child"))
    assert report.repaired == {"relations without a direction turned round": 1}


@pytest.mark.parametrize("name", ["brat", "text"])
def test_documents_of_one_id_have_files_of_their_own(tmp_path: Path, name: str) -> None:
    write_documents([Document("a", f"text {number}") for number in range(3)], tmp_path / "out", name)
    assert sorted(document.text for document in read_documents(tmp_path / "out")) == ["text 0", "text 1", "text 2"]


def test_columns_without_a_span_are_columns(tmp_path: Path) -> None:
    write_documents([Document("a", "No names here at all")], tmp_path / "out.txt", "conll")
    (document,) = read_documents(tmp_path / "out.txt")
    assert document.text == "No names here at all"


def test_a_long_first_document_is_recognised(tmp_path: Path) -> None:
    long = Document("a", "Marie " + "x " * 100_000, (Span(0, 5, "P"),))
    write_documents([long], tmp_path / "out.jsonl", "doccano")
    (document,) = read_documents(tmp_path / "out.jsonl")
    assert document.spans == long.spans


def test_the_home_folder_has_its_short_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_documents([Document("a", "x")], "~/out.jsonl")
    assert [document.text for document in read_documents("~/out.jsonl")] == ["x"]


def fill(pipe: int, content: bytes) -> None:
    with os.fdopen(pipe, "wb") as stream:
        stream.write(content)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the pipe is closed by two
def test_an_archive_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe cannot tell how much of it was read; the suspicion of a bomb needs that."""
    monkeypatch.setattr(sources, "_UNSUSPECTED", 100)
    lines = "".join(LINE.replace('"a"', f'"{number}"') for number in range(50))
    for content, count in ((lines, 50), (LINE + "\n" * 10_000_000, None)):
        receiving, sending = os.pipe()
        packed = gzip.compress(content.encode())
        writer = threading.Thread(target=fill, args=(sending, packed))
        writer.start()
        with os.fdopen(receiving, "rb") as stream:
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
            if count is None:
                assert fault("-").found == "the archive unpacks to more than 200 times its size"
            else:
                assert len(list(read_documents("-"))) == count
        writer.join()


def test_a_pipe_that_has_a_path_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_documents([Document("a", "Paris")], pipe)
    reader.join()
    assert b"Paris" in found[0]
    assert pipe.is_fifo()


@pytest.mark.parametrize("output_format", ["brat", "text"])
def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path, output_format: str) -> None:
    def broken() -> Iterator[Document]:
        yield Document("a", "Paris")
        raise DataError("a line that was cut off", "a whole one", "mend it")

    for output in (tmp_path / "new", tmp_path / "deeper" / "new"):
        with pytest.raises(DataError) as caught:
            write_documents(broken(), output, output_format)
        assert not caught.value.place  # what could not be read is not at fault where it is written
        assert not output.exists()
        write_documents([Document("a", "Paris")], output, output_format)
        assert (output / "a.txt").read_text() == "Paris"
    empty = tmp_path / "empty"
    empty.mkdir()
    place = empty.stat().st_ino
    write_documents([Document("a", "Paris")], empty, output_format)
    assert empty.stat().st_ino == place


def test_ids_of_one_file_are_not_excused_by_its_name(tmp_path: Path) -> None:
    """Two lines of one file share an id that begins with the file's name: no other file has it."""
    (tmp_path / "n.jsonl").write_text(LINE.replace('"a"', '"n-1"') * 2)
    assert "second document of this id" in fault(tmp_path / "n.jsonl").found


def test_a_file_that_is_named_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file(tmp_path, "x.conll", CONLL)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="read already"):
        list(read_documents([path, "x.conll"]))


def test_a_text_without_an_id_in_two_files(tmp_path: Path) -> None:
    line = '{"text": "Hello Anna"}\n'
    report = ReadReport()
    found = list(read_documents([file(tmp_path, "m.jsonl", line), file(tmp_path, "n.jsonl", line)], report=report))
    assert len({document.id for document in found}) == 2
    assert found[1].id == f"n-{found[0].id}"


def test_a_name_that_is_nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an office program leaves beside a document that is open."""
    monkeypatch.chdir(tmp_path)
    file(tmp_path, "~$report.jsonl", LINE)
    (document,) = read_documents("~$report.jsonl")
    write_documents([document], "~$copy.jsonl")
    assert (tmp_path / "~$copy.jsonl").exists()


def test_without_standard_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(UsageError, match="standard input is closed"):
        list(read_documents("-"))
    with pytest.raises(UsageError, match="standard output is closed"):
        write_documents([], "-")


def test_ids_that_columns_cannot_say(tmp_path: Path) -> None:
    ids = ["a\tO", " b", "c"]
    lost = write_documents([Document(name, "Anna ran") for name in ids], tmp_path / "x.conll", "conll")
    assert lost["ids with tabs, line ends or white space around them"] == 2
    found = list(read_documents(tmp_path / "x.conll"))
    assert [document.text for document in found] == ["Anna ran"] * 3
    assert found[2].id == "c"
