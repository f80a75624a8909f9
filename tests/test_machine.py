"""What of the machine a process may use: src/spanbert/machine.py."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes
import resource
import torch
from spanbert.machine import keep_memory

torch.set_num_threads(1)
ctypes.CDLL(None).mallopt(-1, 0)  # all that is freed goes back to the system
if {kept}:
    keep_memory()

def layers():
    for _ in range(20):
        held = [torch.ones(7 << 20) for _ in range(4)]
        del held

layers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
layers()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(*, kept: bool, **environment: str) -> int:
    """What 20 rounds of 112 MiB, after as many, ask the system for."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(kept=kept)],
        capture_output=True, text=True, check=True, env={**ours, **environment},
    )  # fmt: skip
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the C library of GNU/Linux can be told")
def test_freed_memory_is_there_for_the_next_layer():
    given_back = pages(kept=False)
    assert given_back > 100_000
    assert pages(kept=True) < 1000
    assert pages(kept=True, MALLOC_TOP_PAD_="0") > 100_000, "what the environment says stands"
