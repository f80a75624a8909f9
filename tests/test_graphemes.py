"""Borders of user-perceived characters."""

from __future__ import annotations

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from spanbert import graphemes
from spanbert.graphemes import borders, widen

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"  # man, joiner, woman, joiner, girl
TRICKY = st.text(
    st.sampled_from(["a", " ", "\r", "\n", "\u0301", "e", "\u200d", *FAMILY, "\U0001f1e9", "\U0001f1ea"])
    | st.sampled_from(["\u1100", "\u1161", "\u11a8", "\uac00", "\u0915", "\u094d", "\u0937", "\u0600", "\ufe0f", "日"]),
    max_size=12,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("plain", None),
        ("caf\u00e9 日本", None),
        ("a\nb\rc", None),
        ("a\r\nb", [0, 1, 3, 4]),
        ("e\u0301x", [0, 2, 3]),
        (f"a{FAMILY}b", [0, 1, 6, 7]),
        ("\U0001f1e9\U0001f1ea\U0001f1eb", [0, 2, 3]),
        ("\u1100\u1161\u11a8", [0, 3]),
        ("\U0001f44d\U0001f3fd!", [0, 2, 3]),
        ("\u0301", [0, 1]),
    ],
    ids=ascii,
)
def test_borders_by_hand(text: str, expected: list[int] | None):
    """None where every offset is a border; else the start of each grapheme and the length of the text."""
    assert borders(text) == expected


def test_widen_by_hand():
    """Borders of `a e◌́ x` are 0, 1, 3, 4: what begins or ends at 2 moves out to 1 or 3."""
    known = borders("ae\u0301x")
    assert known == [0, 1, 3, 4]
    assert widen(0, 1, known) == (0, 1)
    assert widen(1, 2, known) == (1, 3)
    assert widen(2, 3, known) == (1, 3)
    assert widen(2, 4, known) == (1, 4)
    assert widen(0, 2, known) == (0, 3)
    assert widen(5, 9, None) == (5, 9)


@given(TRICKY | st.text(max_size=12))
def test_every_grapheme_begins_at_a_border(text: str):
    """The oracle is the segmentation itself, without the shortcut for texts that need none."""
    expected = [match.start() for match in regex.finditer(r"\X", text)] + [len(text)]
    found = borders(text)
    assert (list(range(len(text) + 1)) if found is None else found) == expected


@given(TRICKY.filter(bool), st.data())
def test_widen_gives_the_smallest_range(text: str, data: st.DataObject):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    known = borders(text)
    all_borders = known if known is not None else list(range(len(text) + 1))
    expected = max(b for b in all_borders if b <= start), min(b for b in all_borders if b >= end)
    assert widen(start, end, known) == expected


@pytest.mark.parametrize("before", ["", "a", "\u0600", "e\u0301", "\u200d"])
@pytest.mark.parametrize("number", [1, 2, 63, 64, 65, 128, 129, 300])
def test_long_runs_of_flags_are_cut_between_flags(before: str, number: int):
    """As the one pass over the whole text has it."""
    text = before + "\U0001f1eb" * number + "b\U0001f1eb\U0001f1f7"
    expected = [match.start() for match in regex.finditer(r"\X", text)] + [len(text)]
    assert (borders(text) or list(range(len(text) + 1))) == expected


def test_the_quick_look_passes_over_no_character_that_joins():
    characters = "".join(chr(number) for number in range(0x110000) if not 0xD800 <= number < 0xE000)
    joining = {match.group() for match in graphemes._JOINING.finditer(characters)}
    assert len(joining) > 2_000
    assert joining <= set(graphemes._UNUSUAL.findall(characters))
