"""What annotations say that does not fit together: labels, gaps, borders and overlaps."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ..documents import Document, Span
from .findings import NOTE, SHOWN, WARNING, Example, Finding, Place, place, quoted, several, spans_shown, tallied

RARE = 10
"""A label with fewer training spans is hardly learnt, and hardly measured."""
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PLACES = 2  # of each variant

Words = tuple[str, ...]
"""A string as its words and marks: white space between them makes no difference, case does."""


def words(text: str) -> Words:
    return tuple(_TOKEN.findall(text))


def complete(documents: Sequence[Document]) -> list[Document]:
    """Those in which every label of the data was looked for, so that what is not annotated is not there."""
    labels = {span.label for document in documents for span in document.spans}
    return [document for document in documents if document.annotated is None or document.annotated >= labels]


def label_counts(documents: Iterable[Document]) -> dict[str, tuple[int, int]]:
    """Spans of each label, and documents that have one; the most frequent first."""
    spans: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for document in documents:
        own = Counter(span.label for span in document.spans)
        spans += own
        there.update(own.keys())
    return {label: (count, there[label]) for label, count in sorted(spans.items(), key=lambda row: (-row[1], row[0]))}


def rare_labels(counts: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
    """Labels of too few spans, or of one document."""
    rare = {label: row for label, row in counts.items() if row[0] < RARE or row[1] == 1}
    if rare:
        yield Finding(
            "rare-labels",
            WARNING,
            len(rare),
            f"{several(len(rare), 'label')} with fewer than {RARE} training spans, or in one document only",
            "annotate more of them (`spanbert select` finds where), merge them with others, or leave them out",
            tuple(
                Example(f"{label}: {several(spans, 'span')} in {several(there, 'document')}")
                for label, (spans, there) in list(rare.items())[-SHOWN:][::-1]
            ),
        )


def disagreements(documents: Sequence[Document]) -> Iterator[Finding]:
    """Strings that have one label here and another there."""
    found = _variants(documents, lambda text, labels: [(words(text), " and ".join(sorted(labels)))])
    if found:
        yield Finding(
            "different-labels",
            WARNING,
            len(found),
            f"{several(len(found), 'string')} annotated with different labels in different places",
            "decide on one label, or make sure that the text around tells them apart",
            tuple(found[:SHOWN]),
        )


def unsteady_borders(documents: Sequence[Document]) -> Iterator[Finding]:
    """Strings annotated here with the punctuation at their edge, there without; and spans of punctuation alone."""
    found = _variants(documents, _by_core)
    if found:
        yield Finding(
            "unsteady-borders",
            WARNING,
            len(found),
            f"{several(len(found), 'string')} annotated with punctuation at an edge here, without it there",
            "decide where such spans begin and end, and correct the rarer form",
            tuple(found[:SHOWN]),
        )
    bare = [(d, s) for d in documents for s in d.spans if not edges(words(d.text[s.start : s.end]))[1]]
    if bare:
        yield Finding(
            "punctuation-only",
            WARNING,
            len(bare),
            f"{several(len(bare), 'span')} of nothing but punctuation",
            "remove them, or widen them to what was meant",
            spans_shown(bare),
        )


def edges(found: Words) -> tuple[Words, Words, Words]:
    """The marks it begins with, what lies between, the marks it ends with; all marks: they are where it begins."""
    inside = [number for number, word in enumerate(found) if not _is_mark(word)]
    if not inside:
        return found, (), ()
    return found[: inside[0]], found[inside[0] : inside[-1] + 1], found[inside[-1] + 1 :]


def _is_mark(word: str) -> bool:
    """Punctuation; not what belongs to a number or name: currencies, %, #, @ and the like."""
    return unicodedata.category(word[0]).startswith("P") and word[0] not in "_%‰#@&*"


def _by_core(text: str, labels: set[str]) -> list[tuple[Words, str]]:
    """Grouped by label and words, in the form `(…).` of the marks at the edges."""
    before, inside, after = edges(words(text))
    return [((label, *inside), f"{''.join(before)}…{''.join(after)}") for label in labels if inside]


def gaps(documents: Sequence[Document]) -> Iterator[Finding]:
    """Strings that are annotated somewhere, and elsewhere not: twice at least, and a quarter as often, as whole words.

    An occurrence that touches any annotated span is none; strings without a letter are left out, since what a bare
    number means depends on the text around.
    """
    listed = complete(documents)
    known: Counter[Words] = Counter()
    shown: dict[Words, tuple[str, Place]] = {}
    for document in listed:
        for start, end in {(span.start, span.end) for span in document.spans}:
            text = document.text[start:end]
            if any(character.isalpha() for character in text):
                known[words(text)] += 1
                shown.setdefault(words(text), (quoted(text), place(document, start, end)))
    lengths: dict[str, set[int]] = defaultdict(set)
    for string in known:
        lengths[string[0]].add(len(string))
    bare: dict[Words, list[Place]] = defaultdict(list)
    for document in listed:
        for string, where in _bare(document, known, lengths):
            bare[string].append(where)
    often = (string for string in bare if len(bare[string]) >= max(2, known[string] / 4))
    worst = sorted(often, key=lambda s: (-len(bare[s]), s))
    if worst:
        yield Finding(
            "unannotated-elsewhere",
            WARNING,
            sum(len(bare[string]) for string in worst),
            f"{several(len(worst), 'string')} annotated in some places, and not in others",
            "annotate the others, or take the annotation out, unless the text around tells them apart",
            tuple(
                Example(
                    f"{shown[s][0]}: annotated {known[s]:,}, not annotated {len(bare[s]):,}",
                    (shown[s][1], *bare[s][:_PLACES]),
                )
                for s in worst[:SHOWN]
            ),
        )


def _bare(
    document: Document, known: Mapping[Words, int], lengths: Mapping[str, set[int]]
) -> Iterator[tuple[Words, Place]]:
    """Occurrences of known strings that no span touches."""
    taken = bytearray(len(document.text))
    for span in document.spans:
        taken[span.start : span.end] = b"\1" * (span.end - span.start)
    matches = list(_TOKEN.finditer(document.text))
    strings = [match[0] for match in matches]
    for number, first in enumerate(strings):
        for length in lengths.get(first, ()):
            string = tuple(strings[number : number + length])
            if len(string) == length and string in known:
                start, end = matches[number].start(), matches[number + length - 1].end()
                if taken.find(1, start, end) < 0:
                    yield string, place(document, start, end)


def overlaps(documents: Sequence[Document]) -> Iterator[Finding]:
    """Spans in spans, spans that cross, and places with two labels; with those of one label told apart."""
    pairs: dict[str, list[tuple[Document, Span, Span]]] = defaultdict(list)
    for document in documents:
        for outer, inner in overlapping_pairs(document.spans):
            pairs[_relation(outer, inner)].append((document, outer, inner))
    told = (
        ("nested", NOTE, "spans lie inside another", "train with --policy nested, or keep one of each (--resolve)"),
        (
            "crossing",
            WARNING,
            "spans cross another",
            "correct what is a slip, else --policy overlapping",
        ),
        ("two-labels", NOTE, "pairs of labels for one place", "train with --policy nested, or decide on one label"),
    )
    for kind, severity, what, fix in told:
        if found := pairs.get(kind):
            same = sum(outer.label == inner.label for _, outer, inner in found)
            yield Finding(
                kind,
                WARNING if same else severity,
                len(found),
                f"{len(found):,} {what}" + (f", {same:,} of the same label" if same else ""),
                fix,
                tuple(_pair(*row) for row in sorted(found, key=lambda row: row[1].label != row[2].label)[:SHOWN]),
            )


def overlapping_pairs(spans: Iterable[Span]) -> Iterator[tuple[Span, Span]]:
    """Pairs that share text, the one that begins first (or is longer) first. O(n log n) and the pairs themselves."""
    order = sorted(set(spans), key=lambda span: (span.start, -span.end, span.label))
    for number, outer in enumerate(order):
        for inner in order[number + 1 :]:
            if inner.start >= outer.end:
                break
            yield outer, inner


def _relation(outer: Span, inner: Span) -> str:
    if (outer.start, outer.end) == (inner.start, inner.end):
        return "two-labels"
    return "nested" if inner.end <= outer.end else "crossing"


def _pair(document: Document, outer: Span, inner: Span) -> Example:
    texts = (f"{quoted(document.text[span.start : span.end])} {span.label}" for span in (outer, inner))
    return Example(" and ".join(texts), tuple(place(document, span.start, span.end) for span in (outer, inner)))


def lengths_in_words(documents: Sequence[Document]) -> Iterator[Finding]:
    """How long spans are, and the longest of them."""
    rows = [(len(d.text[s.start : s.end].split()), d, s) for d in documents for s in d.spans]
    if rows:
        rows.sort(key=lambda row: row[0])
        middle, most = rows[len(rows) // 2][0], rows[len(rows) * 95 // 100][0]
        yield Finding(
            "lengths",
            NOTE,
            len(rows),
            f"spans have {several(middle, 'word')} in the middle, {most:,} at the 95th percentile, "
            f"{rows[-1][0]:,} at most",
            "look at the longest: sentences annotated by mistake make windows larger and training slower",
            tuple(
                Example(f"{several(length, 'word')}: {example.what}", example.places)
                for length, d, s in rows[: -SHOWN - 1 : -1]
                for example in spans_shown([(d, s)])
            ),
        )


def empty_documents(documents: Sequence[Document]) -> Iterator[Finding]:
    """Documents without spans: fine where nothing is there, wrong where nobody looked."""
    empty = [
        document
        for document in documents
        if not (document.spans or document.questions or document.clusters) and document.annotated != frozenset()
    ]
    if empty:
        share = len(empty) / len(documents)
        yield Finding(
            "no-spans",
            WARNING if share > 0.5 else NOTE,
            len(empty),
            f"{several(len(empty), 'document')} without spans ({share:.1%})",
            'leave them out if nobody has annotated them (or say so: "annotated": []); else they teach what is no span',
            tuple(Example(document.id) for document in empty[:SHOWN]),
        )


def _variants(
    documents: Sequence[Document], forms: Callable[[str, set[str]], Iterable[tuple[Words, str]]]
) -> list[Example]:
    """Strings that occur in several forms, those with most occurrences outside the usual form first.

    forms: what a place with this text and these labels is grouped by, and its form.
    """
    groups: dict[Words, dict[str, list[Place]]] = defaultdict(lambda: defaultdict(list))
    texts: dict[Words, str] = {}
    for document in complete(documents):
        ranges: dict[tuple[int, int], set[str]] = defaultdict(set)
        for span in document.spans:
            ranges[span.start, span.end].add(span.label)
        for (start, end), labels in ranges.items():
            for key, form in forms(document.text[start:end], labels):
                groups[key][form].append(place(document, start, end))
                texts.setdefault(key, quoted(document.text[start:end]))
    rows = []
    for key, variants in groups.items():
        if len(variants) > 1:
            counts = {form: len(places) for form, places in variants.items()}
            unusual = sum(counts.values()) - max(counts.values())
            rows.append((-unusual, key, counts, variants))
    return [
        Example(
            f"{texts[key]}: {tallied(counts)}",
            tuple(at for form in sorted(counts, key=lambda f: (-counts[f], f)) for at in variants[form][:_PLACES]),
        )
        for _, key, counts, variants in sorted(rows, key=lambda row: row[:2])
    ]
