"""Official scores of extractive question answering, worked out by hand, and what must hold of any questions."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.errors import DataError
from spanbert.metrics.answers import (
    AveragePrecisions,
    Best,
    Gold,
    average_precisions,
    normalized,
    score_mrqa,
    score_squad_v1,
    score_squad_v2,
)

FOUR: list[Gold] = [("a", ["cat"]), ("b", ["big dog", "old big dog"]), ("c", []), ("d", [])]
FOUR_PREDICTED = {"a": "The cat!", "b": "dog", "c": "", "d": "the"}
FOUR_NO_ANSWER = {"a": 0.1, "b": 0.4, "c": 0.9, "d": 0.2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The A-Team,  AN the\u00a0end", "ateam end"),  # punctuation first: A-Team has no article left
        ("A Team", "team"),
        ("\u201cthe\u201d caf\u00e9", "\u201c \u201d caf\u00e9"),  # only ASCII punctuation goes
        ("cafe\u0301", "cafe\u0301"),  # not composed
        ("the.", ""),
    ],
)
def test_normalization(text: str, expected: str):
    assert normalized(text) == expected


def test_words_count_as_often_as_they_occur():
    """Found: cat cat sat (3), right: cat sat down down (4), shared: cat sat. P = 2/3, R = 2/4, F1 = (2/3)/(7/6) = 4/7.

    Against `mat` nothing is shared, so the first answer is the best one.
    """
    scores = score_squad_v1([("q", ["the cat sat down down", "mat"])], {"q": "a cat, cat sat"})
    assert (scores.exact, scores.f1) == (0.0, pytest.approx(400 / 7))


def test_squad_v1_counts_every_question():
    """q is asked twice, once answered rightly; r has no prediction: 1 of 3. The prediction for z is of no question."""
    scores = score_squad_v1([("q", ["x"]), ("q", ["y"]), ("r", ["x"])], {"q": "X.", "z": "x"})
    assert scores.ids == ("q", "q", "r")
    assert scores.points.tolist() == [[1, 1], [0, 0], [0, 0]]
    assert scores.exact == scores.f1 == pytest.approx(100 / 3)


def test_mrqa_can_skip_questions_without_a_prediction():
    """q right, r wrong, s without prediction: 1 of 3, or 1 of 2. Of q, the last answers count."""
    gold: list[Gold] = [("q", ["y"]), ("r", ["y"]), ("s", ["x"]), ("q", ["x"])]
    predicted = {"q": "x", "r": "x"}
    assert score_mrqa(gold, predicted).exact == pytest.approx(100 / 3)
    skipped = score_mrqa(gold, predicted, skip_unanswered=True)
    assert (skipped.ids, skipped.exact, skipped.f1) == (("q", "r"), 50.0, 50.0)


def test_nothing_for_nothing():
    """`the` and `a` normalise to nothing: exact, with F1 0 in v1.1 and MRQA, F1 1 in v2.0, where a text is wrong."""
    gold: list[Gold] = [("q", ["the"])]
    for score in (score_squad_v1, score_mrqa):
        assert score(gold, {"q": "a"}).points.tolist() == [[1, 0]]
    assert score_squad_v2(gold, {"q": "a"}).raw.points.tolist() == [[1, 1]]
    assert score_squad_v2(gold, {"q": "x"}).raw.points.tolist() == [[0, 0]]
    assert score_squad_v2(gold, {"q": ""}).answerable.tolist() == [True]
    assert score_squad_v2([("q", ["the", "x"])], {"q": ""}).raw.points.tolist() == [[0, 0]]  # `the` does not count


def test_squad_v2_threshold():
    """Raw: a 1, b exact 0 and F1 2/3 (P = 1, R = 1/2), c 1, d 1 (`the` is nothing). Above 0.3: b, now 0, and c.

    At 0.4 b is not above the threshold: F1 = (1 + 2/3 + 1 + 1) / 4 = 11/12.
    """
    scores = score_squad_v2(FOUR, FOUR_PREDICTED, FOUR_NO_ANSWER, 0.3)
    assert scores.raw.points == pytest.approx(np.array([[1, 1], [0, 2 / 3], [1, 1], [1, 1]]))
    assert scores.overall.points.tolist() == [[1, 1], [0, 0], [1, 1], [1, 1]]
    assert (scores.overall.exact, scores.overall.f1) == (75.0, 75.0)
    answerable, unanswerable = scores.on_answerable, scores.on_unanswerable
    assert answerable is not None and unanswerable is not None
    assert (answerable.ids, answerable.exact, answerable.f1) == (("a", "b"), 50.0, 50.0)
    assert (unanswerable.ids, unanswerable.exact, unanswerable.f1) == (("c", "d"), 100.0, 100.0)
    assert score_squad_v2(FOUR, FOUR_PREDICTED, FOUR_NO_ANSWER, 0.4).overall.f1 == pytest.approx(1100 / 12)


def test_a_text_where_nothing_is_right_is_wrong():
    """c is unanswerable and answered: 0; above the threshold its text is not given: 1."""
    assert score_squad_v2([("c", [])], {"c": "x"}, {"c": 0.6}, 0.6).overall.exact == 0.0
    assert score_squad_v2([("c", [])], {"c": "x"}, {"c": 0.6}, 0.5).overall.exact == 100.0


def test_best_thresholds():
    """From 2 (c and d unanswered): a +1, d -1 (`the` is some text), b +0 exact and +2/3 F1, c 0. Best: 3 of 4, at a."""
    scores = score_squad_v2(FOUR, FOUR_PREDICTED, FOUR_NO_ANSWER)
    assert scores.best_exact == scores.best_f1 == Best(75.0, 0.1)
    nothing = score_squad_v2([("d", []), ("a", ["x"])], {"d": "x", "a": "x"}, {"d": 0.1, "a": 0.2})
    assert nothing.best_exact == Best(50.0, 0.0)  # 1, 0, 1: the first of the greatest
    assert score_squad_v2(FOUR, FOUR_PREDICTED).best_exact is None


def test_rounding_decides_between_equal_best_thresholds():
    """From 1: -1, then 4 of 5 words right of 5 and 1 right of 2 with 8 found: 4/5 + 1/5 makes 1 again.

    In double precision 2PR/(P + R) of 4/5 and 4/5 is 0.8 and one unit in the last place: more than 1, so the best.
    """
    gold: list[Gold] = [("u", []), ("v", ["c d e f g"]), ("w", ["c d"])]
    predicted = {"u": "x", "v": "c d e f x", "w": "c x x x x x x x"}
    best = score_squad_v2(gold, predicted, {"u": 0.1, "v": 0.2, "w": 0.3}).best_f1
    assert best == Best(pytest.approx(100 / 3), 0.3)


def test_equal_probabilities_are_passed_one_by_one():
    """From 1: a +1, b -1. Walked a, b the best is 2 of 2, though each threshold gives 1 of 2; walked b, a it is 1."""
    gold: list[Gold] = [("a", ["x"]), ("b", [])]
    predicted = {"a": "x", "b": "x"}
    assert score_squad_v2(gold, predicted, {"a": 0.5, "b": 0.5}).best_exact == Best(100.0, 0.5)
    assert score_squad_v2(gold, predicted, {"b": 0.5, "a": 0.5}).best_exact == Best(50.0, 0.0)


def test_average_precisions():
    """In the order a, d, b, c recall rises at a (0 to 1/2, precision 1) and at b (third).

    Exact: 1/2. F1: 1/2 + 5/9 * (5/6 - 1/2), as 1 + 2/3 of 3 were right. Oracle: 1/2 + 2/3 * 1/2.
    """
    scores = score_squad_v2(FOUR, FOUR_PREDICTED, FOUR_NO_ANSWER)
    found = average_precisions(scores, FOUR_NO_ANSWER)
    assert found is not None
    expected = (50.0, 50 + 500 / 27, 50 + 100 / 3)
    assert (found.exact, found.f1, found.oracle) == pytest.approx(expected)
    tied = dict.fromkeys(FOUR_NO_ANSWER, 0.5)  # one step, to recall 1/2, 5/6 and 1 at precision 1/4, 5/12 and 1/2
    assert average_precisions(scores, tied) == AveragePrecisions(12.5, pytest.approx(2500 / 72), 50.0)
    assert average_precisions(score_squad_v2([("c", [])], {"c": ""}, {"c": 0.5}), {"c": 0.5}) is None


def test_refused_where_the_official_scorers_end_without_a_number():
    for score in (score_squad_v1, score_mrqa, score_squad_v2):
        with pytest.raises(DataError, match="no questions"):
            score([], {"q": "x"})
    with pytest.raises(DataError, match="no questions"):
        score_mrqa([("q", ["x"])], {}, skip_unanswered=True)
    for score in (score_squad_v1, score_mrqa):
        with pytest.raises(DataError, match="'q' has a prediction and no gold answer"):
            score([("q", [])], {"q": "x"})
    with pytest.raises(DataError, match="'q' has no prediction"):
        score_squad_v2([("q", ["x"])], {})
    with pytest.raises(DataError, match="'q' has no probability"):
        score_squad_v2([("q", ["x"])], {"q": "x"}, {})


def test_probabilities_of_other_questions():
    """They change no score; the precisions, which count every probability, are refused."""
    more = {"z": 0.0, **FOUR_NO_ANSWER}
    scores, same = (score_squad_v2(FOUR, FOUR_PREDICTED, each) for each in (more, FOUR_NO_ANSWER))
    assert (scores.best_exact, scores.best_f1) == (same.best_exact, same.best_f1)
    assert scores.overall.points.tolist() == same.overall.points.tolist()
    with pytest.raises(DataError, match="'z' has a probability"):
        average_precisions(scores, more)


def test_of_a_repeated_id_the_last_question_counts():
    scores = score_squad_v2([("q", ["x"]), ("q", [])], {"q": "x"})
    assert (scores.overall.ids, scores.overall.exact, scores.answerable.tolist()) == (("q",), 0.0, [False])


WORDS = st.sampled_from(["the", "a", "A-Team", "cat", "Cat.", "dog", "\u00e9t\u00e9", "\u201cx\u201d", "3.5", "-", "%"])
TEXTS = st.lists(WORDS, max_size=6).map(" ".join)
ANSWERS = st.lists(TEXTS, min_size=1, max_size=4)


@given(ANSWERS, st.data())
def test_a_gold_answer_is_right(answers: list[str], data: st.DataObject):
    """Its points are 1 and 1, but where answers normalise to nothing, which the official scorers take differently."""
    prediction = data.draw(st.sampled_from(answers))
    [[exact, f1]] = score_squad_v1([("q", answers)], {"q": prediction}).points.tolist()
    assert (exact, f1) == (1, 1 if normalized(prediction) else 0)
    [[exact, f1]] = score_squad_v2([("q", answers)], {"q": prediction}).raw.points.tolist()
    assert exact == f1 == (1 if normalized(prediction) or not any(map(normalized, answers)) else 0)


@given(ANSWERS, TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_gold_answers_does_not_matter(answers: list[str], prediction: str, draw: random.Random):
    shuffled = draw.sample(answers, len(answers))
    for score in (score_squad_v1, score_mrqa):
        one, other = (score([("q", order)], {"q": prediction}) for order in (answers, shuffled))
        assert one.points.tolist() == other.points.tolist()
    one, other = (score_squad_v2([("q", order)], {"q": prediction}).raw for order in (answers, shuffled))
    assert one.points.tolist() == other.points.tolist()


@given(
    st.lists(st.tuples(st.lists(st.just("big cat"), max_size=1), st.sampled_from(["", "cat", "big cat"])), min_size=1)
)
def test_the_best_threshold_is_the_best_of_all(questions: list[tuple[list[str], str]]):
    """Where probabilities differ and every text is one: as by trying each threshold in turn."""
    gold: list[Gold] = [(str(index), answers) for index, (answers, _) in enumerate(questions)]
    predicted = {str(index): prediction for index, (_, prediction) in enumerate(questions)}
    no_answer = {id: (1 + int(id)) / 200 for id, _ in gold}
    scores = score_squad_v2(gold, predicted, no_answer)
    tried = [score_squad_v2(gold, predicted, no_answer, at).overall for at in (0.0, *no_answer.values())]
    for best, values in (
        (scores.best_exact, [overall.exact for overall in tried]),
        (scores.best_f1, [overall.f1 for overall in tried]),
    ):
        assert best is not None
        assert best.score == pytest.approx(max(values))
        assert best.score == pytest.approx(values[[0.0, *no_answer.values()].index(best.threshold)])
