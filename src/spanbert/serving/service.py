"""Where a model is served, to whom, and how much at a time."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from ..errors import MachineError, UsageError, check_above_zero, check_whole

LOOPBACK = "localhost"
ANY_KEY = 16  # characters that a key has at least


@dataclass(frozen=True, slots=True)
class Service:
    """Settings of a server. Raises UsageError for what cannot be served, or should not without a key."""

    from_environment: ClassVar[bool] = False
    """Orchestrators set variables such as SPANBERT_PORT on their own account."""

    host: str = "127.0.0.1"
    """Address to listen on. Other machines can reach all but 127.0.0.1, so those ask for a key."""
    port: int = 8000
    """0: any that is free."""
    key_file: Path | None = None
    """File of keys, one a line; each request brings one of them as a bearer token."""
    insecure: bool = False
    """Let other machines ask without a key."""
    max_body: int = 2_000_000
    """Bytes of a request."""
    max_texts: int = 64
    """Texts of a request."""
    max_characters: int = 200_000
    """Characters of a text."""
    max_annotations: int = 1_000
    """Questions of a text, and its given spans and relations."""
    max_waiting: int = 256
    """Requests that wait; more are told to come back later."""
    max_waiting_characters: int = 4_000_000
    """Characters of their texts together, each once for each question about it."""
    request_timeout: float = 30.0
    """Seconds until a request that is not answered is given up."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name.startswith("max_"):
                check_whole(field.name, getattr(self, field.name), 1)
        check_whole("port", self.port, 0, "leave it out for 8000", most=65_535)
        check_above_zero("request_timeout", self.request_timeout, "leave it out for 30 seconds")
        if not self.local and self.key_file is None and not self.insecure:
            raise UsageError(
                f"a server on {self.host} without a key",
                "keys where other machines can ask",
                "name a file of them with --key-file, or say --insecure",
            )

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self.host == LOOPBACK or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def keys(self) -> tuple[bytes, ...]:
        """Those of the file; none where there is no file. Raises MachineError or UsageError."""
        if self.key_file is None:
            return ()
        try:
            lines = self.key_file.read_bytes().splitlines()
        except OSError as error:
            raise MachineError(
                f"{self.key_file}: {error.strerror}", "a file of keys", "write one key a line, readable by you alone"
            ) from None
        keys = tuple(line.strip() for line in lines if line.strip())
        if not keys or any(len(key) < ANY_KEY or not re.fullmatch(rb"[!-~]+", key) for key in keys):
            raise UsageError(
                f"{self.key_file} with {'a key that is too short or has strange characters' if keys else 'no key'}",
                f"one key a line, of {ANY_KEY} or more letters, digits and signs of ASCII",
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )
        return keys
