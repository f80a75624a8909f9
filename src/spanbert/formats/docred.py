"""DocRED, Re-DocRED: a JSON list of articles with entities (all their mentions) and relations between these. Read only.

A relation of two entities becomes one of two mentions, those that stand nearest to each other; which mentions are of
one entity is kept as clusters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..documents import MENTION, Document, Relation, Span
from ..errors import DataError
from . import strict_json
from .format import read_items, read_only
from .repair import chains, clean_label, once, whole_number
from .report import ReadReport
from .sources import Source
from .tokens import Joined

SUFFIXES: tuple[str, ...] = ()
write = read_only("docred")
_KEYS = re.compile(r'"vertexSet"\s*:\s*\[|"sents"\s*:\s*\[\s*\[')


def recognises(source: Source) -> bool:
    """A list of articles with `sents` or `vertexSet`."""
    return source.head.lstrip().startswith("[") and _KEYS.search(source.head) is not None


def read(source: Source, report: ReadReport) -> Iterator[Document]:
    """A document an article; places count tokens of a sentence, ends exclusive. Raises DataError."""
    return read_items(source, report, "an article", _document)


def _document(record: dict[str, object], name: str, report: ReadReport) -> Document:
    sentences = strict_json.items(record, "sents")
    joined = Joined.of(sentences, report)
    firsts = [0]
    for sentence in sentences:
        firsts.append(firsts[-1] + (len(sentence) if isinstance(sentence, list) else 0))
    entities = [_mentions(entity, joined, firsts, report) for entity in strict_json.items(record, "vertexSet")]
    relations = []
    for item in strict_json.items(record, "labels"):
        relation = strict_json.mapping(item, "a relation")
        numbers = [whole_number(relation.get(role), role, report) for role in ("h", "t")]
        if not all(0 <= number < len(entities) for number in numbers):
            raise DataError(
                f"a relation of entities {numbers[0]} and {numbers[1]} of {len(entities)}",
                "two of the entities",
                "count from 0",
            )
        if numbers[0] == numbers[1]:
            report.warn("relations of an entity with itself (left out)")
            continue
        pairs = [(head, tail) for head in entities[numbers[0]] for tail in entities[numbers[1]] if head != tail]
        if not pairs:
            report.warn("relations of a mention with itself (left out)")
            continue
        head, tail = min(pairs, key=_between)
        relations.append(Relation(head, tail, clean_label(relation.get("r"), "of a relation", report)))
    spans = tuple(dict.fromkeys(span for entity in entities for span in entity))
    members = ([Span(span.start, span.end, MENTION) for span in entity] for entity in entities)
    meta = {"title": record["title"]} if isinstance(record.get("title"), str) else {}
    return Document(name, joined.text, spans, once(relations, "relations", report), chains(members, report), meta=meta)


def _mentions(entity: object, joined: Joined, firsts: list[int], report: ReadReport) -> list[Span]:
    if not isinstance(entity, list) or not entity:
        raise DataError("an entity that is no list of mentions", "a list of mentions", "see the format's description")
    spans = []
    for item in entity:
        mention = strict_json.mapping(item, "a mention")
        sentence = whole_number(mention.get("sent_id"), "sent_id", report)
        pos = strict_json.items(mention, "pos")
        if not 0 <= sentence < len(firsts) - 1 or len(pos) != 2:
            raise DataError(
                f"a mention in sentence {sentence} of {len(firsts) - 1}, at {pos}",
                "one of the sentences, and the first token and the end in it",
                "count from 0",
            )
        a, b = whole_number(pos[0], "pos", report), whole_number(pos[1], "pos", report)
        if not 0 <= a < b <= firsts[sentence + 1] - firsts[sentence]:
            raise DataError(
                f"tokens {a} to {b} of a sentence of {firsts[sentence + 1] - firsts[sentence]}",
                "the first token of a mention and its end, exclusive",
                "check whether the end is inclusive in this file",
            )
        spans.append(joined.span(firsts[sentence] + a, firsts[sentence] + b - 1, mention.get("type"), report))
    return spans


def _between(pair: tuple[Span, Span]) -> int:
    """Characters between two mentions."""
    return max(0, max(pair[0].start, pair[1].start) - min(pair[0].end, pair[1].end))
