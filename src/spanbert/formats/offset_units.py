"""What tools count offsets in, and each as code points: JavaScript counts UTF-16 units, others bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

Ranges = tuple[tuple[int, int], ...]
"""A span's ranges in the order of the text; nearly always one."""
INCLUSIVE = "inclusive-ends"
"""The end is the last character of the span, and not the one after it."""
DETECTED = "detected"
"""No unit: the one under which the copies of the spans' texts match."""


def convert(text: str, ranges: Sequence[Ranges], unit: str) -> list[Ranges]:
    """The ranges in code points; -1 for an offset inside a character or outside the text."""
    table, more = UNITS[unit](text), int(unit == INCLUSIVE)
    return [tuple((_at(table, start), _at(table, end + more)) for start, end in pieces) for pieces in ranges]


def _at(table: list[int], offset: int) -> int:
    return table[offset] if 0 <= offset < len(table) else -1


def _code_points(text: str) -> list[int]:
    return list(range(len(text) + 1))


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


# Offset in the unit -> code point, -1 where it is inside one. In the order in which they are tried.
UNITS: dict[str, Callable[[str], list[int]]] = {
    "code-points": _code_points,
    "utf-16": _utf16_units,
    "utf-8": _utf8_bytes,
    "crlf-as-one": _one_per_line_end,
    "after-byte-order-mark": _after_byte_order_mark,
    INCLUSIVE: _code_points,
}
