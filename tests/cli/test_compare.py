"""`spanbert compare` through the program."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spanbert import read_documents
from spanbert.documents import Document
from spanbert.formats import write_documents

from .conftest import Program


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, toy_files: Path) -> Path:
    """A folder with predictions for dev.jsonl: nothing at all, everything right, and only the persons."""
    folder = tmp_path_factory.mktemp("predictions")
    gold = list(read_documents(toy_files / "dev.jsonl"))
    write_documents([replace(d, spans=()) for d in gold], folder / "nothing.jsonl")
    write_documents(gold, folder / "right.jsonl")
    persons = [replace(d, spans=tuple(s for s in d.spans if s.label == "PERSON")) for d in gold]
    write_documents(persons, folder / "persons.conll", "conll")
    write_documents(gold, folder / "brat", "brat")
    return folder


def test_two_files_of_predictions(program: Program, toy_files: Path, files: Path):
    done = program(
        "compare", files / "nothing.jsonl", files / "right.jsonl", "--data", toy_files / "dev.jsonl", "--json"
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    gold = list(read_documents(toy_files / "dev.jsonl"))
    with_spans = sum(bool(d.spans) for d in gold)
    assert (record["a"]["micro"]["f1"], record["b"]["micro"]["f1"]) == (0.0, 1.0)
    assert record["difference"]["f1"] == 1.0 and record["difference"]["f1_interval"] == [1.0, 1.0]
    assert with_spans > 15 and record["difference"]["p_value"] == 0.0001
    assert (record["documents"], record["changed_documents"]) == (25, with_spans)
    assert sum(len(change["fixed"]) for change in record["changed"]) == sum(len(d.spans) for d in gold)
    assert set(record["difference"]["per_label"]) == {"ORG", "PERSON"}


def test_any_format_and_a_table_for_people(program: Program, toy_files: Path, files: Path):
    """CoNLL has ids of its own, so position counts; brat is a folder, and no model."""
    done = program("compare", files / "persons.conll", files / "brat", "--data", toy_files / "dev.jsonl")
    assert done.returncode == 0, done.stderr
    assert "B is better: " in done.stdout
    (row,) = (line.split() for line in done.stdout.splitlines() if line.startswith("F1 PERSON"))
    assert row[2:5] == ["1.000", "1.000", "+0.000"]
    (row,) = (line.split() for line in done.stdout.splitlines() if line.startswith("F1 ORG"))
    assert row[2:5] == ["0.000", "1.000", "+1.000"]


def test_a_model_against_its_own_predictions(
    program: Program, trained: Path, toy_files: Path, files: Path, tmp_path: Path
):
    done = program("predict", "--model", trained, "--input", toy_files / "dev.jsonl", "--output", tmp_path / "p.jsonl")
    assert done.returncode == 0, done.stderr
    form = (
        "compare",
        trained,
        tmp_path / "p.jsonl",
        "--data",
        toy_files / "dev.jsonl",
        "--report",
        tmp_path / "new" / "r",
    )
    done = program(*form)
    assert done.returncode == 0, done.stderr
    assert "no difference can be shown: the counts differ in 0 of 25 documents" in done.stdout
    record = json.loads((tmp_path / "new" / "r" / "compare.json").read_text())
    assert record["a"]["micro"] == record["b"]["micro"] and record["a"]["micro"]["f1"] > 0.8
    assert (record["changed"], record["difference"]["p_value"]) == ([], 1.0)
    page = (tmp_path / "new" / "r" / "compare.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and "<script" not in page
    assert program(*form).returncode == 0  # a report is replaced
    done = program("compare", *form[1:5], "--threshold", "1.0", "--json")
    record = json.loads(done.stdout)  # no score is 1: the model finds nothing, the file is taken whole
    assert record["a"]["micro"]["recall"] == 0.0 and record["b"]["micro"]["f1"] > 0.8


def test_more_predictions_than_data(program: Program, toy_files: Path, files: Path, tmp_path: Path):
    write_documents(list(read_documents(toy_files / "dev.jsonl"))[:4], tmp_path / "few.jsonl")
    done = program("compare", files / "right.jsonl", files / "nothing.jsonl", "--data", tmp_path / "few.jsonl")
    assert done.returncode == 0, done.stderr
    assert "A: 21 documents not in the data, left out" in done.stderr


def test_answers_by_id_are_no_spans(program: Program, toy_files: Path, files: Path, tmp_path: Path):
    """Gold would be scored against itself; a document without spans is not taken for such a file."""
    gold = next(iter(read_documents(toy_files / "dev.jsonl")))
    write_documents([gold], tmp_path / "gold.jsonl")
    (tmp_path / "answers.json").write_text('{"q": "x"}')
    (tmp_path / "nothing.json").write_text(json.dumps({"id": gold.id, "text": gold.text}))
    done = program("compare", tmp_path / "gold.jsonl", tmp_path / "answers.json", "--data", tmp_path / "gold.jsonl")
    assert done.returncode == 2 and "to compare answers: --of questions" in done.stderr
    done = program(
        *("compare", tmp_path / "gold.jsonl", tmp_path / "nothing.json", "--data", tmp_path / "gold.jsonl", "--json")
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["difference"]["f1"] == -1.0


def test_data_without_annotations_are_compared(program: Program, tmp_path: Path):
    (tmp_path / "bare.jsonl").write_text('{"id": "a", "text": "x"}\n{"id": "b", "text": "y"}\n')
    done = program("compare", *[tmp_path / "bare.jsonl"] * 2, "--data", tmp_path / "bare.jsonl")
    assert done.returncode == 0 and "no difference" in done.stdout, done.stderr
    assert "there is nothing to find" in " ".join(done.stderr.split())


def test_predictions_in_every_format_are_the_same_predictions(program: Program, files: Path, tmp_path: Path):
    """Label Studio keeps scored spans as predictions beside the annotations, which are no gold here."""
    gold = list(read_documents(files / "right.jsonl"))
    told = [replace(d, spans=tuple(replace(s, score=0.75) for s in d.spans)) for d in gold]
    for name in ("jsonl", "label-studio"):
        write_documents(told, tmp_path / f"{name}.json", name)
    done = program(
        *("compare", tmp_path / "jsonl.json", tmp_path / "label-studio.json", "--json"),
        *("--data", files / "right.jsonl"),
    )
    record = json.loads(done.stdout)
    assert record["b"]["micro"]["f1"] == 1.0 and record["difference"]["f1"] == 0.0, done.stderr


def test_what_is_refused(program: Program, trained: Path, toy_files: Path, files: Path, tmp_path: Path):
    write_documents(list(read_documents(files / "right.jsonl"))[:20], tmp_path / "part.jsonl")
    other = [Document(d.id, d.text + " .") for d in read_documents(files / "right.jsonl")]
    write_documents(other, tmp_path / "other.jsonl")
    for given, code, said in (
        (tmp_path / "part.jsonl", 3, "5 of 25 gold documents have no prediction in B"),
        (tmp_path / "other.jsonl", 3, "25 of 25 texts of B are not those of the gold documents"),
        (tmp_path / "none.jsonl", 2, "no such file"),
        ("some-model", 2, "some-model is not a folder"),
        (tmp_path, 3, "a folder without .ann or .txt files"),
    ):
        done = program("compare", files / "right.jsonl", given, "--data", toy_files / "dev.jsonl")
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert said in done.stderr
    done = program("compare", files / "right.jsonl", "--data", toy_files / "dev.jsonl")
    assert done.returncode == 2 and "Missing argument 'B'" in done.stderr
