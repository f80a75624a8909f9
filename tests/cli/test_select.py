"""`spanbert select` through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spanbert import read_documents
from spanbert.documents import Document, Span
from spanbert.formats import write_documents

from .conftest import Program


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, toy_documents: Callable[[int, int], list[Document]]) -> Path:
    """Forty texts without annotations, and one with."""
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    documents = toy_documents(41, 9)
    write_documents([documents[0], *(Document(d.id, d.text) for d in documents[1:])], path)
    return path


def test_both_formats_hold_the_same(program: Program, trained: Path, texts: Path, tmp_path: Path):
    form = ("select", "--model", trained, "--input", texts, "--budget", 8)
    done = program(*form, "--output", tmp_path / "chosen.jsonl")
    assert done.returncode == 0, done.stderr
    assert "1 document with annotations left out" in done.stderr and "8 documents of 40" in done.stderr
    chosen = list(read_documents(tmp_path / "chosen.jsonl"))
    assert [document.meta["rank"] for document in chosen] == list(range(1, 9))
    assert all(document.annotated == frozenset() for document in chosen)
    assert all(span.score is not None for document in chosen for span in document.spans)
    assert "toy-9-0" not in {document.id for document in chosen}

    done = program(*form, "--output", tmp_path / "tasks.json", "--format", "label-studio")
    assert done.returncode == 0, done.stderr
    tasks = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    for task, document in zip(tasks, chosen, strict=True):
        assert task["data"] == {"document_id": document.id, "text": document.text, "meta": dict(document.meta)}
        assert task["annotations"] == []
        results = [result for prediction in task["predictions"] for result in prediction["result"]]
        assert [(r["value"]["start"], r["value"]["end"], *r["value"]["labels"], r["score"]) for r in results] == [
            (span.start, span.end, span.label, span.score) for span in document.spans
        ]
    again = program("select", "--model", trained, "--input", tmp_path / "tasks.json", "--budget", 8, "--output", "-")
    assert again.returncode == 0, again.stderr
    ids = [json.loads(line)["id"] for line in again.stdout.splitlines()]
    assert ids == [document.id for document in chosen]  # unannotated tasks may be ranked again


def test_what_somebody_has_looked_at_is_not_offered_again(program: Program, trained: Path, tmp_path: Path):
    rows = [
        {"id": "done", "text": "the big house", "spans": [], "annotated": ["PERSON", "ORG"]},
        {
            "id": "linked",
            "text": "Anna met her",
            "clusters": [{"spans": [{"start": 0, "end": 4}, {"start": 9, "end": 12}]}],
        },
        {"id": "guessed", "text": "Anna met Dora", "spans": [{"start": 0, "end": 4}], "annotated": []},
        {"id": "new", "text": "Dora met Anna"},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = program("select", "--model", trained, "--input", tmp_path / "in.jsonl", "--budget", 9, "--output", "-")
    assert done.returncode == 0 and "2 documents with annotations left out" in done.stderr
    assert {json.loads(line)["id"] for line in done.stdout.splitlines()} == {"guessed", "new"}


def test_a_budget_above_all_texts(program: Program, trained: Path, texts: Path):
    done = program("select", "--model", trained, "--input", texts, "--budget", 1000, "--output", "-")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 40


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--budget", 0, "--output", "-"), 2, "a budget of 0"),
        (("--budget", 5, "--output", "-", "--format", "label_studio"), 2, "did you mean 'label-studio'"),
        (("--budget", 5, "--output", "{texts}"), 2, "is read and would be written"),
        (("--budget", 5, "--output", "-", "--input", "{annotated}"), 3, "no document without annotations"),
    ],
)
def test_refused(program: Program, trained: Path, texts: Path, tmp_path: Path, arguments: tuple, code: int, said: str):
    annotated = tmp_path / "annotated.jsonl"
    write_documents([Document("d", "Anna", (Span(0, 4, "PERSON"),))], annotated)
    filled = [str(word).format(texts=texts, annotated=annotated) for word in arguments]
    given = () if "--input" in filled else ("--input", texts)
    before = texts.read_bytes()
    done = program("select", "--model", trained, *given, *filled)
    assert done.returncode == code and said in done.stderr, done.stderr
    assert texts.read_bytes() == before
