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
    return said(SCRIPT.format(kept=kept), **environment)


def said(script: str, **environment: str) -> int:
    """By a process of its own, in whose environment nothing else is said of memory."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**ours, **environment}
    )
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the C library of GNU/Linux can be told")
def test_freed_memory_is_there_for_the_next_layer():
    given_back = pages(kept=False)
    assert given_back > 100_000
    assert pages(kept=True) < 1000
    assert pages(kept=True, MALLOC_TOP_PAD_="0") > 100_000, "what the environment says stands"


HOLES = """
import torch
from spanbert.machine import KEPT, Growth, _resident, keep_memory

keep_memory()
growth = Growth()

def freed(number):
    # what is free lies below what is used, so that the library gives nothing back by itself
    held = [torch.ones(1 << 18) for _ in range(number)]
    above = torch.ones(1 << 18)
    del held
    before = _resident()
    growth.check()
    return above, before - _resident()

some, given_back = freed((KEPT >> 20) - 64)
assert given_back < 8 << 20, given_back
more, given_back = freed((KEPT >> 20) + 64)
print(given_back >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the C library of GNU/Linux can be told")
def test_what_is_kept_does_not_add_up():
    """Free memory between what is used goes back once the process has grown by more than it may keep."""
    assert said(HOLES) > 200
    assert said(HOLES.replace("assert given_back < 8 << 20", "assert given_back < 1 << 40"), MALLOC_TOP_PAD_="0") < 8
