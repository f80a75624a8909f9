"""Decoding of many candidates: exact sets against plain greedy picking, in the same minutes.

    python -m benchmarks.decoding [--rounds 5] [--count 10000] [--text 100000]

The candidates lie anywhere in a text of that many characters, with four labels, all with positive logits. The rival is
what is usually done: sort by score, and keep each span that fits with all kept so far, checked one by one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.duel import ROUNDS, duel, keep, machine, ratio
from spanbert.decoding import best_within, decode_spans
from spanbert.decoding.limits import Limits

LABELS = ("ORG", "LOC", "DATE", "AMOUNT")
MATRIX = Limits({"ORG": ("LOC", "ORG"), "AMOUNT": ("DATE",), "LOC": ("LOC",)})
HARD = {
    "flat, at most k": ("flat", Limits(at_most={"ORG": 100, "DATE": 3})),
    "nested, at most k": ("nested", Limits(at_most={"ORG": 100, "DATE": 3})),
    "overlapping, forbidden": ("overlapping", Limits(forbidden=(("ORG", "LOC"), ("DATE", "AMOUNT")))),
}
GOAL_SECONDS, GOAL_RATIO = 0.1, 5


def drawn(count: int, text: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Starts, ends, labels, logits: one in ten spans is up to 400 characters long, the others up to 40."""
    draw = np.random.default_rng(0)
    starts = draw.integers(0, text, count)
    widths = np.where(draw.random(count) < 0.1, draw.integers(1, 400, count), draw.integers(1, 40, count))
    return starts, starts + widths, draw.integers(0, len(LABELS), count), draw.gamma(2.0, 2.0, count)


def greedy(candidates: list[tuple[int, int, int, float]], clash: Callable[..., bool]) -> float:
    """The total of what is kept."""
    kept: list[tuple[int, int, int, float]] = []
    for candidate in sorted(candidates, key=lambda candidate: -candidate[3]):
        if not any(clash(*other[:3], *candidate[:3]) for other in kept):
            kept.append(candidate)
    return sum(candidate[3] for candidate in kept)


def overlap(start: int, end: int, _label: int, begin: int, stop: int, _name: int) -> bool:
    return start < stop and begin < end


def cross(start: int, end: int, _label: int, begin: int, stop: int, _name: int) -> bool:
    return start < begin < end < stop or begin < start < stop < end


def barred(start: int, end: int, label: int, begin: int, stop: int, name: int) -> bool:
    """Of nested spans under the matrix."""
    if start >= stop or begin >= end:
        return False
    one, other, rows = LABELS[label], LABELS[name], MATRIX.contains or {}
    return not (
        (start <= begin and stop <= end and other in rows.get(one, ()))
        or (begin <= start and end <= stop and one in rows.get(other, ()))
    )


def plain(policy: str, size: dict[str, int]) -> Iterator[float]:
    columns = drawn(**size)
    yield 0.0
    while True:
        yield float(columns[3][decode_spans(policy, *columns, floor=0.0, room=0)].sum())


def with_matrix(policy: str, size: dict[str, int]) -> Iterator[float]:
    columns, rules = drawn(**size), MATRIX.rules(policy, LABELS)
    yield 0.0
    while True:
        yield best_within(rules, *columns).total


def picking(clash: Callable[..., bool], size: dict[str, int]) -> Iterator[float]:
    candidates = list(zip(*(column.tolist() for column in drawn(**size)), strict=True))
    yield 0.0
    while True:
        yield greedy(candidates, clash)


def ours_flat(**size: int) -> Iterator[float]:
    return plain("flat", size)


def ours_flat_matrix(**size: int) -> Iterator[float]:
    return with_matrix("flat", size)


def ours_nested(**size: int) -> Iterator[float]:
    return plain("nested", size)


def ours_nested_matrix(**size: int) -> Iterator[float]:
    return with_matrix("nested", size)


def greedy_flat(**size: int) -> Iterator[float]:
    return picking(overlap, size)


def greedy_nested(**size: int) -> Iterator[float]:
    return picking(cross, size)


def greedy_nested_matrix(**size: int) -> Iterator[float]:
    return picking(barred, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--text", type=int, default=100_000)
    parser.add_argument("--busy", action="store_true", help="measure beside other work")
    flags = parser.parse_args()
    facts, size = machine(), {"count": flags.count, "text": flags.text}
    pairs = {
        "ours_flat": "greedy_flat",
        "ours_flat_matrix": "greedy_flat",
        "ours_nested": "greedy_nested",
        "ours_nested_matrix": "greedy_nested_matrix",
    }
    found = duel("benchmarks.decoding", [*pairs, *dict.fromkeys(pairs.values())], size, flags.rounds)
    rows = {}
    for own, rival in pairs.items():
        mine, other = found[own], found[rival]
        rows[own] = {
            "milliseconds": round(1000 * mine.median, 1),
            "rival_milliseconds": round(1000 * other.median, 1),
            "faster": ratio(other, mine),
            "more_log_odds": round(mine.made / other.made - 1, 4),
        }
        print(own, *(f"{key} {value}" for key, value in rows[own].items()), sep=" · ", flush=True)
        met = mine.median < GOAL_SECONDS and other.median / mine.median >= GOAL_RATIO
        print(f"  goal (under {1000 * GOAL_SECONDS:.0f} ms, {GOAL_RATIO} times): {'met' if met else 'missed'}")
    keep("decoding", {"rows": rows, "hard": hard(size), **size, **facts})


def hard(size: dict[str, int]) -> dict[str, dict[str, float]]:
    """How long the limits take that make the problem hard, and how near the bound they come."""
    rows = {}
    for name, (policy, limits) in HARD.items():
        start = time.perf_counter()
        choice = best_within(limits.rules(policy, LABELS), *drawn(**size))
        rows[name] = {
            "milliseconds": round(1000 * (time.perf_counter() - start)),
            "gap": choice.gap / choice.bound,
        }
        print(f"{name}: {rows[name]['milliseconds']:.0f} ms, gap {rows[name]['gap']:.2e} of the bound")
    return rows


if __name__ == "__main__":
    main()
