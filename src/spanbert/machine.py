"""What of the machine this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """Processors that this process may run on: fewer than there are where it is bound to some, as in a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
