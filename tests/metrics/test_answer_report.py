"""The report on questions: official scores, exact answers as counts, groups; by hand and against the scorers."""

from __future__ import annotations

import pytest

from spanbert.documents import ANSWER, Document, Question, Span
from spanbert.errors import DataError
from spanbert.metrics.clauses import clause_scores
from spanbert.metrics.questions import answer_report

TEXT = "Anna met Bert in the house of Acme Corp on the big river"


def span(words: str, score: float | None = None) -> Span:
    start = TEXT.index(words)
    return Span(start, start + len(words), ANSWER, score)


def pair(
    gold: str | None, said: str | None, score: float = 0.9, text: str = "Who met Bert?"
) -> tuple[Question, Question]:
    """None of gold: unanswerable; None said: nothing was probable enough."""
    guess = span(said or "river", score if said else 0.2)
    return (
        Question("q", text, () if gold is None else (span(gold),)),
        Question("q", text, (guess,) if said else (), 0.05, (guess,)),
    )


def report(*pairs: tuple[Question, Question], policy: str = "arg-max"):
    gold = [Document(f"d{k}", TEXT, questions=(a,)) for k, (a, _) in enumerate(pairs)]
    predicted = [Document(f"d{k}", TEXT, questions=(b,)) for k, (_, b) in enumerate(pairs)]
    return answer_report(gold, predicted, policy=policy)


def test_answerable_questions_by_hand():
    """Right; `Acme Corp` for `Acme`: F1 2/3; wrong: exact 1 of 3, F1 (1 + 2/3) / 3."""
    made = report(pair("Anna", "Anna"), pair("Acme", "Acme Corp"), pair("house", "Bert"))
    for scorer in ("squad_v1", "mrqa"):
        assert made.scores[scorer] == {"exact_match": pytest.approx(100 / 3), "f1": pytest.approx(100 * 5 / 9)}
    assert made.scores["squad_v2"]["f1"] == pytest.approx(100 * 5 / 9)
    assert (made.micro.correct, made.micro.predicted, made.micro.support) == (1, 3, 3)
    assert made.value("squad_v2/best_f1") == pytest.approx(100 * 5 / 9)
    assert made.summary == "exact_match 33.3  f1 55.6"


def test_unanswerable_questions_by_hand():
    """Right, rightly silent, wrongly silent, answered though there is none: exact 2 of 4."""
    made = report(pair("Anna", "Anna"), pair(None, None), pair("house", None), pair(None, "Bert", 0.6))
    scores = made.scores["squad_v2"]
    assert "squad_v1" not in made.scores
    assert scores["exact"] == 50.0
    assert (scores["HasAns_exact"], scores["NoAns_exact"]) == (50.0, 50.0)
    assert scores["best_exact"] == 75.0  # only what has 0.9 is answered
    assert scores["best_exact_thresh"] == pytest.approx(0.1)
    assert (scores["unanswerable_precision"], scores["unanswerable_recall"]) == (50.0, 50.0)
    assert (made.micro.correct, made.micro.predicted, made.micro.support) == (1, 2, 2)


def test_intervals_of_answerable_and_unanswerable_questions():
    """Those of a part are what the part alone has, as documents without such a question add nothing."""
    some = [pair("Anna", "Anna"), pair("house", None), pair("house", "house"), pair("Bert", "house")]
    none = [pair(None, None), pair(None, "Bert"), pair(None, None)]
    both, answerable, unanswerable = (report(*pairs).intervals["squad_v2"] for pairs in ([*some, *none], some, none))
    for key in ("exact", "f1"):
        assert both[f"HasAns_{key}"] == answerable[key] == answerable[f"HasAns_{key}"]
        assert both[f"NoAns_{key}"] == unanswerable[key] != both[key]
    assert both.keys() == {f"{part}{key}" for part in ("", "HasAns_", "NoAns_") for key in ("exact", "f1")}
    assert "NoAns_f1" not in answerable and "HasAns_f1" not in unanswerable
    official = report(*some).intervals
    assert official["mrqa"] == official["squad_v1"] == {"exact_match": answerable["exact"], "f1": answerable["f1"]}


def test_questions_that_all_have_no_answer():
    """One of two is left unanswered: rightly, as all silence would be."""
    scores = report(pair(None, None), pair(None, "Bert", 0.6)).scores["squad_v2"]
    assert (scores["unanswerable_precision"], scores["unanswerable_recall"]) == (100.0, 50.0)
    assert "pr_exact_ap" not in scores and scores["NoAns_total"] == 2


def test_texts_count_as_right_and_nobody_said_is_left_out():
    right = Question("q", "?", None, texts=("the house",)), Question("q", "?", (span("house", 0.9),), 0.1)
    unsaid = Question("q", "?"), Question("q", "?", (span("house", 0.9),), 0.1)
    made = report(right, unsaid)
    assert made.scores["squad_v1"]["exact_match"] == 100.0
    assert made.scores["squad_v2"]["total"] == 1
    with pytest.raises(DataError, match="no question with answers"):
        report(unsaid)


def test_groups_are_parts_of_all_questions():
    made = report(
        pair("Anna", "Anna"), pair("Acme Corp", "Acme", text="Which company?"), pair(None, None, text="Is it so?")
    )
    kinds = {part["group"]: part for part in made.groups["question type"]}
    assert {name: part["questions"] for name, part in kinds.items()} == {"who": 1, "which": 1, "other": 1}
    assert kinds["which"]["f1"] == pytest.approx(200 / 3)
    lengths = {part["group"]: part["exact"] for part in made.groups["answer length"]}
    assert lengths == {"1 word": 100.0, "2-3 words": 0.0, "no answer": 100.0}
    for parts in made.groups.values():
        assert sum(part["questions"] for part in parts) == 3
    assert "question type" in made.to_text() and made.to_json()["groups"]["context length"]


def test_a_repeated_id_counts_each_time():
    gold = Document("d", TEXT, questions=(pair("Anna", "Anna")[0], pair("Bert", "Anna")[0]))
    predicted = Document("d", TEXT, questions=(pair("Anna", "Anna")[1], pair("Bert", "Anna")[1]))
    assert answer_report([gold], [predicted], policy="arg-max").scores["squad_v2"]["exact"] == 50.0


def test_documents_that_do_not_belong_together():
    one, other = Document("d", TEXT, questions=pair("Anna", "Anna")[:1]), Document("d", TEXT)
    with pytest.raises(DataError, match="1 questions in gold"):
        answer_report([one], [other], policy="arg-max")


def test_several_answers_are_counted_as_spans():
    """Gold has two, two were given, one of them right."""
    gold = Question("q", "?", (span("Anna"), span("Bert")))
    given = (span("Anna", 0.9), span("river", 0.6))
    made = report((gold, Question("q", "?", given, 0.05, given)), policy="flat")
    assert (made.micro.correct, made.micro.predicted, made.micro.support) == (1, 2, 2)
    assert made.scores["cuad"]["aupr"] == pytest.approx(50.0)


def test_one_gold_text_is_found_once():
    """Gold Anna and Bert; given is Anna at two places: one of the two is found."""
    text = "Anna met Anna and Bert"
    gold = Question("q", "?", (Span(0, 4, ANSWER), Span(18, 22, ANSWER)))
    given = (Span(0, 4, ANSWER, 0.9), Span(9, 13, ANSWER, 0.8))
    made = answer_report(
        [Document("d", text, questions=(gold,))],
        [Document("d", text, questions=(Question("q", "?", given, 0.1, given),))],
        policy="flat",
    )
    assert (made.micro.correct, made.micro.predicted, made.micro.support) == (1, 2, 2)


def test_clauses_by_hand():
    """Three gold clauses; found at 0.9 and 0.5, a wrong one at 0.7: precision 1 at recall 1/3, 2/3 at recall 2/3."""
    questions = [
        (["a b c d"], [("a b c", 0.9), ("x y", 0.7)]),  # Jaccard 3/4
        (["e f", "g h"], [("e f", 0.5), ("g z y", 0.1)]),  # 1/4 is no match
        ([], []),
    ]
    scores = clause_scores(questions)
    assert scores["aupr"] == pytest.approx(100 * (1 / 3 + 2 / 3 * 1 / 3))
    assert scores["precision_at_80_recall"] is None
    assert clause_scores(questions[:1])["precision_at_80_recall"] == 100.0
    assert clause_scores([([], [("x", 0.5)])])["aupr"] is None
    assert clause_scores([(["x"], [])])["aupr"] == 0.0
