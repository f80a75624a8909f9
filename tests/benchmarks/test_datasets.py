"""The corpora of the benchmarks: published counts, parts that do not share texts, and a small case for each reader."""

from __future__ import annotations

import bisect
import gzip
import importlib.util
import json
import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spanbert.documents import Document, Relation, Span
from spanbert.errors import UsageError
from spanbert.formats import ReadReport

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "datasets.py"
_spec = importlib.util.spec_from_file_location("spanbert_benchmark_datasets", SCRIPT)  # not `datasets`: a known package
assert _spec is not None and _spec.loader is not None
datasets = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = datasets
_spec.loader.exec_module(datasets)

Prepared = Callable[[str], dict[str, list[dict[str, Any]]]]

# Documents, tokens and spans of the official parts: shared/data/README.md, and what is left out of its figures.
PUBLISHED = {
    "wnut17": {"train": (3394, 62730, 1975), "dev": (1009, 15733, 836), "test": (1287, 23394, 1079)},
    "ncbi_disease": {"train": (5424, 135701, 5134), "test": (923, 23969, 787)},
    "crossner_ai": {"train": (100, 3782, 532), "test": (350, 10919, 1549)},
    "crossner_literature": {"train": (100, 3782, 541), "test": (400, 14503, 2130)},
    "crossner_music": {"train": (100, 3909, 648), "test": (380, 15591, 2679)},
    "crossner_politics": {"train": (200, 8384, 1304), "test": (541, 24624, 3482)},
    "crossner_science": {"train": (200, 7100, 1075), "test": (450, 16139, 2538)},
    "sec_filings_ner": {"train": (60, 41010, 1168), "test": (17, 13246, 318)},  # documents: 20 sentences each
    "genia": {"train": (199, 45495, 4714)},
    "litbank": {"train": (80, 169225, 11077)},
    "fire": {"train": (1925, 59118 - 25, 10188), "test": (412, 12254 - 2, 2165)},  # tokens that are white space
    "kpi_edgar": {"train": (970, 38860, 3293 - 234), "test": (146, 5523, 493 - 53)},  # spans of false_positive
    "redocred": {"train": (500, 101970 - 66, 13189 - 36)},  # tokens that are white space, mentions given twice
}
# Only by `make soak`: half of the time, and the others go the same ways.
SLOW = ("ncbi_disease", *(f"crossner_{domain}" for domain in ("literature", "music", "politics", "science")))


@pytest.fixture(scope="module")
def prepared(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The records of each part; each corpus is prepared once."""
    output = tmp_path_factory.mktemp("datasets")

    def records(name: str) -> dict[str, list[dict[str, Any]]]:
        split = vars(datasets.prepare(name, shared / "data", output))
        return {part: list(datasets.json_lines(split[part])) for part in datasets.PARTS}

    return records


def test_every_corpus_is_checked() -> None:
    assert list(PUBLISHED) == list(datasets.CORPORA)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in PUBLISHED]
)
def test_published_counts_and_clean_parts(name: str, prepared: Prepared) -> None:
    """What is taken out of train is counted with it; spans begin and end with tokens and say the text they mark."""
    parts = prepared(name)
    counted: Counter[tuple[str, str]] = Counter()
    for part, records in parts.items():
        official = part if part in PUBLISHED[name] else "train"
        for record in records:
            tokens, spans = record["meta"]["tokens"], record.get("spans", [])
            counted[official, "documents"] += 1
            counted[official, "tokens"] += len(tokens)
            counted[official, "spans"] += len(spans)
            first = {start: index for index, (start, _) in enumerate(tokens)}
            last = {end: index for index, (_, end) in enumerate(tokens)}
            for span in spans:
                covered = tokens[first[span["start"]] : last[span["end"]] + 1]
                assert " ".join(record["text"][a:b] for a, b in covered).split() == span["text"].split()
    for part, figures in PUBLISHED[name].items():
        assert tuple(counted[part, what] for what in ("documents", "tokens", "spans")) == figures, part
    check_parts(name, parts)


def check_parts(name: str, parts: dict[str, list[dict[str, Any]]]) -> None:
    """Ids differ; parts that are taken out of train share no text with it, and have the size that was asked for."""
    corpus = datasets.CORPORA[name]
    ids = [record["id"] for records in parts.values() for record in records]
    assert len(set(ids)) == len(ids)
    texts = {part: {record["text"] for record in records} for part, records in parts.items()}
    drawn = [part for part in datasets.PARTS if part not in PUBLISHED[name]]
    whole = set().union(texts["train"], *(texts[part] for part in drawn))
    assert sum(len(texts[part]) for part in ("train", *drawn)) == len(whole)
    for part, percent in (("dev", corpus.dev_percent), ("test", corpus.test_percent)):
        if part in drawn:
            assert abs(len(texts[part]) - len(whole) * percent / 100) <= 1
    repeated = {"ncbi_disease": 5, "crossner_music": 1, "crossner_science": 4, "kpi_edgar": 5}  # in official tests
    assert len(texts["test"] & (texts["train"] | texts["dev"])) == repeated.get(name, 0)


def test_another_process_writes_the_same_bytes(shared: Path, prepared: Prepared, tmp_path: Path) -> None:
    """Other hashes of strings, so another order of sets. Done again, nothing is written; without its notes, all is."""
    names = ["genia", "kpi_edgar"]
    command = [sys.executable, str(SCRIPT), "--data", str(shared / "data"), "--output", str(tmp_path / "other"), *names]
    done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith("genia")] == [
        ["genia", "train", "139"],
        ["genia", "dev", "20"],
        ["genia", "test", "40"],
    ]
    for name in names:
        mine = vars(datasets.prepare(name, shared / "data", tmp_path / "mine"))
        for path in mine.values():
            assert path.read_bytes() == (tmp_path / "other" / name / path.name).read_bytes()


def test_files_are_written_when_something_changed(tmp_path: Path) -> None:
    """Absent, current, older than the source, and of another version."""
    source = tmp_path / "kpi_edgar"
    for file in ("kpi_edgar_train.jsonl.gz", "kpi_edgar_valid.jsonl.gz"):
        pack(source / file, json.dumps(KPI) + "\n")

    def written() -> bool:
        before = {path: path.stat().st_ino for path in tmp_path.glob("out/kpi_edgar/*")}
        split = datasets.prepare("kpi_edgar", tmp_path, tmp_path / "out")
        return before != {path: path.stat().st_ino for path in vars(split).values()}

    assert [written(), written()] == [True, False]
    notes = tmp_path / "out" / "kpi_edgar" / "notes.txt"
    assert notes.read_text().splitlines()[1:] == ["warning: 2 spans of false_positive (left out)"]
    os.utime(notes, (1, 1))
    assert [written(), written()] == [True, False]
    notes.write_text("datasets.py of another day\n")
    assert [written(), written()] == [True, False]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown corpus 'genua'") as caught:
        datasets.prepare("genua", tmp_path, tmp_path)
    assert "'genia'" in caught.value.fix
    with pytest.raises(UsageError, match="genia_dev.jsonl.gz"):
        datasets.prepare("genia", tmp_path, tmp_path)


def test_half_of_the_texts_are_drawn_and_equal_texts_stay_together(tmp_path: Path) -> None:
    """4 texts, one of them twice: 25 % are 1 text, 50 % are 2; 1 is left in train."""
    texts = ["a", "b", "c", "d", "b"]
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    corpus = datasets.Corpus("x", "", lambda path, report: iter(documents), "f", dev_percent=25, test_percent=50)
    parts = datasets.read_parts(corpus, {"train": tmp_path}, ReadReport())
    assert {part: len({d.text for d in found}) for part, found in parts.items()} == {"train": 1, "dev": 1, "test": 2}
    assert sorted(d.id for found in parts.values() for d in found) == [f"x-{number}" for number in range(5)]


# One small case for each reader of the script.

KPI = {
    "doc": "f.txt",
    "sent_id": "4-0",
    "tokens": ["Net", "sales", "were", "€", "5", "."],
    "entities": [{"type": "kpi", "start": 0, "end": 2}, {"type": "cy", "start": 4, "end": 5}]
    + [{"type": "false_positive", "start": 2, "end": 3}],
}


def pack(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def read(reader: Callable[[Path, ReadReport], Iterator[Document]], path: Path) -> tuple[list[Document], list[str]]:
    report = ReadReport()
    return list(reader(path, report)), report.summary()


def test_kpi_edgar_without_false_positives(tmp_path: Path) -> None:
    """`Net sales were € 5 .`: Net sales is [0, 9), 5 is behind `Net sales were € `, 17 characters."""
    (document,), notes = read(datasets.kpi_edgar, pack(tmp_path / "k.gz", json.dumps(KPI)))
    assert (document.id, document.text) == ("f.txt-4-0", "Net sales were € 5 .")
    assert document.spans == (Span(0, 9, "kpi"), Span(17, 18, "cy"))
    assert notes == ["warning: 1 span of false_positive (left out)"]


def test_relations_are_those_of_spans_that_are_kept(tmp_path: Path) -> None:
    """Entities are numbered as the file has them; the third is a false positive."""
    relations = [{"head": 0, "tail": 1, "type": "matches"}, {"head": 0, "tail": 2, "type": "matches"}]
    (document,), notes = read(datasets.kpi_edgar, pack(tmp_path / "k.gz", json.dumps({**KPI, "relations": relations})))
    assert document.relations == (Relation(Span(0, 9, "kpi"), Span(17, 18, "cy"), "matches"),)
    assert notes[-1] == "warning: 1 relation of a span that was left out, or of one with itself (left out)"


def test_genia_joins_the_sentences_of_an_abstract(tmp_path: Path) -> None:
    """`IL-2 gene` is 9 characters, so the second sentence begins at 10."""
    lines = [
        {
            "doc_id": "M:1",
            "tokens": ["IL-2", "gene"],
            "entity_mentions": [entity(0, 1, "protein"), entity(0, 2, "DNA")],
        },
        {"doc_id": "M:1", "tokens": ["T", "cells"], "entity_mentions": [entity(0, 2, "cell_type")]},
        {"doc_id": "M:2", "tokens": ["Ends"], "entity_mentions": []},
    ]
    (first, second), _ = read(datasets.genia, pack(tmp_path / "g.gz", "\n".join(map(json.dumps, lines))))
    assert (first.id, first.text) == ("M:1", "IL-2 gene\nT cells")
    assert first.spans == (Span(0, 9, "DNA"), Span(0, 4, "protein"), Span(10, 17, "cell_type"))
    assert (second.id, second.spans) == ("M:2", ())


def entity(start: int, end: int, label: str) -> dict[str, Any]:
    return {"start": start, "end": end, "entity_type": label}


def test_litbank_reads_four_layers_of_tags(tmp_path: Path) -> None:
    """`the king of Spain` is [0, 17), Spain in it [12, 17); a fifth column of tags is none of the four layers."""
    rows = ["the\tB-PER\tO\tO\tO\tO\t", "king\tI-PER\tO\tO\tO\tO\t", "of\tI-PER\tO\tO\tO\tO\t"]
    rows += ["Spain\tI-PER\tB-GPE\tO\tO\tB-X\t", "", "I\tO\tO\tO\tB-PER\tO\t", ""]
    (tmp_path / "1_work_brat.tsv").write_text("\n".join(rows))
    with tarfile.open(tmp_path / "l.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "1_work_brat.tsv", "entities/tsv/1_work_brat.tsv")
    (document,), _ = read(datasets.litbank, tmp_path / "l.tar.gz")
    assert (document.id, document.text) == ("1_work", "the king of Spain\nI")
    assert document.spans == (Span(0, 17, "PER"), Span(12, 17, "GPE"), Span(18, 19, "PER"))


def test_fire_keeps_blank_tokens_in_the_text_only(tmp_path: Path) -> None:
    """`June  1`: an empty token between two spaces; it is none of the tokens."""
    instance = {"orig_id": 7, "tokens": ["June", "", "1"], "entities": [{"type": "Date", "start": 0, "end": 3}]}
    (document,), notes = read(datasets.fire, pack(tmp_path / "f.gz", json.dumps([instance])))
    assert (document.id, document.text, document.spans) == ("7", "June  1", (Span(0, 7, "Date"),))
    assert document.meta == {"detokenised": True, "tokens": [[0, 4], [6, 7]]}
    assert notes == ["warning: 1 token of white space (kept in the text, not counted)"]


def test_redocred_puts_mentions_in_their_sentence(tmp_path: Path) -> None:
    """`Ann won .` and a space are 10 characters; one mention is listed under two entities."""
    mentions = [{"sent_id": 0, "pos": [0, 1], "type": "PER"}, {"sent_id": 1, "pos": [1, 2], "type": "LOC"}]
    article = {"sents": [["Ann", "won", "."], ["In", "Rome"]], "vertexSet": [mentions, mentions[1:]]}
    (document,), notes = read(datasets.redocred, pack(tmp_path / "r.gz", json.dumps([article])))
    assert (document.id, document.text) == ("1", "Ann won . In Rome")
    assert document.spans == (Span(0, 3, "PER"), Span(13, 17, "LOC"))
    assert notes == ["1 span given twice (removed)"]


def test_filings_are_cut_between_sentences(tmp_path: Path) -> None:
    """22 sentences `I am` (IOB1) of a filing: 20 and 2, numbered by their first; the next filing is not mixed in."""
    sentence = "I PRP - I-PER\nam VBP - O\n\n"
    path = tmp_path / "F.txt"
    path.write_text("-DOCSTART- -X- O O\n\n" + sentence * 22 + "-DOCSTART- -X- O O\n\n" + sentence)
    documents, _ = read(datasets.filings, path)
    assert [(d.id, d.text.count("\n") + 1) for d in documents] == [("F-1-1", 20), ("F-1-21", 2), ("F-2-1", 1)]
    assert documents[1].text == "I am\nI am"
    assert documents[1].spans == (Span(0, 1, "PER"), Span(5, 6, "PER"))
    assert documents[1].meta["tokens"] == [[0, 1], [2, 4], [5, 6], [7, 9]]


# The sources' own words as oracles for the offsets.


def test_litbank_agrees_with_its_stand_off_files(shared: Path, prepared: Prepared) -> None:
    """The same texts, and the same spans as the authors' character offsets, of which 19 have an edge inside a token."""
    records = {record["id"]: record for part in prepared("litbank").values() for record in part}
    inside = 0
    with tarfile.open(shared / "data" / "litbank" / "litbank_entities_brat.tar.gz") as archive:
        files = {m.name: stream.read().decode() for m in archive if (stream := archive.extractfile(m)) is not None}
    for name in (name for name in files if name.endswith(".ann")):
        record = records.pop("litbank-" + Path(name).stem.removesuffix("_brat"))
        assert files[name.removesuffix(".ann") + ".txt"].rstrip("\n") == record["text"]
        starts, ends = zip(*record["meta"]["tokens"], strict=True)
        wanted = set()
        for line in files[name].splitlines():
            label, start, end = line.split("\t")[1].split()
            first, last = bisect.bisect(starts, int(start)) - 1, bisect.bisect_left(ends, int(end))
            inside += (starts[first], ends[last]) != (int(start), int(end))
            wanted.add((starts[first], ends[last], label))
        assert {(span["start"], span["end"], span["label"]) for span in record["spans"]} == wanted, name
    assert records == {}
    assert inside == 19


@pytest.mark.parametrize("name", ["genia", "fire", "redocred"])
def test_spans_are_the_texts_that_the_source_gives(name: str, shared: Path, prepared: Prepared) -> None:
    """White space apart: Re-DocRED writes `55.5 %` for `55.5%`, and thrice `7.\\n` first; FIRE has blank tokens."""
    wanted: Counter[tuple[str, str]] = Counter()
    for path in datasets.CORPORA[name].sources(shared / "data").values():
        content = datasets.content(path)
        if name == "genia":
            mentions = [m for line in content.splitlines() for m in json.loads(line)["entity_mentions"]]
            wanted.update((m["entity_type"], squeezed(m["text"])) for m in mentions)
        elif name == "fire":
            wanted.update((e["type"], squeezed(e["text"])) for i in json.loads(content) for e in i["entities"])
        else:
            for article in json.loads(content):
                mentions = [mention for cluster in article["vertexSet"] for mention in cluster]
                unique = {(m["sent_id"], *m["pos"], m["type"]): (m["type"], m["name"]) for m in mentions}
                wanted.update((label, squeezed(re.sub(r"^\d\.\n", "", name))) for label, name in unique.values())
    spans = [s for records in prepared(name).values() for record in records for s in record.get("spans", [])]
    assert Counter((span["label"], squeezed(span["text"])) for span in spans) == wanted


def squeezed(text: str) -> str:
    return "".join(text.split())
