"""`spanbert evaluate --report`, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Program


def test_a_report_of_a_trained_model(program: Program, trained: Path, toy_files: Path, tmp_path: Path):
    folder = tmp_path / "report"
    done = program(
        *("evaluate", "--model", trained, "--data", toy_files / "dev.jsonl", "--report", folder, "--json"),
        *("--train", toy_files / "train.jsonl", toy_files / "dev.jsonl"),
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    record = json.loads((folder / "report.json").read_text())
    assert f"the report is in {folder / 'report.html'}" in done.stderr
    f1 = record["overall"]["f1"]
    assert f1["value"] == printed["micro"]["f1"] and [f1["low"], f1["high"]] == printed["micro"]["f1_interval"]
    assert record["train_documents"] == 125
    assert sum(row["gold"] for row in record["by_window_position"]) == printed["micro"]["support"]
    assert record["by_mention"][0]["gold"] == printed["micro"]["support"]  # the data were given as training data too
    assert record["about"]["data"] == "dev.jsonl" and record["about"]["model"] == trained.name
    html = (folder / "report.html").read_text()
    assert f"<b>{f1['value']:.3f}</b>" in html and str(tmp_path) not in html


def test_without_training_documents(program: Program, trained: Path, toy_files: Path, tmp_path: Path):
    done = program("evaluate", "--model", trained, "--data", toy_files / "dev.jsonl", "--report", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "micro" in done.stdout  # the table is printed as ever
    assert json.loads((tmp_path / "report.json").read_text())["by_mention"] is None
    assert "training has seen" not in (tmp_path / "report.html").read_text()


def test_refused(program: Program, trained: Path, toy_files: Path, tmp_path: Path):
    data = ("evaluate", "--model", trained, "--data", toy_files / "dev.jsonl")
    done = program(*data, "--train", toy_files / "dev.jsonl")
    assert done.returncode == 2 and "--train without --report" in done.stderr
    (tmp_path / "file").write_text("mine")
    done = program(*data, "--report", tmp_path / "file")
    assert done.returncode == 4 and "cannot write" in done.stderr
    assert (done.stdout, (tmp_path / "file").read_text()) == ("", "mine")
