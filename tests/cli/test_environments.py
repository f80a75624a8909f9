"""Machines of all sorts: full or read-only disks, no memory, no home, no terminal, odd locales, odd names of files."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spanbert import durable
from spanbert.encoder.packed import PackedBert
from spanbert.training.checkpoint import Checkpoints, output_folder

from .conftest import Program

ODD = "with space and 😀\nand a new line"
LINE = '{"id": "a", "text": "the house of Anna"}\n'


def one_message(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One error in three parts and no traceback."""
    parts = ("^error: ", "^  expected: ", "^  do this: ", "Traceback")
    assert done.returncode == code, done.stderr
    assert [len(re.findall(part, done.stderr, re.MULTILINE)) for part in parts] == [1, 1, 1, 0], done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.fixture(scope="module")
def training(tiny_encoder: Path, toy_files: Path) -> tuple[object, ...]:
    """The command of a short training, but for its output."""
    data = toy_files / "dev.jsonl"
    form = ("train", "--base-model", tiny_encoder, "--train", data, "--dev", data, "--epochs", "1")
    return (*form, "--max-tokens", "256", "--dtype", "float32", "--output")


# the disk


def largest_file(size: int) -> Callable[[], object]:
    """No file may grow beyond that: what a full disk looks like to all who write, in Python or not."""

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return prepare


@pytest.mark.parametrize("size", [20_000, 300_000, 600_000])
def test_training_on_a_disk_that_fills_up(program: Program, training: tuple, tmp_path: Path, size: int):
    """Whichever file is the first too many, the model is written in the end or one message says why not."""
    out = tmp_path / "out"
    done = program(*training, out, prepare=largest_file(size))
    if done.returncode:
        one_message(done, 4, "File too large")
        assert not (out / "checksums.json").exists()
        done = program(*training, out, "--resume", "auto")
    assert done.returncode == 0, done.stderr
    assert program("predict", "--model", out, "--input", "-", stdin=LINE).returncode == 0
    assert not [path.name for path in out.iterdir() if path.name.startswith(".") or path.is_dir()]


def test_predicting_onto_a_full_disk(program: Program, trained: Path, tmp_path: Path):
    """The old file stays, and no half of a new one."""
    out = tmp_path / "out.jsonl"
    out.write_text("old", encoding="utf-8")
    text = LINE.replace("the house", "the house " * 3000)
    form = ("predict", "--model", trained, "--input", "-", "--output", out)
    one_message(program(*form, stdin=text, prepare=largest_file(20_000)), 4, "File too large", str(out))
    assert out.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_standard_output_that_takes_nothing(program: Program, trained: Path):
    def prepare() -> None:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)

    for form in ("jsonl", "highlight"):
        done = program("predict", "--model", trained, "--input", "-", "--format", form, stdin=LINE, prepare=prepare)
        one_message(done, 4, "No space left on device")


@pytest.mark.parametrize("form", ["jsonl", "highlight"])
def test_whoever_reads_the_output_leaves(program: Program, trained: Path, form: str):
    """As `| head` does: no message, since nobody did anything wrong."""

    def prepare() -> None:
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(reader)

    done = program("predict", "--model", trained, "--input", "-", "--format", form, stdin=LINE, prepare=prepare)
    assert done.returncode == 0
    assert "error" not in done.stderr and "Traceback" not in done.stderr


def no_privileges() -> None:
    """Permissions bind root too from here on."""
    nothing = (ctypes.c_uint32 * 6)()
    version, this_process = 0x20080522, 0
    if ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(version, this_process), nothing):
        raise OSError("privileges cannot be given up")


@pytest.fixture
def read_only(tmp_path: Path) -> Path:
    """A folder that nobody may write into."""
    if not sys.platform.startswith("linux"):
        pytest.skip("root is bound by permissions only where it can give up its privileges")
    folder = tmp_path / "locked"
    folder.mkdir()
    yield folder
    folder.chmod(0o700)


def test_output_that_is_read_only(program: Program, training: tuple, trained: Path, read_only: Path):
    read_only.chmod(0o500)
    places = {
        training: read_only / "model",
        ("predict", "--model", trained, "--input", "-", "--output"): read_only / "a.jsonl",
        ("predict", "--model", trained, "--input", "-", "--format", "brat", "--output"): read_only / "brat",
        ("predict", "--model", trained, "--input", "-", "--format", "highlight", "--output"): read_only / "a.txt",
        ("init",): read_only / "new",
    }
    for form, place in places.items():
        one_message(program(*form, place, stdin=LINE, prepare=no_privileges), 4, "Permission denied", str(read_only))
    one_message(program(*training, read_only, prepare=no_privileges), 4, "Permission denied", str(read_only))


def test_a_model_that_is_read_only(program: Program, trained: Path, read_only: Path):
    """It is used, and nothing is written beside it."""
    folder = Path(shutil.copytree(trained, read_only / "model"))
    for path in folder.iterdir():
        path.chmod(0o400)
    folder.chmod(0o500)
    read_only.chmod(0o500)
    for form in (("predict", "--input", "-"), ("info",)):
        done = program(*form, "--model", folder, stdin=LINE, prepare=no_privileges, HOME="/nowhere")
        assert done.returncode == 0, done.stderr
    folder.chmod(0o700)


def test_files_that_may_not_be_read(program: Program, trained: Path, read_only: Path):
    data = read_only / "data.jsonl"
    data.write_text(LINE, encoding="utf-8")
    data.chmod(0)
    form = ("predict", "--model", trained, "--input", data)
    one_message(program(*form, prepare=no_privileges), 3, "Permission denied", str(data))
    folder = Path(shutil.copytree(trained, read_only / "model"))
    for name in ("config.json", "model.safetensors", "checksums.json"):
        (folder / name).chmod(0)
        done = program("info", "--model", folder, prepare=no_privileges)
        one_message(done, 4, "Permission denied", str(folder / name))
        (folder / name).chmod(0o600)


# memory and company

OUT_OF_MEMORY = {
    "python": MemoryError(),
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
}


@pytest.mark.parametrize("kind", OUT_OF_MEMORY)
@pytest.mark.parametrize("verb", ["train", "predict"])
def test_no_memory_left(program: Program, training: tuple, trained: Path, tmp_path: Path, verb: str, kind: str):
    def fail(*_: object) -> None:
        raise OUT_OF_MEMORY[kind]

    form = (*training, tmp_path / "out") if verb == "train" else ("predict", "--model", trained, "--input", "-")
    done = program(*form, stdin=LINE, prepare=lambda: setattr(PackedBert, "forward", fail))
    one_message(done, 4, "memory")


def test_a_second_run_in_the_same_folder(program: Program, training: tuple, tmp_path: Path):
    with output_folder(tmp_path / "out", resume=False):
        for rest in ((), ("--resume", "auto")):
            one_message(program(*training, tmp_path / "out", *rest), 2, "another run is writing to")


def test_a_damaged_checkpoint_is_told_of(program: Program, training: tuple, tmp_path: Path):
    """The newest of those that were saved until it was killed."""
    saved = []
    write = Checkpoints.save

    def save(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        saved.append(1)
        if len(saved) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    form = (*training, tmp_path, "--checkpoint-minutes", "1e-9", "--resume", "auto")
    assert program(*form, prepare=lambda: setattr(Checkpoints, "save", save)).returncode == -signal.SIGKILL
    newest = max((tmp_path / "checkpoints").glob("step-*"))
    (newest / "model.safetensors").write_bytes(b"")
    done = program(*form)
    assert done.returncode == 0, done.stderr
    assert f"warning: checkpoint passed over: {newest.name}: model.safetensors is damaged" in done.stderr
    assert "resumed after 2 steps" in done.stderr


# where it is started


def test_no_home_no_terminal_no_folder(program: Program, trained: Path, tmp_path: Path):
    (tmp_path / "gone").mkdir()

    def prepare() -> None:
        for name in ("HOME", "TERM", "USER", "LOGNAME", "LANG", "PATH", "TMPDIR", "COLUMNS"):
            os.environ.pop(name, None)
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()

    out = tmp_path / "out.jsonl"
    form = ("predict", "--model", trained, "--input", "-", "--output", out)
    done = program(*form, stdin=LINE, prepare=prepare)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text(encoding="utf-8"))["id"] == "a"


def test_odd_names_of_files(program: Program, training: tuple, tmp_path: Path):
    """Spaces, emoji and line ends, in the paths of data, model and output."""
    folder = tmp_path / ODD
    folder.mkdir()
    done = program(*training, folder / ODD)
    assert done.returncode == 0, done.stderr
    (folder / f"{ODD}.txt").write_text("the house of Anna", encoding="utf-8")
    form = ("predict", "--model", folder / ODD, "--input", folder / f"{ODD}.txt", "--output", folder / "o" / ODD)
    done = program(*form)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "o" / ODD).read_text(encoding="utf-8"))["id"] == ODD
    one_message(program("info", "--model", folder / "nothing"), 2, "nothing is not a folder")


def encoded(encoding: str) -> Callable[[], object]:
    """Standard streams in an encoding other than UTF-8, as Python chooses them by the locale or PYTHONIOENCODING."""

    def prepare() -> None:
        sys.stdout.reconfigure(encoding=encoding)  # type: ignore[attr-defined]
        sys.stderr.reconfigure(encoding=encoding, errors="backslashreplace")  # type: ignore[attr-defined]

    return prepare


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_data_are_utf8_in_every_locale(program: Program, trained: Path, toy_files: Path, encoding: str):
    record = json.dumps({"id": "é😀", "text": "the house of Anna 😀"}, ensure_ascii=False)
    form = ("predict", "--model", trained, "--input", "-")
    done = program(*form, stdin=record + "\n", prepare=encoded(encoding))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["id"] == "é😀"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("verb", ["evaluate", "help"])
def test_what_people_read_in_every_locale(program: Program, trained: Path, toy_files: Path, encoding: str, verb: str):
    """What cannot be shown is shown otherwise."""
    forms = {
        "evaluate": ("evaluate", "--model", trained, "--data", toy_files / "dev.jsonl"),
        "help": ("predict", "--help"),
    }
    done = program(*forms[verb], prepare=encoded(encoding))
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    "form", [("info",), ("predict", "--input", "-", "--format", "highlight")], ids=["info", "highlight"]
)
def test_characters_that_the_locale_lacks(program: Program, trained: Path, form: tuple[str, ...]):
    record = json.dumps({"id": "é😀", "text": "the house of Anna 😀"}, ensure_ascii=False)
    done = program(*form, "--model", trained, stdin=record + "\n", prepare=encoded("latin-1"))
    assert done.returncode == 0, done.stderr


def test_a_bare_environment(trained: Path, tmp_path: Path):
    """A process of its own, since encodings are chosen when Python starts: the locale C, and next to nothing set."""
    path, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    path.write_text("the house of Anna 😀", encoding="utf-8")
    bare = {name: value for name, value in os.environ.items() if name in ("PYTHONPATH", "OMP_NUM_THREADS")}
    bare |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [str(Path(sys.executable).parent / "spanbert"), "predict", "--model", str(trained), "--input", str(path)]
    done = subprocess.run([*command, "--output", str(out)], capture_output=True, env=bare)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(out.read_text(encoding="utf-8"))["text"] == "the house of Anna 😀"


def test_a_name_that_is_not_utf8(program: Program, trained: Path, tmp_path: Path):
    """From old archives; and in the locale C all names beyond ASCII are like that."""
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("the house of Anna", encoding="utf-8")
    done = program("predict", "--model", trained, "--input", path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "the house of Anna"


# what others wrote

STEER = "\x1b[2J\x9b2J\u202e"


def edited(model: Path, folder: Path, name: str, change: Callable[[dict], object]) -> Path:
    """A copy of a model folder with the JSON of one file changed, under checksums that fit."""
    shutil.copytree(model, folder)
    record = json.loads((folder / name).read_text(encoding="utf-8"))
    change(record)
    (folder / name).write_text(json.dumps(record), encoding="utf-8")
    sums = {path.name: durable.digest(path) for path in folder.iterdir() if path.name != "checksums.json"}
    (folder / "checksums.json").write_text(json.dumps(sums), encoding="utf-8")
    return folder


@pytest.mark.parametrize("facts", [{"base_model": {"name": STEER}}, {"training": {STEER: STEER}}], ids=list)
def test_no_fact_steers_the_terminal(program: Program, trained: Path, tmp_path: Path, facts: dict):
    folder = edited(trained, tmp_path / "model", "spanbert.json", lambda record: record["facts"].update(facts))
    done = program("info", "--model", folder)
    assert done.returncode == 0
    assert not set("\x1b\x9b\u202e") & set(done.stdout)


def test_no_error_steers_the_terminal(program: Program, trained: Path, tmp_path: Path):
    folder = edited(trained, tmp_path / "m", "config.json", lambda record: record.update(architectures=[STEER]))
    for name in ("spanbert.json", "checksums.json"):
        (folder / name).unlink()
    done = program("info", "--model", folder)
    one_message(done, 3, "no spanbert.json")
    assert not set("\x1b\x9b\u202e") & set(done.stderr)


@pytest.mark.parametrize("facts", [{"base_model": "x"}, {"report": "x"}, {"training": [1]}], ids=str)
def test_facts_of_another_form(program: Program, trained: Path, tmp_path: Path, facts: dict):
    folder = edited(trained, tmp_path / "model", "spanbert.json", lambda record: record["facts"].update(facts))
    done = program("info", "--model", folder)
    if done.returncode:
        one_message(done, 3)
