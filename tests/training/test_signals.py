"""The first signal asks, the second leaves; outside the block signals do what they did."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from spanbert.training.signals import leave, stop_request

LEAVES = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}


@pytest.mark.parametrize("number", LEAVES)
def test_first_asks_and_second_leaves(number: signal.Signals):
    with stop_request() as stop:
        assert stop.signal is None
        os.kill(os.getpid(), number)
        assert stop.signal == number
        with pytest.raises(LEAVES[number]):
            os.kill(os.getpid(), number)


def test_exit_codes():
    """128 + 15; Python itself makes 130 of KeyboardInterrupt."""
    with pytest.raises(SystemExit) as left:
        leave(signal.SIGTERM)
    assert left.value.code == 143


def test_handlers_come_back():
    before = {number: signal.getsignal(number) for number in LEAVES}
    with pytest.raises(ValueError, match="inside"), stop_request():
        assert all(signal.getsignal(number) is not handler for number, handler in before.items())
        raise ValueError("inside")
    assert {number: signal.getsignal(number) for number in LEAVES} == before


def test_other_threads_leave_signals_alone():
    before = {number: signal.getsignal(number) for number in LEAVES}
    inside = []

    def run() -> None:
        with stop_request() as stop:
            inside.append((stop.signal, {number: signal.getsignal(number) for number in LEAVES}))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert inside == [(None, before)]
