"""Listen until somebody says stop, then answer what is under way."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..documents import Document, Question
from ..errors import MachineError
from ..inference.span_model import Choices, SpanModel
from .app import create_app
from .service import Service
from .worker import Check, Predict, Worker

if TYPE_CHECKING:
    from ..inference.backend import Backend
    from ..packing import Batch
    from ..windows import Table

WARM_UP = Document("warm-up", "Is it warm?", questions=(Question("warm-up", "Is it?"),))
DRAIN_SECONDS = 20.0
"""In which requests that are under way are answered after a signal; orchestrators kill after 30."""
HEADER_SECONDS = 10.0
"""In which a connection must have begun to ask."""
_CONNECTIONS = 4  # for each request that may wait


def serve(model: SpanModel, name: str, service: Service, otherwise: Choices, ready: Callable[[str], None]) -> bool:
    """Blocks until SIGINT or SIGTERM; a second one leaves at once. ready: called with the address once it answers.

    False where a text was still under way at the end, in a thread that goes on. Raises MachineError where the address
    cannot be had.
    """
    predict = predicting(model)
    predict([WARM_UP], otherwise, lambda: None)  # the first prediction is slow
    worker = Worker(predict, service.max_waiting, service.max_waiting_characters)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(model, name, service, otherwise, worker),
            http=_Impatient,
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            limit_concurrency=_CONNECTIONS * service.max_waiting,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=int(DRAIN_SECONDS) + 5,
        )
    )
    with listening(service.host, service.port) as place, _stopped_by_signals(server, worker):
        host, port = place.getsockname()[:2]
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        server.run(sockets=[place])
    return worker.close(3.0)


def predicting(model: SpanModel) -> Predict:
    """Predictions by the model that can be given up between batches of the encoder."""

    def predict(documents: Sequence[Document], choices: Choices, check: Check) -> list[Document]:
        predictor = model.predictor(**choices)
        return list(replace(predictor, backend=_Watched(predictor.backend, check))(documents))

    return predict


@dataclass(frozen=True)
class _Watched:
    """A backend that asks before each batch whether to go on."""

    backend: Backend
    check: Check

    @property
    def room(self) -> int:
        return self.backend.room

    def run(self, batch: Batch, floors: Mapping[str, float]) -> Mapping[str, Table]:
        self.check()
        return self.backend.run(batch, floors)


class _Impatient(H11Protocol):
    """Closes connections that ask nothing."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(HEADER_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        begun: object = self.cycle  # None until the first request, whatever its type says
        if begun is None and not self.transport.is_closing():
            self.transport.close()


@contextmanager
def _stopped_by_signals(server: uvicorn.Server, worker: Worker) -> Iterator[None]:
    """The first signal lets the server end, the second ends the program. Outside the main thread there are none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the form that signal wants
        if worker.draining:
            os._exit(128 + number)
        worker.draining = server.should_exit = True
        timer = threading.Timer(DRAIN_SECONDS, worker.abandon)
        timer.daemon = True
        timer.start()

    server.handle_exit = stop  # type: ignore[method-assign, assignment]  # it would raise them again at its end
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        place = socket.socket(family, kind, protocol)
        try:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(address)
            place.listen(1024)
        except OSError:
            place.close()
            raise
    except OSError as error:
        raise MachineError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            "an address of this machine and a free port",
            "choose another --port; 0 takes any that is free",
        ) from None
    return place
