"""Builds `examples/data` from the folder of public data sets: `python examples/build_data.py ../shared/data`.

Running it again gives the same bytes. Every span is compared with the mention it came from before it is written.
What the files hold, and under which licences, is in `examples/data/README.md`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent / "data"
FILING_ID = "sec_10k/1001039_10K_2012_0001193125-12-479027"
FILING_LICENSE = f"""\
annual_report.txt is the text of a public filing with the United States Securities and Exchange Commission (SEC):
The Walt Disney Company, annual report (Form 10-K) for the fiscal year that ended on September 29, 2012,
accession number {FILING_ID.rpartition("_")[2]}, from EDGAR (https://www.sec.gov/edgar).

Statement of the corpus it was taken from (pretrain/README.md, source sec_10k, document
{FILING_ID}):
"public filings of the US SEC (EDGAR); the SEC states that information on sec.gov is public and may be copied and
redistributed". The corpus took it from the test fixtures of lefterisloukas/edgar-crawler.
"""
REDOCRED_LABELS = {"PER": "PERSON", "ORG": "ORG", "LOC": "LOCATION", "TIME": "DATE", "MISC": "MISC"}  # NUM is left out
REDOCRED_DEV = 60

OPENING = re.compile(r"[(\[{“‘]")
CLOSING = re.compile(r"[,.;:!?)\]}%…”]+[-—]?|['’](?:s|m|d|re|ll|ve)|n't")
QUOTE = re.compile(r"[\"'][-—]?")

Mention = tuple[int, int, str, str]  # start, end, label, and the mention's text in the source
Record = dict[str, Any]


def read_json(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def record(id: str, text: str, mentions: Sequence[Mention], meta: dict[str, Any]) -> Record:
    """A document in the format of the library, its spans sorted and without duplicates."""
    for start, end, _, source in mentions:
        if not source or "".join(text[start:end].split()) != "".join(source.split()):
            raise ValueError(f"{id}: [{start}, {end}) is {text[start:end]!r}, not {source!r}")
    unique = sorted({(start, end, label) for start, end, label, _ in mentions})
    spans = [{"start": start, "end": end, "label": label, "text": text[start:end]} for start, end, label in unique]
    return {"id": id, "text": text, "spans": spans, "meta": meta}


def hash_order(count: int) -> list[int]:
    """The numbers 0 to count - 1 in an order that looks random and is the same everywhere."""
    return sorted(range(count), key=lambda number: hashlib.sha256(str(number).encode()).digest())


def write(path: Path, records: Sequence[Record]) -> None:
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records)
    path.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))
    labels = Counter(span["label"] for each in records for span in each["spans"])
    print(f"{path.relative_to(HERE)}: {len(records)} documents, {labels.total()} spans, {path.stat().st_size} bytes")
    print("   ", ", ".join(f"{label} {count}" for label, count in sorted(labels.items())))


# FIRE: tokens joined by single spaces, as the data set's own texts are.


def fire_record(id: str, instance: Record) -> Record:
    starts, position = [], 0
    for token in instance["tokens"]:
        starts.append(position)
        position += len(token) + 1
    mentions = []
    for entity in instance["entities"]:
        last = entity["end"] - 1
        end = starts[last] + len(instance["tokens"][last])
        mentions.append((starts[entity["start"]], end, entity["type"], entity["text"]))
    return record(id, " ".join(instance["tokens"]), mentions, {"orig_id": instance["orig_id"]})


def build_fire(source: Path, target: Path) -> None:
    """The numbers in the ids are the places in the source file; dev and test share those of `fire_dev.json`."""
    train = read_json(source / "fire_train.json.gz")
    held_out = read_json(source / "fire_dev.json")
    order = hash_order(len(held_out))
    parts = {
        "train": (train, range(len(train))),
        "dev": (held_out, sorted(order[: len(order) // 2])),
        "test": (held_out, sorted(order[len(order) // 2 :])),
    }
    for part, (instances, numbers) in parts.items():
        records = [fire_record(f"fire-{part}-{number + 1:04d}", instances[number]) for number in numbers]
        write(target / f"{part}.jsonl.gz", records)
    (target / "LICENSE").write_bytes((source / "LICENSE").read_bytes())


# Re-DocRED: natural text, put together from the tokens by rules; the offsets of each token are kept on the way.


def ends_quotation(tokens: Sequence[str], index: int) -> bool:
    """Whether a quotation mark closes (or is an apostrophe, or inches), no quotation being open in its sentence."""
    before, after = tokens[index - 1] if index else "", tokens[index + 1 :]
    if not any(character.isalnum() for token in after for character in token):
        return True  # the quotation began in an earlier sentence
    if tokens[index] == "'":
        elided = after[0][0] in "n89"  # "drum 'n bass", "the '90s"
        return before.endswith("s") or not ("'" in after or elided)
    return before[-1:].isdigit() and tokens.count('"') % 2 == 1


def attachment(tokens: Sequence[str]) -> Iterator[tuple[bool, bool]]:
    """For each token: is it written without a space before it, and without one after it?"""
    open_quotes: set[str] = set()
    for index, token in enumerate(tokens):
        before, after = tokens[index - 1] if index else "", tokens[index + 1] if index + 1 < len(tokens) else ""
        if QUOTE.fullmatch(token):
            closes = token[0] in open_quotes or ends_quotation(tokens, index)
            (open_quotes.discard if closes else open_quotes.add)(token[0])
            yield closes, not closes
        elif token in ("-", "/", ".-"):
            inside = (before[-1:].isalnum() or before[-1:] == ".") and after[:1].isalnum()  # "two-year", not a dash
            yield inside, inside
        elif token in ("$", "£", "#"):
            yield False, after[:1].isdigit()
        else:
            yield bool(CLOSING.fullmatch(token)), bool(OPENING.match(token))


def detokenise(sentences: Sequence[Sequence[str]]) -> tuple[str, list[list[tuple[int, int]]]]:
    """The text, and for each sentence the start and end of its tokens. One space between two sentences."""
    text, offsets = "", []
    for tokens in sentences:
        places, glued = [], not text
        for token, (left, right) in zip(tokens, attachment(tokens), strict=True):
            if token.isspace():  # a no-break space between two tokens: the space is set anyway
                places.append((len(text), len(text)))
                continue
            text += token if glued or (left and places) else f" {token}"
            places.append((len(text) - len(token), len(text)))
            glued = right
        offsets.append(places)
    return text, offsets


def redocred_record(id: str, document: Record) -> Record:
    text, offsets = detokenise(document["sents"])
    mentions = []
    for mention in (mention for entity in document["vertexSet"] for mention in entity):
        first, end = mention["pos"]
        tokens, places = document["sents"][mention["sent_id"]][first:end], offsets[mention["sent_id"]][first:end]
        if mention["type"] in REDOCRED_LABELS:
            mentions.append((places[0][0], places[-1][1], REDOCRED_LABELS[mention["type"]], "".join(tokens)))
    return record(id, text, mentions, {"title": document["title"]})


def build_redocred(source: Path, target: Path) -> None:
    documents = read_json(source / "dev_revised.json.gz")
    order = hash_order(len(documents))
    for part, numbers in (("train", order[REDOCRED_DEV:]), ("dev", order[:REDOCRED_DEV])):
        records = [redocred_record(f"redocred-{number + 1:04d}", documents[number]) for number in sorted(numbers)]
        write(target / f"{part}.jsonl.gz", records)
    (target / "LICENSE").write_bytes((source / "LICENSE").read_bytes())


def build_filing(source: Path, target: Path) -> None:
    """One long document, its text as it stands in the corpus."""
    with gzip.open(source / "sec_10k-00.jsonl.gz", "rt", encoding="utf-8") as lines:
        text = next(entry["text"] for entry in map(json.loads, lines) if entry["id"] == FILING_ID)
    (target / "annual_report.txt").write_bytes(text.encode())
    (target / "LICENSE").write_bytes(FILING_LICENSE.encode())
    print(f"filing/annual_report.txt: {len(text)} characters, {len(text.split())} words, {len(text.encode())} bytes")


def main(data: Path) -> None:
    for build, source in ((build_fire, "fire"), (build_redocred, "redocred"), (build_filing, "pretrain")):
        target = HERE / build.__name__.removeprefix("build_")
        target.mkdir(parents=True, exist_ok=True)
        build(data / source, target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
