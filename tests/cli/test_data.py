"""`spanbert data check` through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Program


def lines(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def record(number: int, *spans: tuple[int, int, str], text: str = "Anna met Bert and Acme Corp.") -> dict[str, object]:
    return {
        "id": f"d{number}",
        "text": text,
        "spans": [{"start": s, "end": e, "label": label} for s, e, label in spans],
    }


SOUND = [record(n, (0, 4, "PERSON"), text=f"Anna met {n} on day {n} from {n} to {n}") for n in range(20)]


def test_sound_data(program: Program, toy_files: Path, tiny_encoder: Path):
    train, dev = toy_files / "train.jsonl", toy_files / "dev.jsonl"
    done = program("data", "check", "--train", train, "--dev", dev, "--base-model", tiny_encoder)
    assert done.returncode == 0, done.stderr
    assert "train: 100 documents" in done.stdout and "dev: 25 documents" in done.stdout
    assert done.stdout.splitlines()[-1] == "recommended: --task span-classification --policy flat --window 64"
    assert done.stderr == ""


def test_what_is_recommended_trains(program: Program, toy_files: Path, tiny_encoder: Path, tmp_path: Path):
    train = toy_files / "train.jsonl"
    done = program("data", "check", "--train", train, "--base-model", tiny_encoder)
    flags = done.stdout.splitlines()[-1].removeprefix("recommended: ").split()
    form = ("train", "--base-model", tiny_encoder, "--train", train, "--output", tmp_path / "model", "--epochs", 1)
    done = program(*form, *flags)
    assert done.returncode == 0, done.stderr


def test_findings_as_json(program: Program, tiny_encoder: Path, tmp_path: Path):
    odd = [
        record(20, (0, 5, "PERSON"), (9, 13, "PERSON"), text="Anna met Bert and Anna and the undo"),  # trimmed
        record(21, (0, 4, "ORG"), (30, 33, "PERSON"), text="Anna met Bert, (Acme Corp and undo"),  # inside a piece
        record(22, (9, 14, "PERSON"), (15, 20, "ORG"), text="Anna met Bert, (Acme Corp and undo at last"),
    ]
    train = lines(tmp_path / "train.jsonl", *SOUND, *odd)
    dev = lines(tmp_path / "dev.jsonl", {**SOUND[0], "id": "copy"})
    done = program("data", "check", "--train", train, "--dev", dev, "--base-model", tiny_encoder, "--json")
    found = json.loads(done.stdout)
    kinds = {finding["kind"]: finding for finding in found["findings"]}
    assert done.returncode == 0 and found["ok"] is True
    assert found["unreachable"] == {"share": 1 / 27, "reasons": {"a border inside a piece": 1}}
    assert kinds["unreachable"]["examples"][0]["places"] == [{"document": "d21", "start": 30, "end": 33}]
    assert "'Anna': PERSON 22, ORG 1" in kinds["different-labels"]["examples"][0]["what"]
    assert kinds["same-text-held-out"]["count"] == 1 and "trimmed" in kinds["repaired"]["what"]
    assert "train.jsonl:21" in kinds["repaired"]["examples"][0]["what"]
    assert "separator or half a pair of brackets" in kinds["doubtful"]["what"]
    assert kinds["unsteady-borders"]["examples"][0]["what"] == "'Bert': … 1, …, 1"
    assert all(finding["fix"] and finding["severity"] in ("warning", "note") for finding in found["findings"])


def test_more_than_a_twentieth_lost_is_code_1(program: Program, tiny_encoder: Path, tmp_path: Path):
    cut = [record(30 + n, (0, 2, "PERSON"), text=f"undo {n} a") for n in range(3)]
    train = lines(tmp_path / "train.jsonl", *SOUND, *cut)
    done = program("data", "check", "--train", train, "--base-model", tiny_encoder)
    assert done.returncode == 0, done.stderr  # `un` is a piece
    cut = [record(30 + n, (0, 3, "PERSON"), text=f"undo {n} a") for n in range(2)]
    train = lines(tmp_path / "train.jsonl", *SOUND, *cut)
    done = program("data", "check", "--train", train, "--base-model", tiny_encoder)
    assert done.returncode == 1  # 2 of 22
    assert "error: 2 of 22 spans (9.1%) out of reach: a border inside a piece" in done.stdout
    assert "error: 2 of 22 spans" in done.stderr and "do this:" in done.stderr


def test_a_window_that_holds_too_little(program: Program, tiny_encoder: Path, tmp_path: Path):
    text = "the " * 20 + "house"
    long = [record(n, (0, len(text), "PERSON"), (0, 3, "ORG"), text=f"{text} . " * 3) for n in range(3)]
    train = lines(tmp_path / "train.jsonl", *long)
    form = ("data", "check", "--train", train, "--base-model", tiny_encoder)
    assert program(*form).returncode == 0
    done = program(*form, "--window", 16, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["unreachable"]["reasons"] == {"longer than a window": 3}
    assert found["recommended"]["window"] == 64  # all the encoder can read


def test_what_training_refuses_is_code_1(program: Program, tmp_path: Path):
    train = lines(tmp_path / "train.jsonl", record(1), record(2))
    done = program("data", "check", "--train", train)
    assert done.returncode == 1 and "training would stop" in done.stdout


def test_files_that_cannot_be_read_are_code_3(program: Program, tmp_path: Path):
    done = program("data", "check", "--train", lines(tmp_path / "bad.jsonl", record(1, (5, 99, "X"))))
    assert done.returncode == 3 and "ends after the text" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chek",), "did you mean 'check'"),
        (("check", "--window", 2), "a window of 2"),
        (("check", "--base-model", "no-such-folder"), "no-such-folder is not a folder"),
    ],
)
def test_refused(program: Program, toy_files: Path, arguments: tuple, said: str):
    done = program("data", *arguments, "--train", toy_files / "train.jsonl")
    assert done.returncode == 2 and said in done.stderr


def test_without_an_action(program: Program, toy_files: Path):
    assert program("data", "--train", toy_files / "train.jsonl").returncode == 2


def test_nothing_in_a_document_steers_the_terminal(program: Program, tmp_path: Path):
    bad = [record(n, (0, 6, "X"), text="\x1b[31mx and more") for n in range(2)]
    done = program("data", "check", "--train", lines(tmp_path / "train.jsonl", *bad))
    assert "<U+001B>" in done.stdout and "\x1b" not in done.stdout + done.stderr


def test_it_needs_no_torch(toy_files: Path, tiny_encoder: Path):
    code = (
        "import sys\nfrom spanbert.cli import main\n"
        f"sys.argv = ['spanbert', 'data', 'check', '--train', {str(toy_files / 'train.jsonl')!r}, "
        f"'--base-model', {str(tiny_encoder)!r}]\n"
        "try:\n    main()\nexcept SystemExit as leave:\n"
        "    print(leave.code or 0, [name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_answers_count_among_what_can_be_learnt(program: Program, tiny_encoder: Path, tmp_path: Path):
    text = "Anna of Paris ran. " * 3
    answers = [{"start": 1, "end": 3}, {"start": 0, "end": 4}]
    questions = [{"id": f"q{k}", "question": "Who?", "answers": [answer]} for k, answer in enumerate(answers)]
    (tmp_path / "q.jsonl").write_text(json.dumps({"id": "a", "text": text, "questions": questions}) + "\n")
    check = ("data", "check", "--train", tmp_path / "q.jsonl", "--base-model", tiny_encoder)
    assert json.loads(program(*check, "--json").stdout)["unreachable"]["share"] <= 1.0
    done = program(*check, "--window", "3")
    assert done.returncode == 2
    assert "a window of 3" in done.stderr
