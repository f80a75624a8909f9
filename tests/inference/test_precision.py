"""Device and precision: what `auto` picks, and refusals in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spanbert.errors import UsageError
from spanbert.inference import precision
from spanbert.inference.precision import choose_device, choose_dtype, native_bf16, room

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "native"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx512f avx512_vnni\n", False),
        ("model name\t: bf16 machine\nflags\t\t: fpu\n", False),
        ("flags\t\t: xavx512_bf16x\n", False),
        ("", False),
    ],
)
def test_native_bf16_reads_the_flags(tmp_path: Path, text: str, native: bool):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    assert native_bf16(path) is native


def test_native_bf16_is_false_where_unknown(tmp_path: Path):
    assert native_bf16(tmp_path / "absent") is False


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_dtype_follows_the_processor(monkeypatch: pytest.MonkeyPatch, native: bool, dtype: torch.dtype):
    monkeypatch.setattr(precision, "native_bf16", lambda: native)
    assert choose_dtype("auto", CPU) is dtype
    assert choose_dtype("float32", CPU) is torch.float32
    assert choose_dtype("bfloat16", CPU) is torch.bfloat16


def test_an_unknown_dtype_is_refused():
    with pytest.raises(UsageError) as caught:
        choose_dtype("float16", CPU)
    assert str(caught.value) == "dtype 'float16'\n  expected: auto, float32, bfloat16\n  do this:  use auto"


@pytest.mark.parametrize("there", [True, False])
def test_auto_device_is_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch, there: bool):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device("auto").type == ("cuda" if there else "cpu")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "gpu", "", "cpu:x"])
def test_devices_that_are_not_there(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError) as caught:
        choose_device(name)
    assert caught.value.found.startswith(f"device {name!r} (")
    assert caught.value.expected == "auto, cpu or cuda"


@pytest.mark.parametrize(("gigabytes", "positions"), [(4, 2048), (8, 2048), (24, 3 * 2048), (79, 9 * 2048)])
def test_a_gpu_takes_more_at_once_the_more_memory_it_has(
    monkeypatch: pytest.MonkeyPatch, gigabytes: int, positions: int
):
    """Of what is free and what this process holds already; not what others do."""
    for held in (0, 3, gigabytes - 1):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, held=held: ((gigabytes - held) * 2**30, 2**40))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device, held=held: held * 2**30)
        assert room(torch.device("cuda"), 2048) == positions
    assert room(torch.device("cpu"), 2048) == 2048
