"""Texts as odd as texts can be, for the properties in this folder."""

from __future__ import annotations

from hypothesis import strategies as st

ODD = (
    "e\u0301", "Zo\u0308e", "\u0345\u0301", "\u1100\u1161\u11a8", "\u0cc6\u0cc2", "👩\u200d👩\u200d👧", "🇫🇷", "👍🏽",
    "שלום", "\u202eabc\u202c", "\u2066x\u2069", "a\u200bb", "\u00ad", "\u00a0", "\u3000", "\r\n", "\r", "\n", "\t",
    "\x00", "\x1b[2J", "\x85", "\u2028", "\ufeff", "\ufffd", "\U0010ffff", "東京", "ﬁ", "İ", "ß", "ǆ", "𝔘", "²", "٣",
    "…", "[MASK]", "[CLS]", "##able", "x" * 120, "<b>", "&amp;", "''", "-", "-DOCSTART-", "# id = 1", "#", "O",
    "B-X", "T1", ";", "%PDF", "\\u0041", '"', "¿?",
)  # fmt: skip
PLAIN = ("Anna", "Bert", "Acme", "Corp", "the", "met", "undo", "house", ".", ",", " ", " ", " ")


def texts(longest: int = 12) -> st.SearchStrategy[str]:
    """Plain words, odd ones and any character, one after another."""
    any_character = st.characters(exclude_categories=["Cs"])
    return st.lists(st.sampled_from(PLAIN) | st.sampled_from(ODD) | any_character, max_size=longest).map("".join)
