"""Texts of corpora: every kind of file, borders of documents, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from spanbert.errors import DataError, MachineError, UsageError
from spanbert.formats import Reading, ReadReport
from spanbert.formats import corpora as module
from spanbert.formats.corpora import CorpusReading, files_of, read_texts


def lines(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def found(*paths: Path, **settings: str) -> list[str]:
    return [document.text for document in read_texts(paths, CorpusReading(**settings))]


def test_json_lines_with_any_other_keys(tmp_path: Path):
    path = lines(tmp_path / "a.jsonl", {"text": "one", "url": 1}, {"text": "two\n2", "id": None}, {"text": ""})
    report = ReadReport()
    documents = list(read_texts([path], None, report))
    assert [(d.id, d.text) for d in documents] == [("a.jsonl:1", "one"), ("a.jsonl:2", "two\n2")]
    assert report.documents == 2 and report.warned == {"documents without text": 1}


def test_json_lines_without_a_name_are_told_by_their_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As on standard input: keys and braces would be learnt."""
    path = lines(tmp_path / "corpus", {"text": "one"}, {"text": "two"})
    assert found(path) == ["one", "two"]
    (tmp_path / "prose").write_text("{ a set } of words")
    assert found(tmp_path / "prose") == ["{ a set } of words"]
    (tmp_path / "a.txt").write_text('{"text": "one"}')
    assert found(tmp_path / "a.txt") == ['{"text": "one"}']
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert found(Path("-")) == ["one", "two"]


def test_the_key_of_the_text_can_be_named(tmp_path: Path):
    path = lines(tmp_path / "a.jsonl", {"content": "one"}, {"content": None}, {"content": "two"})
    assert found(path, text_key="content") == ["one", "two"]
    with pytest.raises(DataError, match="no key 'text'") as caught:
        found(path)
    assert caught.value.line == 1 and "--text-key" in caught.value.fix


def test_packed_files(tmp_path: Path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "one"}\n'))
    plain = tmp_path / "b.txt.gz"
    plain.write_bytes(gzip.compress(b"two\nlines"))
    assert found(path, plain) == ["one", "two\nlines"]


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import pyarrow
    from pyarrow import parquet

    monkeypatch.setattr(module, "ROWS", 2)
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"text": ["one", "two", None, "four", "five"], "n": [1, 2, 3, 4, 5]}), path)
    assert found(path) == ["one", "two", "four", "five"]
    assert [d.id for d in read_texts([path])][-1] == "a.parquet:5"
    with pytest.raises(DataError, match="no key 'body'"):
        found(path, text_key="body")
    with pytest.raises(DataError, match="'n' holds a value of type int"):
        found(path, text_key="n")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="damaged Parquet"):
        found(path)
    with pytest.raises(UsageError, match="no such file"):
        found(tmp_path / "b.parquet")


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MachineError, match="pyarrow is not installed"):
        found(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("border", "expected"),
    [("file", ["a\nb\n\n\nc\n \nd"]), ("blank-line", ["a\nb", "c", "d"])],
)
def test_borders_in_plain_text(tmp_path: Path, border: str, expected: list[str]):
    path = tmp_path / "a.txt"
    path.write_text("a\nb\n\n\nc\n \nd\n", encoding="utf-8")
    assert found(path, document_border=border) == expected


def test_a_long_file_comes_in_parts_that_end_with_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PART", 10)
    path = tmp_path / "a.txt"
    path.write_text("".join(f"line {n}\n" for n in range(9)), encoding="utf-8")
    parts = found(path)
    assert "\n".join(parts) == "\n".join(f"line {n}" for n in range(9))
    assert len(parts) > 3
    assert [d.id for d in read_texts([path])][:2] == ["a.txt:1", "a.txt:2"]


def test_one_giant_line(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("word " * 500_000, encoding="utf-8")
    (text,) = found(path)
    assert len(text) == 2_500_000


def test_folders_are_searched_in_the_order_of_names(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text("b", encoding="utf-8")
    lines(tmp_path / "sub" / "a.jsonl", {"text": "a"})
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "README.md").write_text("not of the corpus", encoding="utf-8")
    (tmp_path / ".hidden").write_text("", encoding="utf-8")
    (tmp_path / "LICENSE").write_text("not of the corpus", encoding="utf-8")
    assert found(tmp_path) == ["b", "a"]
    list(read_texts(tmp_path, report=(report := ReadReport())))
    assert report.summary() == [f"warning: 3 files in {tmp_path} passed over (.md, .png, no suffix)"]
    with pytest.raises(DataError, match="passed over"):
        list(read_texts(tmp_path, report=ReadReport(Reading(strict=True))))
    assert [path.name for path in files_of([tmp_path])] == ["b.txt", "a.jsonl"]


def test_bad_input(tmp_path: Path):
    empty = tmp_path / "none"
    empty.mkdir()
    with pytest.raises(UsageError, match="has no text files"):
        found(empty)
    with pytest.raises(UsageError, match="no such file"):
        found(tmp_path / "missing.txt")
    for name, content, error in (
        ("a.bin", b"\x00\x01\x02" * 100, "binary"),
        ("b.txt", "späť".encode("cp1250"), "not UTF-8"),
        ("c.jsonl", b"", "0 bytes"),
        ("d.jsonl", b'{"text": ', "invalid JSON"),
        ("e.jsonl", b'["text"]\n', "a JSON object"),
        ("f.jsonl", b'{"text": 1}\n', "'text' holds a value of type int"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            found(path)
        assert error in str(caught.value) and caught.value.file == str(path)
    with pytest.raises(UsageError, match="document_border 'page'"):
        CorpusReading(document_border="page")


def test_one_path_is_one_path(tmp_path: Path):
    (tmp_path / "a.txt").write_text("a text")
    for path in (tmp_path, str(tmp_path), tmp_path / "a.txt"):
        assert [document.text for document in read_texts(path)] == ["a text"]
