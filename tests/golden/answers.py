"""The cases of `squad_v1`, `squad_v2` and `mrqa` in the schema of `expected`."""

from __future__ import annotations

from typing import Any

from spanbert.errors import DataError
from spanbert.metrics.answers import (
    AnswerScores,
    Best,
    Gold,
    NoAnswerScores,
    average_precisions,
    normalized,
    score_mrqa,
    score_squad_v1,
    score_squad_v2,
)

Case = dict[str, Any]


def squad_v1(case: Case, options: Case | None) -> Case:
    """The vectors give the normalised texts where a case is a single question."""
    gold, predicted = questions(case), case["predictions"]
    scores = score_squad_v1(gold, predicted)
    found = {"exact_match": scores.exact, "f1": scores.f1, "per_question": per_question(scores, predicted)}
    if len(gold) == 1:
        [(id, answers)] = gold
        normal = {"prediction": normalized(predicted[id]), "answers": [normalized(answer) for answer in answers]}
        found["normalized"] = normal
    return found


def squad_v2(case: Case, options: Case) -> Case:
    no_answer = case["na_probs"]
    scores = score_squad_v2(questions(case), case["predictions"], no_answer, options["na_prob_thresh"])
    return {
        **section(scores.overall, ""),
        **section(scores.on_answerable, "HasAns_"),
        **section(scores.on_unanswerable, "NoAns_"),
        **best(scores.best_exact, "best_exact"),
        **best(scores.best_f1, "best_f1"),
        "per_question_raw": per_question(scores.raw, case["predictions"]),
        **({} if no_answer is None else curve(scores, no_answer)),
    }


def mrqa(case: Case, options: Case) -> Case:
    gold, predicted = list(case["answers"].items()), case["predictions"]
    scores = score_mrqa(gold, predicted, skip_unanswered=options["skip_no_answer"])
    return {"exact_match": scores.exact, "f1": scores.f1, "per_question": per_question(scores, predicted)}


def questions(case: Case) -> list[Gold]:
    return [
        (question["id"], [answer["text"] for answer in question["answers"]])
        for article in case["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def per_question(scores: AnswerScores, predicted: Case) -> Case:
    """Of answered questions only, as the vectors have it."""
    pairs = zip(scores.ids, scores.points.tolist(), strict=True)
    return {id: [int(exact), f1] for id, (exact, f1) in pairs if id in predicted}


def section(scores: AnswerScores | None, prefix: str) -> Case:
    if scores is None:
        return {}
    return {f"{prefix}exact": scores.exact, f"{prefix}f1": scores.f1, f"{prefix}total": len(scores.ids)}


def best(found: Best | None, name: str) -> Case:
    return {} if found is None else {name: found.score, f"{name}_thresh": found.threshold}


def curve(scores: NoAnswerScores, no_answer: Case) -> Case:
    try:
        found = average_precisions(scores, no_answer)
    except DataError as error:  # ours begins with the id that the official one is about
        return {"pr_curve": {"error": "KeyError", "message": error.found.split(" has a probability")[0]}}
    if found is None:
        return {}
    return {"pr_curve": {"pr_exact_ap": found.exact, "pr_f1_ap": found.f1, "pr_oracle_ap": found.oracle}}
