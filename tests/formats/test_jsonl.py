"""Our lossless form: what was written comes back, and what is wrong is named."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.documents import Cluster, Coverage, Document, Link, Question, Relation, Span
from spanbert.errors import DataError
from spanbert.formats import Reading, ReadReport, read_documents, write_documents
from spanbert.formats.jsonl import from_json, to_json

TEXT = "Marie Curie worked in Paris."
MARIE, PARIS = Span(0, 11, "PER", 0.9), Span(22, 27, "LOC")
FULL = Document(
    "d1",
    TEXT,
    (MARIE, PARIS),
    (Relation(MARIE, PARIS, "works_in", 0.25),),
    (Cluster((Span(0, 5, "span"), Span(6, 11, "span")), (Link(1, 0, 0.5),), 0.75),),
    (
        Question("q1", "Who?", (Span(0, 11, "answer"),), 0.125),
        Question("q2", "When?", (), None),
        Question("q3", "Why?", None, None),
    ),
    frozenset({"PER", "LOC"}),
    Coverage(28, 28, 1),
    {"source": "x", "n": [1, 2.5, None, {"a": "b"}]},
)
NOWHERE = "answers not found in the text (counted as right, not learnt from)"
MARIE_BEYOND = {"start": 1, "end": 99, "text": "Marie"}


def lines(tmp_path: Path, *content: object) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(c if isinstance(c, str) else json.dumps(c) for c in content) + "\n", encoding="utf-8")
    return path


def fault(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(read_documents(path))
    return str(caught.value).replace(str(path), "FILE")


def test_a_document_with_everything_comes_back(tmp_path: Path) -> None:
    assert from_json(to_json(FULL)) == FULL
    report = ReadReport()
    lost = write_documents([FULL, Document("d2", "")], tmp_path / "out.jsonl")
    assert list(read_documents(tmp_path / "out.jsonl", report=report)) == [FULL, Document("d2", "")]
    assert not lost
    assert report == ReadReport(documents=2, spans=2, place=report.place)


def test_what_is_left_out_has_a_default() -> None:
    document = from_json(
        {
            "id": "a",
            "text": TEXT,
            "spans": [{"start": 22, "end": 27, "score": None}],
            "questions": [{"id": "q", "question": "Where?", "answers": [{"start": 22, "end": 27}]}],
        }
    )
    assert document.spans == (Span(22, 27, "span"),)
    assert document.questions[0].answers == (Span(22, 27, "answer"),)


def test_indices_stay_right_when_duplicates_go() -> None:
    """Spans 0 and 1 are the same; relation 2 -> 1 must still mean Paris -> Marie, link 2 -> 1 must become 1 -> 0."""
    twice = [{"start": 0, "end": 11}, {"start": 0, "end": 12, "text": "Marie Curie "}, {"start": 22, "end": 27}]
    report = ReadReport()
    document = from_json(
        {
            "id": "a",
            "text": TEXT,
            "spans": twice,
            "relations": [{"head": 2, "tail": 1, "label": "r"}],
            "clusters": [{"spans": twice, "links": [{"from": 2, "to": 1}]}],
        },
        report,
    )
    marie, paris = Span(0, 11), Span(22, 27)
    assert document.spans == (marie, paris)
    assert document.relations == (Relation(paris, marie, "r"),)
    assert document.clusters == (Cluster((marie, paris), (Link(1, 0),)),)
    assert report.repaired == Counter({"spans trimmed of white space": 2, "spans given twice (removed)": 2})


def test_the_unit_of_offsets_is_one_for_spans_clusters_and_answers() -> None:
    """Only the answer has a copy; it shows that all offsets are UTF-16 units (the rocket takes two)."""
    document = from_json(
        {
            "id": "a",
            "text": "\U0001f680 Paris",
            "spans": [{"start": 3, "end": 8}],
            "questions": [{"id": "q", "question": "?", "answers": [{"start": 3, "end": 8, "text": "Paris"}]}],
        }
    )
    assert document.spans == (Span(2, 7),)


@pytest.mark.parametrize(
    ("answers", "kept", "texts", "told"),
    [
        ([(22, 99, "Paris")], ((22, 27),), (), "answers with a wrong end (now that of their text)"),
        ([(-1, 4, "Paris")], ((22, 27),), (), "answers moved to where the words stand"),
        ([(0, 5, "Paris")], ((22, 27),), (), "answers moved to where the words stand"),
        ([(22, 99, "Lyon")], None, ("Lyon",), NOWHERE),
        ([(22, 99, None)], None, (), "answers without a range in the text (left out)"),
        ([(5, 5, None)], None, (), "answers without a range in the text (left out)"),
        ([(11, 12, None)], None, (), "answers without a range in the text (left out)"),  # a space
        ([(0, 11, None), (22, 99, None)], ((0, 11),), (), "answers without a range in the text (left out)"),
    ],
)  # fmt: skip
def test_answers_out_of_range_do_not_stop_a_file(
    answers: list[tuple[int, int, str | None]],
    kept: tuple[tuple[int, int], ...] | None,
    texts: tuple[str, ...],
    told: str,
) -> None:
    """They are treated as in SQuAD files, and a question left without any is one of which nobody has said."""
    report = ReadReport()
    given = [{"start": a, "end": b, **({"text": text} if text else {})} for a, b, text in answers]
    (question,) = from_json(
        {"id": "a", "text": TEXT, "questions": [{"id": "q", "question": "?", "answers": given}]}, report
    ).questions
    assert question.answers == (kept and tuple(Span(a, b, "answer") for a, b in kept))
    assert question.texts == texts
    assert report.warned + report.repaired == Counter({told: 1})


def test_answers_that_spoil_a_record_cost_nothing_else() -> None:
    """What was repaired before the fault was found is counted once; n-best answers keep their score."""
    report = ReadReport()
    record = {
        "id": "a",
        "text": TEXT,
        "spans": [{"start": 0, "end": 12}],
        "questions": [
            {"id": "q", "question": "?", "answers": [{"start": 0, "end": 99}]},
            {"id": "r", "question": "?", "answers": [], "n_best": [{**MARIE_BEYOND, "score": 0.5}]},
        ],
    }
    document = from_json(record, report)
    assert document.spans == (Span(0, 11),)
    assert document.questions == (Question("q", "?"), Question("r", "?", (), n_best=(Span(0, 5, "answer", 0.5),)))
    assert report.repaired == Counter({"spans trimmed of white space": 1, "answers moved to where the words stand": 1})
    assert [note.what for note in report.notes if "trimmed" in note.what] == [
        "spans trimmed of white space: [0, 12) to [0, 11)"
    ]
    with pytest.raises(DataError, match=r"span \[1, 99\) ends after the text"):
        from_json(record, ReadReport(reading=Reading(strict=True)))


@pytest.mark.parametrize("unit", ["detected", "utf-16"])
def test_a_bad_answer_leaves_the_unit_of_the_others(unit: str) -> None:
    """The first Marie begins at code point 11, UTF-16 unit 21, where the second one begins in code points."""
    text = "\U0001f600" * 10 + " Marie and Marie"
    given = [
        {"start": 21, "end": 26, "text": "Marie"},
        {"start": 900, "end": 905},
        {"start": 27, "end": 30, "text": "and"},
        {"start": 40, "end": 45, "text": "and"},
    ]
    record = {
        "id": "d",
        "text": text,
        "questions": [{"id": str(n), "question": "?", "answers": [answer]} for n, answer in enumerate(given)],
    }
    report = ReadReport(reading=Reading(offset_unit=unit))
    first, none, *others = from_json(record, report).questions
    assert (first.answers, none.answers) == ((Span(11, 16, "answer"),), None)
    assert [question.answers for question in others] == [(Span(17, 20, "answer"),)] * 2
    assert report.repaired == {"spans converted from utf-16": 2, "answers moved to where the words stand": 1}


def test_a_bad_answer_leaves_inclusive_ends_of_the_spans() -> None:
    record = {
        "id": "a",
        "text": TEXT,
        "spans": [{"start": 0, "end": 10, "text": "Marie Curie"}],
        "questions": [{"id": "q", "question": "?", "answers": [{"start": 99, "end": 120}]}],
    }
    document = from_json(record)
    assert document.spans == (Span(0, 11),) and document.questions == (Question("q", "?"),)


def test_ids_are_made_and_told_apart(tmp_path: Path) -> None:
    """SHA-256 of 'a' begins ca978112ca1bbdca; the second of the same text gets its line."""
    report = ReadReport()
    path = lines(tmp_path, {"text": "a"}, {"text": "a"}, {"id": 7, "text": "b"})
    assert [d.id for d in read_documents(path, report=report)] == ["ca978112ca1bbdca", "ca978112ca1bbdca-2", "7"]
    assert report.repaired == Counter({"ids missing (made from the text)": 2, "ids given as numbers (now strings)": 1})


def test_blank_lines_and_arrays_are_accepted_and_counted(tmp_path: Path) -> None:
    report = ReadReport()
    assert [d.id for d in read_documents(lines(tmp_path, {"id": "a", "text": ""}, "", ""), report=report)] == ["a"]
    assert report.warned == Counter({"lines left blank": 2})
    report = ReadReport()
    array = lines(tmp_path, [{"id": "a", "text": ""}, {"id": "b", "text": ""}])
    assert [d.id for d in read_documents(array, report=report)] == ["a", "b"]
    assert report.warned == Counter({"files with a JSON array instead of lines": 1})


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ('{"id": "a", "text": "x", "span": []}', "unknown key 'span' in a document"),
        ('{"id": "a", "text": "x", "spans": [{"start": 0, "stop": 1}]}', "document 'a': unknown key 'stop' in a span"),
        ('{"id": "a"}', "a document without 'text'"),
        ('{"id": "a", "text": 3}', "'text' of a document is a number"),
        ('{"id": true, "text": ""}', "id True"),
        ('{"id": "", "text": ""}', "id ''"),
        ('{"id": "a", "id": "b", "text": ""}', "key 'id' stands twice in one object"),
        ('{"id": "a", "text": "x", "meta": {"n": NaN}}', "invalid JSON at column"),
        ('{"id": "a", "text": "\\ud83d"}', "invalid JSON at column"),
        ('{"id": "a", "text": "x"', "invalid JSON at column"),
        ('{"meta":' + "[" * 5000, "invalid JSON at column"),
        ('{"id": "a", "text": "x", "meta": [1]}', "'meta' is a list"),
        ('{"id": "a", "text": "x", "spans": {}}', "'spans' is an object"),
        ('{"id": "a", "text": "x", "spans": [{"start": 0, "end": 9}]}', "span [0, 9) ends after the text"),
        ('{"id": "a", "text": "x", "spans": [{"start": 0, "end": 1, "text": "y"}]}', "span [0, 1) 'span' is 'x' in"),
        ('{"id": "a", "text": "x", "relations": [{"head": 0, "tail": 0, "label": "r"}]}', "'head' is 0, and there are"),
        ('{"id": "a", "text": "x", "annotated": ["A", 3]}', "label 3 among 'annotated'"),
        ("[1]", "a document is a list"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, record: str, found: str) -> None:
    message = fault(lines(tmp_path, {"id": "first", "text": ""}, record))
    assert message.startswith("FILE:2")
    assert found in message


def test_the_whole_message_of_an_unknown_key(tmp_path: Path) -> None:
    assert fault(lines(tmp_path, {"id": "a", "text": "x", "span": []})) == (
        "FILE:1: unknown key 'span' in a document\n"
        "  expected: one of id, text, meta, spans, relations, clusters, questions, annotated, coverage\n"
        "  do this:  did you mean 'spans'?"
    )


def test_a_long_number_in_meta_is_not_rounded(tmp_path: Path) -> None:
    (document,) = read_documents(lines(tmp_path, {"id": "a", "text": "x", "meta": {"n": 10**30 + 1}}))
    assert document.meta == {"n": 10**30 + 1}


def test_a_number_of_thousands_of_digits_does_not_crash(tmp_path: Path) -> None:
    path = lines(tmp_path, '{"id": "a", "text": "x", "meta": {"n": ' + "9" * 5000 + "}}")
    assert "FILE:1: " in fault(path)


@pytest.mark.parametrize("value", [object(), float("nan"), {1: 2}])
def test_meta_that_is_not_json_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(DataError, match="`meta` cannot be written"):
        write_documents([Document("a", "x", meta={"when": value})], tmp_path / "out.jsonl")
    assert not list(tmp_path.iterdir())  # neither half a file nor a temporary one


LETTERS = st.sampled_from("ab\u00e9\u4e2d\U0001f680")
WORDS = st.text(LETTERS, min_size=1, max_size=8)
SCORES = st.none() | st.floats(0, 1)
LABELS = st.sampled_from(["A", "B-b", "\u00c4"])
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = " ".join(draw(st.lists(WORDS, min_size=1, max_size=4)))
    solid = [(a, b) for a in range(len(text)) for b in range(a + 1, len(text) + 1) if text[a:b].strip() == text[a:b]]
    places = st.sampled_from(solid)
    span = st.builds(lambda place, label, score: Span(*place, label, score), places, LABELS, SCORES)
    spans = st.lists(span, max_size=4, unique_by=lambda span: (span.start, span.end, span.label)).map(tuple)
    own = draw(spans)
    among = st.sampled_from(own) if own else st.nothing()
    relations = st.lists(st.builds(Relation, among, among, LABELS, SCORES), max_size=2 if own else 0)
    cluster = st.builds(lambda members, score: Cluster(members, (Link(0, 0),) if members else (), score), spans, SCORES)
    question = st.builds(Question, st.text("qr", min_size=1), st.text(max_size=5), st.none() | spans, SCORES)
    return Document(
        draw(st.text(min_size=1, max_size=5)),
        text,
        own,
        tuple(draw(relations)),
        tuple(draw(st.lists(cluster, max_size=2))),
        tuple(draw(st.lists(question, max_size=2))),
        draw(st.none() | st.frozensets(LABELS)),
        draw(st.none() | st.builds(Coverage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))),
        draw(st.dictionaries(st.text(max_size=3), VALUES, max_size=2)),
    )


@given(documents())
def test_from_json_inverts_to_json(document: Document) -> None:
    report = ReadReport()
    assert from_json(to_json(document), report) == document
    assert not report.repaired


@settings(max_examples=30)
@given(st.lists(documents(), max_size=3, unique_by=lambda document: document.id))
def test_reading_inverts_writing(tmp_path_factory: pytest.TempPathFactory, docs: list[Document]) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "out.jsonl.gz"
    write_documents(docs, path)
    if docs:
        assert list(read_documents(path)) == docs


@given(
    st.recursive(
        VALUES,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "text", "spans", "start", "end", "clusters", "relations", "questions"]),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_gives_a_document_or_a_data_error(value: object) -> None:
    try:
        assert isinstance(from_json(value), Document)
    except DataError as error:
        assert error.found and error.expected and error.fix


def test_faults_of_clusters_and_relations_are_counted(tmp_path: Path) -> None:
    """They are kept, as all is in this format, and told."""
    anna, she = {"start": 0, "end": 4}, {"start": 5, "end": 8}
    record = {
        "id": "a",
        "text": "Anna she",
        "spans": [{**anna, "label": "P"}, {**she, "label": "P"}],
        "relations": [
            {"head": 0, "tail": 1, "label": "is"},
            {"head": 0, "tail": 1, "label": "is"},
            {"head": 1, "tail": 1, "label": "is"},
        ],
        "clusters": [{"spans": [anna, she]}, {"spans": [she]}, {"spans": []}],
    }
    report = ReadReport()
    (document,) = read_documents(lines(tmp_path, json.dumps(record)), report=report)
    assert len(document.relations) == 3 and len(document.clusters) == 3
    assert report.warned == {
        "relations given twice": 1,
        "mentions in several chains": 1,
        "clusters without a mention": 1,
        "relations of a span with itself (not learnt)": 1,
    }
