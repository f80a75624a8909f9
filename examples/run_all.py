"""Runs the three classic examples and checks what they print. Run it by `make examples`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUN = Path("examples-run")
EXPECTED = {
    "span_identification.py": [
        r"^  'Barack Obama' at \[0, 12\), probability [01]\.\d\d$",
        r"^  [01]\.\d{3}  'Barack Obama'$",
    ],
    "named_entities.py": [r"^  PERSON   'Barack Obama', probability [01]\.\d\d$", r"^the best span alone: '.+'$"],
    "fine_tuning.py": [
        r"^F1 0\.\d\d on 40 other documents, 95 % interval 0\.\d\d to 0\.\d\d$",
        r"^  PERSON   'Barack Obama', probability [01]\.\d\d$",
    ],
}


def main() -> None:
    RUN.mkdir(exist_ok=True)
    failed = []
    for name, patterns in EXPECTED.items():
        print(f"\n$ python examples/{name}", flush=True)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(HERE / name)], cwd=RUN, env=os.environ, capture_output=True, text=True, check=False
        )
        print(done.stdout, end="")
        missing = [pattern for pattern in patterns if not re.search(pattern, done.stdout, flags=re.MULTILINE)]
        if done.returncode or missing:
            print(done.stderr[-3000:], f"exit code {done.returncode}; not printed: {missing}", sep="\n")
            failed.append(name)
        print(f"({time.monotonic() - began:.0f} s)", flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
    print(f"\nall {len(EXPECTED)} examples printed what they should")


if __name__ == "__main__":
    main()
