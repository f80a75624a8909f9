"""`spanbert calibrate`, and the thresholds that follow from it, through the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from spanbert import SpanModel
from spanbert.calibration.requirements import NEVER, OperatingPoint
from spanbert.documents import Document
from spanbert.formats import read_documents, write_documents

from .conftest import Program


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory, toy_documents: Callable[[int, int], list[Document]]) -> Path:
    path = tmp_path_factory.mktemp("held-out") / "held-out.jsonl"
    write_documents(toy_documents(120, 5), path)
    return path


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(trained, tmp_path / "model"))


def spans(program: Program, *arguments: object) -> list[tuple[str, int, int, str]]:
    done = program("predict", *arguments)
    assert done.returncode == 0, done.stderr
    records = map(json.loads, done.stdout.splitlines())
    return [(r["id"], s["start"], s["end"], s["label"]) for r in records for s in r["spans"]]


def test_calibrate_then_predict_at_an_operating_point(program: Program, model: Path, held_out: Path):
    done = program(
        *("calibrate", "--model", model, "--data", held_out, "--json"),
        *("--require", "precision>=0.7", "--operating-point", "strict"),
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    ((task, said),) = record["calibration"].items()
    assert said["after"]["count"] >= 30 and 0 <= said["after"]["ece"] <= 1
    assert said["after"]["brier"] <= said["before"]["brier"] + 0.01
    assert record["operating_point"]["name"] == "strict"
    card = (model / "README.md").read_text(encoding="utf-8")
    assert "chose the checkpoint, before threshold and probabilities were fitted on others; " in card
    thresholds = {
        label: promise["threshold"]
        for promise in record["operating_point"]["promises"][task]
        for label in promise["labels"]
    }
    assert thresholds and "--operating-point 'strict'" in done.stderr

    everything = spans(program, "--model", model, "--input", held_out, "--threshold", "0")
    strict = spans(program, "--model", model, "--input", held_out, "--operating-point", "strict")
    assert set(strict) < set(everything)
    same = spans(program, "--model", model, "--input", held_out, "--require", "precision>=0.7")
    assert same == strict

    for choice in (("--operating-point", "strict"), ("--require", "precision>=0.7")):
        evaluated = program("evaluate", "--model", model, "--data", held_out, *choice, "--json")
        micro = json.loads(evaluated.stdout)["micro"]
        assert micro["precision"] >= 0.7  # the promise, on the very documents it was found on


def test_requirements_need_no_new_data(program: Program, model: Path, held_out: Path, tmp_path: Path):
    """The outcomes of the last calibration lie in the model."""
    assert program("calibrate", "--model", model, "--data", held_out).returncode == 0
    before = (model / "spanbert.json").read_bytes()
    done = program("calibrate", "--model", model, "--require", "recall>=0.5", "--output", tmp_path / "other")
    assert done.returncode == 0, done.stderr
    assert "recall is at least" in done.stderr
    assert (model / "spanbert.json").read_bytes() == before
    assert "recall>=0.5" in (tmp_path / "other" / "spanbert.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "neither --data nor --require"),
        (("--data", "x", "--operating-point", "loose"), 2, "--operating-point loose without --require"),
        (("--data", "x", "--confidence", "0.9"), 2, "--confidence 0.9 without --require"),
        (("--require", "f1>=0.9"), 2, "precision>=0.99, or recall>=0.9"),
        (("--require", "precision>=0.99999"), 3, "faultless spans"),
    ],
)
def test_refused(program: Program, model: Path, held_out: Path, arguments: tuple[str, ...], code: int, said: str):
    data = ("--data", held_out) if code == 3 else ()
    done = program("calibrate", "--model", model, *data, *arguments)
    assert done.returncode == code, done.stderr
    assert said in " ".join(done.stderr.split())


def test_too_few_documents_are_told_with_counts(program: Program, model: Path, tmp_path: Path, held_out: Path):
    few = tmp_path / "few.jsonl"
    few.write_text("".join(held_out.read_text().splitlines(keepends=True)[:2]))
    done = program("calibrate", "--model", model, "--data", few)
    assert done.returncode == 3
    assert "in 2 documents to calibrate on" in " ".join(done.stderr.split())


def test_an_unknown_operating_point_is_told(program: Program, model: Path, held_out: Path):
    done = program("predict", "--model", model, "--input", held_out, "--operating-point", "strickt")
    assert done.returncode == 2 and "strickt" in done.stderr


def test_documents_that_a_model_was_made_with_are_told(program: Program, model: Path, held_out: Path, toy_files: Path):
    """What it learnt from, and what it was calibrated on, wherever its files lie now."""
    done = program("evaluate", "--model", model, "--data", toy_files / "train.jsonl")
    assert "the model learnt from" in done.stderr and "figures are too good" in " ".join(done.stderr.split())
    done = program("calibrate", "--model", model, "--data", toy_files / "train.jsonl")
    assert "the model learnt from" in done.stderr
    assert "figures are too good" not in program("evaluate", "--model", model, "--data", held_out).stderr
    assert program("calibrate", "--model", model, "--data", held_out).returncode == 0
    done = program("evaluate", "--model", model, "--data", held_out)
    assert "threshold or probabilities were chosen by 120 of these 120 documents" in " ".join(done.stderr.split())
    done = program("calibrate", "--model", model, "--data", held_out)
    assert "those before were fitted on some of these documents" in " ".join(done.stderr.split())


def test_probabilities_that_were_fitted_well_stay(program: Program, model: Path, held_out: Path, tmp_path: Path):
    """On few other documents, a new fit is hardly better than one on many; and never by luck alone."""
    assert program("calibrate", "--model", model, "--data", held_out).returncode == 0
    few = tmp_path / "few.jsonl"
    documents = [replace(d, id=f"few {d.id}", text=d.text + " ") for d in read_documents(held_out)]
    write_documents(documents[:60], few)
    done = program("calibrate", "--model", model, "--data", few, "--json", "--output", tmp_path / "again")
    ((_, said),) = json.loads(done.stdout)["calibration"].items()
    assert said["method"] == "as before" and said["after"] == said["before"]
    assert "the probabilities stay as they were" in " ".join(done.stderr.split())
    states = [json.loads((where / "spanbert.json").read_text())["tasks"] for where in (model, tmp_path / "again")]
    for before, after in zip(*(each.values() for each in states), strict=True):
        assert before["calibration"] == after["calibration"]


def test_what_is_known_of_a_model_is_shown(program: Program, model: Path, held_out: Path):
    form = ("--require", "recall>=0.2", "--confidence", "0.5", "--operating-point", "wide")
    assert program("calibrate", "--model", model, "--data", held_out, *form).returncode == 0
    shown = program("info", "--model", model).stdout
    assert "fitted on 120 held-out documents" in shown
    assert "Operating point **wide**: recall>=0.2 with confidence 0.5." in shown
    record = json.loads(program("info", "--model", model, "--json").stdout)
    assert record["operating_points"]["wide"]["requirement"] == "recall>=0.2 with confidence 0.5"
    assert [each["documents"] for each in record["calibrated_on"].values()] == [120]


def test_labels_that_are_left_out_are_told(program: Program, model: Path, held_out: Path):
    loaded = SpanModel.from_pretrained(model)
    (name,) = loaded.bundle.tasks
    loaded.bundle.operating_points["half"] = OperatingPoint("precision>=0.9", {name: {"ORG": NEVER, "PERSON": 0.5}})
    loaded.save_pretrained(model)
    done = program("evaluate", "--model", model, "--data", held_out, "--operating-point", "half")
    assert "nothing is told of ORG: the documents could not support precision>=0.9" in " ".join(done.stderr.split())


def test_a_promise_is_not_made_for_another_policy(program: Program, model: Path, held_out: Path):
    """Other spans are decoded under it, of which nothing was measured."""
    wanted = ("--require", "recall>=0.1", "--confidence", "0.5", "--policy", "overlapping")
    done = program("predict", "--model", model, "--input", held_out, *wanted)
    assert done.returncode == 2 and "under the policy overlapping" in " ".join(done.stderr.split())


def test_one_kind_of_threshold_at_a_time(program: Program, model: Path, held_out: Path):
    done = program("predict", "--model", model, "--input", held_out, "--threshold", "0.5", "--require", "recall>=0.5")
    assert done.returncode == 2 and "one of them" in done.stderr
    done = program("predict", "--model", model, "--input", held_out, "--confidence", "0.9")
    assert done.returncode == 2 and "--confidence 0.9 without --require" in done.stderr


def test_thresholds_come_from_no_variable(
    program: Program, model: Path, held_out: Path, monkeypatch: pytest.MonkeyPatch
):
    """One that was set for another command would rule out the flags of this one."""
    plain = spans(program, "--model", model, "--input", held_out)
    for name, value in (("REQUIRE", "precision>=0.9"), ("CONFIDENCE", "0.9"), ("THRESHOLD", "0.99")):
        monkeypatch.setenv(f"SPANBERT_{name}", value)
    assert spans(program, "--model", model, "--input", held_out) == plain


def test_a_threshold_that_cannot_be_is_refused_at_once(program: Program, tmp_path: Path):
    for threshold in ("1.5", "nan"):
        done = program(
            *("evaluate", "--model", "nowhere", "--data", "none.jsonl", "--report", tmp_path / "r"),
            *("--threshold", threshold),
        )
        assert done.returncode == 2 and f"threshold {threshold}" in done.stderr and not (tmp_path / "r").exists()


def test_a_coverage_report(program: Program, model: Path, held_out: Path, tmp_path: Path):
    long = tmp_path / "long.txt"
    long.write_text(" ".join(json.loads(line)["text"] for line in held_out.read_text().splitlines()))
    done = program("predict", "--model", model, "--input", long, held_out, "--report-coverage")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "coverage: 121 documents, all read whole; 1 were read in several windows" in said
    assert "neighbouring windows share" in said and "unknown to the vocabulary" not in said
    record = json.dumps({"id": "a", "text": "the house \u0416\u0416\u0416 of Anna"})
    done = program("predict", "--model", model, "--input", "-", "--report-coverage", stdin=record + "\n")
    assert json.loads(done.stdout)["coverage"]["unknown"] == 3
    assert "3 characters are unknown to the vocabulary" in " ".join(done.stderr.split())


def test_gold_that_cannot_calibrate_is_refused(program: Program, model: Path, held_out: Path, tmp_path: Path):
    """Without any span, or with other labels: fitted on that, nothing would be probable. The model stays."""
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    documents = list(read_documents(held_out))
    for spans, there in (((), "no spans"), (None, "FIRMA")):
        strange = [
            replace(d, spans=tuple(replace(s, label="FIRMA") for s in d.spans) if spans is None else spans)
            for d in documents
        ]
        write_documents(strange, tmp_path / "strange.jsonl")
        done = program("calibrate", "--model", model, "--data", tmp_path / "strange.jsonl")
        assert done.returncode == 3 and f"their gold has {there}" in " ".join(done.stderr.split()), done.stderr
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_labels_that_do_not_fit_are_told(program: Program, model: Path, held_out: Path, tmp_path: Path):
    other = [
        replace(d, spans=tuple(replace(s, label="FIRMA") if s.label == "ORG" else s for s in d.spans))
        for d in read_documents(held_out)
    ]
    write_documents(other, tmp_path / "other.jsonl")
    done = program("calibrate", "--model", model, "--data", tmp_path / "other.jsonl", "--output", tmp_path / "new")
    said = " ".join(done.stderr.split())
    assert "with labels that the model does not know: FIRMA" in said and "no gold span of ORG, which the model" in said


def test_a_refused_requirement_says_nothing_of_a_calibration(program: Program, model: Path, held_out: Path):
    """Nothing was saved of it."""
    done = program("calibrate", "--model", model, "--data", held_out, "--require", "precision>=0.999")
    assert done.returncode == 3 and "fits best" not in done.stderr


def test_a_model_of_the_package_needs_a_folder_to_write_to(program: Program):
    done = program("calibrate", "--model", "spanbert-ner", "--require", "precision>=0.8")
    assert done.returncode == 2
    assert "give one with --output" in done.stderr
