"""SIGINT and SIGTERM: finish the step, save, then leave. A second signal leaves at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_CAUGHT = (signal.SIGINT, signal.SIGTERM)


class Request:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None


def leave(number: int) -> NoReturn:
    """Stop the program the way this signal would have: exit code 130 or 143."""
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def stop_request() -> Iterator[Request]:
    """While the block runs, the first signal only asks. Outside the main thread signals are left alone."""
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the form that signal wants
        if request.signal is not None:
            leave(number)
        request.signal = number

    before = {number: signal.signal(number, ask) for number in _CAUGHT}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
