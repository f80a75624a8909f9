"""Systems measured in turn on one machine: each a process of its own, a round of each in an order that is drawn anew,
ratios with their spread.

A contestant is a generator function: it gets ready, yields once ("I am ready"), and then yields after each round what
that round made (any JSON value). Only the rounds are timed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
DEVICE = os.environ.get("DEVICE", "cpu")
"""cpu or cuda, for all contestants."""
_QUIET = 0.1
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
Contestant = Callable[..., Iterator[Any]]


@dataclass
class Measured:
    """What one contestant did, round by round."""

    seconds: list[float] = field(default_factory=list)
    made: Any = None
    """What the last round yielded."""
    peak_mib: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def duel(module: str, names: Sequence[str], arguments: Mapping[str, Any], rounds: int = ROUNDS) -> dict[str, Measured]:
    """Run `module`'s contestants of these names, one round each in turn; the first round of each is a warm-up.

    In one order, each would always find the processor as hot as the same other one left it.
    """
    results, draw = {name: Measured() for name in names}, random.Random(0)
    with contextlib.ExitStack() as stack:
        children = {name: stack.enter_context(_start(module, name, arguments)) for name in names}
        for name, child in children.items():
            _answer(child, name)
        for turn in range(rounds + 1):
            for name in draw.sample(names, len(names)):
                child = children[name]
                _say(child, "round")
                answer = _answer(child, name)
                if turn:
                    results[name].seconds.append(answer["seconds"])
                results[name].made = answer["made"]
                results[name].peak_mib = answer["peak_mib"]
        for child in children.values():
            _say(child, "stop")
    return results


def _start(module: str, name: str, arguments: Mapping[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.duel", module, name, json.dumps(arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def _say(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{word}\n")
    child.stdin.flush()


def _answer(child: subprocess.Popen[str], name: str) -> dict[str, Any]:
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith("{"):
            answer: dict[str, Any] = json.loads(line)
            return answer
    raise SystemExit(f"the contestant {name} ended with {child.wait()}")


def serve(contestant: Iterator[Any]) -> None:
    """The child's side: ready, then a round for each line that arrives."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print is no answer
    next(contestant)
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            return
        start = time.perf_counter()
        made = next(contestant)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "made": made, "peak_mib": peak_mib()}), file=answers, flush=True)


def peak_mib() -> float:
    """The most memory that this program has held. (What `getrusage` says, it inherits from whoever started it.)"""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def ratio(slow: Measured, fast: Measured) -> str:
    """How many times faster: the median of the rounds' ratios, and their range."""
    ratios = [a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)]
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, threads, load, versions, and the rate of matrix products (TFLOP/s).

    Refuses a machine that is busy with other work.
    """
    import torch
    import transformers

    share = busy()
    if share > _QUIET and "--busy" not in sys.argv:
        raise SystemExit(
            f"other work takes {share:.0%} of the processor; wait, or give --busy and distrust the figures"
        )
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    flags = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
    model = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "?")
    facts = {
        "processor": model,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "other_work": round(share, 2),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "fp32_tflops": round(matrix_rate(torch.float32), 4),
    }
    if DEVICE == "cuda":
        facts["device"] = torch.cuda.get_device_name()
    if DEVICE == "cuda" or flags & {"avx512_bf16", "amx_bf16"}:
        facts["bf16_tflops"] = round(matrix_rate(torch.bfloat16), 4)
    print(" · ".join(f"{key} {value}" for key, value in facts.items()), flush=True)
    return facts


def dtypes(facts: dict[str, Any]) -> list[str]:
    """The precisions that this machine computes natively; of a GPU bfloat16."""
    if DEVICE == "cuda":
        return ["bfloat16"]
    return ["float32", *(["bfloat16"] if "bf16_tflops" in facts else [])]


def busy(seconds: float = 2.0) -> float:
    """The share of all processors that is at work while this process waits."""

    def ticks() -> list[int]:
        return [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]

    before = ticks()
    time.sleep(seconds)
    spent = [after - earlier for after, earlier in zip(ticks(), before, strict=True)]
    return 1 - (spent[3] + spent[4]) / max(1, sum(spent))  # idle, and waiting for a disk


def matrix_rate(dtype: Any) -> float:
    """TFLOP/s of the product of two square matrices: the best of several."""
    import torch

    size = 2048 if DEVICE == "cpu" else 8192
    a, b = (torch.randn(size, size, device=DEVICE).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        a @ b
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e12


def keep(name: str, record: Mapping[str, Any]) -> None:
    """Append the figures to benchmarks/results/NAME.jsonl."""
    path = ROOT / "benchmarks" / "results" / f"{name}.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"time": time.strftime("%Y-%m-%d %H:%M"), **record}) + "\n")


if __name__ == "__main__":
    from importlib import import_module

    _module, _name, _arguments = sys.argv[1:]
    serve(getattr(import_module(_module), _name)(**json.loads(_arguments)))
