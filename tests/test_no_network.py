"""No test reaches the network, and no process that a test starts: what else claims to work offline is shown to."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

OUTSIDE = "192.0.2.1"  # of the block that RFC 5737 keeps for documentation: nobody answers there
WAYS: dict[str, Callable[[socket.socket], object]] = {
    "connect": lambda s: s.connect((OUTSIDE, 80)),
    "connect_ex": lambda s: s.connect_ex((OUTSIDE, 80)),
    "sendto": lambda s: s.sendto(b"x", (OUTSIDE, 80)),
    "sendmsg": lambda s: s.sendmsg([b"x"], [], 0, (OUTSIDE, 80)),
    "create_connection": lambda _: socket.create_connection((OUTSIDE, 80), 1),
    "getaddrinfo": lambda _: socket.getaddrinfo("huggingface.co", 443),
    "gethostbyname": lambda _: socket.gethostbyname("huggingface.co"),
}


@pytest.fixture(scope="session")
def early() -> str:
    """Fixtures of the session are made before those of a test: they must be guarded as well."""
    with pytest.raises(AssertionError) as caught, socket.socket() as one:
        one.connect((OUTSIDE, 80))
    return str(caught.value)


def test_fixtures_are_guarded(early: str):
    assert early == f"a test tried to reach '{OUTSIDE}'; only loopback is allowed"


@pytest.mark.parametrize("way", WAYS)
def test_nothing_leaves_this_machine(way: str):
    kind = socket.SOCK_DGRAM if way.startswith("send") else socket.SOCK_STREAM
    with socket.socket(type=kind) as one, pytest.raises(AssertionError, match="only loopback"):
        WAYS[way](one)


def test_loopback_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, server.getsockname()[1])).close()
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", 1)) == errno.ECONNREFUSED


def test_forks_are_guarded(in_fork: Callable):
    """The command line tests run the program in forks."""
    ended = in_fork(lambda: socket.create_connection((OUTSIDE, 80), 1))
    assert ended == ("AssertionError", f"a test tried to reach '{OUTSIDE}'; only loopback is allowed")


@pytest.mark.parametrize("starter", ["python", "grandchild"])
def test_processes_of_their_own_are_guarded(starter: str):
    code = f"import socket; socket.create_connection(({OUTSIDE!r}, 80), 1)"
    if starter == "grandchild":
        code = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {code!r}]).returncode)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "only loopback is allowed" in done.stderr
