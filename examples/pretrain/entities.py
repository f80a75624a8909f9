"""The corpora of `spanbert-ner`, their labels folded into five kinds, each with the kinds that were looked for in it.

A text in which a kind was not annotated does not teach that the kind is absent: `Document.annotated` names the kinds
that were, and the loss leaves the others out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets import DATA, OUTPUT, prepare

from spanbert import Document, Span, read_documents

LABELS = ("PERSON", "ORG", "LOCATION", "DATE", "MISC")
ROLES = {"borrower", "borrowers", "lender", "lenders", "guarantor", "agent"}
"""Words for a party of a contract, which one corpus annotates as persons: nobody else would call them names."""


@dataclass(frozen=True)
class Source:
    """How the labels of some corpora fold, and the kinds that are complete in them."""

    corpora: tuple[str, ...]
    folded: Mapping[str, str]
    annotated: frozenset[str]


def folded(**labels: str) -> dict[str, str]:
    """From `PERSON="writer person"` to a table by label."""
    return {label: kind for kind, names in labels.items() for label in names.split()}


NAMES = frozenset(("PERSON", "ORG", "LOCATION"))
WIKIPEDIA = folded(
    PERSON="person politician researcher scientist writer musicalartist",
    ORG="organisation university politicalparty band",
    LOCATION="location country",
    MISC="misc event election award album song book poem conference",
)
SOURCES = {
    "redocred": Source(
        ("redocred",), {"PER": "PERSON", "ORG": "ORG", "LOC": "LOCATION", "TIME": "DATE", "MISC": "MISC"},
        frozenset(LABELS),
    ),
    "wnut17": Source(  # its products and works are not what others call MISC
        ("wnut17",), folded(PERSON="person", ORG="corporation group", LOCATION="location"), NAMES
    ),
    "crossner": Source(  # dates are not annotated, and its MISC holds terms such as "methyl groups"
        tuple(f"crossner_{domain}" for domain in ("ai", "literature", "music", "politics", "science")),
        WIKIPEDIA,
        NAMES,
    ),
    "fire": Source(
        ("fire",),
        folded(PERSON="Person", ORG="Company", LOCATION="Location GeopoliticalEntity", DATE="Date"),
        NAMES | {"DATE"},
    ),
    "sec_filings_ner": Source(
        ("sec_filings_ner",), folded(PERSON="PER", ORG="ORG", LOCATION="LOC"), NAMES
    ),
}  # fmt: skip


def documents(name: str, part: str, data: Path = DATA, output: Path = OUTPUT) -> Iterator[Document]:
    """The documents of one part (train, dev, test) of a source, with our labels."""
    source = SOURCES[name]
    for corpus in source.corpora:
        for document in read_documents(getattr(prepare(corpus, data, output), part)):
            spans = {
                Span(span.start, span.end, kind)
                for span in document.spans
                if (kind := source.folded.get(span.label)) in source.annotated
                and document.text[span.start : span.end].lower() not in ROLES
            }
            ordered = tuple(sorted(spans, key=lambda span: (span.start, -span.end, span.label)))
            yield Document(document.id, document.text, ordered, annotated=source.annotated)
