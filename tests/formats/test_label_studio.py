"""Label Studio: both exports, what is left out, and the way back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.documents import Coverage, Document, Relation, Span
from spanbert.errors import DataError
from spanbert.formats import ReadReport, read_documents, write_documents

TEXT = "Marie Curie worked in Paris."
MARIE, PARIS = Span(0, 11, "PER"), Span(22, 27, "LOC")


def region(identifier: str, start: object, end: object, copy: str, *labels: str) -> dict:
    value = {"start": start, "end": end, "text": copy, "labels": list(labels)}
    return {"id": identifier, "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def task(*results: dict, text: str = TEXT, **more: object) -> dict:
    annotation = {"id": 5, "was_cancelled": False, "ground_truth": False, "result": list(results)}
    return {"id": 1, "data": {"text": text}, "annotations": [annotation], "predictions": [], **more}


def read(tmp_path: Path, tasks: object, report: ReadReport | None = None) -> list[Document]:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return list(read_documents(path, report=report))


def fault(tmp_path: Path, tasks: object) -> str:
    with pytest.raises(DataError) as caught:
        read(tmp_path, tasks)
    return f"{caught.value.place.removeprefix(str(tmp_path))}: {caught.value.found}"


A, B = region("a", 0, 11, "Marie Curie", "PER"), region("b", 22, 27, "Paris", "LOC", "GPE")


def test_the_full_export(tmp_path: Path) -> None:
    link = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "left", "labels": ["of"]}
    both = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "bi"}
    (document,) = read(tmp_path, [task(A, B, link, both)])
    assert document == Document(
        "1",
        TEXT,
        (MARIE, PARIS, Span(22, 27, "GPE")),
        (
            Relation(PARIS, MARIE, "of"),
            Relation(MARIE, PARIS, "relation"),
            Relation(PARIS, MARIE, "relation"),
        ),
    )


def test_the_small_export(tmp_path: Path) -> None:
    small = {"id": 3, "text": TEXT, "label": [A["value"]], "annotator": 1, "annotation_id": 2, "created_at": "x"}
    assert read(tmp_path, [small]) == [Document("3", TEXT, (MARIE,))]


def test_other_fields_of_the_data_are_kept(tmp_path: Path) -> None:
    (document,) = read(tmp_path, [task(data={"body": TEXT, "page": 7})])
    assert (document.text, document.meta) == (TEXT, {"page": 7})


def test_which_annotation_is_read_and_what_is_counted(tmp_path: Path) -> None:
    cancelled = {"was_cancelled": True, "result": [A]}
    first, truth = {"result": [A]}, {"ground_truth": True, "result": [B]}
    report = ReadReport()
    choice = {"type": "choices", "value": {"choices": ["x"]}}
    chosen, other, none = read(
        tmp_path,
        [
            {"id": 1, "data": {"text": TEXT}, "annotations": [cancelled, first, truth], "predictions": [{}, {}]},
            task(A, choice, id=2),
            {"id": 3, "data": {"text": TEXT}, "annotations": [cancelled]},
        ],
        report,
    )
    assert chosen.spans == (PARIS, Span(22, 27, "GPE"))
    assert (other.spans, other.annotated) == ((MARIE,), None)
    assert (none.spans, none.annotated) == ((), frozenset())
    assert report.warned == Counter(
        {
            "predictions (not read)": 2,
            "annotations cancelled (not read)": 2,
            "annotations beside the chosen one (not read)": 1,
            "results of type 'choices' (not read)": 1,
        }
    )


def test_drifted_offsets_are_converted(tmp_path: Path) -> None:
    """The rocket takes two units in JavaScript: x is at code point 2 and at unit 3."""
    report = ReadReport()
    (document,) = read(tmp_path, [task(region("a", 3, 4, "x", "X"), text="\U0001f680 x")], report)
    assert document.spans == (Span(2, 3, "X"),)
    assert report.repaired == Counter({"spans converted from utf-16": 1})


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        (
            [task(id=4), task({"id": "h", "type": "hypertextlabels", "value": {"globalOffsets": {}}})],
            "/export.json, task 2, document '1': a region of an HTML task",
        ),
        (
            [task({"type": "labels", "value": {"start": "/p[1]", "globalOffsets": {}}})],
            "/export.json, task 1, document '1': a region of an HTML task",
        ),
        (
            [task(A, {"type": "relation", "from_id": "a", "to_id": "z"})],
            "/export.json, task 1, document '1': a relation with 'z', which is not there",
        ),
        ([task(data={"a": "x", "b": "y"})], "/export.json, task 1, document '1': text under none of a, b"),
        ([task(), 3], "/export.json, task 2: a task is a number"),
        (
            [task(region("a", 0, 5, "Curie", "PER"))],
            "/export.json, task 1, document '1': span [0, 5) 'PER' is 'Marie' in the text, but 'Curie' in its copy",
        ),
    ],
)
def test_bad_tasks_are_named(tmp_path: Path, tasks: object, found: str) -> None:
    assert fault(tmp_path, tasks) == found


def test_a_cut_off_export_is_named(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task(A)], indent=1)[:-40], encoding="utf-8")
    with pytest.raises(DataError, match=r"export.json: invalid JSON at line \d+, column"):
        list(read_documents(path))


def test_what_is_written(tmp_path: Path) -> None:
    """A span with a score is a prediction, one without is an annotation; a relation between the two has no place."""
    guess = Span(22, 27, "LOC", 0.75)
    document = Document("d", TEXT, (MARIE, guess), (Relation(MARIE, guess, "in"),), meta={"k": 1})
    lost = write_documents([document], tmp_path / "out.json", "label-studio")
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == [
        {
            "data": {"document_id": "d", "text": TEXT, "meta": {"k": 1}},
            "annotations": [{"result": [region("s0", 0, 11, "Marie Curie", "PER")]}],
            "predictions": [
                {
                    "model_version": "spanbert",
                    "result": [{**region("s1", 22, 27, "Paris", "LOC"), "score": 0.75}],
                }
            ],
        }
    ]
    assert lost == Counter(relations=1)


WORD = st.text(st.sampled_from("ab\u00e9\U0001f680"), min_size=1, max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = " ".join(draw(st.lists(WORD, min_size=1, max_size=4)))
    solid = [(a, b) for a in range(len(text)) for b in range(a + 1, len(text) + 1) if text[a:b].strip() == text[a:b]]
    places = draw(st.sets(st.tuples(st.sampled_from(solid), st.sampled_from("XY")), max_size=3))
    spans = tuple(Span(*place, label) for place, label in places)
    relations = tuple(Relation(head, tail, "r") for head in spans[:1] for tail in spans)
    meta = draw(st.dictionaries(st.sampled_from(["text", "id", "k"]), st.integers(0, 3), max_size=2))
    annotated = draw(st.sampled_from([None, frozenset()])) if not spans else None
    return Document(draw(st.text(min_size=1, max_size=4)), text, spans, relations, annotated=annotated, meta=meta)


@settings(max_examples=60)
@given(st.lists(documents(), max_size=3, unique_by=lambda document: document.id))
def test_reading_inverts_writing(tmp_path_factory: pytest.TempPathFactory, docs: list[Document]) -> None:
    path = tmp_path_factory.mktemp("ls") / "out.json"
    lost = write_documents(docs, path, "label-studio")
    assert list(read_documents(path, "label-studio")) == docs
    assert not lost


def test_a_text_in_which_nothing_was_found_is_not_done(tmp_path: Path):
    """A prediction without a span is no annotation that says so."""
    read = Document("a", "the house was big", coverage=Coverage(17, 17, 1))
    write_documents([read], tmp_path / "tasks.json", "label-studio")
    (task,) = json.loads((tmp_path / "tasks.json").read_text())
    assert task["annotations"] == task["predictions"] == []
