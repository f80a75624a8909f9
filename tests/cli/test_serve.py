from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Program

SPANBERT = Path(sys.executable).parent / "spanbert"
TEXT = "the house of Anna was big"


@pytest.fixture
def server(trained: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The program as its users start it, and its port."""
    command = [str(SPANBERT), "serve", "--model", str(trained), "--port", "0", "--threshold", "0.3"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            assert found, line
            yield process, int(found[1])
        finally:
            process.kill()


def ask(port: int, text: str) -> dict[str, object]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/v1/predict", json.dumps({"inputs": text}), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        body: dict[str, object] = json.loads(reply.read())
        assert reply.status == 200, body
        return body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_until_it_is_told_to_stop(
    server: tuple[subprocess.Popen[str], int], trained: Path, program: Program, number: signal.Signals
):
    process, port = server
    (result,) = ask(port, TEXT)["results"]  # type: ignore[misc]
    done = program("predict", "--model", trained, "--input", "-", "--threshold", "0.3", stdin=TEXT)
    expected = json.loads(done.stdout)
    bare = [[{**span, "score": round(span["score"], 3)} for span in each["spans"]] for each in (result, expected)]
    assert bare[0] == bare[1] != []
    answers: list[dict[str, object]] = []
    under_way = [threading.Thread(target=lambda: answers.append(ask(port, TEXT * 2000))) for _ in range(2)]
    for thread in under_way:
        thread.start()
    threading.Event().wait(0.4)
    process.send_signal(number)
    for thread in under_way:
        thread.join()
    assert process.wait(30) == 0
    assert len(answers) == 2
    assert process.stderr is not None and process.stderr.read() == ""


def test_a_second_signal_ends_it_at_once(server: tuple[subprocess.Popen[str], int]):
    process, port = server
    with contextlib.suppress(Exception):
        text = TEXT * 7000
        under_way = [threading.Thread(target=lambda: _quietly(port, text)) for _ in range(12)]
        for thread in under_way:
            thread.start()
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
    assert process.wait(10) in (0, 130, 143)  # of two that come together either may be seen first
    for thread in under_way:
        thread.join()


def _quietly(port: int, text: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
        ask(port, text)


def test_a_place_that_is_taken_is_told(trained: Path, program: Program):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = program("serve", "--model", trained, "--port", taken.getsockname()[1])
    assert done.returncode == 4
    assert "cannot listen on 127.0.0.1" in done.stderr and "--port" in done.stderr


def test_other_machines_need_a_key(program: Program):
    done = program("serve", "--model", "anything", "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "--key-file" in done.stderr


def test_an_unknown_operating_point_is_told_before_anything_is_served(trained: Path, program: Program):
    done = program("serve", "--model", trained, "--port", "0", "--operating-point", "strict")
    assert done.returncode == 2
    assert "strict" in done.stderr


def test_what_is_not_installed_is_named(trained: Path, program: Program):
    def hide() -> None:
        import importlib.util

        found = importlib.util.find_spec
        sys.modules["spanbert.cli.serve"] = __import__("spanbert.cli.serve", fromlist=["command"])
        sys.modules["spanbert.cli.serve"].find_spec = lambda name: None if name == "uvicorn" else found(name)  # type: ignore[attr-defined]

    done = program("serve", "--model", trained, prepare=hide)
    assert done.returncode == 4
    assert "no uvicorn" in done.stderr and "fastapi uvicorn" in done.stderr
