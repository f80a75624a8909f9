"""Downloads that are interrupted: one clear error, never half a model, and the next attempt goes on."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spanbert.bundle import load_base
from spanbert.encoder.files import locate

REPOSITORY, COMMIT = "owner/model", "0123456789abcdef0123456789abcdef01234567"
LARGE = "model.safetensors"


class Hub:
    """As much of the hub as a download asks for, on this machine."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.mishap = ""
        self.sent = 0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = request.path.rpartition("/")[2]
        if self.mishap == "cut, then gone" and self.sent:
            request.connection.close()
        elif self.mishap == "down" or (self.mishap == "cut, then down" and self.sent):
            self.send(request, b"", status=503)
        elif self.mishap == "portal":
            self.send(request, b"<html>Please log in to the network of this hotel.</html>", kind="text/html")
        elif self.mishap == "nobody":
            self.send(request, b'{"error": "Repository not found"}', status=404, code="RepoNotFound")
        elif "/tree/" in request.path:
            self.send(request, json.dumps([self.entry(name) for name in self.files]).encode())
        elif request.path.startswith("/api/"):
            listed = [{"rfilename": name} for name in self.files]
            self.send(request, json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": listed}).encode())
        elif name in self.files:
            self.send_file(request, name)
        else:
            self.send(request, b"", status=404)

    def entry(self, name: str) -> dict[str, object]:
        content = self.files[name]
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def send_file(self, request: BaseHTTPRequestHandler, name: str) -> None:
        content = self.files[name]
        begin = int((request.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        length = len(content) - begin
        request.send_response(206 if begin else 200)
        request.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("Content-Length", str(length))
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        if request.command == "GET":
            cut = name == LARGE and self.mishap.startswith("cut")
            request.wfile.write(content[begin : begin + length // 2] if cut else content[begin:])
            if name == LARGE:
                self.sent += 1

    def send(self, request: BaseHTTPRequestHandler, content: bytes, **more: object) -> None:
        request.send_response(int(str(more.get("status", 200))))
        request.send_header("Content-Type", str(more.get("kind", "application/json")))
        request.send_header("Content-Length", str(len(content)))
        if "code" in more:
            request.send_header("X-Error-Code", str(more["code"]))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)


@pytest.fixture
def hub(tiny_encoder: Path) -> Iterator[Hub]:
    made = Hub(tiny_encoder)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path, in_fork: Callable) -> Callable[..., tuple[str, str]]:
    """Load the model of the hub in a fork, where the libraries have only this hub and this folder to keep things."""

    def run(**environment: str) -> tuple[str, str]:
        def action() -> int:
            for name in [name for name in sys.modules if name.startswith("huggingface_hub")]:
                del sys.modules[name]
            os.environ.update({"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"})
            os.environ.update({"HF_HUB_DISABLE_XET": "1", **environment})
            time.sleep = lambda seconds: None  # type: ignore[assignment]  # it waits between attempts
            return sum(parameter.numel() for parameter in load_base(locate(REPOSITORY))[0].parameters())

        return in_fork(action, seconds=60)

    return run


def refused(ended: tuple[str, str]) -> None:
    how, said = ended
    assert how == "MachineError", ended
    assert f"there is no folder {REPOSITORY}, and the hub model of that name cannot be had" in said


@pytest.mark.parametrize(
    "mishap",
    [
        "down",
        "nobody",
        "cut, then down",
        "cut, then gone",
        "portal",
    ],
)
def test_an_interrupted_download(hub: Hub, fetch: Callable, tiny_encoder: Path, mishap: str):
    """The error is clear, with a network and without one; and with a sound network the model comes in the end."""
    hub.mishap = mishap
    refused(fetch())
    refused(fetch(HF_HUB_OFFLINE="1"))
    hub.mishap = ""
    size = sum(parameter.numel() for parameter in load_base(tiny_encoder)[0].parameters())
    assert fetch() == ("returned", str(size))
    assert fetch(HF_HUB_OFFLINE="1") == ("returned", str(size))
