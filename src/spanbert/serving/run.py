"""Listen until somebody says stop, then answer what is under way."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable

import uvicorn

from ..documents import Document, Question
from ..errors import MachineError
from ..inference.span_model import Choices, SpanModel
from .app import create_app
from .limits import Limits
from .worker import Worker

WARM_UP = Document("warm-up", "Is it warm?", questions=(Question("warm-up", "Is it?"),))
DRAIN_SECONDS = 25
"""In which requests that are under way are answered after a signal; orchestrators kill after 30."""


def serve(model: SpanModel, name: str, limits: Limits, otherwise: Choices, ready: Callable[[str], None]) -> None:
    """Blocks until SIGINT or SIGTERM. ready: called with the address once it answers.

    Raises MachineError where the address cannot be had.
    """
    list(model.predict_stream([WARM_UP], **otherwise))  # the first prediction is slow
    worker = Worker(
        lambda documents, choices: list(model.predict_stream(documents, **choices)),
        limits.max_waiting,
        limits.max_waiting_characters,
    )
    app = create_app(model, name, limits, otherwise, worker)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_keep_alive=5,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    with listening(limits.host, limits.port) as place:
        host, port = place.getsockname()[:2]
        ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):  # the server raises them again after it has stopped
                signal.signal(number, lambda *_: None)
        server.run(sockets=[place])
    worker.close()


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
