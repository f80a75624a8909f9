"""What an evaluation of question answering says: the official scores, exact answers as spans, and both by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from ..documents import ANSWER, JSON, Document, Question
from ..errors import DataError, at
from . import bootstrap
from .answers import average_precisions, normalized, score_mrqa, score_squad_v1, score_squad_v2
from .clauses import clause_scores
from .probabilities import brier, ece
from .report import Report, counted_report
from .spans import check_matched

ONE = "arg-max"
"""The policy under which a question has one answer or none."""
_HEADLINE = ("squad_v2/exact", "squad_v2/f1", "squad_v2/best_f1")
_TYPES = ("who", "whom", "whose", "what", "which", "when", "where", "why", "how")
_LENGTHS = ((1, "1 word"), (3, "2-3 words"), (7, "4-7 words"), (10**9, "8 or more words"))
_CONTEXTS = ((100, "up to 100 words"), (200, "101-200 words"), (400, "201-400 words"), (10**9, "more than 400 words"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that gold says something of, with what was predicted."""

    id: str
    gold: Question
    predicted: Question
    document: int
    text: str

    @property
    def accepted(self) -> tuple[str, ...]:
        """What may be said; nothing: it has no answer."""
        return accepted(self.text, self.gold)

    @property
    def said(self) -> str:
        """The best of the answers given, empty where none was; of another system it may stand nowhere in the text."""
        answers = self.predicted.answers or ()
        best = max(answers, key=lambda span: span.score or 0.0, default=None)
        return next(iter(self.predicted.texts), "") if best is None else self.text[best.start : best.end]

    @property
    def guess(self) -> tuple[str, float]:
        """The most probable answer, whether it was given or not, and its probability."""
        best = max(self.predicted.n_best, key=lambda span: span.score or 0.0, default=None)
        return (self.said, 0.0) if best is None else (self.text[best.start : best.end], best.score or 0.0)


def accepted(text: str, question: Question) -> tuple[str, ...]:
    """What answers a gold question, each once; nothing: it has no answer."""
    spans = (text[answer.start : answer.end] for answer in question.answers or ())
    return tuple(dict.fromkeys((*spans, *question.texts)))


def said_of(text: str, gold: Question, predicted: Question) -> tuple[str, bool]:
    """What was said (empty: nothing), and whether it is exactly right by the official score."""
    asked = Asked("one", gold, predicted, 0, text)
    return asked.said, bool(_points([asked])[0, 0] > 0)


def answer_table(gold: Sequence[Document], predicted: Sequence[Document]) -> np.ndarray:
    """[documents, 2]: the sum of the official F1 (0 to 1) of the best answers given, and the number of questions."""
    asked = _asked(gold, predicted)
    return _sums(asked, _points(asked)[:, 1], len(gold)) if asked else np.zeros((len(gold), 2))


def answer_report(gold: Sequence[Document], predicted: Sequence[Document], *, policy: str) -> Report:
    """The report on the questions of documents matched by position.

    Questions of which nobody has said whether they have an answer are left out. Raises DataError where none is left.
    """
    asked = _asked(gold, predicted)
    if not asked:
        raise DataError(
            "no question with answers, or said to have none",
            "questions with gold answers",
            "check the format of the file, and that its answers were exported",
        )
    points = _points(asked)
    scores: dict[str, dict[str, Any]] = {"squad_v2": _squad_v2(asked)}
    intervals = {"squad_v2": _intervals(asked, points, len(gold))}
    if all(each.accepted for each in asked):
        pairs, said = [(each.id, each.accepted) for each in asked], {each.id: each.said for each in asked}
        v1, mrqa = score_squad_v1(pairs, said), score_mrqa(pairs, said)
        scores = {
            "squad_v1": {"exact_match": v1.exact, "f1": v1.f1},
            **scores,
            "mrqa": {"exact_match": mrqa.exact, "f1": mrqa.f1},
        }
        exact, overlap = (intervals["squad_v2"][key] for key in ("exact", "f1"))
        intervals["squad_v1"] = intervals["mrqa"] = {"exact_match": exact, "f1": overlap}
    headline: tuple[str, ...] = ("squad_v1/exact_match", "squad_v1/f1") if "squad_v1" in scores else _HEADLINE
    if policy != ONE:
        scores["cuad"] = clause_scores([(each.accepted, _guesses(each)) for each in asked])
        headline = ("cuad/aupr", *_HEADLINE)
    counts = _counts(asked, len(gold), several=policy != ONE)
    return replace(
        counted_report(counts, (ANSWER,), "answers:exact-text", policy),
        scores=scores,
        intervals=intervals,
        groups={
            "question type": _group(asked, points, _question_type, len(gold)),
            "answer length": _group(asked, points, _answer_length, len(gold)),
            "context length": _group(asked, points, _context_length, len(gold)),
        },
        headline=headline,
    )


def scored_questions(gold: Sequence[Document], found: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Documents with a question of which gold says something, the predicted questions in the order of the gold ones.

    Raises DataError where they are not the same questions.
    """
    pairs = [
        (document, other)
        for document, other in zip(gold, found, strict=True)
        if any(question.judged for question in document.questions)
    ]
    return [document for document, _ in pairs], [_ordered(*pair) for pair in pairs]


def _ordered(gold: Document, found: Document) -> Document:
    """By their ids; where no id agrees, as many questions are taken in their order."""
    asked, told = [[question.id for question in document.questions] for document in (gold, found)]
    by_id = {question.id: question for question in found.questions}
    missing = [name for name in asked if name not in by_id]
    if not missing and len(by_id) == len(told) and len(set(asked)) == len(asked):
        found = replace(found, questions=tuple(by_id[name] for name in asked))
        told = asked
    if len(told) == len(asked) and (asked == told or not set(asked) & set(told)):
        _check_wording(gold, found)
        return found
    with at(document=gold.id):
        raise DataError(
            f"no answer to question {missing[0]!r}" if missing else "ids of questions that repeat",
            "an answer, or none, for every question of the document",
            "predict the file that is given as gold",
        )


def _check_wording(gold: Document, found: Document) -> None:
    for question, other in zip(gold.questions, found.questions, strict=True):
        if question.text.split() != other.text.split():
            with at(document=gold.id):
                raise DataError(
                    f"question {question.id!r} is {question.text[:50]!r} in gold, {other.text[:50]!r} in predictions",
                    "the same question under an id",
                    "predict the file that is given as gold",
                )


def _asked(gold: Sequence[Document], predicted: Sequence[Document]) -> list[Asked]:
    found: list[Asked] = []
    taken = {question.id for document in gold for question in document.questions}
    seen: set[str] = set()
    check_matched(gold, predicted)
    for number, (document, other) in enumerate(zip(gold, predicted, strict=True)):
        if len(document.questions) != len(other.questions):
            raise DataError(
                f"document {document.id!r} has {len(document.questions)} questions in gold, {len(other.questions)} in "
                "the predictions",
                "the same questions in the same order",
                "predict the very documents that are evaluated",
            )
        for question, answered in zip(document.questions, other.questions, strict=True):
            if question.judged:
                id = question.id
                if id in seen:  # scorers would count one of them
                    id = next(name for n in count(2) if (name := f"{question.id} ({n})") not in taken)
                    taken.add(id)
                seen.add(id)
                found.append(Asked(id, question, answered, number, document.text))
    return found


def _points(asked: Sequence[Asked]) -> np.ndarray:
    """[questions, 2]: exact and F1 of what was said."""
    pairs, said = [(each.id, each.accepted) for each in asked], {each.id: each.said for each in asked}
    return score_squad_v2(pairs, said).overall.points


def _squad_v2(asked: Sequence[Asked]) -> dict[str, Any]:
    """The keys of the official script. Scores are of what was said; the best ones of all guesses, by threshold."""
    pairs = [(each.id, each.accepted) for each in asked]
    said = score_squad_v2(pairs, {each.id: each.said for each in asked})
    doubt = {each.id: 1.0 - each.guess[1] for each in asked}
    guessed = score_squad_v2(pairs, {each.id: each.guess[0] for each in asked}, doubt)
    record: dict[str, Any] = {"exact": said.overall.exact, "f1": said.overall.f1, "total": len(asked)}
    for name, part in (("HasAns", said.on_answerable), ("NoAns", said.on_unanswerable)):
        if part is not None:
            record |= {f"{name}_exact": part.exact, f"{name}_f1": part.f1, f"{name}_total": len(part.ids)}
    if guessed.best_exact is not None and guessed.best_f1 is not None:
        record |= {
            "best_exact": guessed.best_exact.score,
            "best_exact_thresh": guessed.best_exact.threshold,
            "best_f1": guessed.best_f1.score,
            "best_f1_thresh": guessed.best_f1.threshold,
        }
    areas = average_precisions(guessed, doubt)
    if not said.answerable.all():
        record |= _silence(asked)
        if areas is not None:
            record |= {"pr_exact_ap": areas.exact, "pr_f1_ap": areas.f1, "pr_oracle_ap": areas.oracle}
    return record


def _sums(asked: Sequence[Asked], points: np.ndarray, documents: int) -> np.ndarray:
    """[documents, 2]: the sum of what each question has, and their number."""
    sums = np.zeros((documents, 2))
    np.add.at(sums, [each.document for each in asked], np.stack([points, np.ones(len(asked))], axis=1))
    return sums


def _interval(asked: Sequence[Asked], points: np.ndarray, documents: int) -> bootstrap.Interval | None:
    """Of the mean of what each question has (percent), by drawing documents."""
    sums = _sums(asked, points, documents)
    return bootstrap.interval(sums[sums[:, 1] > 0], lambda drawn: 100.0 * drawn[..., 0] / drawn[..., 1], best=100.0)


def _intervals(asked: Sequence[Asked], points: np.ndarray, documents: int) -> dict[str, bootstrap.Interval | None]:
    """Of exact and F1, and of those of the questions that have an answer and that have none, if there are such."""
    has = np.array([bool(each.accepted) for each in asked])
    found = {}
    for name, part in (("", has | True), ("HasAns_", has), ("NoAns_", ~has)):
        chosen = [asked[index] for index in np.flatnonzero(part).tolist()]
        for key, column in zip(("exact", "f1") if chosen else (), points[part].T, strict=False):
            found[name + key] = _interval(chosen, column, documents)
    return found


def _silence(asked: Sequence[Asked]) -> dict[str, Any]:
    """Precision and recall (percent) of saying that there is no answer, none where nothing was or is so; and how far
    the probabilities of that are off (0 to 1)."""
    silent = np.array([not each.said for each in asked])
    right = np.array([not each.accepted for each in asked])
    both = float((silent & right).sum())
    record: dict[str, Any] = {
        "unanswerable_precision": 100.0 * both / float(silent.sum()) if silent.any() else None,
        "unanswerable_recall": 100.0 * both / float(right.sum()) if right.any() else None,
    }
    told = [each.predicted.no_answer for each in asked]
    if all(p is not None for p in told):  # another system may say nothing of it
        probabilities = np.array(told, dtype=np.float64)
        record |= {"no_answer_ece": ece(probabilities, right), "no_answer_brier": brier(probabilities, right)}
    return record


def _counts(asked: Sequence[Asked], documents: int, *, several: bool) -> np.ndarray:
    """[documents, 2, 3]: answers (correct, predicted, gold) by what they say, and by their boundaries."""
    counts = np.zeros((documents, 2, 3), dtype=np.int64)
    for each in asked:
        accepted = {normalized(text) for text in each.accepted}
        places = {(span.start, span.end) for span in each.gold.answers or ()}
        given = {(span.start, span.end) for span in each.predicted.answers or ()}
        said = Counter(normalized(each.text[start:end]) for start, end in given)
        told = max(len(given), len(each.predicted.texts))
        if not given:  # another system's answer, of which no place is known
            said = Counter(map(normalized, each.predicted.texts))
        if several:
            wanted = Counter(normalized(each.text[start:end]) for start, end in places)
            wanted |= Counter(map(normalized, each.gold.texts))
            right, whole = (said & wanted).total(), wanted.total()
        else:
            right, whole = sum(said[text] for text in accepted), int(bool(accepted))
        counts[each.document, 0] += (min(right, whole), told, whole)
        counts[each.document, 1] += (min(len(places & given), whole), told, whole)
    return counts


def _group(
    asked: Sequence[Asked], points: np.ndarray, name: Callable[[Asked], str], documents: int
) -> list[dict[str, JSON]]:
    """For each group its questions, exact and F1 (percent), and the interval of F1 by drawing documents."""
    members: dict[str, list[int]] = {}
    for index, each in enumerate(asked):
        members.setdefault(name(each), []).append(index)
    found: list[dict[str, JSON]] = []
    for group, indices in sorted(members.items()):
        bounds = _interval([asked[index] for index in indices], points[indices, 1], documents)
        exact, f1 = (100.0 * points[indices].mean(axis=0)).tolist()
        found.append(
            {
                "group": group,
                "questions": len(indices),
                "exact": exact,
                "f1": f1,
                "f1_interval": None if bounds is None else list(bounds),
            }
        )
    return found


def _question_type(asked: Asked) -> str:
    words = normalized(asked.gold.text).split()
    return next((word for word in words if word in _TYPES), "other")


def _answer_length(asked: Asked) -> str:
    """By the shortest right answer."""
    if not asked.accepted:
        return "no answer"
    words = min(len(text.split()) for text in asked.accepted)
    return next(name for most, name in _LENGTHS if words <= most)


def _context_length(asked: Asked) -> str:
    words = len(asked.text.split())
    return next(name for most, name in _CONTEXTS if words <= most)


def _guesses(asked: Asked) -> list[tuple[str, float]]:
    return [(asked.text[span.start : span.end], span.score or 0.0) for span in asked.predicted.n_best]
