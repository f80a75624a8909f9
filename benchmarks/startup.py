"""How long a user waits: help, import, and the first answer of a fresh process.

    python -m benchmarks.startup

Each command is a fresh process, in turn with its rival; the disk's cache is warm.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.duel import ROOT, keep, machine
from benchmarks.inference import model_folder

ROUNDS = 7
TEXT = "Acme Corp met with Dora in the house ."
PIPELINE = """
import sys
from transformers import pipeline
call = pipeline("token-classification", sys.argv[1], device="cpu", aggregation_strategy="simple")
print(call(sys.argv[2]))
"""


def main() -> None:
    facts = machine()
    folder = model_folder("mini")
    text = ROOT / "build" / "benchmarks" / "startup.txt"
    text.write_text(TEXT, encoding="utf-8")
    program = str(Path(sys.executable).parent / "spanbert")
    commands = {
        "spanbert --help": [program, "--help"],
        "import spanbert": [sys.executable, "-c", "import spanbert"],
        "python alone": [sys.executable, "-c", "pass"],
        "spanbert predict": [program, "predict", "--model", str(folder / "tags"), "--input", str(text)],
        "pipeline": [sys.executable, "-c", PIPELINE, str(folder / "tags"), TEXT],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(ROUNDS + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if turn:
                times[name].append(time.perf_counter() - start)
    rows = {name: {"median": statistics.median(t), "least": min(t), "most": max(t)} for name, t in times.items()}
    for name, row in rows.items():
        print(f"{name:18} median {row['median']:.2f} s [{row['least']:.2f}, {row['most']:.2f}]")
    ratios = [slow / fast for slow, fast in zip(times["pipeline"], times["spanbert predict"], strict=True)]
    print(f"first answer {statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}] times sooner")
    keep("startup", {"rows": rows, "ratio": statistics.median(ratios), **facts})


if __name__ == "__main__":
    main()
