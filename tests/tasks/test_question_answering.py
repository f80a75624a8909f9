"""Questions as windows, what they teach, and how scores become answers. A fixed table stands in for a head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spanbert.documents import ANSWER, Answers, Candidate, Decoded, Document, Question, Span
from spanbert.errors import SpanbertWarning, UsageError
from spanbert.tasks import settings_from, task_class
from spanbert.tasks.presets import PRESETS, preset
from spanbert.tokenization import Tokenizer

NAME = "question-answering"
TEXT = "Anna met Bert in the house . Carl went in the day with Acme Corp and said a river was big ."
ANNA, ACME = Span(0, 4, ANSWER), Span(TEXT.index("Acme"), TEXT.index("Acme") + 9, ANSWER)


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


def task_of(tokenizer: Tokenizer, **settings: Any) -> Any:
    values = {"window": 16, "overlap": 3, "longest_question": 4, **settings}
    return task_class(NAME)(settings_from(NAME, values), tokenizer)


def asked(*questions: Question) -> Document:
    return Document("d", TEXT, questions=questions)


def rows(*found: tuple[int, int, int, float]) -> dict[str, np.ndarray]:
    """(unit, first piece, last piece, logit)"""
    unit, first, last, logit = zip(*found, strict=True)
    numbers = {"unit": unit, "first": first, "last": last}
    return {name: np.array(values) for name, values in numbers.items()} | {"logit": np.array(logit, dtype=float)}


def test_windows_are_question_then_text(tokenizer: Tokenizer):
    """21 pieces of text; [CLS] q q [SEP] ... [SEP] leaves 11 of 16 positions to them."""
    task = task_of(tokenizer)
    document = asked(Question("q0", "met Anna"), Question("q1", "in the big house river"))
    pieces = tokenizer.pieces([TEXT])[0]
    with pytest.warns(SpanbertWarning, match="longer than 4 pieces the first 4 are read"):
        windows = [example.windows[0] for example in task.examples(document, pieces, None)]
    first = windows[0]
    words = [tokenizer.token(number) for number in first.ids]
    assert words == ["[CLS]", "met", "Anna", "[SEP]", *TEXT.split()[:11], "[SEP]"]
    assert first.pieces.tolist() == [-1] * 4 + list(range(11)) + [-1]
    assert first.token_types.tolist() == [0] * 4 + [1] * 12
    assert {window.unit for window in windows} == {0, 1}
    other = next(window for window in windows if window.unit == 1)
    assert (other.pieces[:6] == -1).all() and other.pieces[6] == 0  # its fifth piece is cut off
    for unit in (0, 1):
        seen = np.unique(np.concatenate([w.pieces[w.pieces >= 0] for w in windows if w.unit == unit]))
        assert seen.tolist() == list(range(len(pieces)))


def test_a_question_without_pieces_and_a_text_without_any_have_no_windows(tokenizer: Tokenizer):
    task = task_of(tokenizer)
    for document in (asked(Question("q", " ")), Document("d", " \n ", questions=(Question("q", "met"),))):
        pieces = tokenizer.pieces([document.text])[0]
        assert list(task.examples(document, pieces, None)) == []
        (answers,) = task.decode(document, pieces, {}).answers
        assert answers.candidates == () and answers.no_answer > 20


def test_what_is_taught(tokenizer: Tokenizer):
    """Nobody said: nothing. Answers that are only texts: nothing. An answer: a window that holds it, others silent."""
    task = task_of(tokenizer)
    pieces = tokenizer.pieces([TEXT])[0]
    questions = (
        Question("q0", "met"),
        Question("q1", "met", None, texts=("Rome",)),
        Question("q2", "met", (ACME,)),
        Question("q3", "met", ()),
    )
    examples = list(task.examples(asked(*questions), pieces, np.random.default_rng(0)))
    assert {example.windows[0].unit for example in examples} == {2, 3}
    for example in examples:
        gold = [] if example.windows[0].unit == 3 else [[13, 14]]
        assert example.targets.answers.tolist() == gold
        assert example.counts == {"answers": 1.0}


@pytest.mark.parametrize("most", [0, 1, 2])
def test_how_many_windows_without_an_answer_were_left_out_is_told(tokenizer: Tokenizer, most: int):
    """Over draws each stands there equally often."""
    task = task_of(tokenizer, window=12, longest_question=1, null_windows=most)
    pieces = tokenizer.pieces([TEXT])[0]
    document = asked(Question("q", "met", (ANNA,)))
    everything = list(
        task_of(tokenizer, window=12, longest_question=1, null_windows=0).examples(document, pieces, None)
    )
    drawn = np.zeros(len(everything))
    for seed in range(200):
        examples = list(task.examples(document, pieces, np.random.default_rng(seed)))
        silent = [example for example in examples if example.windows[0].bounds[0] > 0]
        assert {example.targets.thinned for example in examples} == {(len(everything) - 1) / len(silent)}
        assert len(silent) == (most or len(everything) - 1)
        for example in silent:
            drawn[[e.windows[0].bounds for e in everything].index(example.windows[0].bounds)] += 1
    assert len(everything) == 4 and drawn[0] == 0
    assert np.abs(drawn[1:] - 200 * (most or 3) / 3).max() < 40


def test_scores_become_answers(tokenizer: Tokenizer):
    """Odds 6 of `Anna`, 2 of `Acme Corp`, 1 of what was not handed on, of 10 with none; a long one is too long."""
    task = task_of(tokenizer, longest_answer=4)
    document = asked(Question("q0", "met"), Question("q1", "met"))
    pieces = tokenizer.pieces([TEXT])[0]
    table = rows(
        (0, 0, 0, np.log(6)), (0, 13, 14, np.log(2)), (0, 3, 9, np.log(50)), (0, -1, -1, np.log(9)), (1, -1, -1, -30)
    )
    first, second = task.decode(document, pieces, table).answers
    assert [(c.start, c.end) for c in first.candidates] == [(0, 4), (ACME.start, ACME.end)]
    assert [1 / (1 + np.exp(-c.logit)) for c in first.candidates] == pytest.approx([0.6, 0.2])
    assert 1 / (1 + np.exp(-first.no_answer)) == pytest.approx(0.1)
    assert first.most == 1 and second.candidates == () and second.no_answer > 20


def test_several_answers(tokenizer: Tokenizer):
    task = task_of(tokenizer, policy="flat", n_best=5)
    pieces = tokenizer.pieces([TEXT])[0]
    table = rows((0, 0, 0, np.log(9)), (0, 13, 14, np.log(9)), (0, -1, -1, np.log(18)))
    (answers,) = task.decode(asked(Question("q", "met")), pieces, table).answers
    assert answers.most == 5
    assert [1 / (1 + np.exp(-c.logit)) for c in answers.candidates] == pytest.approx([0.9, 0.9])


def decoded(*answers: tuple[tuple[int, int], ...]) -> Decoded:
    candidates = [tuple(Candidate(a, b, ANSWER, 1.0) for a, b in each) for each in answers]
    return Decoded(answers=tuple(Answers(each, 0.0, 1) for each in candidates))


def test_right_is_what_says_the_same_as_gold(tokenizer: Tokenizer):
    """`the house` says what `house` does; an unanswerable question is right in silence; nobody said: not judged."""
    task = task_of(tokenizer)
    house, the_house = TEXT.index("house"), TEXT.index("the house")
    document = asked(
        Question("q0", "met", (Span(house, house + 5, ANSWER),)),
        Question("q1", "met", ()),
        Question("q2", "met"),
        Question("q3", "met", (ANNA,)),
    )
    told = decoded(((the_house, the_house + 9), (0, 4)), ((0, 4),), ((0, 4),), ())
    judged = task.judged(document, told)
    assert judged.labels == (ANSWER, ANSWER)
    assert judged.right == (True, False)
    assert judged.silence == (False, True)
    assert judged.quiet == tuple(answers.quiet for answers in told.answers[:2])
    assert judged.gold == {ANSWER: 2}


def test_out_of_reach(tokenizer: Tokenizer):
    """A border inside `Anna`, and an answer of more pieces than an answer may have."""
    task = task_of(tokenizer, longest_answer=3)
    inside, long = Span(0, 3, ANSWER), Span(0, TEXT.index(" ."), ANSWER)
    document = asked(Question("q", "met", (inside, ANNA, long)))
    assert task.unreachable(document, tokenizer.pieces([TEXT])[0]) == (
        (inside, "a border inside a piece"),
        (long, "longer than the longest answer"),
    )


def test_what_chooses_the_weights(tokenizer: Tokenizer):
    """Where a question may have several answers most have none: their F1 is best where nothing is ever said."""
    assert task_of(tokenizer).selection == "squad_v2/best_f1"
    assert task_of(tokenizer, policy="flat").selection == "cuad/aupr"


def test_answers_to_nothing_that_could_be_read_are_out_of_reach(tokenizer: Tokenizer):
    document = asked(Question("q", " \u200b", (ANNA,)))
    assert task_of(tokenizer).unreachable(document, tokenizer.pieces([TEXT])[0]) == (
        (ANNA, "the question has no word that could be read"),
    )


def test_answers_that_no_window_holds_beside_their_question_are_told(tokenizer: Tokenizer):
    """12 positions for the text, neighbours share some: of answers of 11 pieces some stand whole in none."""
    task = task_of(tokenizer, longest_answer=20)
    pieces = tokenizer.pieces([TEXT])[0]
    spans = [Span(int(pieces.starts[k]), int(pieces.ends[k + 10]), ANSWER) for k in range(len(pieces) - 10)]
    document = asked(Question("q", "met", tuple(spans)))
    told = dict(task.unreachable(document, pieces))
    windows = [example.windows[0] for example in task.examples(document, pieces, None)]
    for k, span in enumerate(spans):
        whole = any(window.bounds[0] <= k and k + 10 <= window.bounds[1] for window in windows)
        assert (span in told) != whole
    assert set(told.values()) == {"longer than a window"} and len(told) < len(spans)


def test_a_foreign_reader_has_none_as_one_more_candidate(tokenizer: Tokenizer):
    """Nothing is known of what it was trained on: "none" wins where it is more probable than the best answer."""
    pieces = tokenizer.pieces([TEXT])[0]
    table = rows((0, 0, 0, np.log(0.5)), (0, -1, -1, np.log(0.5)))
    for unanswerable, most in ((None, 0), (True, 1), (False, 1)):
        task = task_of(tokenizer, unanswerable=unanswerable)
        assert task.decode(asked(Question("q", "met")), pieces, table).answers[0].most == most


def test_adapted_to_the_data(tokenizer: Tokenizer):
    """Without unanswerable questions the best answer is given however improbable."""
    every = task_of(tokenizer).adapted([asked(Question("q", "met", (ANNA,)))], 1)
    some = task_of(tokenizer).adapted([asked(Question("q", "met", (ANNA,)), Question("r", "met", ()))], 1)
    assert (every.settings.unanswerable, every.threshold) == (False, 0.0)
    assert (some.settings.unanswerable, some.threshold) == (True, 0.5)
    assert every.settings.longest_answer == 30
    assert task_of(tokenizer, window=60).adapted([], 45).settings.longest_answer == 45
    assert task_of(tokenizer, longest_answer=7).adapted([], 45).settings.longest_answer == 7


def test_visible_is_text_and_questions(tokenizer: Tokenizer):
    document = replace(asked(Question("q", "met", (ANNA,), texts=("x",))), spans=(ANNA,), meta={"title": "t"})
    assert task_of(tokenizer).visible(document) == asked(Question("q", "met"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"policy": "nested"}, "policy 'nested' for questions"),
        ({"scorer": "end"}, "did you mean 'ends'"),
        ({"labels": ("X",)}, "labels X for questions"),
        ({"longest_question": 0}, "longest_question = 0"),
        ({"longest_answer": 0}, "longest_answer = 0"),
        ({"n_best": True}, "n_best = True"),
        ({"null_windows": -1}, "null_windows = -1"),
        ({"window": 7}, "window = 7 for questions"),
    ],
)
def test_settings_that_cannot_be(tokenizer: Tokenizer, settings: dict, words: str):
    with pytest.raises(UsageError, match=words):
        task_of(tokenizer, **settings)


def test_presets_are_settings_of_the_run_and_the_task():
    for name in PRESETS:
        values = dict(preset(name))
        settings = settings_from(values["task"], {k: values[k] for k in ("overlap", "longest_answer", "unanswerable")})
        assert settings.longest_answer == 30
    with pytest.raises(UsageError, match="did you mean 'squad2'"):
        preset("squad")
