"""Relations end to end: from asked pairs, and from raw text by a model that finds spans and their relations."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from spanbert import SpanModel, read_documents
from spanbert.calibration.requirements import OperatingPoint
from spanbert.documents import Document, Relation, Span
from spanbert.evaluation.calibrate import calibrate
from spanbert.formats import write_documents

from .conftest import Program, run_program

NAMES, ORGS, KINDS = ("Anna", "Bert", "Carl", "Dora"), ("Acme", "Bolt", "Core"), ("Corp", "Ltd")
FILL = ("the", "a", "in", "of", "said", "then", "and", "house", "river", "day", "on", ".", "big")
SIZES = ("--epochs", "16", "--learning-rate", "0.004", "--max-tokens", "512", "--patience", "16")


def related(number: int, seed: int, *, asked: bool) -> list[Document]:
    """A name, then `with` (it works there), `from` (it left) or another word, then a firm."""
    draw, made = random.Random(seed), []
    for k in range(number):
        words = draw.choices(FILL, k=draw.randint(0, 3))
        name, firm = draw.choice(NAMES), f"{draw.choice(ORGS)} {draw.choice(KINDS)}"
        between = draw.choice(["with", "from", "met"])
        text = " ".join([*words, name, between, firm, *draw.choices(FILL, k=draw.randint(0, 3))])
        head = Span(text.index(name), text.index(name) + len(name), "PERSON")
        tail = Span(text.index(firm), text.index(firm) + len(firm), "ORG")
        label = {"with": "works", "from": "left"}.get(between, "no_relation")
        kept = (Relation(head, tail, label),) if asked or label != "no_relation" else ()
        made.append(Document(f"{seed}-{k}", text, (head, tail), kept))
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("relations")
    for name, number, seed in (("train", 300, 1), ("dev", 60, 2)):
        write_documents(related(number, seed, asked=True), folder / f"asked-{name}.jsonl")
        write_documents(related(number, seed, asked=False), folder / f"all-{name}.jsonl")
    return folder


@pytest.fixture(scope="module")
def pair_model(files: Path, tiny_encoder: Path) -> Path:
    done = run_program(
        *("train", "--task", "relation-extraction", "--base-model", tiny_encoder, *SIZES),
        *("--train", files / "asked-train.jsonl", "--dev", files / "asked-dev.jsonl", "--output", files / "pairs"),
    )
    assert done.returncode == 0, done.stderr
    return files / "pairs"


@pytest.fixture(scope="module")
def joint_model(files: Path, tiny_encoder: Path) -> Path:
    done = run_program(
        *("train", "--task", "span-classification", "relation-extraction", "--base-model", tiny_encoder, *SIZES),
        *("--train", files / "all-train.jsonl", "--dev", files / "all-dev.jsonl", "--output", files / "both"),
    )
    assert done.returncode == 0, done.stderr
    return files / "both"


@pytest.fixture(scope="module")
def one_pass(files: Path, tiny_encoder: Path) -> Path:
    done = run_program(
        *("train", "--task", "joint-extraction", "--base-model", tiny_encoder, *SIZES),
        *("--train", files / "all-train.jsonl", "--dev", files / "all-dev.jsonl", "--output", files / "joint"),
    )
    assert done.returncode == 0, done.stderr
    return files / "joint"


def test_one_pass_gives_spans_and_relations(program: Program, one_pass: Path, files: Path):
    done = program("evaluate", "--model", one_pass, "--data", files / "all-dev.jsonl", "--json")
    report = json.loads(done.stdout)
    assert report["micro"]["f1"] > 0.8 and report["spans"]["f1"] > 0.9 and set(report["per_label"]) == {"works", "left"}
    done = program("predict", "--model", one_pass, "--input", files / "all-dev.jsonl", "--threshold", "0.01")
    gold, right = related(60, 2, asked=False), 0
    for document, record in zip(gold, map(json.loads, done.stdout.splitlines()), strict=True):
        spans = [(s["start"], s["end"], s["label"]) for s in record["spans"]]
        assert all(0 <= s["score"] <= 1 for s in record["spans"])
        found = {(spans[r["head"]], spans[r["tail"]], r["label"]) for r in record.get("relations", ())}
        ends = [[(s.start, s.end, s.label) for s in (r.head, r.tail)] for r in document.relations]
        right += {(*pair, r.label) for pair, r in zip(ends, document.relations, strict=True)} <= found
    assert right > 50


def test_evaluate_prints_the_official_score(program: Program, pair_model: Path, files: Path):
    done = program("evaluate", "--model", pair_model, "--data", files / "asked-dev.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["tacred"]["f1"] > 80 and report["micro"]["f1"] > 0.8
    assert set(report["per_label"]) == {"works", "left"}


def test_predict_keeps_the_spans_and_adds_relations(program: Program, pair_model: Path, files: Path):
    done = program("predict", "--model", pair_model, "--input", files / "asked-dev.jsonl")
    assert done.returncode == 0, done.stderr
    gold = related(60, 2, asked=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    right = 0
    for document, record in zip(gold, found, strict=True):
        assert [(s["start"], s["end"], s["label"]) for s in record["spans"]] == [
            (s.start, s.end, s.label) for s in document.spans
        ]
        said = [r["label"] for r in record.get("relations", ())] or ["no_relation"]
        right += said == [document.relations[0].label]
        assert all(0 <= r["score"] <= 1 and (r["head"], r["tail"]) == (0, 1) for r in record.get("relations", ()))
    assert right > 48


def test_raw_text_to_triples(joint_model: Path):
    model = SpanModel.from_pretrained(joint_model)
    document = model.predict("big house said Dora from Bolt Ltd and a day")
    (relation,) = document.relations
    text = document.text
    assert text[relation.head.start : relation.head.end] == "Dora"
    assert (relation.label, text[relation.tail.start : relation.tail.end]) == ("left", "Bolt Ltd")
    assert {span.label for span in document.spans} == {"PERSON", "ORG"} and 0 < relation.score <= 1
    assert model.predict("the big house").relations == ()
    assert model.predict(text, policy="nested", threshold=0.0).relations  # a policy is for the tasks that have one


def test_given_spans_are_used(joint_model: Path):
    text = "the Anna with Acme Corp"
    spans = (Span(4, 8, "PERSON"), Span(14, 23, "ORG"))
    document = SpanModel.from_pretrained(joint_model).predict(Document("d", text, spans))
    assert document.spans == spans and [r.label for r in document.relations] == ["works"]


def test_each_task_is_evaluated(program: Program, joint_model: Path, files: Path):
    reports = {}
    for task in ("span-classification", "relation-extraction"):
        done = program("evaluate", "--model", joint_model, "--data", files / "all-dev.jsonl", "--json", "--task", task)
        assert done.returncode == 0, done.stderr
        reports[task] = json.loads(done.stdout)
    assert set(reports["span-classification"]["per_label"]) == {"PERSON", "ORG"}
    assert set(reports["relation-extraction"]["per_label"]) == {"works", "left"}
    assert reports["span-classification"]["micro"]["f1"] > 0.9 and reports["relation-extraction"]["micro"]["f1"] > 0.7
    wrong = program(
        "evaluate", "--model", joint_model, "--data", files / "all-dev.jsonl", "--task", "relation-extracton"
    )
    assert wrong.returncode == 2 and "did you mean 'relation-extraction'" in wrong.stderr


def test_calibration_leaves_a_task_without_gold_alone(program: Program, joint_model: Path, files: Path, tmp_path: Path):
    bare = [Document(d.id, d.text, d.spans) for d in related(60, 5, asked=False)]
    write_documents(bare, tmp_path / "bare.jsonl")
    done = program(
        *("calibrate", "--model", joint_model, "--data", tmp_path / "bare.jsonl"), *("--output", tmp_path / "m")
    )
    assert done.returncode == 0 and "relation-extraction was not calibrated" in done.stderr
    assert SpanModel.from_pretrained(tmp_path / "m").predict("the Anna with Acme Corp").relations


def test_under_a_promise_nothing_is_told_of_tasks_without_one(joint_model: Path):
    model = SpanModel.from_pretrained(joint_model)
    point = OperatingPoint("precision>=0.9", {"span-classification": {"PERSON": 0.1, "ORG": 0.1}})
    model.bundle.operating_points["strict"] = point
    document = model.predict("the Anna with Acme Corp", operating_point="strict")
    assert document.spans and document.relations == ()


def test_relations_are_shown(program: Program, joint_model: Path, tmp_path: Path):
    (tmp_path / "t.txt").write_text("big house said Dora from Bolt Ltd and a day")
    done = program("predict", "--model", joint_model, "--input", tmp_path / "t.txt", "--format", "highlight")
    assert "Dora -left-> Bolt Ltd" in done.stdout


def test_what_does_not_fit_is_refused(program: Program, pair_model: Path, files: Path, tmp_path: Path):
    (tmp_path / "t.txt").write_text("the Anna with Acme Corp")
    done = program("predict", "--model", pair_model, "--input", tmp_path / "t.txt")
    assert done.returncode == 2 and "no spans in the documents" in done.stderr
    assert not done.stdout  # the texts themselves are no result


def test_a_page_and_a_comparison(program: Program, pair_model: Path, joint_model: Path, files: Path, tmp_path: Path):
    done = program(
        *("evaluate", "--model", pair_model, "--data", files / "asked-dev.jsonl"),
        *("--report", tmp_path / "r", "--json"),
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "r" / "report.json").read_text())
    assert record["overall"]["value"] == pytest.approx(json.loads(done.stdout)["micro"]["f1"])
    assert [row["name"] for row in record["rates"]] == ["all", "left", "works"]
    done = program(
        *("compare", joint_model, joint_model, "--data", files / "all-dev.jsonl", "--of", "relations", "--json")
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["difference"]["f1"] == 0.0 and record["a"]["micro"]["f1"] > 0.5


def test_a_page_of_spans_and_one_of_relations(program: Program, one_pass: Path, files: Path, tmp_path: Path):
    done = program(
        *("evaluate", "--model", one_pass, "--data", files / "all-dev.jsonl"),
        *("--report", tmp_path / "r", "--json"),
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "r" / "report.json").read_text())
    labels = [row["name"] for row in record["per_label"] if row["f1"]]
    rates = [row["f1"]["value"] for row in record["per_label"] if row["f1"]]
    assert "works" not in labels and record["macro_f1"] == pytest.approx(sum(rates) / len(rates))
    assert record["signature"].startswith("spans:")
    relations = record["pages"]["relations"]
    assert relations["overall"]["value"] == pytest.approx(json.loads(done.stdout)["micro"]["f1"])
    assert 'href="relations.html"' in (tmp_path / "r" / "report.html").read_text()
    assert "works" in (tmp_path / "r" / "relations.html").read_text()


def test_arguments_may_be_all_the_text(files: Path, tiny_encoder: Path):
    settings = {"arguments": "replaced", "pairs": "all"}
    model = SpanModel.create(tiny_encoder, task="relation-extraction", labels=["works"], settings=settings)
    document = Document("d", "Anna Acme Corp", (Span(0, 4, "PERSON"), Span(5, 14, "ORG")))
    assert model.predict(document, threshold=0.0).coverage.windows == 0


def test_predictions_are_read_back(program: Program, joint_model: Path, files: Path, tmp_path: Path):
    done = program(
        "predict", "--model", joint_model, "--input", files / "all-dev.jsonl", "--output", tmp_path / "p.jsonl"
    )
    assert done.returncode == 0, done.stderr
    assert sum(len(document.relations) for document in read_documents(tmp_path / "p.jsonl")) > 20


def test_tasks_that_cannot_be(program: Program, files: Path, tmp_path: Path):
    done = program(
        *("train", "--task", "relation-extraction", "relation-extraction"),
        *("--train", files / "all-train.jsonl", "--output", tmp_path / "x"),
    )
    assert done.returncode == 2 and "several different ones" in done.stderr
    done = program(
        *("train", "--task", "relation-extraction", "--types", "PERSON>ORG, ORG-PERSON"),
        *("--train", files / "all-train.jsonl", "--output", tmp_path / "x"),
    )
    assert done.returncode == 2 and "types 'ORG-PERSON'" in done.stderr


def test_compare_says_what_a_model_finds(program: Program, pair_model: Path, files: Path):
    done = program("compare", pair_model, pair_model, "--data", files / "asked-dev.jsonl")
    assert done.returncode == 2 and "--of relations" in done.stderr


def test_calibrating_one_task_keeps_what_the_other_was_calibrated_on(joint_model: Path, files: Path):
    model = SpanModel.from_pretrained(joint_model, "cpu", "float32")
    spans_only = [replace(document, relations=()) for document in read_documents(files / "all-dev.jsonl")]
    fitted, done = calibrate(model, spans_only)
    assert set(done) == {"span-classification"}
    before, after = model.bundle.fitted, fitted.bundle.fitted
    assert after["relation-extraction"] is before["relation-extraction"]
    assert after["span-classification"] is not before["span-classification"]
