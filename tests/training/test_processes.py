"""Two processes that share each step hold the weights that one alone would have."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spanbert import SpanModel
from spanbert.errors import UsageError
from spanbert.formats import write_documents
from spanbert.training.data import Step
from spanbert.training.processes import ALONE, Processes, joined


def started(number: int, arguments: list[str], folder: Path) -> list[subprocess.Popen[str]]:
    """The command in so many processes, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runs = []
    for rank in range(number):
        environment = {**os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(number)}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
        command = [sys.executable, "-c", "from spanbert.cli import main; main()", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        runs.append(subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes))
    return runs


def ended(runs: list[subprocess.Popen[str]]) -> list[subprocess.CompletedProcess[str]]:
    outputs = [run.communicate(timeout=300) for run in runs]
    return [
        subprocess.CompletedProcess(run.args, run.returncode, *output)
        for run, output in zip(runs, outputs, strict=True)
    ]


def together(number: int, arguments: list[str], folder: Path) -> list[subprocess.CompletedProcess[str]]:
    return ended(started(number, arguments, folder))


def close(one: Path, other: Path) -> bool:
    a, b = (SpanModel.from_pretrained(path).bundle.network.state_dict() for path in (one, other))
    return all(torch.allclose(a[name], b[name], atol=2e-5) for name in a)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, toy_documents: Callable) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    write_documents(toy_documents(120, 5), path)
    return path


def flags(texts: Path, encoder: Path, output: str, *more: str) -> list[str]:
    shown = ["pretrain", "--corpus", str(texts), "--base-model", str(encoder), "--output", output, "--window", "32"]
    return [*shown, "--steps", "6", "--evaluations", "3", "--max-tokens", "256", "--dtype", "float32", *more]


def test_two_processes_pretrain_what_one_does(texts: Path, tiny_encoder: Path, tmp_path: Path):
    for number, output in ((1, "one"), (2, "two")):
        for rank, run in enumerate(together(number, flags(texts, tiny_encoder, output), tmp_path)):
            assert run.returncode == 0, run.stderr
            assert ("the encoder is in" in run.stderr) == (rank == 0)
    assert close(tmp_path / "one", tmp_path / "two")
    assert {path.name for path in (tmp_path / "one").iterdir()} == {path.name for path in (tmp_path / "two").iterdir()}
    logs = [
        [json.loads(line) for line in (tmp_path / name / "train.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [line["event"] for line in logs[0]] == [line["event"] for line in logs[1]]
    for one, two in zip(*logs, strict=True):
        if one["event"] == "stepped":
            assert one["losses"] == pytest.approx(two["losses"], rel=1e-5)
            assert one["tokens"] == two["tokens"]


def test_two_processes_train_and_resume_like_one(tiny_encoder: Path, toy_documents: Callable, tmp_path: Path):
    write_documents(toy_documents(30, 1), tmp_path / "train.jsonl")
    write_documents(toy_documents(8, 2), tmp_path / "dev.jsonl")
    base = ["train", "--base-model", str(tiny_encoder), "--train", "train.jsonl", "--dev", "dev.jsonl"]
    base += ["--max-tokens", "200", "--dtype", "float32", "--epochs", "2", "--resume", "auto", "--output"]
    for run in together(2, [*base, "two"], tmp_path):
        assert run.returncode == 0, run.stderr
    again = together(2, [*base, "two"], tmp_path)  # it had come to its end: nothing is trained anew
    assert [run.returncode for run in again] == [0, 0] and "had come to its end" in again[0].stderr
    assert SpanModel.from_pretrained(tmp_path / "two").labels == ("ORG", "PERSON")


def test_one_signal_stops_all_and_they_go_on_together(texts: Path, tiny_encoder: Path, tmp_path: Path):
    steps = ("--steps", "300", "--resume", "auto")
    assert [run.returncode for run in together(2, flags(texts, tiny_encoder, "whole", *steps), tmp_path)] == [0, 0]
    runs, log = started(2, flags(texts, tiny_encoder, "cut", *steps), tmp_path), tmp_path / "cut" / "train.jsonl"
    while not (log.exists() and log.read_text().count("stepped") > 3) and all(run.poll() is None for run in runs):
        time.sleep(0.02)
    runs[1].send_signal(signal.SIGTERM)
    assert [run.returncode for run in ended(runs)] == [143, 143]
    assert [run.returncode for run in together(2, flags(texts, tiny_encoder, "cut", *steps), tmp_path)] == [0, 0]
    assert "resumed" in log.read_text() and close(tmp_path / "whole", tmp_path / "cut")


def test_a_taken_folder_ends_all_processes(texts: Path, tiny_encoder: Path, tmp_path: Path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    runs = together(1, flags(texts, tiny_encoder, "taken"), tmp_path)
    assert runs[0].returncode == 2 and "taken" in runs[0].stderr


def test_shares_are_a_partition():
    step = Step("task", tuple(range(7)))  # type: ignore[arg-type]
    assert [Processes(rank, 3).share(step).examples for rank in range(3)] == [(0, 3, 6), (1, 4), (2, 5)]
    assert ALONE.share(step) is step


def test_processes_drop_out_different_numbers():
    """Each its own, another at each step, and the same again in a resumed run; one alone draws on as it did."""
    drawn = {}
    with torch.random.fork_rng():
        for rank, step in ((0, 1), (1, 1), (0, 2), (0, 1)):
            Processes(rank, 2).reseed(7, step)
            drawn.setdefault((rank, step), []).append(float(torch.rand(())))
        assert len({values[0] for values in drawn.values()}) == 3
        assert drawn[0, 1][0] == drawn[0, 1][1]
        state = torch.get_rng_state()
        ALONE.reseed(7, 1)
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("told", ["2", "x", "0", "-1"])
def test_half_of_what_torchrun_sets_is_refused(monkeypatch: pytest.MonkeyPatch, told: str):
    monkeypatch.setenv("WORLD_SIZE", told)
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UsageError, match="WORLD_SIZE is"), joined():
        pass
    monkeypatch.setenv("WORLD_SIZE", "")
    with joined() as processes:
        assert processes == ALONE


def test_alone_nothing_is_exchanged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as processes:
        assert processes == ALONE and processes.first
        assert processes.agreed(3.5) == 3.5
        assert processes.add_up(torch.nn.Linear(1, 1), torch.tensor([2.0])).tolist() == [2.0]
        processes.wait()
