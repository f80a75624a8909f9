"""SQuAD and MRQA files: read, repaired, written back, and predictions as the official scripts read them."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spanbert.documents import ANSWER, Coverage, Document, Question, Span
from spanbert.errors import DataError, UsageError
from spanbert.formats import Reading, ReadReport, read_documents, write_documents

TEXT = "The  Denver Broncos won in Santa Clara."
BRONCOS = Span(5, 19, ANSWER)
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def squad(*questions: dict[str, Any], title: str | None = "Super Bowl") -> str:
    article = {"paragraphs": [{"context": TEXT, "qas": list(questions)}]}
    return json.dumps({"version": "1.1", "data": [article if title is None else {"title": title, **article}]})


def question(*answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    return {"id": "q", "question": "Who won?", "answers": [{"text": t, "answer_start": a} for t, a in answers], **more}


def read(tmp_path: Path, text: str, name: str = "data.json") -> tuple[list[Document], ReadReport]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    report = ReadReport()
    return list(read_documents(tmp_path / name, report=report)), report


def test_a_paragraph_is_a_document(tmp_path: Path):
    (document,), report = read(tmp_path, squad(question(("Denver Broncos", 5), ("Denver Broncos", 5))))
    assert (document.id, document.text, document.meta) == ("Super Bowl-1", TEXT, {"title": "Super Bowl"})
    assert document.questions == (Question("q", "Who won?", (BRONCOS,)),)
    assert report.summary() == []


def test_no_title_takes_the_name_of_the_file(tmp_path: Path):
    (document,), _ = read(tmp_path, squad(question(), title=None))
    assert document.id == "data-1"


@pytest.mark.parametrize(
    ("answers", "start", "what"),
    [
        (("Denver Broncos", 2), 5, "answers moved to where the words stand"),
        (("Denver Broncos", -1), 5, "answers moved to where the words stand"),
        (("The Denver", 0), 0, "answers moved to where the words stand"),  # one space for two
        (("SANTA CLARA", 20), 27, "answers moved to where the words stand"),
        ((" Denver Broncos ", 4), 5, "spans trimmed of white space"),
    ],
)
def test_answers_that_stand_elsewhere(tmp_path: Path, answers: tuple[str, int], start: int, what: str):
    (document,), report = read(tmp_path, squad(question(answers)))
    (found,) = document.questions[0].answers or ()
    assert found.start == start
    assert " ".join(TEXT[found.start : found.end].split()).lower() == " ".join(answers[0].split()).lower()
    assert any(what.split(" ", 1)[1] in line for line in report.summary()), report.summary()


@pytest.mark.parametrize("text", ["", " ", None])
def test_a_question_without_text_is_told_with_its_place(tmp_path: Path, text: str | None):
    record = {"id": "empty", "question": text, "answers": []}
    (document,), report = read(tmp_path, squad(question(("won", 20)), record))
    assert [question.text.strip() for question in document.questions] == ["Who won?", ""]
    (note,) = report.notes
    assert note.what == "questions without text (never answered): empty"
    assert note.place.endswith("data.json, Super Bowl-1")
    own, report = read(tmp_path, json.dumps({"id": "d", "text": TEXT, "questions": [record]}), "x.jsonl")
    assert own[0].questions[0].text == (text or "") and report.warned == {"questions without text (never answered)": 1}


def test_the_nearest_of_several_places(tmp_path: Path):
    data = json.loads(squad(question(("won", 22))))
    data["data"][0]["paragraphs"][0]["context"] = "won and then lost, they won again"
    (document,), _ = read(tmp_path, json.dumps(data))
    assert [a.start for a in document.questions[0].answers or ()] == [24]


def test_whole_words_come_before_parts_of_words(tmp_path: Path):
    data = json.loads(squad(question(("art", 3))))
    data["data"][0]["paragraphs"][0]["context"] = "The party was about art."
    (document,), _ = read(tmp_path, json.dumps(data))
    assert [a.start for a in document.questions[0].answers or ()] == [20]


def test_parts_of_one_data_set_are_read_together(tmp_path: Path):
    for name, identifier in (("a", "q"), ("b", "r")):
        content = squad({"id": identifier, "question": "?", "answers": []})
        (tmp_path / f"{name}.json").write_text(content, encoding="utf-8")
    documents = list(read_documents([tmp_path / "a.json", tmp_path / "b.json"]))
    assert [document.id for document in documents] == ["Super Bowl-1", "b-Super Bowl-1"]
    report = ReadReport()
    (tmp_path / "c.json").write_text((tmp_path / "a.json").read_text())
    list(read_documents([tmp_path / "a.json", tmp_path / "c.json"], report=report))
    assert "with the id of another" in "".join(report.summary())


@pytest.mark.parametrize(("said", "answers"), [("false", None), ("true", ()), (False, None), (True, ())])
def test_an_empty_answer_is_no_answer_only_where_the_file_says_so(tmp_path: Path, said: object, answers: object):
    (document,), _ = read(tmp_path, squad(question(("", 0), is_impossible=said)))
    assert document.questions[0].answers == answers


def test_the_same_question_of_two_documents_has_two_ids(tmp_path: Path):
    lines = [{"id": name, "text": name, "questions": [{"question": "Who?"}]} for name in ("a", "b")]
    documents, _ = read(tmp_path, "\n".join(map(json.dumps, lines)), "x.jsonl")
    assert len({document.questions[0].id for document in documents}) == 2


def test_an_answer_that_stands_nowhere_is_right_and_teaches_nothing(tmp_path: Path):
    (document,), report = read(tmp_path, squad(question(("Carolina", 3))))
    assert document.questions == (Question("q", "Who won?", None, texts=("Carolina",)),)
    assert "1 answer not found in the text" in "\n".join(report.summary())


def test_without_answers(tmp_path: Path):
    """Impossible: none. No key: nobody said. Impossible with answers: they stay, and it is said."""
    told = [
        {"id": "a", "question": "?", "answers": [], "is_impossible": True},
        {"id": "b", "question": "?"},
        {"id": "c", "question": "?", "is_impossible": True},
        {"id": "d", "question": " ", "answers": []},
        {"id": 5, "question": "?", "answers": [{"text": "won", "answer_start": 20}], "is_impossible": True},
        {"id": "a", "question": "?", "answers": []},
    ]
    (document,), report = read(tmp_path, squad(*told))
    assert [q.answers for q in document.questions] == [(), None, (), (), (Span(20, 23, ANSWER),), ()]
    said = "\n".join(report.summary())
    for words in ("without text", "with the id of another", "called impossible", "ids given as numbers"[4:]):
        assert words in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"data": [{"title": "x", "paragraphs": [{"qas": []}]}]}', "a paragraph without 'context'"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [{"question": "y"}]}]}]}', "id None of a question"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [{"id": "y"}]}]}]}', "a question without 'question'"),
        ('{"data": [{"paragraphs": {}}]}', "'paragraphs' is an object"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [', "invalid JSON"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, text: str, words: str):
    with pytest.raises(DataError, match=words):
        read(tmp_path, text)


def gold() -> list[Document]:
    return [
        Document(
            "A-1",
            TEXT,
            questions=(Question("q", "Who won?", (BRONCOS,)), Question("r", "When?", ())),
            meta={"title": "A"},
        ),
        Document("A-2", "Nothing.", questions=(Question("s", "Why?"),), meta={"title": "A"}),
        Document("B-1", "Rome", questions=(Question("t", "Where?", None, texts=("Oslo",)),), meta={"title": "B"}),
    ]


@pytest.mark.parametrize("form", ["squad", "jsonl"])
def test_what_is_written_reads_the_same(tmp_path: Path, form: str):
    lost = write_documents(gold(), tmp_path / "out.json", form)
    assert lost == {}
    assert list(read_documents(tmp_path / "out.json")) == gold()


def test_ids_that_squad_files_do_not_have_are_counted(tmp_path: Path):
    documents = [replace(gold()[1], id="other"), replace(gold()[2], meta={})]
    lost = write_documents(documents, tmp_path / "out.json", "squad")
    assert lost == {"ids of documents (they become title and number)": 2}
    assert [document.id for document in read_documents(tmp_path / "out.json")] == ["A-1", "B-1-1"]


def test_mrqa_is_written_and_read_the_same(tmp_path: Path):
    documents = [Document(d.id, d.text, questions=d.questions) for d in gold()]
    assert write_documents(documents, tmp_path / "out.jsonl.gz", "mrqa") == {}
    with gzip.open(tmp_path / "out.jsonl.gz", "rt", encoding="utf-8") as lines:
        assert "header" in json.loads(next(lines))
    assert list(read_documents(tmp_path / "out.jsonl.gz")) == documents


@pytest.mark.parametrize("more", [{}, {"answers": []}])
@pytest.mark.parametrize("places", [{"char_spans": [[0, 3]]}, {}])
def test_mrqa_answers_that_stand_nowhere_count_as_right(tmp_path: Path, more: dict, places: dict):
    """A question with an answer is not one that the text does not answer."""
    asked = {"qid": "q", "question": "Who?", "detected_answers": [{"text": "Carla", **places}], **more}
    lines = [{"header": {}}, {"context": "Anna met Bert", "qas": [asked]}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (document,) = read_documents(tmp_path / "x.jsonl")
    (question,) = document.questions
    assert (question.answers, question.texts) == (None, ("Carla",))


def test_mrqa_ends_are_inclusive_and_aliases_count(tmp_path: Path):
    """`Broncos` stands at two places by the file; `the champions` is right and stands nowhere."""
    record = {
        "context": TEXT,
        "qas": [
            {
                "qid": "q",
                "question": "Who?",
                "answers": ["Denver Broncos", "the champions"],
                "detected_answers": [{"text": "denver broncos", "char_spans": [[5, 18]], "token_spans": [[1, 2]]}],
            }
        ],
    }
    (document,), report = read(
        tmp_path, json.dumps({"header": {"dataset": "x"}}) + "\n" + json.dumps(record), "m.jsonl"
    )
    assert document.questions == (Question("q", "Who?", (BRONCOS,), texts=("the champions",)),)
    record["qas"][0]["detected_answers"][0]["char_spans"] = [[5]]
    with pytest.raises(DataError, match="char_spans"):
        read(tmp_path, json.dumps(record), "m.jsonl")


def predicted() -> list[Document]:
    """One answered, one with nothing probable enough."""
    sure, unsure = Span(5, 19, ANSWER, 0.8), Span(20, 23, ANSWER, 0.2)
    questions = (
        Question("q", "Who won?", (sure,), 0.1, (sure, unsure)),
        Question("r", "When?", (), 0.75, (unsure,)),
        Question("s", "Empty?", (), 1.0),
    )
    return [Document("A-1", TEXT, questions=questions, coverage=Coverage(len(TEXT), len(TEXT), 1), meta={"title": "A"})]


@pytest.mark.parametrize("form", ["squad", "mrqa"])
def test_predictions_are_answers_by_id(tmp_path: Path, form: str):
    lost = write_documents(predicted(), tmp_path / "out.json", form)
    assert json.loads((tmp_path / "out.json").read_text()) == {"q": "Denver Broncos", "r": "", "s": ""}
    assert lost.pop("meta fields", 0) == (form == "mrqa")
    assert lost == {"lists of n-best answers": 2}


def test_what_a_table_of_answers_cannot_hold_is_counted(tmp_path: Path):
    (document,) = predicted()
    first = document.questions[0]
    two = (replace(first, answers=first.n_best), replace(first, answers=(), n_best=(), no_answer=1.0))
    for form, lists in (("squad", 1), ("squad-predictions", 0)):
        lost = write_documents([replace(document, questions=two, meta={})], tmp_path / form, form)
        more = {"lists of n-best answers": lists} if lists else {}
        assert lost == {"answers beside the best": 1, "answers to questions with the id of another": 1, **more}
    assert json.loads((tmp_path / "squad").read_text()) == {"q": "Denver Broncos"}  # the first
    assert json.loads((tmp_path / "squad-predictions" / "null_odds.json").read_text())["q"] < 0


def test_predictions_and_gold_do_not_mix(tmp_path: Path):
    for form in ("squad", "mrqa"):
        with pytest.raises(DataError, match="predictions and gold"):
            write_documents([*predicted(), gold()[2]], tmp_path / form, form)


def test_the_three_files_of_the_official_scripts(tmp_path: Path):
    write_documents(predicted(), tmp_path / "out", "squad-predictions")
    files = {path.name: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert files["predictions.json"] == {"q": "Denver Broncos", "r": "", "s": ""}
    assert [row["text"] for row in files["nbest_predictions.json"]["r"]] == ["", "won"]
    assert files["nbest_predictions.json"]["q"][0] == {"text": "Denver Broncos", "probability": 0.8}
    assert files["null_odds.json"]["q"] == pytest.approx(math.log(0.1 / 0.8))
    assert files["null_odds.json"]["r"] > 0
    with pytest.raises(UsageError, match="predictions to read"):
        list(read_documents(tmp_path / "out" / "predictions.json", "squad-predictions"))


def test_predictions_of_questions_are_lossless_as_jsonl(tmp_path: Path):
    write_documents(predicted(), tmp_path / "out.jsonl")
    assert list(read_documents(tmp_path / "out.jsonl")) == predicted()


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data")
def test_the_real_files_need_no_repair():
    """Counts of the data's own README."""
    counts = {
        "squad_v1.1/dev-v1.1.shared36.json.gz": (1_626, 8_306, 0),
        "squad_v2.0/dev-v2.0.shared23.json.gz": (763, 7_292, 3_599),
        "cuad/cuad_train100.json.gz": (100, 4_100, 2_971),
    }
    for name, expected in counts.items():
        report = ReadReport()
        documents = list(read_documents(SHARED / name, report=report))
        questions = [question for document in documents for question in document.questions]
        assert (len(documents), len(questions), sum(q.answers == () for q in questions)) == expected
        assert not report.repaired


@pytest.mark.parametrize(
    "before",
    ['"version": "1.1", ', '"version": 2.0, "made": "by \\"us\\", [then]", ', '"meta": {"a": 1, "b": null}, ', ""],
)
def test_what_else_stands_before_the_articles(tmp_path: Path, before: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{{before}"data": [{{"title": "t", "paragraphs": [{{"context": "x", "qas": []}}]}}]}}')
    assert [document.text for document in read_documents(path)] == ["x"]


def test_answers_in_columns_and_without_a_start(tmp_path: Path) -> None:
    """As the `datasets` library has them; and where a start is missing the text says where it is."""
    columns = {"text": ["Denver Broncos", "Santa Clara"], "answer_start": [5, None]}
    (document,), report = read(tmp_path, squad({"id": "q", "question": "Who?", "answers": columns}))
    assert document.questions[0].answers == (BRONCOS, Span(27, 38, ANSWER))
    assert report.repaired["answers moved to where the words stand"] == 1
    with pytest.raises(DataError, match="2 texts of answers and 1 starts"):
        read(tmp_path, squad({"id": "q", "question": "Who?", "answers": {**columns, "answer_start": [5]}}))


@pytest.mark.parametrize("start", ["five", 0.5, True, [5]])
def test_a_start_that_is_no_number_is_found_by_its_text(start: object, tmp_path: Path) -> None:
    """One of them is no reason to lose the file; a strict reading ends at it."""
    text = squad(question(("Denver Broncos", 5)), {**question(("Santa Clara", start)), "id": "r"})  # type: ignore[arg-type]
    (document,), report = read(tmp_path, text)
    assert [q.answers for q in document.questions] == [(BRONCOS,), (Span(27, 38, ANSWER),)]
    assert report.repaired["answers with a start that is no number (found by the text)"] == 1
    with pytest.raises(DataError, match="found by the text"):
        list(read_documents(tmp_path / "data.json", report=ReadReport(Reading(strict=True))))


def test_strict_reading_names_a_start_that_is_a_string_as_such(tmp_path: Path) -> None:
    _, report = read(tmp_path, squad(question(("Denver Broncos", "5"))))  # type: ignore[arg-type]
    assert report.repaired == {"offsets written as strings": 1}
    with pytest.raises(DataError, match="offsets written as strings"):
        list(read_documents(tmp_path / "data.json", report=ReadReport(Reading(strict=True))))


def test_where_every_question_is_answered_no_list_names_no_answer(tmp_path: Path) -> None:
    """As in the lists of the reference scripts for SQuAD 1.1, which begin with the prediction."""
    (document,) = predicted()
    answered = replace(document, questions=document.questions[:1])
    write_documents([answered], tmp_path / "out", "squad-predictions")
    files = {path.name: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert "" not in [row["text"] for row in files["nbest_predictions.json"]["q"]]
    assert files["nbest_predictions.json"]["q"][0]["text"] == files["predictions.json"]["q"]
