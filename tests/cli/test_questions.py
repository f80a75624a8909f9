"""Questions end to end: train, evaluate, predict in the official form, ask."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from spanbert import SpanModel
from spanbert.documents import ANSWER, Document, Question, Span
from spanbert.formats import write_documents

from .conftest import Program, run_program

NAMES, ORGS, KINDS = ("Anna", "Bert", "Carl", "Dora"), ("Acme", "Bolt", "Core"), ("Corp", "Ltd")
FILL = ("the", "a", "met", "with", "in", "of", "went", "said", "then", "and", "house", "river", "day", "on", ".", "big")
TEXT = "said the big\nin a day Anna then with Acme Corp\nthe river on"


def asked(number: int, seed: int) -> list[Document]:
    """`met` asks for the name in a text, `house` for the firm; either may be missing."""
    draw, made = random.Random(seed), []
    for k in range(number):
        words: list[str] = []
        places: dict[str, tuple[int, int]] = {}
        for _ in range(draw.randint(1, 3)):
            words += draw.choices(FILL, k=draw.randint(1, 4))
            question = draw.choice(["met", "house"])
            if question not in places:
                found = [draw.choice(NAMES)] if question == "met" else [draw.choice(ORGS), draw.choice(KINDS)]
                start = len(" ".join(words)) + 1
                places[question] = start, start + len(" ".join(found))
                words += found
        questions = tuple(
            Question(f"{seed}-{k}-{q}", q, (Span(*places[q], ANSWER),) if q in places else ()) for q in ("met", "house")
        )
        made.append(Document(f"{seed}-{k}", " ".join(words), questions=questions, meta={"title": f"toy {seed}"}))
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    write_documents(asked(400, 1), folder / "train.json", "squad")
    write_documents(asked(40, 2), folder / "dev.json", "squad")
    return folder


@pytest.fixture(scope="module")
def reader(files: Path, tiny_encoder: Path) -> Path:
    done = run_program(
        *("train", "--task", "question-answering", "--base-model", tiny_encoder),
        *("--train", files / "train.json", "--dev", files / "dev.json", "--output", files / "model"),
        *("--epochs", "14", "--learning-rate", "0.004", "--max-tokens", "512", "--patience", "14"),
    )
    assert done.returncode == 0, done.stderr
    assert "spanbert ask --model" in done.stderr
    return files / "model"


def test_evaluate_prints_the_official_keys(program: Program, reader: Path, files: Path):
    done = program("evaluate", "--model", reader, "--data", files / "dev.json", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["squad_v2"]["f1"] > 90 and report["squad_v2"]["best_f1"] > 90
    assert {"exact", "HasAns_f1", "NoAns_f1", "best_f1_thresh"} <= set(report["squad_v2"])
    assert report["calibration"]["ece"] < 0.1
    assert "squad_v1" not in report
    table = program("evaluate", "--model", reader, "--data", files / "dev.json")
    assert "squad_v2: exact" in table.stdout and "question type" in table.stdout


def test_evaluate_where_every_question_has_an_answer(program: Program, reader: Path, files: Path, tmp_path: Path):
    whole = [d for d in asked(200, 3) if all(q.answers for q in d.questions)]
    write_documents(whole, tmp_path / "v1.json", "squad")
    report = json.loads(program("evaluate", "--model", reader, "--data", tmp_path / "v1.json", "--json").stdout)
    assert report["squad_v1"].keys() == {"exact_match", "f1"} == report["mrqa"].keys()
    assert report["squad_v1"]["f1"] > 80


def test_predict_in_the_official_form(program: Program, reader: Path, files: Path, tmp_path: Path):
    bare = [Document(d.id, d.text, questions=tuple(Question(q.id, q.text) for q in d.questions)) for d in asked(40, 2)]
    write_documents(bare, tmp_path / "bare.json", "squad")
    outputs = []
    for source in (files / "dev.json", tmp_path / "bare.json"):
        done = program("predict", "--model", reader, "--input", source, "--output", "-", "--format", "squad")
        assert done.returncode == 0, done.stderr
        outputs.append(json.loads(done.stdout))
    assert outputs[0] == outputs[1]
    gold = {q.id: (d, q) for d in asked(40, 2) for q in d.questions}
    assert outputs[0].keys() == gold.keys()
    right = [
        said == (d.text[q.answers[0].start : q.answers[0].end] if q.answers else "")
        for (d, q), said in ((gold[id], said) for id, said in outputs[0].items())
    ]
    assert sum(right) > 0.9 * len(right)
    done = program(
        *("predict", "--model", reader, "--input", files / "dev.json"),
        *("--output", tmp_path / "out", "--format", "squad-predictions"),
    )
    assert json.loads((tmp_path / "out" / "predictions.json").read_text()) == outputs[0]
    assert "found 0 spans" not in done.stderr and "answered" in done.stderr


def test_ask(program: Program, reader: Path, tmp_path: Path):
    (tmp_path / "a text.txt").write_text(TEXT, encoding="utf-8")
    done = program("ask", "--model", reader, "--document", tmp_path / "a text.txt", "house", "met")
    assert done.returncode == 0, done.stderr
    assert "in a day Anna then with [Acme Corp]" in done.stdout
    assert "the river on" not in done.stdout  # another paragraph
    assert "[Anna]" in done.stdout
    words = ("--document", tmp_path / "a text.txt", "--json", "--n-best", "2", "house", "met", "big", "day")
    record, *others = map(json.loads, program("ask", "--model", reader, *words).stdout.splitlines())
    assert record["question"] == "house" and record["answers"][0]["text"] == "Acme Corp"
    assert 0 <= record["no_answer"] < 0.5
    assert max(len(each["n_best"]) for each in (record, *others)) == 2  # where it is very sure it considers one alone
    words = ("--document", tmp_path / "a text.txt", "--json", "house", "met", "big", "day")
    for line in program("ask", "--model", reader, *words).stdout.splitlines():
        assert json.loads(line).keys() == {"document", "id", "question", "answers", "no_answer", "n_best"}
        assert len(json.loads(line)["n_best"]) == 1


def test_ask_at_a_requirement(program: Program, reader: Path, tmp_path: Path):
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8")
    asked_here = ("ask", "--model", reader, "--document", tmp_path / "t.txt", "house")
    done = program(*asked_here, "--require", "precision>=0.5", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["answers"][0]["text"] == "Acme Corp"
    done = program(*asked_here, "--require", "precision>=0.9999")
    assert done.returncode == 3 and "precision>=0.9999" in done.stderr
    done = program(*asked_here, "--require", "precision>=0.5", "--threshold", "0.3")
    assert done.returncode == 2 and "several of" in done.stderr


def test_ask_what_is_not_there(program: Program, reader: Path):
    done = program("ask", "--model", reader, "--document", "-", "met", stdin="the day was big , and a river went in\n")
    assert done.returncode == 0, done.stderr
    assert "no answer" in done.stdout


def test_predict_shows_answers_in_place(program: Program, reader: Path, files: Path):
    done = program("predict", "--model", reader, "--input", files / "dev.json", "--format", "highlight")
    assert done.returncode == 0
    assert "? house" in done.stdout and "no answer" in done.stdout


def test_python_and_the_command_line_agree(reader: Path):
    question = SpanModel.from_pretrained(reader).answer("house", TEXT)
    assert [TEXT[span.start : span.end] for span in question.answers or ()] == ["Acme Corp"]


def test_calibrate_and_require(program: Program, reader: Path, files: Path, tmp_path: Path):
    done = program(
        *("calibrate", "--model", reader, "--data", files / "dev.json", files / "train.json"),
        *("--output", tmp_path / "m", "--require", "precision>=0.9"),
    )
    assert done.returncode == 0, done.stderr
    done = program(
        "predict",
        "--model",
        tmp_path / "m",
        "--input",
        files / "dev.json",
        "--require",
        "precision>=0.9",
        "--format",
        "squad",
    )
    assert done.returncode == 0, done.stderr


def test_what_is_told_of_questions_that_cannot_be(program: Program, reader: Path, files: Path, tmp_path: Path):
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8")
    done = program("predict", "--model", reader, "--input", tmp_path / "t.txt")
    assert done.returncode == 2 and "no question" in done.stderr
    long = " ".join(["met"] * 100)
    done = program("ask", "--model", reader, "--document", tmp_path / "t.txt", long)
    assert done.returncode == 0 and "the first 32 are read" in done.stderr
    done = program("train", "--preset", "squad3", "--train", files / "train.json", "--output", tmp_path / "x")
    assert done.returncode == 2 and "did you mean 'squad" in done.stderr
    done = program("ask", "--model", reader, "--document", tmp_path / "t.txt", "--n-best", "0", "met")
    assert done.returncode == 2


def test_a_page_for_people(program: Program, reader: Path, files: Path, tmp_path: Path):
    data = ("evaluate", "--model", reader, "--data", files / "dev.json", "--report", tmp_path)
    done = program(*data, "--json")
    assert done.returncode == 0, done.stderr
    printed, record = json.loads(done.stdout), json.loads((tmp_path / "report.json").read_text())
    assert record["overall"]["value"] == pytest.approx(printed["squad_v2"]["f1"] / 100)
    assert record["groups"] == printed["groups"] and record["about"]["model"] == reader.name
    page = (tmp_path / "report.html").read_text()
    assert "NoAns_f1" in page and "By answer length" in page and "Reliability" in page
    done = program(*data, "--train", files / "train.json")
    assert done.returncode == 2 and "training documents for a page about questions" in done.stderr


def test_a_reader_against_a_file_of_answers(program: Program, reader: Path, files: Path, tmp_path: Path):
    """The file says the first word of each text."""
    gold = [
        replace(d, questions=tuple(replace(q, answers=(Span(0, 3, ANSWER),)) for q in d.questions))
        for d in asked(40, 2)
    ]
    write_documents(gold, tmp_path / "first.jsonl")
    done = program(
        *("compare", tmp_path / "first.jsonl", reader, "--data", files / "dev.json"),
        *("--json", "--report", tmp_path / "r"),
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["of"] == "questions" and record["difference"]["f1"] > 0.5 and record["difference"]["p_value"] < 0.01
    assert record["changed"][0]["fixed"][0]["text"].startswith(("met Said:", "house Said:"))
    assert "F1 of answers" in (tmp_path / "r" / "compare.html").read_text()
    done = program(
        "predict",
        "--model",
        reader,
        "--input",
        files / "dev.json",
        "--output",
        tmp_path / "p.json",
        "--format",
        "squad",
    )
    assert done.returncode == 0, done.stderr
    done = program("compare", tmp_path / "p.json", reader, "--data", files / "dev.json", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["difference"]["f1"] == pytest.approx(0.0)
    done = program("compare", reader, reader, "--data", files / "dev.json", "--of", "spans")
    assert done.returncode == 3 and "no spans in the annotated documents" in done.stderr


def test_verbs_that_are_about_spans_refuse_readers(program: Program, reader: Path, files: Path, tmp_path: Path):
    done = program(
        *("select", "--model", reader, "--input", files / "dev.json"),
        *("--budget", "2", "--output", tmp_path / "s.jsonl"),
    )
    assert done.returncode == 2 and "finds no labelled spans" in done.stderr
    done = program("train", "--train", files / "train.json", "--output", tmp_path / "x")
    assert done.returncode == 3 and "they have questions" in done.stderr


def test_data_check_advises_questions(program: Program, files: Path, tiny_encoder: Path):
    done = program("data", "check", "--train", files / "train.json", "--base-model", tiny_encoder, "--json")
    advice = json.loads(done.stdout)
    assert advice["recommended"] == {"task": "question-answering", "policy": "arg-max", "window": 64}, done.stderr
    assert "no-spans" not in {finding["kind"] for finding in advice["findings"]}
