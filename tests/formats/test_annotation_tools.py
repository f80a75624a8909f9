"""Doccano and Prodigy: what they export is read as it was meant."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from spanbert.documents import Document, Relation, Span
from spanbert.errors import DataError
from spanbert.formats import ReadReport, read_documents, write_documents

TEXT = "Marie Curie worked in Paris."
MARIE, PARIS = Span(0, 11, "PER"), Span(22, 27, "LOC")
TRIPLES = {"id": 1, "text": TEXT, "label": [[0, 11, "PER"], [22, 27, "LOC"]], "Comments": ["ok"]}
ENTITIES = {
    "id": 2,
    "text": TEXT,
    "entities": [
        {"id": 10, "label": "PER", "start_offset": 0, "end_offset": 11},
        {"id": 11, "label": "LOC", "start_offset": 22, "end_offset": 27},
    ],
    "relations": [{"id": 1, "from_id": 10, "to_id": 11, "type": "in"}],
}
SPACY = {"text": TEXT, "ents": [{"start": 0, "end": 11, "label": "PER"}], "tokens": [{"id": 0, "start": 0, "end": 5}]}


def lines(tmp_path: Path, *records: object) -> Path:
    path = tmp_path / "export.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_triples_entities_and_ents(tmp_path: Path):
    first, second, third = read_documents(lines(tmp_path, TRIPLES, ENTITIES, SPACY))
    assert (first.id, first.spans, first.meta) == ("1", (MARIE, PARIS), {"Comments": ["ok"]})
    assert second.relations == (Relation(MARIE, PARIS, "in"),)
    assert (third.id, third.spans) == ("export-3", (MARIE,))


def test_there_and_back(tmp_path: Path):
    documents = list(read_documents(lines(tmp_path, TRIPLES, ENTITIES)))
    assert not write_documents(documents, tmp_path / "out.jsonl", "doccano")
    assert list(read_documents(tmp_path / "out.jsonl")) == documents
    scored = Document("a", TEXT, (Span(0, 11, "PER", 0.5),), meta={"label": "mine", "x": 1})
    assert write_documents([scored], tmp_path / "more.jsonl", "doccano") == Counter({"scores": 1, "meta fields": 1})


def test_our_own_lines_are_no_export(tmp_path: Path):
    """Whatever stands in `meta`."""
    document = Document("a", TEXT, (MARIE,), meta={"label": [[0, 1, "x"]], "_input_hash": 5})
    write_documents([document], tmp_path / "a.jsonl")
    assert list(read_documents(tmp_path / "a.jsonl")) == [document]


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({**TRIPLES, "label": [["PER", 0]]}, "a span written as ['PER', 0]"),
        ({**ENTITIES, "relations": [{"from_id": 10, "to_id": 99, "type": "in"}]}, "a relation from 10 to 99"),
        ({**TRIPLES, "label": [[0, 99, "PER"]]}, "span [0, 99) ends after the text (28 characters)"),
    ],
)
def test_bad_exports(tmp_path: Path, record: dict, found: str):
    with pytest.raises(DataError) as caught:
        list(read_documents(lines(tmp_path, record)))
    assert caught.value.found == found and caught.value.line == 1


def test_prodigy(tmp_path: Path):
    """Accepted tasks, those of one text joined; what was rejected or ignored is counted."""

    def task(text: str, hashed: int, answer: str, *spans: Span) -> dict:
        listed = [{"start": s.start, "end": s.end, "label": s.label, "token_start": 0, "token_end": 1} for s in spans]
        return {
            "text": text,
            "_input_hash": hashed,
            "_task_hash": 7,
            "spans": listed,
            "answer": answer,
            "meta": {"n": 1},
        }

    path = lines(
        tmp_path,
        task(TEXT, 1, "accept", MARIE),
        task("no", 2, "reject"),
        task(TEXT, 1, "accept", PARIS),
        task("none", 3, "ignore"),
        task("bare", 4, "accept"),
    )
    report = ReadReport()
    first, second = read_documents(path, report=report)
    assert (first.id, first.text, first.spans, first.meta) == ("export-1", TEXT, (MARIE, PARIS), {"n": 1})
    assert (second.text, second.spans) == ("bare", ())
    assert report.warned == {"tasks that were not accepted (left out)": 2, "tasks on the text of another (joined)": 1}
