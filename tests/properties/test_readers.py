"""Offsets in any unit come to mean the same characters, and what a format can hold comes back from it."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spanbert import durable
from spanbert.documents import Document, Relation, Span
from spanbert.errors import DataError
from spanbert.formats import Reading, ReadReport, read_documents, write_documents
from spanbert.formats.composed import composed
from spanbert.formats.offset_units import UNITS, convert
from spanbert.formats.repair import RawSpan, merge_duplicates, settle

from .texts import texts

LABELS = st.sampled_from(["PER", "B-b", "Ä", "a:b", "1", "日本", "<b>", "a;b", "O", "T1", "#"])


@pytest.fixture(scope="module", autouse=True)
def no_syncs() -> Iterator[None]:
    """Files are read back at once: the disk need not have them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "sync", lambda path: None)
        yield


def counted(text: str, unit: str) -> int:
    """How many units of a tool a text has."""
    if unit == "crlf-as-one":
        return len(text.replace("\r\n", "\n"))
    encodings = {"utf-16": ("utf-16-le", 2), "utf-8": ("utf-8", 1)}
    if unit in encodings:
        encoding, width = encodings[unit]
        return len(text.encode(encoding)) // width
    return len(text) + (unit == "after-byte-order-mark")


def starts(text: str, unit: str) -> list[int]:
    """The offsets at which a unit and a character begin together: all but the line feed of a CRLF."""
    inside = {i + 1 for i in range(len(text) - 1) if text[i : i + 2] == "\r\n"} if unit == "crlf-as-one" else set()
    return [i for i in range(len(text) + 1) if i not in inside]


@given(texts(), st.sampled_from(sorted(UNITS)))
def test_conversion_inverts_counting(text: str, unit: str):
    """Each character by its number of units; what lies inside one or outside the text is nowhere."""
    there = {counted(text[:place], unit): place for place in starts(text, unit)}
    end = counted(text, unit)
    for offset in range(-2, end + 3):
        after = there.get(offset + (unit == "inclusive-ends"), -1)
        assert convert(text, [((offset, offset),)], unit) == [((there.get(offset, -1), after),)]


@st.composite
def annotated(draw: st.DrawFn) -> Document:
    """A document whose spans need no repair."""
    text = draw(texts())
    raw = []
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, max(0, len(text) - 1)))
        raw.append((start, draw(st.integers(start + 1, start + 20)), draw(LABELS)))
    spans: list[Span] = []
    for start, end, label in raw:
        try:
            spans += settle(text, [RawSpan(start, min(end, len(text)), label)], ReadReport())
        except DataError:  # white space only
            continue
    spans = list(dict.fromkeys(merge_duplicates(spans, ReadReport())))
    relations = tuple(Relation(draw(st.sampled_from(spans)), span, draw(LABELS)) for span in spans[:2])
    return Document("d", text, tuple(spans), relations)


@given(annotated(), st.sampled_from(sorted(UNITS)), st.booleans())
def test_spans_in_any_unit_mean_the_same(document: Document, unit: str, named: bool):
    """Named, or found out by the copies: the same characters, whatever the tool counts."""
    text = document.text
    places = {edge for span in document.spans for edge in (span.start, span.end)}
    assume(document.spans and places <= set(starts(text, unit)))
    less = unit == "inclusive-ends"
    raw = [
        RawSpan(
            counted(text[: s.start], unit), counted(text[: s.end], unit) - less, s.label, copy=text[s.start : s.end]
        )
        for s in document.spans
    ]
    report = ReadReport(Reading(offset_unit=unit) if named else Reading())
    found = settle(text, raw, report)
    assert [text[span.start : span.end] for span in found] == [text[s.start : s.end] for s in document.spans]
    if named:
        assert found == list(document.spans)


@given(annotated())
def test_composing_moves_every_offset_with_its_character(document: Document):
    made = composed(document)
    assert made.text == unicodedata.normalize("NFC", document.text)
    for before, after in zip(document.spans, made.spans, strict=True):
        expected = unicodedata.normalize("NFC", document.text[before.start : before.end])
        assert (made.text[after.start : after.end], after.label) == (expected, before.label)


# there and back

HOLDS = {
    "jsonl": lambda d: (d.id, d.text, d.spans, d.relations),
    "label-studio": lambda d: (d.id, d.text, d.spans, d.relations),
    "brat": lambda d: (d.id, d.text, set(d.spans), set(d.relations)),
    "text": lambda d: (d.id, d.text),
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("there and back")


def there_and_back(work: Path, form: str, document: Document) -> tuple[list[Document], ReadReport]:
    shutil.rmtree(work / "out", ignore_errors=True)
    (work / "out").mkdir()
    path, report = work / "out" / "o", ReadReport()
    write_documents([document], path, form)
    return list(read_documents(path, form, report)), report


@pytest.mark.parametrize("form", HOLDS)
@given(annotated())
def test_what_a_format_holds_comes_back(work: Path, form: str, document: Document):
    """Files of text cannot begin with a byte order mark or like a program; nor hold many zeros."""
    if form in ("brat", "text"):
        assume(not document.text.startswith(("\ufeff", "%PDF")) and "\x00" not in document.text)
        assume(document.text or form == "brat")
    (back,), report = there_and_back(work, form, document)
    assert HOLDS[form](back) == HOLDS[form](document)
    assert not report.repaired


@given(annotated())
def test_columns_give_back_words_and_spans(work: Path, document: Document):
    """The white space between tokens is not in the file; spans that overlap cannot be; many zeros are no text."""
    assume("\x00" not in document.text)
    ends = 0
    kept = []
    for span in sorted(document.spans, key=lambda span: span.start):
        if span.start >= ends:
            kept.append(span)
            ends = span.end
    assume(kept and "-DOCSTART-" not in document.text and not set("".join(document.text.split())) <= {"#"})
    check_columns(work, Document("d", document.text, tuple(kept)))


def check_columns(work: Path, flat: Document) -> None:
    back, _ = there_and_back(work, "conll", flat)
    assert ["".join(one.text.split()) for one in back] == ["".join(flat.text.split())]
    found = [("".join(back[0].text[s.start : s.end].split()), s.label) for s in back[0].spans]
    assert found == [("".join(flat.text[s.start : s.end].split()), s.label) for s in flat.spans]


@pytest.mark.parametrize("text", ["Anna -DOCSTART-", "# #"])
def test_words_that_mean_something_in_columns(work: Path, text: str):
    """The first would begin a document in the middle of this one, and vanish: it is refused in writing. The second
    looks like a comment through and through, and is read all the same."""
    try:
        check_columns(work, Document("d", text, (Span(0, 1, "X"),)))
    except DataError as error:
        assert "cannot" in error.found


def test_a_span_that_begins_with_white_space_in_columns(work: Path):
    """A space may be one character with the mark that follows it, and spans made by hand may begin with one."""
    check_columns(work, Document("d", " \U0001f3fb", (Span(0, 2, "PER"),)))
    check_columns(work, Document("d", "by Anna now", (Span(2, 8, "PER"),)))
    with pytest.raises(DataError, match="of white space, which columns cannot hold"):
        check_columns(work, Document("d", "by Anna", (Span(2, 3, "PER"),)))
