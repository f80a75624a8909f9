"""Files and folders are there whole, or as they were before."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from spanbert import durable
from spanbert.errors import MachineError, UsageError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The sync of this number, from 1, finds the disk full."""
    calls = []
    sync = durable.sync

    def fail(path: Path) -> None:
        calls.append(path)
        if len(calls) == number:
            raise OSError(28, "No space left on device")
        sync(path)

    monkeypatch.setattr(durable, "sync", fail)


def test_digest(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"abc")
    assert durable.digest(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()


def test_write_replaces(tmp_path: Path):
    durable.write(tmp_path / "file", "old")
    durable.write(tmp_path / "file", "ä")
    assert (tmp_path / "file").read_bytes() == "ä".encode()
    assert names(tmp_path) == ["file"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    durable.write(tmp_path / "file", "old")
    fail_at(monkeypatch, 1)
    with pytest.raises(MachineError, match=r"cannot write .*file \(No space left on device\)"):
        durable.write(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    with pytest.raises(MachineError, match="No such file or directory"):
        durable.write(tmp_path / "missing" / "file", "new")


def test_staged_is_seen_only_when_complete(tmp_path: Path):
    target = tmp_path / "deep" / "folder"
    with durable.staged(target) as staging:
        (staging / "file").write_text("x")
        assert not target.exists() and staging.parent == target.parent
        assert staging.name.startswith(".tmp-folder-") and str(os.getpid()) in staging.name
    assert names(target) == ["file"] and names(target.parent) == ["folder"]


def test_staged_replaces(tmp_path: Path):
    for name in ("old", "new"):
        with durable.staged(tmp_path / "folder") as staging:
            (staging / name).write_text(name)
    assert names(tmp_path / "folder") == ["new"] and names(tmp_path) == ["folder"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_failed_stage_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    """Synced are the file, the new folder, the folder around it: the third comes after the rename."""
    with durable.staged(tmp_path / "folder") as staging:
        (staging / "old").write_text("old")
    fail_at(monkeypatch, number)
    with pytest.raises(MachineError, match="No space left"), durable.staged(tmp_path / "folder") as staging:
        (staging / "new").write_text("new")
    assert names(tmp_path / "folder") == ["old"] and names(tmp_path) == ["folder"]


def test_an_error_inside_leaves_nothing_and_is_not_disguised(tmp_path: Path):
    with pytest.raises(ValueError, match="mine"), durable.staged(tmp_path / "folder") as staging:
        (staging / "file").write_text("x")
        raise ValueError("mine")
    assert names(tmp_path) == []


def test_litter_of_the_same_process_number_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(durable, "_NUMBERS", iter([7]))
    (tmp_path / f".tmp-folder-{os.getpid()}-7").mkdir()
    (tmp_path / f".tmp-folder-{os.getpid()}-7" / "litter").write_text("x")
    with durable.staged(tmp_path / "folder") as staging:
        assert names(staging) == []
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.startswith(".tmp-") and not self.name.endswith("-old"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(MachineError, match="Input/output error"), durable.staged(tmp_path / "a") as staging:
        (staging / "new").touch()
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == ["old"]


def test_two_writers_at_once_do_not_share_a_file(tmp_path: Path):
    """Of two names that agree in their first 50 characters, and of one."""
    long = tmp_path / ("x" * 60 + "a")
    for first, second in ((long, long.with_name("x" * 60 + "b")), (long, long)):
        with durable.replacing(first) as one:
            one.write(b"1")
            with durable.replacing(second) as other:
                other.write(b"2")
            one.write(b"1")
        assert first.read_bytes() == b"11"
        assert first == second or second.read_bytes() == b"2"
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("path", ["x" * 5000, "y" * 300])
def test_a_path_that_is_none(path: str):
    with pytest.raises(UsageError, match="the path"):
        durable.is_folder(Path(path))
