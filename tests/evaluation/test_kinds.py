"""What is no span: errors by hand, the number that two systems are compared by, and the pages."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from spanbert.documents import ANSWER, MENTION, Cluster, Document, Question, Relation, Span
from spanbert.errors import DataError, UsageError
from spanbert.evaluation import compare_page
from spanbert.evaluation.compare import answered, compare
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
        ("owns", "“Anna” (P) → “Bolt” (O)", "wrong"),
        ("runs", "“Anna” (P) → “Bolt” (O)", "missed"),
    ]
    assert [e.to_json() for e in second.broken] == [
        {
            "start": 10,
            "end": 26,
            "label": "owns",
            "head": {"start": 22, "end": 26, "label": "O"},
            "tail": {"start": 10, "end": 14, "label": "O"},
            "text": "“Bolt” (O) → “Acme” (O)",
            "error": "wrong",
        }
    ]
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


def test_answers_are_matched_by_their_ids():
    gold = [asked("a", (answer(ACME),), (), (answer(ANNA),))]
    turned = [replace(gold[0], questions=gold[0].questions[::-1])]
    assert compare(gold, gold, turned).rates == (1.0, 1.0)
    other = [replace(gold[0], questions=tuple(replace(q, id=f"x{k}") for k, q in enumerate(gold[0].questions)))]
    assert compare(gold, gold, other).rates == (1.0, 1.0)  # no id agrees: in their order
    for less in (gold[0].questions[:2], ()):
        with pytest.raises(DataError, match="no answer to question 'a-"):
            compare(gold, gold, [replace(gold[0], questions=less)])


def test_texts_of_other_systems_are_answers():
    gold = [asked("a", (answer(ACME),), ())]
    found = compare(gold, answered(gold, {"a-0": "acme", "a-1": "Elon"}), answered(gold, {"a-0": "", "a-1": ""}))
    assert found.rates == (0.5, 0.5)
    assert [e.text for e in found.changed[0].fixed] == ["Who <1>? Said: “Elon”. Right: no answer"]
    assert [(e.text, e.error) for e in found.changed[0].broken] == [
        ("Who <0>? Said: no answer. Right: “Acme”", "missed")
    ]
    with pytest.raises(DataError, match="no answer to 1 questions"):
        answered(gold, {"a-0": "Acme"})
    micro = compare(gold, gold, answered(gold, {"a-0": "acme", "a-1": "Elon"})).b.micro
    assert (micro.correct, micro.predicted, micro.support) == (1, 2, 1)


def test_no_gold_is_taken_for_an_answer_of_another_system():
    (found,) = answered(
        [replace(asked("a", (answer(ACME),)), spans=(ANNA,), clusters=linked("a", (ANNA,)).clusters)], {"a-0": ""}
    )
    assert (found.spans, found.relations, found.clusters) == ((), (), ())


def test_another_question_under_the_same_id_is_refused():
    gold = [asked("a", (answer(ACME),))]
    other = [replace(gold[0], questions=(replace(gold[0].questions[0], text="Who met?"),))]
    with pytest.raises(DataError, match="'Who <0>\\?' in gold, 'Who met\\?' in predictions"):
        compare(gold, gold, other)
    spaced = [replace(gold[0], questions=(replace(gold[0].questions[0], text=" Who  <0>?"),))]
    assert compare(gold, gold, spaced).rates == (1.0, 1.0)


def test_question_ids_that_repeat_and_look_like_repeats():
    questions = tuple(Question(name, "Who?", (answer(ACME),)) for name in ("q", "q", "q (2)", "q"))
    gold = [Document("a", TEXT, questions=questions)]
    assert KINDS["questions"].report(gold, gold).scores["squad_v2"]["total"] == 4


def test_without_annotations_the_answer_is_the_same_named_or_not():
    nothing = [Document("a", TEXT), Document("b", TEXT)]
    assert kind_of(nothing).name == "spans" and compare(nothing, nothing, nothing).rates == (0.0, 0.0)
    assert KINDS["clusters"].table([], []).counts.shape[:2] == (0, 1)


def test_documents_without_a_judged_question_are_left_out():
    """Their draws would be 0/0: an interval of what is always right is [1, 1]."""
    gold = [asked(str(k), (answer(ACME),)) if k < 3 else asked(str(k), None) for k in range(30)]
    wrong = [asked(str(k), ()) for k in range(30)]
    found = compare(gold, wrong, gold)
    assert found.difference.f1_interval == (1.0, 1.0) and found.a.documents == 3
    alone = compare(gold[2:], wrong[2:], gold[2:])
    assert alone.difference.f1_interval is None and alone.difference.p_value is None


def test_an_answer_that_is_an_article_is_no_silence():
    gold = [Document("a", "the Acme", questions=(Question("q", "Who?", (Span(0, 3, ANSWER), Span(4, 8, ANSWER))),))]
    found = [replace(gold[0], questions=(Question("q", "Who?", ()),))]
    assert len(KINDS["questions"].errors(gold[0], found[0])) == 1 and compare(gold, found, gold).rates[0] == 0.0


def test_clusters_that_were_not_looked_for_and_empty_ones_do_not_count():
    gold = [linked("a", (ANNA, SHE)), replace(linked("b", (ACME, BOLT)), annotated=frozenset({"P"}))]
    found = compare(gold, [linked("a", (ANNA, SHE), ()), linked("b")], gold)
    assert found.rates == (1.0, 1.0) and found.a.documents == 1 and found.changed == ()
    with pytest.raises(DataError, match="no document in which clusters were annotated"):
        compare(gold[1:], gold[1:], gold[1:])


def test_parts_make_another_mention():
    whole, parted = Span(0, 14, MENTION), Span(0, 14, MENTION, parts=((0, 4), (10, 14)))
    gold = [Document("a", TEXT, clusters=(Cluster((whole, SHE)),))]
    other = [Document("a", TEXT, clusters=(Cluster((parted, SHE)),))]
    assert len(KINDS["clusters"].errors(gold[0], other[0])) == 2 and compare(gold, gold, other).rates[1] < 0.5
    related_to = [[Document("a", TEXT, (span, BOLT), (Relation(span, BOLT, "runs"),))] for span in (whole, parted)]
    found = compare(related_to[0], *related_to, of="relations")
    assert found.rates == (1.0, 0.0) and len(found.changed[0].broken) == 2


def test_pronouns_have_their_own_number():
    """GAP: the pronoun is A. One system says so in a cluster with another mention, the other says B."""
    text = "Anna met Dora and she left"
    spans = (Span(0, 4, "gap:A"), Span(9, 13, "gap:B"), Span(18, 21, "gap:pronoun"))
    places = [Span(s.start, s.end, MENTION) for s in spans]
    gold = [Document("a", text, spans, clusters=(Cluster((places[0], places[2])),)), Document("b", text, spans)]
    right = [Document("a", text, clusters=(Cluster((*places[::2], Span(5, 8, MENTION))),)), Document("b", text)]
    wrong = [Document("a", text, clusters=(Cluster((places[1], places[2])),)), Document("b", text)]
    found = compare(gold, right, wrong)
    assert (found.kind.number, found.rates) == ("F1 of pronouns", (1.0, 0.0))
    assert [(e.text, e.error) for e in found.changed[0].broken] == [
        ("“she” is “Anna”", "missed"),
        ("“she” is “Dora”", "wrong"),
    ]
    nothing = compare(gold[1:], gold[1:], gold[1:])
    assert nothing.a.to_json()["headline"] == {"gap/f1": None} and nothing.a.summary == "f1 -"


def test_what_was_named_must_be_there():
    with pytest.raises(DataError, match="no clusters in the annotated documents"):
        compare([asked("a", ())], [asked("a", ())], [asked("a", ())], of="clusters")


def test_long_lists_and_questions_are_cut():
    text = "x " * 3000
    places = tuple(Span(2 * k, 2 * k + 1, MENTION) for k in range(3000))
    (error,) = KINDS["clusters"].errors(Document("a", text, clusters=(Cluster(places),)), Document("a", text))
    assert error.text == ", ".join("x" * 8) + " … and 2,992 more" and (error.start, error.end) == (0, 1)
    question = Question("q", "why " * 9000, (Span(0, 1, ANSWER),))
    (error,) = KINDS["questions"].errors(
        Document("a", text, questions=(question,)), Document("a", text, questions=(replace(question, answers=()),))
    )
    assert len(error.text) < 300


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


def test_the_page_of_clusters_counts_what_the_task_counts():
    """A mention alone that was made up counts where the task says so, though gold has none."""
    gold, found = [linked("a", (ANNA, SHE)), linked("b", (ANNA, SHE))], [linked("a", (ANNA, SHE), (ACME,))] * 2
    found = [found[0], replace(found[1], id="b")]
    report = replace(
        KINDS["clusters"].report(gold, found), calibration=calibration_report(np.array([]), np.array([], bool))
    )
    done = Examined(report, tuple(found), np.array([]), np.array([], dtype=bool))
    record = score_record(KINDS["clusters"], gold, done, {"threshold": 0.5})
    assert record["overall"]["value"] < 1 and record["errors"] == {"wrong": 2}
    assert 100 * record["overall"]["value"] == pytest.approx(record["headline"]["coref/conll_f1"])
