"""Official scores of extractive question answering: SQuAD 1.1, SQuAD 2.0 and MRQA 2019.

A question earns two points, each the best over its gold answers: exact (0 or 1) and F1 (0 to 1, of words counted as
often as they occur). Points of a question are from 0 to 1, everything over questions is in percent.

Sources: Rajpurkar et al. 2016, official evaluation script v1.1; Rajpurkar et al. 2018, official evaluation script
v2.0; Fisch et al. 2019, official evaluation script of the MRQA shared task. Where one of them ends without a number,
so does this module, with a DataError; where they differ, each is followed, oddities included.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError

Gold = tuple[str, Sequence[str]]  # (question id, texts of its right answers; none: unanswerable)
Points = tuple[int, float]  # (exact, F1)

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)  # ASCII only: other quotes and dashes stay


@dataclass(frozen=True, slots=True)
class AnswerScores:
    """The points of each question, and their means in percent."""

    ids: tuple[str, ...]
    """Never empty; SQuAD 1.1 counts a repeated id as often as it occurs."""
    points: np.ndarray
    """[questions, 2]: exact and F1, aligned with `ids`."""

    @property
    def exact(self) -> float:
        return 100.0 * float(self.points[:, 0].mean())

    @property
    def f1(self) -> float:
        return 100.0 * float(self.points[:, 1].mean())

    def part(self, chosen: np.ndarray) -> AnswerScores | None:
        """Of the questions where `chosen` [questions] is true; None where it nowhere is."""
        if not chosen.any():
            return None
        return AnswerScores(tuple(self.ids[index] for index in np.flatnonzero(chosen)), self.points[chosen])


@dataclass(frozen=True, slots=True)
class Best:
    """The best score (percent) over all thresholds, and where; tuned on the very questions it scores.

    With equal probabilities no threshold need reach it: the official search passes them one by one.
    """

    score: float
    threshold: float


@dataclass(frozen=True, slots=True)
class NoAnswerScores:
    """Scores where leaving a question unanswered can be right."""

    overall: AnswerScores
    """With the threshold applied."""
    raw: AnswerScores
    """As predicted, whatever the probabilities of no answer."""
    answerable: np.ndarray
    """[questions], bool: gold has an answer, even if it normalises to nothing."""
    best_exact: Best | None = None
    best_f1: Best | None = None
    """None without probabilities of no answer."""

    @property
    def on_answerable(self) -> AnswerScores | None:
        return self.overall.part(self.answerable)

    @property
    def on_unanswerable(self) -> AnswerScores | None:
        return self.overall.part(~self.answerable)


@dataclass(frozen=True, slots=True)
class AveragePrecisions:
    """Areas (percent) under the steps of precision over recall, of answers given in order of confidence."""

    exact: float
    f1: float
    oracle: float
    """If every answerable question were answered rightly."""


def score_squad_v1(gold: Iterable[Gold], predicted: Mapping[str, str]) -> AnswerScores:
    """Rajpurkar et al. 2016, v1.1: a question without a prediction earns nothing, predictions for others are ignored.

    Raises DataError without questions, or where an answered question has no gold answer.
    """
    return _scores((id, _points_v1(id, answers, predicted)) for id, answers in gold)


def score_mrqa(gold: Iterable[Gold], predicted: Mapping[str, str], *, skip_unanswered: bool = False) -> AnswerScores:
    """Fisch et al. 2019: the points of SQuAD 1.1; of a repeated id, the last counts.

    `skip_unanswered` leaves questions without a prediction out of the mean. Raises DataError as SQuAD 1.1 does.
    """
    questions = dict(gold)
    asked = (id for id in questions if id in predicted or not skip_unanswered)
    return _scores((id, _points_v1(id, questions[id], predicted)) for id in asked)


def score_squad_v2(
    gold: Iterable[Gold],
    predicted: Mapping[str, str],
    no_answer: Mapping[str, float] | None = None,
    threshold: float = 1.0,
) -> NoAnswerScores:
    """Rajpurkar et al. 2018, v2.0: the empty prediction says that there is no answer.

    A question whose probability `no_answer[id]` is above the threshold counts as predicted empty, whatever was
    predicted. Of a repeated id, the last question counts; predictions and probabilities of other questions do not.
    Raises DataError without questions, or where one has no prediction or (if any are given) no probability.
    """
    questions = dict(gold)
    _check_covered(questions, predicted, "prediction", 'predict "" where there is no answer')
    if no_answer is not None:
        _check_covered(questions, no_answer, "probability of no answer", "give one for every question, or none at all")
    raw = _scores((id, _points_v2(predicted[id], answers)) for id, answers in questions.items())
    answerable = np.array([len(answers) > 0 for answers in questions.values()])
    probabilities = np.array([0.0 if no_answer is None else no_answer[id] for id in raw.ids])
    emptied = (probabilities > threshold)[:, None]
    overall = AnswerScores(raw.ids, np.where(emptied, ~answerable[:, None], raw.points))
    if no_answer is None:
        return NoAnswerScores(overall, raw, answerable)
    spoken = np.array([bool(predicted[id]) for id in raw.ids])
    return NoAnswerScores(overall, raw, answerable, *_best(raw, answerable, spoken, no_answer))


def average_precisions(scores: NoAnswerScores, no_answer: Mapping[str, float]) -> AveragePrecisions | None:
    """Rajpurkar et al. 2018, v2.0: precision and recall of raw points, answering from the lowest probability upwards.

    Equal probabilities are one step. None where no question is answerable. Raises DataError where `no_answer` names
    a question that was not scored.
    """
    if not scores.answerable.any():
        return None
    scored = set(scores.raw.ids)
    for id in [id for id in no_answer if id not in scored]:
        raise DataError(
            f"{id!r} has a probability of no answer and is none of the {len(scored)} questions",
            "probabilities of scored questions only",
            "leave it out, or score the questions that were predicted",
        )
    points = np.column_stack([scores.raw.points, np.ones(len(scored))]) * scores.answerable[:, None]
    probabilities = np.array([no_answer[id] for id in scores.raw.ids])
    order = np.argsort(probabilities)
    answered = np.searchsorted(probabilities[order], np.unique(probabilities), side="right")  # after each step
    right = points[order].cumsum(axis=0)[answered - 1]  # [steps, 3]
    precision, recall = right / answered[:, None], right / scores.answerable.sum()
    areas = (precision * np.diff(recall, axis=0, prepend=0.0)).sum(axis=0)
    return AveragePrecisions(*(100.0 * areas).tolist())


def normalized(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, one space between words (Rajpurkar et al. 2016).

    Punctuation goes first, so `a-team` is the word `ateam`; composed and decomposed accents stay different.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _points_v1(id: str, answers: Sequence[str], predicted: Mapping[str, str]) -> Points:
    """Where a prediction and an answer both normalise to nothing, exact is 1 and F1 is 0."""
    if id not in predicted:
        return 0, 0.0
    if not answers:
        raise DataError(
            f"question {id!r} has a prediction and no gold answer",
            "at least one gold answer to every question",
            "leave the question out, or score it as SQuAD 2.0, where having no answer can be right",
        )
    return _best_points(normalized(predicted[id]), [normalized(answer) for answer in answers])


def _points_v2(prediction: str, answers: Sequence[str]) -> Points:
    """Answers that normalise to nothing do not count; if none is left, nothing is right, with F1 1."""
    guess = normalized(prediction)
    exact, f1 = _best_points(guess, [answer for answer in map(normalized, answers) if answer] or [""])
    return exact, f1 if guess else float(exact)


def _best_points(guess: str, answers: Sequence[str]) -> Points:
    """Of a guess over at least one answer, all normalised."""
    return int(guess in answers), max(_word_f1(guess, answer) for answer in answers)


def _word_f1(guess: str, answer: str) -> float:
    found, right = guess.split(), answer.split()
    shared = (Counter(found) & Counter(right)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(found), shared / len(right)
    # not simplified: which of two equal totals is the best threshold hangs on the rounding of this very form
    return 2 * precision * recall / (precision + recall)


def _scores(points: Iterable[tuple[str, Points]]) -> AnswerScores:
    pairs = list(points)
    if not pairs:
        raise DataError(
            "no questions to score", "at least one question", "check that gold and predictions belong together"
        )
    return AnswerScores(tuple(id for id, _ in pairs), np.array([pair for _, pair in pairs], dtype=np.float64))


def _best(
    raw: AnswerScores, answerable: np.ndarray, spoken: np.ndarray, no_answer: Mapping[str, float]
) -> tuple[Best, Best]:
    """Of exact and F1: the first greatest total of a walk that answers one question after another, the surest first.

    Equal probabilities are walked in the order of `no_answer`. `spoken` [questions]: any text was predicted; it costs
    the point of an unanswerable question, even where the text normalises to nothing and so scores as no answer.
    """
    position = {id: index for index, id in enumerate(raw.ids)}
    walk = [id for id in sorted(no_answer, key=no_answer.__getitem__) if id in position]
    gains = np.where(answerable[:, None], raw.points, -1.0 * spoken[:, None])[[position[id] for id in walk]]
    nothing_answered = np.full((1, 2), (~answerable).sum())
    totals = np.concatenate([nothing_answered, gains]).cumsum(axis=0)  # [1 + questions, 2]
    thresholds = [0.0, *(no_answer[id] for id in walk)]
    exact, f1 = (
        Best(100.0 * float(totals[row, column]) / len(walk), thresholds[row])
        for column, row in enumerate(totals.argmax(axis=0).tolist())
    )
    return exact, f1


def _check_covered(questions: Iterable[str], given: Mapping[str, object], what: str, fix: str) -> None:
    for id in questions:
        if id not in given:
            raise DataError(f"question {id!r} has no {what}", f"a {what} for every question", fix)
