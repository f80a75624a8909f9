from __future__ import annotations

from pathlib import Path

import pytest

from spanbert.errors import MachineError, UsageError
from spanbert.serving.service import Service

KEY = "a-key-that-is-long-enough"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_this_machine_needs_no_key(host: str):
    assert Service(host=host).local


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", ""])
def test_other_machines_do(host: str, tmp_path: Path):
    with pytest.raises(UsageError, match="without a key"):
        Service(host=host)
    assert Service(host=host, insecure=True).keys() == ()
    assert not Service(host=host, key_file=tmp_path / "keys").local


def test_keys_stand_one_a_line(tmp_path: Path):
    file = tmp_path / "keys"
    file.write_text(f"{KEY}\n\n  another-{KEY}  \r\n")
    assert Service(key_file=file).keys() == (KEY.encode(), f"another-{KEY}".encode())


@pytest.mark.parametrize("text", ["", "\n\n", f"{KEY}\nshort\n", f"{KEY}ü", f"{KEY} and more", f"\ufeff{KEY}"])
def test_keys_that_keep_nobody_out_are_refused(tmp_path: Path, text: str):
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(UsageError, match="key"):
        Service(key_file=file).keys()
    with pytest.raises(MachineError, match="gone"):
        Service(key_file=tmp_path / "gone").keys()


@pytest.mark.parametrize(
    "wrong", [{"port": -1}, {"port": 65_536}, {"max_texts": 0}, {"max_body": -5}, {"request_timeout": 0.0}]
)
def test_limits_that_let_nothing_through_are_refused(wrong: dict[str, float]):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Service(**wrong)
