"""Whatever a file holds, it becomes documents or a clear error, soon: nothing else leaves a reader."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Document
from spanbert.errors import DataError, UsageError
from spanbert.formats import FORMATS, Reading, ReadReport, read_documents, strict_json
from spanbert.formats.jsonl import from_json, to_json
from spanbert.formats.offset_units import DETECTED, UNITS

RECORD = {
    "id": "d1",
    "text": "Zoé 🚀 met Marie Curie\r\nin Paris.",
    "spans": [{"start": 10, "end": 21, "label": "PER", "text": "Marie Curie"}, {"start": 0, "end": 3, "score": 0.5}],
    "relations": [{"head": 0, "tail": 1, "label": "met"}],
    "clusters": [{"spans": [{"start": 10, "end": 15}], "links": [{"from": 0, "to": 0, "score": 1}]}],
    "questions": [{"id": "q", "question": "Who?", "answers": [{"start": 0, "end": 3}], "no_answer": 0.1}],
    "annotated": ["PER", "span"],
    "coverage": {"characters_read": 3, "characters": 3, "windows": 1},
    "meta": {"a": [None, 1.5]},
}
REGION = {"id": "r", "type": "labels", "value": {"start": 0, "end": 5, "text": "Marie", "labels": ["PER", "X"]}}
LINK = {"type": "relation", "from_id": "r", "to_id": "r", "direction": "bi", "labels": ["same"]}
TASKS = [
    {"id": 1, "data": {"text": "Marie met Zoé"}, "annotations": [{"result": [REGION, LINK]}], "predictions": [{}]},
    {"id": 2, "text": "Paris", "labels": [{"start": 0, "end": 5, "text": "Paris", "labels": ["LOC"]}]},
]
ASKED = {"id": "q", "question": "Who?", "answers": [{"text": "Zoé", "answer_start": 10}], "is_impossible": False}
ARTICLE = {"title": "t", "paragraphs": [{"context": "Marie met Zoé", "qas": [ASKED, {**ASKED, "answers": []}]}]}
DETECTED_ANSWER = {"text": "Zoé", "char_spans": [[10, 12], [0, 4]], "token_spans": [[2, 2]]}
CONTEXT = {
    "id": "c",
    "context": "Marie met Zoé",
    "qas": [{"qid": "q", "question": "Who?", "answers": ["Zoé", "x"], "detected_answers": [DETECTED_ANSWER]}],
}
EXAMPLE = {
    "token": ["Zoé", "-LRB-", "b"], "subj_start": 0, "subj_end": 0, "subj_type": "PER", "obj_start": 2, "obj_end": 2,
    "obj_type": "ORG", "relation": "no_relation",
}  # fmt: skip
SENTENCE = {
    "tokens": ["Zoé", "met", "b"],
    "entities": [{"type": "PER", "start": 0, "end": 1}, {"type": "PER", "start": 2, "end": 3}],
    "relations": [{"type": "met", "head": 0, "tail": 1}],
    "orig_id": 5,
}
GAP = (
    "ID\tText\tPronoun\tPronoun-offset\tA\tA-offset\tA-coref\tB\tB-offset\tB-coref\n"
    "d\tZoé met b, she\tshe\t11\tZoé\t0\tTRUE\tb\t8\tFALSE\n"
)
ENTRY = {
    "sents": [["Zoé", "met"], ["b"]],
    "vertexSet": [[{"type": "PER", "sent_id": 0, "pos": [0, 1]}], [{"type": "PER", "sent_id": 1, "pos": [0, 1]}]],
    "labels": [{"h": 0, "t": 1, "r": "met"}],
}
PAPER = {
    "doc_key": "p",
    "sentences": [["Zoé", "met"], ["b"]],
    "ner": [[[0, 0, "PER"]], []],
    "relations": [[[0, 0, 2, 2, "met"]], []],
    "clusters": [[[0, 0], [2, 2]]],
}
SEEDS: dict[str, list[bytes]] = {
    "jsonl": [json.dumps(RECORD, ensure_ascii=False).encode() + b'\n\n{"text": "x"}\n', json.dumps([RECORD]).encode()],
    "doccano": [
        b'{"id": 1, "text": "Marie met Zoe", "label": [[0, 5, "PER"]], "Comments": []}\n{"text": "x", "labels": []}\n',
        b'{"text": "Marie met Zoe", "entities": [{"id": 4, "label": "PER", "start_offset": 0, "end_offset": 5}], '
        b'"relations": [{"id": 1, "from_id": 4, "to_id": 4, "type": "is"}]}\n',
        b'{"text": "Marie met Zoe", "ents": [{"start": 0, "end": 5, "label": "PER"}]}\n',
    ],
    "prodigy": [
        b'{"text": "Marie", "_input_hash": 1, "_task_hash": 2, "spans": [{"start": 0, "end": 5, "label": "PER"}], '
        b'"answer": "accept"}\n{"text": "x", "_input_hash": 3, "answer": "reject"}\n',
    ],
    "label-studio": [json.dumps(TASKS, ensure_ascii=False).encode()],
    "conll-coref": [
        b"#begin document (d); part 000\nd\t0\t0\tMarie\tX\t(0|(1\nd\t0\t1\tCurie\tX\t1)|0)\n\nd\t0\t0\tShe\tX\t(0)\n"
        b"\n#end document\n",
    ],
    "conll": [
        b"-DOCSTART-\tO\n# id = a\n\nMarie\tB-PER\nCurie\tI-PER\n#\tO\n\nZo\xc3\xa9\tU-PER\n",
        b"Ann NNP I-NP I-PER\nBob NNP B-NP B-PER\n\nin IN B-PP O\nParis  NNP B-NP E-LOC\n",
    ],
    "brat": [
        b"T1\tPER 0 5\tMarie\nT2\tLOC 9 12;13 16\tZo\xc3\xa9 now\nR1\tmet Arg1:T1 Arg2:T2\n"
        b"E1\tx:T1\n#1\tNote T1\ty\n*\tEquiv T1 T2\n",
    ],
    "squad": [json.dumps({"version": "v2.0", "data": [ARTICLE]}).encode(), json.dumps({"data": [ARTICLE]}).encode()],
    "squad-predictions": [b'{"q": "Marie"}'],
    "mrqa": [b'{"header": {"dataset": "x"}}\n' + json.dumps(CONTEXT).encode() + b"\n"],
    "tacred": [json.dumps([EXAMPLE, EXAMPLE]).encode()],
    "spert": [json.dumps([SENTENCE]).encode()],
    "dygie": [json.dumps(PAPER).encode() + b"\n"],
    "docred": [json.dumps([ENTRY]).encode()],
    "gap": [GAP.encode()],
    "semeval": [
        b'1\t"A <e1>b</e1> <e2>c</e2>."\r\nCause-Effect(e1,e2)\r\nComment: x\r\n\r\n2\t"<e2>c</e2><e1>d</e1>"\nOther\n'
    ],
    "text": ["Zoé 🚀\r\n\x00\u202e".encode(), "\ufeffParis".encode(), b"\x1f\x8b\x08"],
}
NAMES = {
    "squad": "a.json",
    "squad-predictions": "a.json",
    "mrqa": "a.jsonl",
    "tacred": "a.json",
    "spert": "a.json",
    "dygie": "a.jsonl",
    "docred": "a.json",
    "gap": "a.tsv",
    "semeval": "a.txt",
    "jsonl": "a.jsonl",
    "doccano": "a.jsonl",
    "prodigy": "a.jsonl",
    "label-studio": "a.json",
    "conll-coref": "a.conll",
    "conll": "a.conll",
    "brat": "a.ann",
    "text": "a.txt",
}
BESIDE = "Marie met Zoé now".encode()  # the text of the .ann
WORDS = [
    b"", b"\x00", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\n", b"\r", b"\t", b" ", b"\xe2\x80\xa8", b'"', b"\\",
    b"\\ud83d", b"\\u0000", b"[" * 60, b"]" * 60, b"{", b"}", b",", b":", b";", b"null", b"true", b"NaN", b"-1", b"-0",
    b"1e999", b"1.0", b"9" * 40, b"0x1", b'"3"', b"3.5", b"T1", b"R1\t", b"E9", b"Arg1:", b"0 5", b"5 0", b"B-", b"I-X",
    b"-DOCSTART-", b"# id = ", b"#", b"\xf0\x9f\x9a\x80", b"e\xcc\x81", b"\xe2\x80\x8d", b"PK\x03\x04", b"%PDF",
    b'"spans":', b'"text":', b'"start":', b'"parts":[[0,1]],', b'"id":', b'"data":{', b'"labels":',
    b'"direction":"left",', b'"globalOffsets":{},',
]  # fmt: skip
Edit = Callable[[bytes], bytes]


def edits() -> st.SearchStrategy[list[Edit]]:
    """Changes of a file: something put in, taken out, put in place of something else, or repeated."""
    return st.lists(
        st.builds(
            lambda place, length, word, times: (
                lambda content: (
                    content[: (at := int(place * len(content)))]
                    + (word if times == 1 else content[at : at + length] * times)
                    + content[at + length :]
                )
            ),
            st.floats(0, 1),
            st.sampled_from([0, 0, 1, 2, 5, 30, 10_000]),
            st.sampled_from(WORDS) | st.binary(max_size=4),
            st.sampled_from([1, 1, 1, 0, 2, 3]),
        ),
        min_size=1,
        max_size=6,
    )


READINGS = st.builds(
    Reading,
    strict=st.booleans(),
    offset_unit=st.sampled_from([DETECTED, *UNITS]),
    encoding_errors=st.sampled_from(["strict", "replace"]),
    normalise=st.sampled_from(["no", "nfc"]),
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def fresh(work: Path) -> Path:
    shutil.rmtree(work / "in", ignore_errors=True)
    (work / "in").mkdir()
    return work / "in"


def read(path: Path, form: str | None, reading: Reading | None = None) -> None:
    """Documents that are sound and survive being written, or one of the two errors that say what is wrong."""
    report = ReadReport(reading or Reading())
    try:
        documents = list(read_documents(path, form, report))
    except (DataError, UsageError) as error:
        assert error.found and error.expected and error.fix
        return
    for document in documents:
        again = ReadReport()
        assert from_json(json.loads(json.dumps(to_json(document))), again) == document
        assert not again.repaired


@pytest.mark.parametrize("name", FORMATS)
@given(st.data(), READINGS)
def test_files_with_mistakes(work: Path, name: str, data: st.DataObject, reading: Reading):
    folder = fresh(work)
    content = data.draw(st.sampled_from(SEEDS[name]))
    for edit in data.draw(edits()):
        content = edit(content)
    beside = data.draw(edits().map(lambda made: made[0](BESIDE)) | st.just(BESIDE))
    if name == "brat":
        (folder / "a.txt").write_bytes(beside)
    packed = data.draw(st.sampled_from([False, False, False, True]))
    path = folder / (NAMES[name] + ".gz" * packed)
    path.write_bytes(gzip.compress(content, 1, mtime=0) if packed else content)
    read(data.draw(st.sampled_from([path, folder])), data.draw(st.sampled_from([name, name, None])), reading)


@pytest.mark.parametrize("name", FORMATS)
@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_files_of_anything(work: Path, name: str, content: bytes):
    folder = fresh(work)
    (folder / NAMES[name]).write_bytes(content)
    if name == "brat":
        (folder / "a.txt").write_bytes(content[::-1])
    read(folder / NAMES[name], name)
    read(folder / NAMES[name], None)


KEYS = [
    "id", "data", "text", "annotations", "predictions", "result", "value", "start", "end", "labels", "type", "from_id",
    "to_id", "direction", "to_name", "ground_truth", "was_cancelled", "document_id", "meta",
]  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers(-2, 9) | st.sampled_from(["labels", "relation", "x", "", "r", 0.5, 10**20])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)


@st.composite
def tasks(draw: st.DrawFn) -> list[Any]:
    """Exports of a sound shape in which some values are others."""

    def spoilt(value: Any) -> Any:
        if draw(st.integers(0, 15)) == 0:
            return draw(VALUES)
        if isinstance(value, dict):
            return {key: spoilt(item) for key, item in value.items() if draw(st.integers(0, 20))}
        return [spoilt(item) for item in value] if isinstance(value, list) else value

    return spoilt(TASKS)


@given(tasks() | VALUES)
def test_exports_with_other_values(work: Path, value: object):
    path = fresh(work) / "a.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    read(path, "label-studio")


@pytest.mark.parametrize("key", ["id", "text", "meta", "label", "start", "parts", "score"])
def test_depth(key: str):
    """Between what is read and what is too deep there is nothing that fails on being shown."""
    for depth in (*range(0, 900, 60), *range(900, 1040)):  # Python's limit is 1000, orjson's 1024
        deep = "[" * depth + "]" * depth
        span = {"start": "0", "end": "1", "label": '"X"', "score": "1", "parts": "[]"}
        record = {"id": '"a"', "text": '"x"', "meta": "{}"}
        (record if key in record else span)[key] = f'{{"a":{deep or 0}}}' if key == "meta" else deep or "0"
        record["spans"] = "[{" + ",".join(f'"{name}":{value}' for name, value in span.items()) + "}]"
        try:
            read_one = from_json(strict_json.parse("{" + ",".join(f'"{k}":{v}' for k, v in record.items()) + "}"))
            assert isinstance(read_one, Document)
        except DataError as error:
            assert str(error)


# files that are none


def outcome(path: str | Path, form: str | None = None) -> int:
    return len(list(read_documents(path, form)))


def feed(path: Path, content: bytes) -> None:
    def write() -> None:
        with path.open("wb") as stream:
            stream.write(content)

    threading.Thread(target=write, daemon=True).start()


@pytest.mark.parametrize("kind", ["named pipe", "descriptor"])
def test_pipes_are_read_to_their_end(tmp_path: Path, in_fork: Callable, kind: str):
    """`--input <(zcat many.jsonl.gz)`: what cannot be read twice is read once, and nothing is lost."""
    content = b"".join(b'{"id": "%d", "text": "x"}\n' % number for number in range(5000))

    def count() -> int:
        path = tmp_path / "pipe"
        os.mkfifo(path)
        feed(path, content)
        if kind == "named pipe":
            return outcome(path)
        with path.open("rb") as stream:
            return outcome(f"/dev/fd/{stream.fileno()}", "jsonl")

    assert in_fork(count, seconds=3) == ("returned", "5000")


ODD: dict[str, Any] = {
    "a pipe among texts": (lambda folder: os.mkfifo(folder / "b.txt"),),
    "a pipe for annotations": (lambda folder: os.mkfifo(folder / "a.ann"),),
    "a device": (lambda folder: (folder / "b.txt").symlink_to("/dev/zero"),),
    "a link out": (lambda folder: (folder / "b.txt").symlink_to("/etc/hostname"),),
    "a folder out": (lambda folder: (folder / "b").symlink_to("/etc"),),
    "a link to nothing": (lambda folder: (folder / "b.txt").symlink_to("nothing"),),
    "a link to itself": (lambda folder: (folder / "b.txt").symlink_to("b.txt"),),
    "a circle of folders": (lambda folder: (folder / "b").symlink_to("."),),
    "a folder of that name": (lambda folder: (folder / "b.txt").mkdir(),),
}


@pytest.mark.parametrize("make", [pytest.param(row[0], marks=row[1:], id=name) for name, row in ODD.items()])
def test_folders_with_something_odd(tmp_path: Path, in_fork: Callable, make: Callable[[Path], object]):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("Paris", encoding="utf-8")
    make(folder)
    ended = in_fork(lambda: outcome(folder), seconds=3)
    assert ended == ("returned", "1") or ended.how in ("DataError", "UsageError"), ended


# a megabyte of what is slow to read


def spans(places: Iterator[tuple[int, int]], text: str = "x" * 20_000) -> str:
    listed = ",".join(f'{{"start":{start},"end":{end}}}' for start, end in places)
    return f'{{"id":"a","text":"{text}","spans":[{listed}]}}'


SLOW = pytest.mark.slow
BOMBS: dict[str, Any] = {
    "brackets": ("jsonl", "[" * 1_000_000),
    "spaces": ("jsonl", " " * 1_000_000),
    "a key and spaces": ("label-studio", '[{"data"' + " " * 1_000_000),
    "digits": (
        "jsonl",
        '{"id":"a","text":"x","spans":[{"start":"' + "9" * 1_000_000 + '","end":1}]}',
    ),
    "ranges": ("brat", "T1\tX " + "1 2;" * 250_000 + "\tx"),
    "arguments": ("brat", "R1\tX " + "a:" * 500_000 + " "),
    "words": ("brat", "R1\t" + "a b:" * 250_000),
    "spans": ("brat", "\n".join(f"T{number}\tX 0 5\tMarie" for number in range(30_000))),
    "a long token": ("conll", "a\tB-X\nb\tO\n" + "x" * 1_000_000 + "\tO\n"),
    "columns": ("conll", "a B-X\n" * 2 + "x " * 500_000 + "O\n"),
    "accents": ("jsonl", '{"id":"a","text":"a' + "\u0301" * 500_000 + '","spans":[{"start":0,"end":1}]}'),
    "joiners": ("jsonl", '{"id":"a","text":"' + "👩\u200d" * 140_000 + '","spans":[{"start":0,"end":1}]}'),
    "line ends": ("text", "\r\n" * 500_000),
    "keys": ("jsonl", "{" + ",".join(f'"k{number}":0' for number in range(60_000)) + "}"),
    "a key that stands twice": (
        "jsonl",
        "{" + "".join(f'"k{number}":0,' for number in range(60_000)) + '"k59999":0}',
        SLOW,
    ),
    "spans inside spans": (
        "jsonl",
        spans((0, 20_000 - number) for number in range(19_990)),
        SLOW,
    ),
    "flags": ("jsonl", '{"id":"a","text":"' + "🇫" * 250_000 + '"}', SLOW),
    "accents in a label": (
        "jsonl",
        '{"id":"a","text":"x","spans":[{"start":0,"end":1,"label":"a' + "\u0301\u0316" * 250_000 + '"}]}',
        SLOW,
    ),
    "accents to compose": (
        "jsonl",
        '{"id":"a","text":"a' + "\u0301\u0316" * 250_000 + '"}',
        SLOW,
    ),
}


@pytest.mark.parametrize(
    ("name", "content"), [pytest.param(*row[:2], marks=row[2:], id=name) for name, row in BOMBS.items()]
)
def test_a_megabyte_takes_no_time(tmp_path: Path, in_fork: Callable, name: str, content: str):
    """A tenth of a second or so; a busy machine has more."""
    path = tmp_path / NAMES[name]
    path.write_text(content, encoding="utf-8", newline="")
    (tmp_path / "a.txt").write_bytes(content.encode() if name == "text" else b"Marie")
    report = ReadReport(Reading(normalise="nfc"))
    ended = in_fork(lambda: len(list(read_documents(path, name, report))), seconds=10)
    assert ended.how in ("returned", "DataError"), ended.how
    assert len(ended.said) < 1_000_000
