"""What every test runs under: no network but loopback, and the folders that may be absent."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: object) -> None:
    host = address[0] if isinstance(address, tuple) else None
    if self.family in (socket.AF_INET, socket.AF_INET6) and host != "localhost":
        try:
            allowed = ipaddress.ip_address(host).is_loopback
        except ValueError:
            allowed = False
        if not allowed:
            raise AssertionError(f"a test tried to reach {address!r}; only loopback is allowed")
    _connect(self, address)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data and golden vectors; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared folder is not here")
    return SHARED
