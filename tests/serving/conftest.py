"""A model behind a real socket of this machine."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from spanbert import Document, SpanModel
from spanbert.calibration.requirements import NEVER, OperatingPoint
from spanbert.serving.app import create_app
from spanbert.serving.run import listening, predicting
from spanbert.serving.service import Service
from spanbert.serving.worker import Predict, Worker


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Served:
    """A server that runs."""

    port: int
    worker: Worker

    def ask(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        """headers: with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {"Content-Type": "application/json", **{key.replace("_", "-"): each for key, each in headers.items()}}
        try:
            connection.request(method, path, body, named, encode_chunked=isinstance(body, Iterator))
            reply = connection.getresponse()
            content = reply.read()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, json.loads(content))
        finally:
            connection.close()

    def predict(self, inputs: object, **parameters: object) -> Answer:
        record = {"inputs": inputs, **({"parameters": parameters} if parameters else {})}
        return self.ask("POST", "/v1/predict", json.dumps(record).encode())


@pytest.fixture(scope="session")
def model(tiny_encoder: Path) -> SpanModel:
    """Of random weights, which finds a great deal; at `strict` only surer persons, at `none` nothing."""
    made = SpanModel.create(tiny_encoder, task="span-classification", labels=["PERSON", "ORG"], settings={"window": 32})
    head = made.bundle.network.heads["span-classification"]
    head.width_bias.data += 6.0
    for name, thresholds in (("strict", {"PERSON": 0.7, "ORG": NEVER}), ("none", {"PERSON": NEVER, "ORG": NEVER})):
        made.bundle.operating_points[name] = OperatingPoint("precision>=0.9", {"span-classification": thresholds})
    return made


@pytest.fixture(scope="session")
def relating(tiny_encoder: Path) -> SpanModel:
    """One that finds spans and what relates them, in one pass."""
    labels = ["PERSON", "ORG", "relation:works"]
    settings = {"types": ("PERSON>ORG",), "several": False, "window": 32}
    return SpanModel.create(tiny_encoder, task="joint-extraction", labels=labels, settings=settings)


@pytest.fixture
def serving(model: SpanModel) -> Callable[..., Any]:
    """`with serving(predict=..., max_texts=...) as server`: of the model, or of another way to predict."""

    @contextmanager
    def start(
        predict: Predict | None = None,
        otherwise: dict[str, Any] | None = None,
        of: SpanModel | None = None,
        **limits: Any,
    ) -> Iterator[Served]:
        chosen = Service(**{"port": 0, **limits})
        worker = Worker(
            predict or predicting(of or model),
            chosen.max_waiting,
            chosen.max_waiting_characters,
        )
        app = create_app(of or model, "tiny", chosen, otherwise or {}, worker)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        with listening("127.0.0.1", 0) as place:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
            thread.start()
            while not server.started:
                time.sleep(0.01)
            try:
                yield Served(place.getsockname()[1], worker)
            finally:
                server.should_exit = True
                thread.join()
                worker.close()

    return start


@pytest.fixture
def slow() -> tuple[Predict, threading.Event]:
    """A way to predict that waits until it may go on."""
    go_on = threading.Event()

    def predict(documents: Sequence[Document], choices: object, check: object) -> list[Document]:
        assert go_on.wait(20)
        return list(documents)

    return predict, go_on
