"""Raw span records of any format to clean spans: what can be repaired is, and counted; the rest is refused."""

from __future__ import annotations

import bisect
import hashlib
import heapq
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from ..documents import Cluster, Span
from ..errors import DataError
from ..graphemes import borders, widen
from .offset_units import DETECTED, INCLUSIVE, UNITS, Ranges, convert
from .report import ReadReport

Item = TypeVar("Item")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ZERO_WIDTH = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
_SEPARATORS = frozenset(",;:")
_PAIRS = ("()", "[]", "{}", "\u201c\u201d", "\u00ab\u00bb")
_LONGEST_LABEL = 400  # before composition: beyond, it is refused as it is
_SHOWN = 40  # characters of a copy quoted in a message


@dataclass(frozen=True, slots=True)
class RawSpan:
    """A span as a file has it: any value may be wrong. `copy`: the span's text, to check the offsets against."""

    start: object
    end: object
    label: object = "span"
    score: object = None
    parts: object = None
    copy: str | None = None


def settle(text: str, raw: Iterable[RawSpan], report: ReadReport) -> list[Span]:
    """One clean span for each raw one, in order. The unit of offsets is decided for all of them together.

    Raises DataError for offsets, labels or scores that no repair can save.
    """
    raw = list(raw)
    read = [_pieces(span, report) for span in raw]
    return clean(text, raw, _in_code_points(text, raw, read, report) if raw else [], report)


def settle_fitting(
    text: str, spans: Sequence[RawSpan], answers: Sequence[RawSpan], report: ReadReport
) -> tuple[list[Span], list[Span | int]]:
    """Like `settle`, of spans and those of the answers that fit; one that does not is told by where it should begin.

    The unit is the one under which all spans fit, and most answers with copies. Raises DataError for spans.
    """
    raw = [*spans, *answers]
    read = [_pieces(each, report) for each in raw]
    tried = {unit: convert(text, read, unit) for unit in _units(report, spans or raw)}
    fits = {unit: [_fits(text, *pair) for pair in zip(raw, ranges, strict=True)] for unit, ranges in tried.items()}

    def evidence(unit: str) -> tuple[bool, int]:
        copies = sum(fit and bool(one.copy) for fit, one in zip(fits[unit], raw, strict=True))
        return all(fits[unit][: len(spans)]), copies

    unit = max(tried, key=evidence)
    if not evidence(unit)[0]:
        settle(text, spans, report)  # which says what is wrong
    known, found, converted = borders(text), list[Span | int](), 0
    for one, ranges, before, fit in zip(raw, tried[unit], read, fits[unit], strict=True):
        found.append(_clean(text, one, ranges, known, report) if fit else ranges[0][0])
        converted += fit and ranges != before
    if converted:
        report.repair(f"spans converted from {unit}", times=converted)
    own = [span for span in found[: len(spans)] if isinstance(span, Span)]
    return own, found[len(spans) :]


def clean(text: str, raw: Iterable[RawSpan], ranges: Iterable[Ranges], report: ReadReport) -> list[Span]:
    """One clean span for each raw one, whose offsets in code points are `ranges`. Raises DataError."""
    known = borders(text)
    return [_clean(text, span, pieces, known, report) for span, pieces in zip(raw, ranges, strict=True)]


def merge_duplicates(spans: Iterable[Span], report: ReadReport) -> list[Span]:
    """As many spans as came in, with equal places and labels made the same span: the first of them."""
    first: dict[object, Span] = {}
    merged = []
    for span in spans:
        kept = first.setdefault((span.start, span.end, span.label, span.parts), span)
        if kept is not span:
            report.repair("spans given twice (removed)", _name(span))
        merged.append(kept)
    return merged


def once(items: Iterable[Item], what: str, report: ReadReport) -> tuple[Item, ...]:
    """Each item once, at its first place; the others are counted as `what`."""
    listed = list(items)
    kept = tuple(dict.fromkeys(listed))
    if len(kept) < len(listed):
        report.repair(f"{what} given twice (removed)", times=len(listed) - len(kept))
    return kept


def chains(members: Iterable[Iterable[Span]], report: ReadReport) -> tuple[Cluster, ...]:
    """Clusters of these mentions, each once in its chain; mentions in several chains are kept, and told."""
    found = tuple(Cluster(once(spans, "mentions of a chain", report)) for spans in members)
    warn_of_several_chains(found, report)
    return found


def warn_of_several_chains(clusters: Sequence[Cluster], report: ReadReport) -> None:
    """Warn of mentions with several homes: the first of them is taught, and none can be scored."""
    homes = Counter(span for cluster in clusters for span in cluster.spans)
    for span in (span for span, times in homes.items() if times > 1):
        report.warn("mentions in several chains", f"[{span.start}, {span.end})")


def warn_of_crossing(spans: Iterable[Span], report: ReadReport) -> None:
    """Warn of spans that overlap an earlier one without lying inside it. O(n log n)."""
    open_spans: list[tuple[int, int, Span]] = []  # the one that ends first is the one that is crossed first
    for number, span in enumerate(sorted(spans, key=lambda span: (span.start, -span.end))):
        while open_spans and open_spans[0][0] <= span.start:
            heapq.heappop(open_spans)
        if open_spans and open_spans[0][0] < span.end:
            report.warn("spans crossing another", f"{_name(span)} and {_name(open_spans[0][2])}")
        heapq.heappush(open_spans, (span.end, number, span))


def made_id(text: str) -> str:
    """The id of a text that has none."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def survey_text(text: str, report: ReadReport) -> None:
    """Warn of characters that are kept, since offsets count them, but that readers of the text do not see."""
    if match := _CONTROL.search(text):
        report.warn("documents with control characters", f"U+{ord(match[0]):04X} at character {match.start()}")
    if match := _BIDI.search(text):
        report.warn("documents with bidi controls", f"U+{ord(match[0]):04X} at character {match.start()}")


def clean_label(label: object, owner: str, report: ReadReport) -> str:
    """The label with letters and accents composed (NFC), so that equal ones are equal. Raises DataError."""
    if not isinstance(label, str):
        raise DataError(f"label {label!r} {owner}", "a string", "write the label in quotes")
    composed = unicodedata.normalize("NFC", label) if len(label) <= _LONGEST_LABEL else label
    if composed != label:
        report.repair("labels with separate accents (composed)", composed)
    return composed


def probability(value: object, owner: str) -> float | None:
    """A score as a float, None where there is none; the range is checked too. Raises DataError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(
            f"score {value!r} of {owner}", "a probability between 0 and 1", "leave the score out where there is none"
        )
    return float(value)


def whole(value: object) -> int | None:
    """Of an int, 3.0 and "3"; None of bool, 3.5, None and the like."""
    if type(value) is int or isinstance(value, float) and value.is_integer():
        return int(value)
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def whole_number(value: object, name: str, report: ReadReport) -> int:
    """An int; other forms of one are repaired. Raises DataError for what is none."""
    if (number := whole(value)) is None:
        raise DataError(f"{name} {value!r} is not a whole number", "code points, for example 3", "correct the offset")
    if type(value) is not int:
        report.repair(f"offsets written as {'strings' if isinstance(value, str) else 'decimal numbers'}", repr(value))
    return number


def _pieces(span: RawSpan, report: ReadReport) -> Ranges:
    start, end = whole_number(span.start, "start", report), whole_number(span.end, "end", report)
    if not span.parts:
        return ((start, end),)
    parts = span.parts
    if not isinstance(parts, list) or any(not isinstance(part, list) or len(part) != 2 for part in parts):
        raise DataError(f"parts {parts!r}", "a list of [start, end] pairs", "leave `parts` out for a span in one piece")
    pieces = tuple((whole_number(a, "start", report), whole_number(b, "end", report)) for a, b in parts)
    if (start, end) != (pieces[0][0], pieces[-1][1]) or any(left[1] > right[0] for left, right in pairwise(pieces)):
        raise DataError(
            f"parts {list(map(list, pieces))} of span [{start}, {end})",
            "parts in the order of the text, the first beginning at start and the last ending at end",
            "sort the parts, or leave them out",
        )
    report.warn("spans of several parts (trained as one range)", f"{list(map(list, pieces))}")
    return pieces


def _units(report: ReadReport, raw: Sequence[RawSpan]) -> list[str]:
    """Those to try: the one that was named, else all; without copies of all spans a shift by one might be anything."""
    if report.reading.offset_unit != DETECTED:
        return [report.reading.offset_unit]
    return [unit for unit in UNITS if unit != INCLUSIVE or all(span.copy for span in raw)]


def _in_code_points(text: str, raw: Sequence[RawSpan], read: list[Ranges], report: ReadReport) -> list[Ranges]:
    """`read` in the unit that was named, else in the one under which all copies match. Raises DataError."""
    named = report.reading.offset_unit
    wrong = _first_mismatch(text, raw, read)
    if named == DETECTED and wrong is None:
        return read
    for unit in _units(report, raw):
        converted = convert(text, read, unit)
        if all(_possible(pieces, text) for pieces in converted) and _first_mismatch(text, raw, converted) is None:
            if converted != read:
                report.repair(f"spans converted from {unit}", times=len(raw))
            return converted
    if named != DETECTED:
        ranges = zip(converted, read, strict=True)
        before = next((before for pieces, before in ranges if not _possible(pieces, text)), None)
        if before is not None:
            raise DataError(
                f"span [{before[0][0]}, {before[-1][1]}) is not a range of the text counted in {named}",
                "offsets in the unit that was named",
                "leave the unit out: it is detected where spans carry their texts",
            )
        wrong, read = _first_mismatch(text, raw, converted), converted
    assert wrong is not None
    span, pieces = raw[wrong], read[wrong]
    for start, end in pieces:
        _check_range(start, end, text)
    found = text[pieces[0][0] : pieces[-1][1]]
    raise DataError(
        f"span [{pieces[0][0]}, {pieces[-1][1]}) {span.label!r} is {found[:_SHOWN]!r} in the text, "
        f"but {(span.copy or '')[:_SHOWN]!r} in its copy",
        f"offsets under which every copy matches, in {', '.join(UNITS) if named == DETECTED else named}",
        "check that text and annotations are of the same version, or correct the offsets",
    )


def _possible(pieces: Ranges, text: str) -> bool:
    return all(0 <= start < end <= len(text) for start, end in pieces)


def _fits(text: str, raw: RawSpan, ranges: Ranges) -> bool:
    """Whether it can stand there, with something to see."""
    visible = _possible(ranges, text) and bool(text[ranges[0][0] : ranges[-1][1]].strip())
    return visible and (raw.copy is None or _matches(text, ranges, raw.copy))


def _first_mismatch(text: str, raw: Sequence[RawSpan], read: Sequence[Ranges]) -> int | None:
    for index, (span, pieces) in enumerate(zip(raw, read, strict=True)):
        if span.copy is not None and not (_possible(pieces, text) and _matches(text, pieces, span.copy)):
            return index
    return None


def _matches(text: str, pieces: Ranges, copy: str) -> bool:
    """Equal but for white space: brat shows a line end as a space."""
    hull = text[pieces[0][0] : pieces[-1][1]]
    if hull == copy:
        return True
    joined = " ".join(text[start:end] for start, end in pieces)
    return copy.split() in (hull.split(), joined.split())


def _check_range(start: int, end: int, text: str) -> None:
    if start == end:
        raise DataError(f"span [{start}, {end}) is empty", "at least one character", "remove the span or widen it")
    if not 0 <= start < end:
        raise DataError(
            f"span [{start}, {end}) is not a range of characters",
            "whole numbers with 0 <= start < end",
            "offsets are code points, end exclusive: check the tool that wrote them",
        )
    if end > len(text):
        raise DataError(
            f"span [{start}, {end}) ends after the text ({len(text)} characters)",
            "offsets in Unicode code points of this very text, end exclusive",
            "check whether the offsets are UTF-8 bytes, UTF-16 units or belong to another text",
        )


def _clean(text: str, raw: RawSpan, pieces: Ranges, known: list[int] | None, report: ReadReport) -> Span:
    kept = tuple(_clean_edges(text, start, end, known, report) for start, end in pieces)
    start, end = kept[0][0], kept[-1][1]
    if not _ZERO_WIDTH.isdisjoint((text[start], text[end - 1])):
        report.warn("spans with an invisible character at an edge", f"[{start}, {end})")
    if _odd_edge(text, start, end):
        shown = f"[{start}, {end}) {text[start:end][:_SHOWN]!r}"
        report.warn("spans with a separator or half a pair of brackets at an edge", shown)
    label = clean_label(raw.label, f"of span [{start}, {end})", report)
    score = probability(raw.score, f"span [{start}, {end})")
    return Span(start, end, label, score, kept if len(kept) > 1 else ())


def _odd_edge(text: str, start: int, end: int) -> bool:
    """Whether a comma, colon or semicolon, or a bracket without its other half, stands at an edge."""
    if text[start] in _SEPARATORS or text[end - 1] in _SEPARATORS:
        return True
    inside = text[start:end]
    return any(
        (inside[0] in pair or inside[-1] in pair) and inside.count(pair[0]) != inside.count(pair[1]) for pair in _PAIRS
    )


def _clean_edges(text: str, start: int, end: int, known: list[int] | None, report: ReadReport) -> tuple[int, int]:
    _check_range(start, end, text)
    first, last = widen(start, end, known)
    # A whole grapheme at a time: CRLF is one, and a space that carries an accent is not white space.
    while first < last and text[first : (after := _next(first, known))].isspace():
        first = after
    while first < last and text[(before := _previous(last, known)) : last].isspace():
        last = before
    if first >= last:
        raise DataError(
            f"span [{start}, {end}) holds white space only", "at least one visible character", "remove the span"
        )
    change = f"[{start}, {end}) to [{first}, {last})"
    if first > start or last < end:
        report.repair("spans trimmed of white space", change)
    if first < start or last > end:
        report.repair("spans widened to whole graphemes", change)
    return first, last


def _next(offset: int, known: list[int] | None) -> int:
    return offset + 1 if known is None else known[bisect.bisect_right(known, offset)]


def _previous(offset: int, known: list[int] | None) -> int:
    return offset - 1 if known is None else known[bisect.bisect_left(known, offset) - 1]


def _name(span: Span) -> str:
    return f"[{span.start}, {span.end}) {span.label}"
