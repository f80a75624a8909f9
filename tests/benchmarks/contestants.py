"""Two systems for the test of `benchmarks/duel.py`: one takes ten times as long, and prints."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator


def quick(seconds: float) -> Iterator[int]:
    made = 0
    while True:
        yield made
        time.sleep(seconds)
        made += 1


def slow(seconds: float) -> Iterator[int]:
    sys.stdout.write('{"a library": "prints what looks like an answer"}\n')
    sys.stdout.flush()
    yield from quick(10 * seconds)
