"""User-perceived characters (Unicode TR 29): no span may begin or end inside one."""

from __future__ import annotations

import bisect
from itertools import pairwise

import regex

# Code points that can stand in a grapheme of several: texts without any need no segmentation at all.
_JOINING = regex.compile(
    r"\r\n|[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=Regional_Indicator}"
    r"\p{GCB=L}\p{GCB=V}\p{GCB=T}]"
)
_GRAPHEME = regex.compile(r"\X")
_MANY = 64
_FLAGS = regex.compile(rf"\p{{GCB=Regional_Indicator}}{{{_MANY},}}")


def borders(text: str) -> list[int] | None:
    """Offsets at which a grapheme begins, and `len(text)`; None where every offset is one. O(len(text))."""
    if _JOINING.search(text) is None:
        return None
    # flags are pairs, counted from where their run begins: the count of a long run would be made anew for each of them
    cuts = [0, len(text)]
    for run in _FLAGS.finditer(text):
        cuts += range(run.start() + _MANY, run.end(), _MANY)
    parts = pairwise(sorted(set(cuts)))
    return [a + match.start() for a, b in parts for match in _GRAPHEME.finditer(text[a:b])] + [len(text)]


def widen(start: int, end: int, known: list[int] | None) -> tuple[int, int]:
    """The smallest range on the grapheme `borders` that covers [start, end)."""
    if known is None:
        return start, end
    return known[bisect.bisect_right(known, start) - 1], known[bisect.bisect_left(known, end)]
