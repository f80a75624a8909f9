"""One document of 100,000 pieces with the same sentence planted at 200 places: is it found everywhere, at what cost?

    python -m benchmarks.long_documents [--model demo-run/model]

The model is that of `make demo`. The sentence stands between the same 60 words each time, as what is found depends on
them too; the rest is a real filing. Memory and time of longer and longer documents are measured in processes of
their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.duel import ROOT, keep, machine

SENTENCE = "Orbital Dynamics acquired Redwood Systems for $ 45 million in March 2019 ."
WANTED = ("Orbital Dynamics", "Redwood Systems", "$ 45 million", "March 2019")
PLACES = 200
AROUND = 60
SIZES = (2_000, 25_000, 50_000, 100_000)
CHILD = """
import json, sys, time
from benchmarks.duel import peak_mib
from benchmarks.long_documents import planted
from spanbert import SpanModel
model = SpanModel.from_pretrained(sys.argv[1], device="cpu", dtype="float32")
text, places = planted(int(sys.argv[2]))
model.predict("warm up")
start = time.perf_counter()
document = model.predict(text)
seconds = time.perf_counter() - start
found = [[s.start, s.end, s.label] for s in document.spans]
print(json.dumps({"seconds": seconds, "peak_mib": peak_mib(), "spans": found, "windows": document.coverage.windows}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "demo-run" / "model")
    parser.add_argument("--busy", action="store_true", help="measure beside other work")
    options = parser.parse_args()
    if not options.model.is_dir():
        raise SystemExit(f"no model in {options.model}; run: make demo")
    facts = machine()
    rows = {}
    for pieces in SIZES:
        result = measured(options.model, pieces)
        recall = recall_by_place(pieces, result["spans"])
        rows[pieces] = {
            "seconds": round(result["seconds"], 2),
            "microseconds_per_piece": round(1e6 * result["seconds"] / pieces, 1),
            "peak_mib": round(result["peak_mib"]),
            "windows": result["windows"],
            "recall_at_first_place": recall[0],
            "recall_everywhere": round(sum(recall) / len(recall), 4),
            "recall_by_tenth": [round(sum(part) / len(part), 3) for part in tenths(recall)],
            "places_below_the_first": sum(value < recall[0] for value in recall),
        }
        print(f"{pieces:8,} pieces: {rows[pieces]}", flush=True)
    keep("long_documents", {"rows": rows, **facts})


def tenths(values: list[float]) -> list[list[float]]:
    """Ten parts of the document, or one where there are fewer places."""
    size = max(1, -(-len(values) // 10))
    return [values[start : start + size] for start in range(0, len(values), size)]


def measured(model: Path, pieces: int) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(model), str(pieces)], check=True, capture_output=True, text=True, cwd=ROOT
    )
    record: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return record


def planted(pieces: int) -> tuple[str, list[int]]:
    """A text of about so many pieces, and where the sentence begins in it."""
    from spanbert import read_documents

    filing = next(iter(read_documents(ROOT / "examples" / "data" / "filing" / "annual_report.txt")))
    words = filing.text.split()
    wanted = max(1, round(PLACES * pieces / SIZES[-1]))
    before, after = (" ".join(words[n : n + AROUND]) for n in (1000, 1000 + AROUND))
    own = len(SENTENCE.split()) + 2 * AROUND
    gap = max(1, round((pieces / 1.35 - own * wanted) / wanted))
    parts, places, length = [], [], 0
    for number in range(wanted):
        stretch = [words[(number * gap + k) % len(words)] for k in range(gap)]
        part = f"{before} {SENTENCE} {after} {' '.join(stretch)} "
        places.append(length + len(before) + 1)
        parts.append(part)
        length += len(part)
    return "".join(parts), places


def recall_by_place(pieces: int, spans: object) -> list[float]:
    """The share of the sentence's four facts that is found at each place."""
    assert isinstance(spans, list)
    found = {(start, end) for start, end, _ in spans}
    wanted = [(SENTENCE.index(w), SENTENCE.index(w) + len(w)) for w in WANTED]
    _, places = planted(pieces)
    return [sum((place + a, place + b) in found for a, b in wanted) / len(wanted) for place in places]


if __name__ == "__main__":
    main()
