"""The data model refuses what is wrong in exact words, and has one JSON form."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from spanbert.documents import (
    Cluster,
    Coverage,
    Document,
    Link,
    Question,
    Relation,
    Span,
    check_text,
    only_documents,
)
from spanbert.errors import DataError, UsageError
from spanbert.formats.jsonl import to_json

TEXT = "Marie Curie worked in Paris."
MARIE, PARIS = Span(0, 11, "PER"), Span(22, 27, "LOC")


def words(action: object, *arguments: object, **fields: object) -> str:
    with pytest.raises(DataError) as caught:
        action(*arguments, **fields)
    return str(caught.value)


@pytest.mark.parametrize(("start", "end"), [(3, 3), (4, 3), (-1, 3), (0, 0), (0.0, 3), (False, 3), ("0", 3), (0, None)])
def test_a_span_is_a_range(start: object, end: object):
    assert words(Span, start, end) == (
        f"span [{start!r}, {end!r}) is not a range of characters\n"
        "  expected: whole numbers with 0 <= start < end\n"
        "  do this:  offsets are code points, end exclusive: check the tool that wrote them"
    )


def test_the_smallest_span_is_one_character():
    assert dataclasses.astuple(Span(0, 1)) == (0, 1, "span", None, ())


@pytest.mark.parametrize("label", ["", "a b", "a\tb", "a\x00", "a\u2028b", "x" * 101, 7, None])
def test_a_label_is_a_word(label: object):
    assert words(Span, 0, 1, label).splitlines() == [
        f"label {label!r} of span [0, 1)",
        "  expected: 1 to 100 characters without white space or control characters",
        "  do this:  rename the label, for example with '_' for a space",
    ]


@pytest.mark.parametrize("label", ["x", "x" * 100, "Ämter/1.2-b", "日付", "a\u00adb"])
def test_labels_may_be_any_word(label: str):
    assert Span(0, 1, label).label == label


@pytest.mark.parametrize("score", [-0.001, 1.001, float("nan"), float("inf")])
def test_a_score_is_a_probability(score: float):
    assert words(Span, 2, 5, "A", score).splitlines() == [
        f"score {score!r} of span [2, 5)",
        "  expected: a probability between 0 and 1",
        "  do this:  leave the score out where there is none",
    ]


@pytest.mark.parametrize("score", [0.0, 1.0, 0, 1, None])
def test_scores_at_the_borders(score: float | None):
    assert Span(2, 5, "A", score).score == score


@pytest.mark.parametrize(
    "fields",
    [
        {"spans": (Span(27, 29),)},
        {"clusters": (Cluster((Span(0, 5), Span(27, 29))),)},
        {"questions": (Question("q", "?"), Question("r", "?", (Span(27, 29),)))},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_span_ends_in_the_text(fields: dict[str, object]):
    """The text has 28 characters, so [27, 28) is its last one."""
    assert words(Document, "d", TEXT, **fields).splitlines() == [
        "document 'd': span [27, 29) ends after the text (28 characters)",
        "  expected: offsets in Unicode code points of this very text, end exclusive",
        "  do this:  check whether the offsets are UTF-8 bytes, UTF-16 units or belong to another text",
    ]
    assert Document("d", TEXT, (Span(27, 28),)).spans[0].end == len(TEXT)


def test_the_arguments_of_a_relation_are_among_the_spans():
    message = words(Document, "d", TEXT, (MARIE,), (Relation(MARIE, PARIS, "in"),))
    assert message.splitlines() == [
        "document 'd': relation 'in' has an argument that is not among the document's spans",
        "  expected: head and tail are two of `spans`",
        "  do this:  add the argument to `spans`",
    ]
    assert "relation 'in'" in words(Document, "d", TEXT, (MARIE,), (Relation(PARIS, MARIE, "in"),))
    assert Document("d", TEXT, (MARIE, PARIS), (Relation(MARIE, PARIS, "in"),)).relations


@pytest.mark.parametrize(("text", "unit", "place"), [("ab\ud83d", "D83D", 2), ("\ude00x", "DE00", 0)])
def test_half_a_surrogate_pair_is_refused(text: str, unit: str, place: int):
    assert words(check_text, text).splitlines() == [
        f"half a surrogate pair (U+{unit}) at character {place}",
        "  expected: text in whole Unicode characters",
        "  do this:  repair the export that split the character, or replace it with U+FFFD",
    ]
    assert words(Document, "d", text).startswith("document 'd': half a surrogate pair")


@pytest.mark.parametrize("text", ["", "\x00", "\ufeff", "\r\n", "\U0001f600", "e\u0301", "\uffff"])
def test_all_other_text_is_kept(text: str):
    assert Document("d", text).text == text


def test_documents_are_frozen_values():
    one, other = (Document("d", TEXT, (MARIE,), meta={"list": [1]}) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.text = ""  # type: ignore[misc]


def test_coverage_is_complete_when_all_was_read():
    assert Coverage(5, 5, 1).complete
    assert Coverage(0, 0, 0).complete
    assert not Coverage(4, 5, 1).complete


def test_the_smallest_json_form():
    assert to_json(Document("d", "")) == {"id": "d", "text": ""}


def test_the_whole_json_form():
    """Relations and links by index; keys in the order of the contract; `score` only where there is one."""
    marie, curie = Span(0, 5, "PER", 0.5), Span(6, 11, "PER", parts=((6, 8), (9, 11)))
    document = Document(
        "d",
        TEXT,
        (marie, curie, PARIS),
        (Relation(PARIS, marie, "of", 0.25), Relation(marie, curie, "is")),
        (Cluster((Span(0, 5), Span(6, 11)), (Link(1, 0, 0.75), Link(0, 1)), 1.0), Cluster((PARIS,))),
        (
            Question("q1", "Who?", (Span(0, 11, "answer"),), 0.125),
            Question("q2", "When?", ()),
            Question("q3", "Why?"),
        ),
        frozenset({"PER", "LOC"}),
        Coverage(27, 28, 2),
        {"source": "x"},
    )
    first, second = {"start": 0, "end": 5, "label": "span"}, {"start": 6, "end": 11, "label": "span"}
    paris = {"start": 22, "end": 27, "label": "LOC", "text": "Paris"}
    record = to_json(document)
    assert record == {
        "id": "d",
        "text": TEXT,
        "meta": {"source": "x"},
        "spans": [
            {"start": 0, "end": 5, "label": "PER", "score": 0.5, "text": "Marie"},
            {"start": 6, "end": 11, "label": "PER", "parts": [[6, 8], [9, 11]], "text": "Curie"},
            paris,
        ],
        "relations": [{"head": 2, "tail": 0, "label": "of", "score": 0.25}, {"head": 0, "tail": 1, "label": "is"}],
        "clusters": [
            {
                "spans": [{**first, "text": "Marie"}, {**second, "text": "Curie"}],
                "links": [{"from": 1, "to": 0, "score": 0.75}, {"from": 0, "to": 1}],
                "score": 1.0,
            },
            {"spans": [paris]},
        ],
        "questions": [
            {
                "id": "q1",
                "question": "Who?",
                "answers": [{"start": 0, "end": 11, "label": "answer", "text": "Marie Curie"}],
                "no_answer": 0.125,
            },
            {"id": "q2", "question": "When?", "answers": []},
            {"id": "q3", "question": "Why?"},
        ],
        "annotated": ["LOC", "PER"],
        "coverage": {"characters_read": 27, "characters": 28, "windows": 2},
    }
    order = ("id", "text", "meta", "spans", "relations", "clusters", "questions", "annotated", "coverage")
    assert tuple(record) == order


def test_a_relation_points_to_the_first_of_equal_spans():
    document = Document("d", TEXT, (PARIS, MARIE, MARIE), (Relation(MARIE, PARIS, "in"),))
    assert to_json(document)["relations"] == [{"head": 1, "tail": 0, "label": "in"}]


def test_nothing_annotated_is_not_all_annotated():
    assert to_json(Document("d", "", annotated=frozenset()))["annotated"] == []
    assert "annotated" not in to_json(Document("d", ""))


def test_offsets_are_code_points():
    """The rocket is one code point, two UTF-16 units and four bytes."""
    assert to_json(Document("d", "\U0001f680 Paris", (Span(2, 7),)))["spans"][0]["text"] == "Paris"
    assert re.search(r"\(7 characters\)", words(Document, "d", "\U0001f680 Paris", (Span(3, 8),)))


def test_a_document_has_an_id():
    """One without could be written, and not read again."""
    with pytest.raises(DataError, match="empty id"):
        Document("", "x")


def test_what_is_held_is_made_to_stay():
    """A stream is read once, a list may change: documents hold tuples."""
    document = Document("a", TEXT, (span for span in [MARIE, PARIS]), annotated=["PER"])  # type: ignore[arg-type]
    assert document.spans == (MARIE, PARIS) and document.annotated == {"PER"}
    question = Question("q", "Who?", iter([MARIE]), texts=["Curie"])  # type: ignore[arg-type]
    assert question.answers == (MARIE,) and question.texts == ("Curie",)
    assert Cluster([MARIE, PARIS], [Link(1, 0)]).links == (Link(1, 0),)  # type: ignore[arg-type]


def test_numbers_of_other_libraries_become_ours():
    span = Span(np.int64(0), np.int32(5), "PER", np.float64(0.5))  # type: ignore[arg-type]
    assert [type(value) for value in (span.start, span.end, span.score)] == [int, int, float]
    assert span == Span(0, 5, "PER", 0.5)
    assert Span(0, 5, parts=[[0, 2], [3, 5]]).parts == ((0, 2), (3, 5))  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"id": 7}, "id 7 of a document"),
        ({"spans": None}, "spans = None"),
        ({"spans": MARIE}, "spans = Span(start=0"),
        ({"spans": [(0, 5, "PER")]}, "spans = [(0, 5, 'PER')]"),
        ({"spans": "PER"}, "spans = 'PER'"),
        ({"annotated": "PER"}, "annotated = 'PER'"),
        ({"meta": None}, "meta that is NoneType"),
    ],
)
def test_what_is_no_document_is_told(fields: dict[str, object], found: str):
    assert words(Document, **{"id": "a", "text": TEXT, **fields}).removeprefix("document 'a': ").startswith(found)


def test_what_is_no_question_cluster_or_span_is_told():
    assert words(Question, "", "Who?").startswith("a question with an empty id")
    assert words(Question, "q", None).startswith("text that is NoneType")
    assert words(Question, "q", "Who?", texts="Curie").startswith("texts = 'Curie'")
    assert words(Question, "q", "Who?", no_answer=7).startswith("score 7 of question 'q'")
    assert words(Cluster, (MARIE,), (Link(0, 1),)).startswith("a link from 0 to 1 in a cluster of 1")
    assert words(Span, 0, 5, score=True).startswith("score True of span [0, 5)")
    for parts in ((0, 5), ((), ()), ((0, 2, 5),)):
        assert "parts in the order of the text" in words(Span, 0, 5, parts=parts)


@pytest.mark.parametrize("given", ["text", Document("a", TEXT), None, {"id": "a"}, ["text"], [{"id": "a"}], [None]])
def test_only_documents_are_taken_for_documents(given: object):
    with pytest.raises(UsageError, match="document"):
        list(only_documents(given))  # type: ignore[arg-type]


def test_a_document_that_nobody_has_looked_at():
    assert Document("a", TEXT).unannotated and Document("a", TEXT, (MARIE,), annotated=frozenset()).unannotated
    assert not Document("a", TEXT, (MARIE,)).unannotated and not Document("a", TEXT, annotated={"PER"}).unannotated
