"""Bad input: one clear message in three parts, the right exit code, nothing lost."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from .conftest import Program

GOOD = '{"id": "a", "text": "the house of Anna", "spans": [{"start": 13, "end": 17, "label": "PERSON"}]}\n'
FILES = {
    "empty": (b"", "0 bytes"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00", "PNG"),
    "truncated": (GOOD.encode()[:40], "JSON"),
    "truncated archive": (gzip.compress(GOOD.encode() * 50, mtime=0)[:-12], "ends early"),
    "wrong offsets": (GOOD.replace("17", "99").encode(), "ends after the text"),
    "reversed": (GOOD.replace("17", "3").encode(), "span"),
    "no spans": (b'{"id": "a", "text": "the house"}\n', "none of the 1 training documents has a span"),
    "latin-1": (GOOD.replace("Anna", "Ann\xe9").encode("latin-1"), "UTF-8"),
    "unknown key": (GOOD.replace('"spans"', '"spanns"').encode(), "did you mean 'spans'"),
}


@pytest.mark.parametrize("kind", FILES)
def test_bad_training_files(program: Program, tiny_encoder: Path, tmp_path: Path, kind: str):
    content, words = FILES[kind]
    path = tmp_path / ("data.jsonl.gz" if "archive" in kind else "data.jsonl")
    path.write_bytes(content)
    output = tmp_path / "out"
    form = ("train", "--base-model", tiny_encoder, "--train", path, "--dev", path, "--output", output)
    done = program(*form)
    check(done, 3, words)
    assert not output.exists() or not any(output.iterdir())


def test_a_label_that_only_the_held_out_data_have(program: Program, tiny_encoder: Path, tmp_path: Path):
    (tmp_path / "train.jsonl").write_text(GOOD)
    (tmp_path / "dev.jsonl").write_text(GOOD.replace("PERSON", "PERSONS"))
    form = ("train", "--base-model", tiny_encoder, "--train", tmp_path / "train.jsonl", "--dev", tmp_path / "dev.jsonl")
    check(program(*form, "--output", tmp_path / "out"), 3, "did you mean 'PERSON'")


def test_missing_file_and_missing_flag(program: Program, tiny_encoder: Path, tmp_path: Path):
    check(
        program("train", "--base-model", tiny_encoder, "--train", "nowhere.jsonl", "--output", tmp_path / "o"),
        2,
        "nowhere",
    )
    check(program("train", "--base-model", tiny_encoder, "--train", "x.jsonl"), 2, "no --output")
    check(program("predict", "--model", tmp_path / "no-model", "--input", "-", stdin="text\n"), 2, "no-model")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--epochs", "0"), "epochs = 0"),
        (("--learning-rate", "-1"), "learning_rate = -1"),
        (("--policy", "nestd"), "did you mean 'nested'"),
        (("--resolve", "shortest"), "resolve 'shortest'"),
        (("--task", "coreference", "--resolve", "first"), "setting 'resolve' of coreference"),
        (("--task", "span-clasification"), "did you mean 'span-classification'"),
        (("--scheme", "iobes"), "setting 'scheme' of span-classification"),
        (("--labels", "PERSON,PERSON"), "each label once"),
        (("--device", "meta"), "device 'meta'"),
    ],
)
def test_impossible_settings(program: Program, tiny_encoder: Path, tmp_path: Path, flags: tuple[str, ...], words: str):
    (tmp_path / "train.jsonl").write_text(GOOD)
    form = (
        "train",
        "--base-model",
        tiny_encoder,
        "--train",
        tmp_path / "train.jsonl",
        "--dev",
        tmp_path / "train.jsonl",
    )
    check(program(*form, "--output", tmp_path / "out", *flags), 2, words)


@pytest.mark.parametrize("name", ["device", "dtype"])
def test_every_verb_with_a_model_heeds_the_environment(program: Program, tmp_path: Path, name: str):
    (tmp_path / "a.jsonl").write_text(GOOD)
    chosen = {f"SPANBERT_{name.upper()}": "abacus"}
    for form in (
        ("predict", "--input", tmp_path / "a.jsonl", "--output", tmp_path / "out.jsonl"),
        ("evaluate", "--model", "spanbert-ner", "--data", tmp_path / "a.jsonl"),
    ):
        check(program(*form, **chosen), 2, f"{name} 'abacus'")


def test_an_output_folder_that_is_not_empty(program: Program, tiny_encoder: Path, tmp_path: Path):
    (tmp_path / "train.jsonl").write_text(GOOD)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    form = (
        "train",
        "--base-model",
        tiny_encoder,
        "--train",
        tmp_path / "train.jsonl",
        "--dev",
        tmp_path / "train.jsonl",
    )
    check(program(*form, "--output", tmp_path / "out"), 2, "is not empty (it has thesis.txt)")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_model_folder_with_a_changed_or_missing_file(program: Program, trained: Path, tmp_path: Path):
    for name, change, words in (
        ("model.safetensors", lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x"), "was changed"),
        ("tokenizer.json", Path.unlink, "is missing"),
        ("checksums.json", Path.unlink, "checksums.json is missing"),
    ):
        folder = tmp_path / name.partition(".")[0]
        shutil.copytree(trained, folder)
        change(folder / name)
        check(program("predict", "--model", folder, "--input", "-", stdin="the house\n"), 3, words)


def test_an_encoder_is_not_a_model(program: Program, tiny_encoder: Path):
    check(program("predict", "--model", tiny_encoder, "--input", "-", stdin="the house\n"), 3, "train one first")


def test_unknown_settings_in_a_file(program: Program, tmp_path: Path):
    (tmp_path / "c.toml").write_text("epoch = 3\n")
    check(program("train", "--config", tmp_path / "c.toml"), 2, "did you mean 'epochs'")
    (tmp_path / "c.toml").write_text("epochs = \n")
    check(program("train", "--config", tmp_path / "c.toml"), 3, "not a TOML file")
    for line, words in (('epochs = "5"', "epochs = '5'"), ("policy = 3", "policy = 3"), ('train = "a"', "train = 'a'")):
        (tmp_path / "c.toml").write_text(line + "\n")
        check(program("train", "--config", tmp_path / "c.toml"), 2, words)


def test_predictions_never_replace_what_they_are_made_of(program: Program, trained: Path, tmp_path: Path):
    path = tmp_path / "gold.jsonl"
    path.write_text(GOOD)
    check(program("predict", "--model", trained, "--input", path, "--output", path), 2, "is read and would be written")
    assert path.read_text() == GOOD


def test_an_error_in_the_input_is_not_followed_by_sums_over_nothing(program: Program, trained: Path, tmp_path: Path):
    path, output = tmp_path / "data.jsonl", tmp_path / "out.jsonl"
    path.write_text(GOOD + GOOD[:40])
    done = program("predict", "--model", trained, "--input", path, "--output", output)
    check(done, 3, "data.jsonl:2: invalid JSON")
    assert "input: 1 document" in done.stderr and "found" not in done.stderr
    assert not output.exists()


def test_places_that_cannot_be_written(program: Program, trained: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    check(program("init", tmp_path / "file" / "new"), 4, "Not a directory")
    form = ("predict", "--model", trained, "--input", "-", "--format", "highlight", "--output", tmp_path / "file" / "x")
    check(program(*form, stdin="the house\n"), 4, "cannot write")


def check(done: object, code: int, words: str) -> None:
    """One message in three parts, no traceback."""
    stderr = done.stderr  # type: ignore[attr-defined]
    assert done.returncode == code, stderr  # type: ignore[attr-defined]
    assert words in stderr, stderr
    assert stderr.count("error: ") == 1
    assert stderr.count("expected: ") == 1
    assert stderr.count("do this: ") == 1
    assert "Traceback" not in stderr
