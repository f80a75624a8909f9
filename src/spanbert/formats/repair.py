"""Raw span records of any format to clean spans: what can be repaired is, and counted; the rest is refused."""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ..documents import Span
from ..errors import DataError
from ..graphemes import borders, widen
from .report import ReadReport

Pieces = tuple[tuple[int, int], ...]  # a span's ranges in the order of the text; nearly always one

_NUMBER = re.compile(r"-?[0-9]{1,18}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ZERO_WIDTH = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
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
    if not raw:
        return []
    read = [_pieces(span, report) for span in raw]
    known = borders(text)
    return [
        _clean(text, span, pieces, known, report)
        for span, pieces in zip(raw, _in_code_points(text, raw, read, report), strict=True)
    ]


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


def warn_of_crossing(spans: Iterable[Span], report: ReadReport) -> None:
    """Warn of spans that overlap an earlier one without lying inside it. O(n log n) and the depth of nesting."""
    open_spans: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        open_spans = [earlier for earlier in open_spans if earlier.end > span.start]
        crossed = next((left for left in open_spans if left.start < span.start and left.end < span.end), None)
        if crossed is not None:
            report.warn("spans crossing another", f"{_name(span)} and {_name(crossed)}")
        open_spans.append(span)


def survey_text(text: str, report: ReadReport) -> None:
    """Warn of characters that are kept, since offsets count them, but that readers of the text do not see."""
    if match := _CONTROL.search(text):
        report.warn("documents with control characters", f"U+{ord(match[0]):04X} at character {match.start()}")
    if match := _BIDI.search(text):
        report.warn("documents with bidi controls", f"U+{ord(match[0]):04X} at character {match.start()}")


def probability(value: object, owner: str) -> float | None:
    """A score as a float, None where there is none; the range is checked too. Raises DataError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(
            f"score {value!r} of {owner}", "a probability between 0 and 1", "leave the score out where there is none"
        )
    return float(value)


def whole_number(value: object, name: str, report: ReadReport) -> int:
    """An int; 3.0 and "3" are repaired. Raises DataError for bool, 3.5, None and the like."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        report.repair("offsets written as decimal numbers", repr(value))
        return int(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        report.repair("offsets written as strings", repr(value))
        return int(value)
    raise DataError(f"{name} {value!r} is not a whole number", "code points, for example 3", "correct the offset")


def _pieces(span: RawSpan, report: ReadReport) -> Pieces:
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


def _utf16_units(text: str) -> list[int]:
    return _widths(text, (1 + (ord(character) > 0xFFFF) for character in text))


def _utf8_bytes(text: str) -> list[int]:
    return _widths(text, (len(character.encode()) for character in text))


def _one_per_line_end(text: str) -> list[int]:
    after_return = (i for i, character in enumerate(text) if character != "\n" or not i or text[i - 1] != "\r")
    return [*after_return, len(text)]


def _after_byte_order_mark(text: str) -> list[int]:
    return [-1, *range(len(text) + 1)]


def _widths(text: str, widths: Iterable[int]) -> list[int]:
    table: list[int] = []
    for index, width in enumerate(widths):
        table += [index] + [-1] * (width - 1)
    return [*table, len(text)]


# For each unit in which tools are known to count: offset in that unit -> code point, -1 where it is inside one.
_UNITS: dict[str, Callable[[str], list[int]]] = {
    "UTF-16 units": _utf16_units,
    "UTF-8 bytes": _utf8_bytes,
    "characters with CRLF as one": _one_per_line_end,
    "characters after a byte order mark": _after_byte_order_mark,
}


def _in_code_points(text: str, raw: Sequence[RawSpan], read: list[Pieces], report: ReadReport) -> list[Pieces]:
    """`read` in the unit under which all copies match. Raises DataError naming the span where none does."""
    wrong = _first_mismatch(text, raw, read)
    if wrong is None:
        return read
    for unit, positions in _UNITS.items():
        table = positions(text)
        converted = [tuple((_at(table, start), _at(table, end)) for start, end in pieces) for pieces in read]
        if all(_possible(pieces, text) for pieces in converted) and _first_mismatch(text, raw, converted) is None:
            report.repair(f"spans converted from {unit}", times=len(raw))
            return converted
    span, pieces = raw[wrong], read[wrong]
    for start, end in pieces:
        _check_range(start, end, text)
    found = text[pieces[0][0] : pieces[-1][1]]
    raise DataError(
        f"span [{pieces[0][0]}, {pieces[-1][1]}) {span.label!r} is {found[:_SHOWN]!r} in the text, "
        f"but {(span.copy or '')[:_SHOWN]!r} in its copy",
        f"offsets under which every copy matches, in code points, {', '.join(_UNITS)}",
        "check that text and annotations are of the same version, or correct the offsets",
    )


def _at(table: list[int], offset: int) -> int:
    return table[offset] if 0 <= offset < len(table) else -1


def _possible(pieces: Pieces, text: str) -> bool:
    return all(0 <= start < end <= len(text) for start, end in pieces)


def _first_mismatch(text: str, raw: Sequence[RawSpan], read: Sequence[Pieces]) -> int | None:
    for index, (span, pieces) in enumerate(zip(raw, read, strict=True)):
        if span.copy is not None and not (_possible(pieces, text) and _matches(text, pieces, span.copy)):
            return index
    return None


def _matches(text: str, pieces: Pieces, copy: str) -> bool:
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


def _clean(text: str, raw: RawSpan, pieces: Pieces, known: list[int] | None, report: ReadReport) -> Span:
    kept = tuple(_clean_edges(text, start, end, known, report) for start, end in pieces)
    start, end = kept[0][0], kept[-1][1]
    if not _ZERO_WIDTH.isdisjoint((text[start], text[end - 1])):
        report.warn("spans with an invisible character at an edge", f"[{start}, {end})")
    label = raw.label
    if not isinstance(label, str):
        raise DataError(f"label {label!r} of span [{start}, {end})", "a string", "write the label in quotes")
    score = probability(raw.score, f"span [{start}, {end})")
    return Span(start, end, label, score, kept if len(kept) > 1 else ())


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
