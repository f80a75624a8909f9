"""TACRED, SemEval-2010 Task 8, SpERT and DyGIE files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spanbert.documents import Coverage, Document, Relation, Span
from spanbert.errors import DataError, UsageError
from spanbert.formats import ReadReport, read_documents, write_documents

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
TACRED = {
    "id": "e7",
    "token": ["Anna", "-LRB-", "Acme", "Corp", "-RRB-", "left"],
    "subj_start": 2, "subj_end": 3, "subj_type": "ORGANIZATION",
    "obj_start": 0, "obj_end": 0, "obj_type": "PERSON",
    "relation": "org:founded_by",
}  # fmt: skip
SPERT = {
    "tokens": ["Anna", "leads", "Acme", "Corp"],
    "entities": [{"type": "PER", "start": 0, "end": 1}, {"type": "ORG", "start": 2, "end": 4}],
    "relations": [{"type": "leads", "head": 0, "tail": 1}],
    "orig_id": 5,
}
DYGIE = {
    "doc_key": "p1",
    "sentences": [["Anna", "leads", "Acme"], ["She", "left"]],
    "ner": [[[0, 0, "PER"], [2, 2, "ORG"]], []],
    "relations": [[[0, 0, 2, 2, "leads"]], [[3, 3, 2, 2, "left"]]],
    "clusters": [[[0, 0], [3, 3]]],
}


def read(tmp_path: Path, content: str, name: str = "x.json") -> tuple[list[Document], ReadReport]:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    report = ReadReport()
    return list(read_documents(tmp_path / name, report=report)), report


def test_tacred(tmp_path: Path):
    (document,), report = read(tmp_path, json.dumps([TACRED]))
    acme, anna = Span(7, 16, "ORGANIZATION"), Span(0, 4, "PERSON")
    assert (document.id, document.text) == ("e7", "Anna ( Acme Corp ) left")
    assert document.spans == (acme, anna) and document.relations == (Relation(acme, anna, "org:founded_by"),)
    assert "2 tokens standing for brackets" in report.summary()[0]
    unlabelled = {key: value for key, value in TACRED.items() if key != "relation"}
    assert read(tmp_path, json.dumps([unlabelled]))[0][0].relations == ()


def test_spert(tmp_path: Path):
    (document,), _ = read(tmp_path, json.dumps([SPERT]))
    anna, acme = Span(0, 4, "PER"), Span(11, 20, "ORG")
    assert (document.id, document.text, document.spans) == ("x-1-5", "Anna leads Acme Corp", (anna, acme))
    assert document.relations == (Relation(anna, acme, "leads"),)


def test_dygie(tmp_path: Path):
    """`She` is no entity, but an argument: it becomes a mention."""
    (document,), report = read(tmp_path, json.dumps(DYGIE) + "\n", "x.jsonl")
    anna, acme, she = Span(0, 4, "PER"), Span(11, 15, "ORG"), Span(16, 19, "mention")
    assert (document.id, document.text) == ("p1", "Anna leads Acme\nShe left")
    assert document.spans == (anna, acme, she)
    assert document.relations == (Relation(anna, acme, "leads"), Relation(she, acme, "left"))
    assert [(s.start, s.end) for s in document.clusters[0].spans] == [(0, 4), (16, 19)]
    assert "arguments outside the entities" in report.summary()[0]


SEMEVAL = '8\t"The <e1>child</e1> was in the <e2>cradle</e2>."\r\n{}\r\nComment: none\r\n\r\n'


def test_semeval(tmp_path: Path):
    content = SEMEVAL.format("Entity-Destination(e1,e2)") + SEMEVAL.replace("8\t", "9\t").format("Other")
    documents, _ = read(tmp_path, content, "x.txt")
    child, cradle = Span(4, 9, "e1"), Span(21, 27, "e2")
    assert [d.id for d in documents] == ["8", "9"]
    assert documents[0].text == "The child was in the cradle." and documents[0].spans == (child, cradle)
    assert [d.relations[0].label for d in documents] == ["Entity-Destination(e1,e2)", "no_relation"]
    assert write_documents(documents, tmp_path / "y.txt", "semeval") == {}
    assert list(read_documents(tmp_path / "y.txt")) == documents


def test_semeval_spans_are_trimmed_and_told(tmp_path: Path):
    content = SEMEVAL.format("Other").replace("<e1>child</e1>", "<e1> child </e1>")
    (document,), report = read(tmp_path, content, "x.txt")
    assert document.text == "The  child  was in the cradle." and document.spans[0] == Span(5, 10, "e1")
    assert "trimmed of white space" in "\n".join(report.summary())


def test_what_semeval_cannot_hold(tmp_path: Path):
    child, cradle = Span(4, 9, "e1"), Span(21, 27, "e2")
    text, spans = "The child was in the cradle.", (child, cradle)
    one, two = Relation(child, cradle, "A-B(e1,e2)", 0.7), Relation(child, cradle, "C-D(e2,e1)", 0.2)
    lost = write_documents(
        [Document("1", text, spans, (one, two)), Document("2", text, spans)], tmp_path / "y", "semeval"
    )
    assert lost == {"relations": 1, "documents without a relation (now Other)": 1}
    for wrong, words in (
        (Document("d-1", text, spans, (one,)), "id 'd-1'"),
        (Document("1", text.replace(" was", "\nwas"), spans, (one,)), "several lines"),
        (Document("1", text + "<e1>", spans, (one,)), "with tags"),
        (Document("1", text, spans, (Relation(child, cradle, "works_for"),)), "label 'works_for'"),
    ):
        with pytest.raises(DataError, match=words):
            write_documents([wrong], tmp_path / "z", "semeval")


def test_semeval_predictions(tmp_path: Path):
    child, cradle = Span(4, 9, "e1"), Span(21, 27, "e2")
    found = Relation(child, cradle, "Cause-Effect(e2,e1)", 0.7)
    text = "The child was in the cradle."
    documents = [
        Document(str(k), text, (child, cradle), relations, coverage=Coverage(28, 28, 1))
        for k, relations in enumerate(((found,), ()))
    ]
    write_documents(documents, tmp_path / "p.txt", "semeval")
    assert (tmp_path / "p.txt").read_text() == "0\tCause-Effect(e2,e1)\n1\tOther\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps([{**TACRED, "subj_end": 9}]), "tokens 2 to 9 of 6"),
        (json.dumps([{**TACRED, "token": "Anna"}]), "no list of strings"),
        (json.dumps([{**SPERT, "relations": [{"type": "x", "head": 0, "tail": 7}]}]), "entities 0 and 7 of 2"),
        (json.dumps([{**SPERT, "entities": [{"type": "PER", "start": 1, "end": 1}]}]), "tokens 1 to 0 of 4"),
        (json.dumps({**DYGIE, "ner": [[[0, 0]]]}), "a list of 3 values"),
        ('1\t"No <e1>tag</e1> <e2>here."\n', "without </e2>"),
        ('1\t"A <e1>b</e1> <e2>c</e2>"\nnonsense\n', "nonsense"),
        ('1\t"A <e1>b</e1> <e2>c</e2> <e1>d</e1>"\n', "<e1> twice"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, content: str, words: str):
    with pytest.raises(DataError, match=words):
        read(tmp_path, content)


@pytest.mark.parametrize("form", ["tacred", "spert", "dygie"])
def test_some_are_read_only(tmp_path: Path, form: str):
    with pytest.raises(UsageError, match="write jsonl"):
        write_documents([Document("d", "x")], tmp_path / "x", form)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data")
def test_real_files():
    """Counts of the data's own README."""
    semeval = list(read_documents(SHARED / "semeval2010_task8" / "TRAIN_FILE.TXT.gz"))
    assert len(semeval) == 8000 and sum(d.relations[0].label == "no_relation" for d in semeval) == 1410
    fire = list(read_documents(SHARED / "fire" / "fire_dev.json"))
    assert (len(fire), sum(len(d.spans) for d in fire), sum(len(d.relations) for d in fire)) == (412, 2165, 1247)
