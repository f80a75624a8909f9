"""Which device and which precision to compute in."""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import UsageError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_NATIVE_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # names in /proc/cpuinfo on x86-64 and on ARM


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU where there is one, else the processor."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError("not supported")
        if device.type == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("no CUDA device on this machine")
    except RuntimeError as error:
        raise UsageError(f"device {name!r} ({str(error).splitlines()[0]})", "auto, cpu or cuda", "use auto") from None
    return device


def room(device: torch.device, positions: int) -> int:
    """How many positions go through the network at once, given how many suit a processor.

    On a GPU, which would else wait for the next call, as many again for every 8 GiB that no other process holds: a base
    encoder in training keeps 0.6 MB a position.
    """
    if device.type != "cuda":
        return positions
    ours = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return positions * max(1, ours // 2**33)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 where the device computes it natively, else float32."""
    if name == "auto":
        native = torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else native_bf16()
        return torch.bfloat16 if native else torch.float32
    if name not in DTYPES:
        raise UsageError(f"dtype {name!r}", f"auto, {', '.join(DTYPES)}", "use auto")
    return DTYPES[name]


def native_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bfloat16 natively; emulation is slower than fp32. False where unknown."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
    return not _NATIVE_BF16.isdisjoint(flags.split())
