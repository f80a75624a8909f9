"""The policy table of data validation, case by case; each expected offset is counted by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Span
from spanbert.errors import DataError
from spanbert.formats import Reading, ReadReport
from spanbert.formats.repair import RawSpan, merge_duplicates, settle, survey_text, warn_of_crossing

FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"  # 5 code points, 8 UTF-16 units, one grapheme


def one(text: str, start: object, end: object, **more: object) -> tuple[Span, ReadReport]:
    report = ReadReport()
    (span,) = settle(text, [RawSpan(start, end, **more)], report)  # type: ignore[arg-type]
    return span, report


def refused(text: str, start: object, end: object, **more: object) -> str:
    with pytest.raises(DataError) as caught:
        one(text, start, end, **more)
    return caught.value.found


def test_a_good_span_is_left_alone() -> None:
    span, report = one("in Paris.", 3, 8, label="LOC", score=0.5, copy="Paris")
    assert span == Span(3, 8, "LOC", 0.5)
    assert report == ReadReport()


@pytest.mark.parametrize(
    ("start", "end", "what"),
    [(3.0, 8, "offsets written as decimal numbers"), (3, "8", "offsets written as strings")],
)
def test_numbers_in_another_dress_are_repaired(start: object, end: object, what: str) -> None:
    span, report = one("in Paris.", start, end)
    assert (span.start, span.end) == (3, 8)
    assert report.repaired == Counter({what: 1})


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (True, 8, "start True is not a whole number"),
        (3.5, 8, "start 3.5 is not a whole number"),
        (None, 8, "start None is not a whole number"),
        (float("nan"), 8, "start nan is not a whole number"),
        (3, "8x", "end '8x' is not a whole number"),
        (-1, 8, "span [-1, 8) is not a range of characters"),
        (8, 3, "span [8, 3) is not a range of characters"),
        (3, 3, "span [3, 3) is empty"),
        (3, 10, "span [3, 10) ends after the text (9 characters)"),
        (2, 3, "span [2, 3) holds white space only"),
    ],
)
def test_offsets_that_no_repair_can_save(start: object, end: object, found: str) -> None:
    assert refused("in Paris.", start, end) == found


def test_labels_and_scores_are_checked() -> None:
    assert refused("Paris", 0, 5, label="A B") == "label 'A B' of span [0, 5)"
    assert refused("Paris", 0, 5, label=7) == "label 7 of span [0, 5)"
    assert refused("Paris", 0, 5, score=1.5) == "score 1.5 of span [0, 5)"
    assert refused("Paris", 0, 5, score=True) == "score True of span [0, 5)"
    assert refused("Paris", 0, 5, score=float("nan")) == "score nan of span [0, 5)"


def test_white_space_of_every_kind_is_trimmed() -> None:
    """NBSP, Paris, ideographic space, CRLF: of [0, 9) only [1, 6) is left."""
    span, report = one("\u00a0Paris\u3000\r\n.", 0, 9)
    assert (span.start, span.end) == (1, 6)
    assert report.repaired == Counter({"spans trimmed of white space": 1})
    assert report.notes[0].what == "spans trimmed of white space: [0, 9) to [1, 6)"


def test_an_end_between_return_and_line_feed_counts_as_trimming_only() -> None:
    span, report = one("Paris\r\n.", 0, 6)
    assert (span.start, span.end) == (0, 5)
    assert report.repaired == Counter({"spans trimmed of white space": 1})


def test_ends_that_are_the_last_character_are_found_out() -> None:
    """Where every span carries its text; without, a shift by one might be anything."""
    report = ReadReport()
    raw = [RawSpan(0, 3, "PER", copy="Anna"), RawSpan(5, 5, "X", copy="a")]
    assert settle("Anna a", raw, report) == [Span(0, 4, "PER"), Span(5, 6, "X")]
    assert report.repaired == Counter({"spans converted from inclusive-ends": 2})
    with pytest.raises(DataError, match="in its copy"):
        settle("Anna a", [*raw, RawSpan(0, 3, "PER")], ReadReport())
    named = ReadReport(Reading(offset_unit="inclusive-ends"))
    assert settle("Anna a", [RawSpan(0, 3, "PER")], named) == [Span(0, 4, "PER")]


def test_a_cut_grapheme_is_widened() -> None:
    """`cafe` and a combining accent: the end moves from 4 to 5; inside the family from 1 to 5 = the whole of it."""
    span, report = one("cafe\u0301 x", 0, 4)
    assert (span.start, span.end) == (0, 5)
    assert report.repaired == Counter({"spans widened to whole graphemes": 1})
    assert one(FAMILY, 2, 3)[0] == Span(0, 5)


def test_duplicates_become_the_first() -> None:
    report = ReadReport()
    merged = merge_duplicates([Span(0, 2, "A", 0.5), Span(0, 2, "B"), Span(0, 2, "A", 0.9)], report)
    assert merged == [Span(0, 2, "A", 0.5), Span(0, 2, "B"), Span(0, 2, "A", 0.5)]
    assert report.repaired == Counter({"spans given twice (removed)": 1})


def test_crossing_is_warned_of_but_not_nesting_or_touching() -> None:
    report = ReadReport()
    warn_of_crossing([Span(0, 5), Span(1, 3), Span(0, 3), Span(5, 7)], report)
    assert not report.warned
    warn_of_crossing([Span(3, 8), Span(0, 5)], report)
    assert report.warned == Counter({"spans crossing another": 1})
    assert report.notes[0].what == "spans crossing another: [3, 8) span and [0, 5) span"


def test_invisible_edges_and_odd_characters_are_warned_of() -> None:
    _, report = one("a\u200b b", 0, 2)
    survey_text("x\x00y\u202e", report)
    assert report.warned == Counter(
        {
            "spans with an invisible character at an edge": 1,
            "documents with control characters": 1,
            "documents with bidi controls": 1,
        }
    )


def test_parts_are_kept_and_warned_of() -> None:
    span, report = one("acute and chronic pain", 0, 22, parts=[[0, 5], [18, 22]], copy="acute pain")
    assert span == Span(0, 22, "span", None, ((0, 5), (18, 22)))
    assert report.warned == Counter({"spans of several parts (trained as one range)": 1})


@pytest.mark.parametrize("parts", [[[0, 5], [17, 20]], [[0, 8], [6, 22]], [[18, 22], [0, 5]]])
def test_parts_that_do_not_fit_the_span(parts: object) -> None:
    assert refused("acute and chronic pain", 0, 22, parts=parts).startswith("parts [[")


def test_offsets_in_utf16_units_are_found_out_by_the_copies() -> None:
    """The rocket takes two units: Paris is at code points [2, 7) and at units [3, 8); x has no copy and moves too."""
    report = ReadReport()
    spans = settle("\U0001f680 Paris x", [RawSpan(3, 8, copy="Paris"), RawSpan(9, 10)], report)
    assert spans == [Span(2, 7), Span(8, 9)]
    assert report.repaired == Counter({"spans converted from utf-16": 2})


def test_offsets_in_utf8_bytes_are_found_out() -> None:
    """`é` takes two bytes: Paris is at code points [2, 7) and at bytes [3, 8)."""
    span, report = one("é Paris", 3, 8, copy="Paris")
    assert span == Span(2, 7)
    assert report.repaired == Counter({"spans converted from utf-8": 1})


def test_offsets_that_count_a_line_end_once_are_found_out() -> None:
    span, report = one("a\r\nb\r\nParis", 4, 9, copy="Paris")
    assert span == Span(6, 11)
    assert report.repaired == Counter({"spans converted from crlf-as-one": 1})


def test_offsets_that_count_the_byte_order_mark_are_found_out() -> None:
    span, report = one("in Paris", 4, 9, copy="Paris")
    assert span == Span(3, 8)
    assert report.repaired == Counter({"spans converted from after-byte-order-mark": 1})


def test_a_unit_that_is_named_is_believed() -> None:
    """No copy says so; and where a copy contradicts, or an offset is inside a character, that is an error."""
    text, reading = "\U0001f680 Paris", Reading(offset_unit="utf-16")
    report = ReadReport(reading)
    assert settle(text, [RawSpan(3, 8)], report) == [Span(2, 7)]
    assert report.repaired == Counter({"spans converted from utf-16": 1})
    report = ReadReport(reading)
    assert settle("a Paris", [RawSpan(2, 7)], report) == [Span(2, 7)]
    assert not report.repaired
    with pytest.raises(DataError, match=r"span \[1, 8\) is not a range of the text counted in utf-16"):
        settle(text, [RawSpan(1, 8)], ReadReport(reading))
    with pytest.raises(DataError, match="'Pari' in the text, but 'aris' in its copy"):
        settle(text, [RawSpan(3, 7, copy="aris")], ReadReport(reading))
    with pytest.raises(DataError, match="code-points"):
        settle(text, [RawSpan(3, 8, copy="Paris")], ReadReport(Reading(offset_unit="code-points")))


def test_labels_are_composed() -> None:
    span, report = one("in Paris", 3, 8, label="lie\u0301")
    assert span.label == "li\u00e9"
    assert report.repaired == Counter({"labels with separate accents (composed)": 1})


@pytest.mark.parametrize(
    ("inside", "odd"),
    [
        ("Paris,", True), (": Paris", True), ("(Paris", True), ("Paris)", True), ("f(x)", False), ("(Paris)", False),
        ("Yahoo!", False), ("Inc.", False), ("a (b) c", False), ("a) (b", False), ("\u201cParis", True),
    ],
)  # fmt: skip
def test_odd_edges_are_doubted(inside: str, odd: bool) -> None:
    span, report = one(f"x {inside} x", 2, 2 + len(inside))
    assert span == Span(2, 2 + len(inside))
    assert report.warned == Counter({"spans with a separator or half a pair of brackets at an edge": 1} if odd else {})


def test_one_unit_for_all_spans_or_none() -> None:
    """Paris fits as UTF-16 units only, Rome as code points only: the document contradicts itself."""
    report = ReadReport()
    with pytest.raises(DataError) as caught:
        settle("\U0001f680 Paris Rome", [RawSpan(8, 12, copy="Rome"), RawSpan(3, 8, copy="Paris")], report)
    assert caught.value.found == "span [3, 8) 'span' is 'aris ' in the text, but 'Paris' in its copy"


def test_a_copy_may_differ_in_white_space() -> None:
    assert one("New\r\nYork", 0, 9, copy="New York")[0] == Span(0, 9)


@pytest.mark.parametrize("start", [3.0, "3"])
def test_strict_refuses_what_would_be_repaired(start: object) -> None:
    with pytest.raises(DataError, match="--strict"):
        settle("in Paris.", [RawSpan(start, 8)], ReadReport(Reading(strict=True)))


@given(st.text(alphabet="a é\u0301\r\n\u00a0\u200d\U0001f469", max_size=12), st.integers(0, 12), st.integers(1, 12))
def test_whatever_comes_out_needs_no_second_repair(text: str, start: int, width: int) -> None:
    try:
        span, _ = one(text, start, start + width)
    except DataError:
        return
    again, report = one(text, span.start, span.end, copy=text[span.start : span.end])
    assert again == span
    assert not report.repaired


@given(st.text(alphabet="ab \U0001f680é", min_size=1, max_size=10), st.data())
def test_utf16_conversion_inverts_encoding(text: str, data: st.DataObject) -> None:
    """Whatever unit is chosen, the copy says the truth afterwards."""
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    units = [len(text[:offset].encode("utf-16-le")) // 2 for offset in (start, end)]
    copy = text[start:end]
    if not copy.strip():
        return
    span, _ = one(text, *units, copy=copy)
    assert text[span.start : span.end] == copy.strip()
