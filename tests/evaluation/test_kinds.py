"""What is no span: errors by hand, the number that two systems are compared by, and the pages."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spanbert.documents import ANSWER, MENTION, Cluster, Document, Question, Relation, Span
from spanbert.errors import UsageError
from spanbert.evaluation import compare_page
from spanbert.evaluation.compare import compare
from spanbert.evaluation.evaluate import Examined
from spanbert.evaluation.full_report import score_record
from spanbert.evaluation.kinds import KINDS, kind_of
from spanbert.evaluation.score_page import score_page
from spanbert.metrics.probabilities import calibration_report

TEXT = "Anna runs Acme and <b>Bolt</b>, she says"
ANNA, ACME, BOLT, SHE = Span(0, 4, "P"), Span(10, 14, "O"), Span(22, 26, "O"), Span(32, 35, MENTION)


def related(name: str, *relations: Relation) -> Document:
    return Document(name, TEXT, (ANNA, ACME, BOLT), relations)


def asked(name: str, *answers: tuple[Span, ...] | None) -> Document:
    questions = (Question(f"{name}-{k}", f"Who <{k}>?", given) for k, given in enumerate(answers))
    return Document(name, TEXT, questions=tuple(questions))


def answer(span: Span, score: float | None = None) -> Span:
    return Span(span.start, span.end, ANSWER, score)


def linked(name: str, *clusters: tuple[Span, ...]) -> Document:
    marked = (tuple(Span(s.start, s.end, MENTION) for s in spans) for spans in clusters)
    return Document(name, TEXT, clusters=tuple(map(Cluster, marked)))


def test_the_first_kind_that_is_annotated():
    assert kind_of([Document("a", TEXT)]).name == "spans"
    assert kind_of([related("a", Relation(ANNA, ACME, "runs"))]).name == "spans"
    assert kind_of([related("a", Relation(ANNA, ACME, "runs"))], "relations").name == "relations"
    assert kind_of([asked("a", ())]).name == "questions"
    assert kind_of([linked("a", (ANNA, SHE))]).name == "clusters"
    with pytest.raises(UsageError, match="'relation' to compare"):
        kind_of([Document("a", TEXT)], "relation")


def test_relations_by_hand():
    """Gold: 2 and 0. A: 1 right, 1 wrong label; 0. B: both; 1 made up. F1: A 2/4, B 4/5."""
    gold = [related("a", Relation(ANNA, ACME, "runs"), Relation(ANNA, BOLT, "runs")), related("b")]
    a = [related("a", Relation(ANNA, ACME, "runs", 0.9), Relation(ANNA, BOLT, "owns")), related("b")]
    b = [replace(gold[0]), related("b", Relation(BOLT, ACME, "owns"))]
    found = compare(gold, a, b, of="relations")
    assert found.rates == (0.5, 0.8) and found.difference.f1 == pytest.approx(0.3)
    assert found.per_label["runs"].f1 == pytest.approx(1 - 2 / 3) and found.per_label["owns"].f1 == 0.0
    first, second = found.changed
    assert [(e.label, e.text, e.error) for e in first.fixed] == [
        ("owns", "“Anna” → “Bolt”", "wrong"),
        ("runs", "“Anna” → “Bolt”", "missed"),
    ]
    assert [e.to_json() for e in second.broken] == [
        {"start": 10, "end": 26, "label": "owns", "head": [22, 26], "tail": [10, 14], "text": "“Bolt” → “Acme”",
         "error": "wrong"},
    ]  # fmt: skip
    record = json.loads(json.dumps(found.to_json()))
    assert record["of"] == "relations" and record["difference"]["f1"] == pytest.approx(0.3)
    assert "relations:exact-set" in record["signature"]


def test_labels_that_were_not_looked_for_are_no_errors():
    gold = [replace(related("a", Relation(ANNA, ACME, "runs")), annotated=frozenset({"runs"}))]
    found = [related("a", Relation(ANNA, ACME, "runs"), Relation(ANNA, BOLT, "owns"))]
    assert KINDS["relations"].errors(gold[0], found[0]) == ()


def test_questions_by_hand():
    """Gold: Acme or Bolt; none; Anna. A says Acme, Anna, nothing. B says "runs Acme" (F1 2/3), nothing, Anna."""
    gold = [asked("a", (answer(ACME), answer(BOLT)), (), (answer(ANNA),))]
    a = [asked("a", (answer(ACME, 0.9),), (answer(ANNA, 0.6),), ())]
    b = [asked("a", (Span(5, 14, ANSWER, 0.9),), (), (answer(ANNA, 0.8),))]
    found = compare(gold, a, b)
    assert found.kind.name == "questions" and found.rates == pytest.approx((1 / 3, (2 / 3 + 1 + 1) / 3))
    assert found.per_label == {} and found.difference.p_value is None
    (change,) = found.changed
    assert [e.where["question"] for e in change.fixed] == ["a-1", "a-2"]
    assert [e.text for e in change.fixed] == [
        "Who <1>? Said: “Anna”. Right: no answer",
        "Who <2>? Said: no answer. Right: “Anna”",
    ]
    assert [(e.where["question"], e.error) for e in change.broken] == [("a-0", "wrong")]
    assert "F1 of answers" in found.to_text() and "precision" not in found.to_text()


def test_both_wrong_with_different_answers_is_no_change():
    gold = [asked("a", (answer(ACME),))]
    found = compare(gold, [asked("a", (answer(ANNA),))], [asked("a", ())])
    assert found.changed == () and found.rates == (0.0, 0.0)


def test_clusters_by_hand():
    """As in the official scorer: one cluster whole is 1, none is 0; singletons count where gold has some only."""
    gold = [linked("a", (ANNA, SHE)), linked("b", (ANNA, SHE))]
    a = [linked("a", (ANNA, SHE), (BOLT,)), linked("b")]
    b = [linked("a", (ANNA, SHE)), linked("b", (ANNA, SHE))]
    found = compare(gold, a, b)
    assert found.kind.number == "CoNLL F1" and found.rates[1] == 1.0 and 0.5 < found.rates[0] < 0.7
    (change,) = found.changed
    assert [(e.text, e.error, e.where["spans"]) for e in change.fixed] == [("Anna, she", "missed", [[0, 4], [32, 35]])]
    single = [linked("a", (ANNA, SHE), (ACME,)), *gold[1:]]
    assert [e.text for e in compare(single, a, b).changed[0].broken] == [] != compare(single, a, b).changed[0].fixed


def test_pages_list_what_changed_and_hide_no_markup():
    gold = [asked("a<i>", (answer(BOLT),)), asked("b", ())]
    found = compare(gold, [asked("a<i>", (answer(ACME),)), asked("b", ())], gold)
    html = compare_page.page(found)
    assert "Who &lt;0&gt;? Said: “Acme”. Right: “Bolt”" in html and "a&lt;i&gt;" in html
    assert "<i>" not in html and "Who <0>" not in html


@pytest.mark.parametrize("kind", ["questions", "relations", "clusters"])
def test_a_report_says_the_number_the_scorers_and_the_errors(kind: str):
    gold, found = {
        "questions": ([asked("a", (answer(BOLT),)), asked("b", ())], [asked("a", (answer(ACME),)), asked("b", ())]),
        "relations": ([related("a", Relation(ANNA, BOLT, "<u>")), related("b")], [related("a"), related("b")]),
        "clusters": ([linked("a", (ANNA, SHE)), linked("b", (ANNA, SHE))], [linked("a"), linked("b", (ANNA, SHE))]),
    }[kind]
    report = replace(KINDS[kind].report(gold, found), calibration=calibration_report(np.array([]), np.array([], bool)))
    done = Examined(report, tuple(found), np.array([]), np.array([], dtype=bool))
    record = json.loads(json.dumps(score_record(KINDS[kind], gold, done, {"model": "m<s>", "threshold": 0.5})))
    value = float(KINDS[kind].rate(KINDS[kind].table(gold, found).counts[:, 0].sum(axis=0)))
    assert record["overall"]["value"] == pytest.approx(value)
    assert (record["kind"], record["errors"]) == (kind, {"wrong" if kind == "questions" else "missed": 1})
    (worst,) = record["worst_documents"]
    assert worst["id"] == "a" and len(worst["errors"]) == 1
    error = worst["errors"][0]
    assert error["before"] + error["inside"] + error["after"] == TEXT
    html = score_page(record)
    assert "<script" not in html and "<s>" not in html and "<u>" not in html and "&lt;b&gt;" in html
    assert f"<b>{value:.3f}</b>" in html and ("<h2" in html) and ("By question type" in html) == (kind == "questions")
