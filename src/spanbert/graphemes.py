"""User-perceived characters (Unicode TR 29): no span may begin or end inside one."""

from __future__ import annotations

import bisect
import re
from itertools import pairwise

import regex

# Code points that can stand in a grapheme of several: texts without any need no segmentation at all.
_JOINING = regex.compile(
    r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}\p{GCB=Prepend}\p{GCB=Regional_Indicator}"
    r"\p{GCB=L}\p{GCB=V}\p{GCB=T}]"
)
# All but the long ranges that have none of them (Latin, Greek, Cyrillic, punctuation, signs, kana, Han): several times
# sooner than to look up properties.
_UNUSUAL = re.compile(
    "[^\0-\u02ff\u0370-\u0482\u048a-\u0590\u1e00-\u200b\u200e-\u20cf\u2100-\u2cee\u2e00-\u3029\u3030-\u3098\u309b-\ua66e]"
)
_GRAPHEME = regex.compile(r"\X")
_MANY = 64
_FLAGS = regex.compile(rf"\p{{GCB=Regional_Indicator}}{{{_MANY},}}")


def borders(text: str) -> list[int] | None:
    """Offsets at which a grapheme begins, and `len(text)`; None where every offset is one. O(len(text))."""
    joins = not text.isascii() and _UNUSUAL.search(text) is not None and _JOINING.search(text) is not None
    if not joins and "\r\n" not in text:
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
