"""Asking a model: offsets, probabilities, many questions in bounded memory, and the stock classes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spanbert import SpanModel
from spanbert.calibration.curve import Calibration
from spanbert.documents import Document, Question, Span
from spanbert.errors import DataError, UsageError
from spanbert.evaluation.evaluate import examined
from spanbert.inference import predictor

TEXT = "Anna met Bert of Acme Corp in the big house . " * 12  # several windows of 64 positions
QUESTIONS = ["Anna met", "the house", "Corp", "who", " "]


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> SpanModel:
    made = SpanModel.create(tiny_encoder, task="question-answering", settings={"longest_question": 8})
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        made.bundle.network.head("question-answering").qa_outputs.weight.normal_()
    return SpanModel(made.bundle, "cpu", "float32")


def test_answers_are_stretches_of_the_text(model: SpanModel):
    found = model.answer(QUESTIONS, TEXT, threshold=0.0)
    assert [question.text for question in found] == QUESTIONS
    for question in found[:-1]:
        scores = [span.score for span in question.n_best]
        assert scores == sorted(scores, reverse=True) and len(scores) > 1
        assert sum(scores) + question.no_answer <= 1 + 1e-6
        assert question.answers == question.n_best[:1]
        assert all(TEXT[span.start : span.end].strip() for span in question.n_best)
    assert (found[-1].answers, found[-1].n_best, found[-1].no_answer) == ((), (), pytest.approx(1.0))


@pytest.mark.parametrize("curve", [{"offset": 1.5}, {"offset": -1.5}, {"slope": 0.5}, {"slope": 3.0}])
def test_calibrated_answers_and_none_are_one_distribution(model: SpanModel, curve: dict):
    """The curve is of the best answer alone; what it takes from it or gives to it, the others share as before."""
    task = "question-answering"
    decision = replace(model.bundle.decisions[task], calibration=Calibration(**curve))
    bundle = replace(model.bundle, decisions={task: decision})
    calibrated = SpanModel(bundle, "cpu", "float32").answer("the house", TEXT, threshold=0.0)
    raw = model.answer("the house", TEXT, threshold=0.0)
    before, after = ([span.score for span in each.n_best] for each in (raw, calibrated))
    logit = float(np.log(before[0] / (1 - before[0])))
    assert after[0] == pytest.approx(Calibration(**curve).probabilities([logit])[0], rel=1e-6)
    assert after == sorted(after, reverse=True) and sum(after) + calibrated.no_answer <= 1 + 1e-6
    scale = (1 - after[0]) / (1 - before[0])
    assert after[1:] == pytest.approx([min(after[0], scale * score) for score in before[1:]], rel=1e-6)
    assert calibrated.no_answer == pytest.approx(scale * raw.no_answer, rel=1e-6)


def test_one_question_or_several(model: SpanModel):
    one = model.answer("Anna met", TEXT)
    assert one == model.answer(["Anna met"], TEXT)[0]
    document = Document("x", TEXT, questions=(Question("id", "Anna met"),))
    (same,) = model.predict(document).questions
    assert (same.answers, same.no_answer) == (one.answers, one.no_answer) and same.id == "id"


def test_a_higher_threshold_gives_a_part(model: SpanModel):
    best = model.answer("Anna met", TEXT, threshold=0.0).answers[0].score
    assert model.answer("Anna met", TEXT, threshold=best - 1e-9).answers
    assert model.answer("Anna met", TEXT, threshold=min(1.0, best + 1e-6)).answers == ()


def test_no_answer_has_the_probability_that_was_fitted_for_it(model: SpanModel):
    """Of what the best answer leaves; the other candidates have the rest of it."""
    text, question = "Anna was in the house . Bert met Carl", "who was in the house ?"
    raw = model.answer(question, text)
    fitted = {
        name: replace(each, calibration=replace(each.calibration, silence=(0.5, 0.25)))
        for name, each in model.bundle.decisions.items()
    }
    found = SpanModel(replace(model.bundle, decisions=fitted), "cpu", "float32").answer(question, text)
    best = found.n_best[0].score
    assert best == raw.n_best[0].score
    quiet = math.log(raw.no_answer / raw.n_best[0].score)  # uncalibrated, both are of one distribution
    assert found.no_answer == pytest.approx((1 - best) / (1 + math.exp(-0.5 * quiet - 0.25)), rel=1e-4)
    assert sum(span.score for span in found.n_best) + found.no_answer <= 1 + 1e-6


def test_what_nothing_has_is_taken_from_the_best_answer(model: SpanModel):
    """As much as was fitted for it; all the others share what is left, and the whole is one distribution still."""
    text, question = "Anna was in the house . Bert met Carl", "who was in the house ?"
    raw = model.answer(question, text)
    quiet = math.log(raw.no_answer / raw.n_best[0].score)
    fitted = {
        name: replace(each, calibration=Calibration(slope=0.5, quiet=-0.75))
        for name, each in model.bundle.decisions.items()
    }
    changed = SpanModel(replace(model.bundle, decisions=fitted), "cpu", "float32")
    found = changed.answer(question, text, threshold=0.0)
    before = raw.n_best[0].score
    expected = 1 / (1 + math.exp(-0.5 * math.log(before / (1 - before)) + 0.75 * quiet))
    assert found.n_best[0].score == pytest.approx(expected, rel=1e-4)
    gold = Document("x", text, questions=(Question("1", question, ()),))
    several = [each.answer(question, text, threshold=0.0, policy="flat").n_best for each in (model, changed)]
    assert several[0] == several[1]  # where nothing shares a distribution with them the curve says nothing
    judged = examined(changed.predictor(threshold=0.0), [gold])  # an evaluation is of what is predicted
    assert judged.probabilities == pytest.approx([found.n_best[0].score], rel=1e-3)
    assert sum(span.score for span in found.n_best) + found.no_answer <= 1 + 1e-6


def test_empty_texts_have_no_answer(model: SpanModel):
    for text in ("", " \n\t "):
        question = model.answer("Anna met", text)
        assert (question.answers, question.no_answer) == ((), pytest.approx(1.0))


def test_pools_of_any_size_give_the_same(model: SpanModel, monkeypatch: pytest.MonkeyPatch):
    document = Document("x", TEXT, questions=tuple(Question(str(k), f"{q} Anna") for k, q in enumerate(QUESTIONS)))
    whole = model.predict(document)
    pools = []
    real = predictor._read_pool
    monkeypatch.setattr(predictor, "_read_pool", lambda pool, *rest: pools.append(pool.positions) or real(pool, *rest))
    monkeypatch.setattr(predictor, "POOL_POSITIONS", 150)
    parts = model.predict(document)
    assert len(pools) > 3 and max(pools) < 150 + 64
    assert parts.coverage == whole.coverage
    for one, other in zip(whole.questions, parts.questions, strict=True):
        assert [(s.start, s.end) for s in one.n_best] == [(s.start, s.end) for s in other.n_best]
        assert np.allclose([s.score for s in one.n_best], [s.score for s in other.n_best], atol=1e-4)


def test_a_question_changes_nothing_of_another(model: SpanModel):
    alone, beside = model.answer(["Corp"], TEXT)[0], model.answer(QUESTIONS, TEXT)[2]
    assert [(s.start, s.end) for s in alone.n_best] == [(s.start, s.end) for s in beside.n_best]
    assert np.allclose([s.score for s in alone.n_best], [s.score for s in beside.n_best], atol=1e-4)


def test_a_model_of_spans_answers_no_questions(tiny_encoder: Path):
    spans = SpanModel.create(tiny_encoder, task="span-classification", labels=["X"])
    with pytest.raises(UsageError, match="a model that answers no questions"):
        spans.answer("Anna met", TEXT)


def test_saved_and_read_it_says_the_same(model: SpanModel, tmp_path: Path):
    model.save_pretrained(tmp_path / "m")
    assert "pipeline_tag: question-answering" in (tmp_path / "m" / "README.md").read_text()
    loaded = SpanModel.from_pretrained(tmp_path / "m", "cpu", "float32")
    assert loaded.answer(QUESTIONS, TEXT) == model.answer(QUESTIONS, TEXT)


def test_the_stock_class_computes_the_same(model: SpanModel, tmp_path: Path):
    """Start and end logits of the stock class on the same window give the odds of our first row."""
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    model.save_pretrained(tmp_path / "m")
    stock = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "m").eval()
    encoding = AutoTokenizer.from_pretrained(tmp_path / "m")("Anna met", "Carl went in the day", return_tensors="pt")
    text = "Carl went in the day"
    pieces = model.bundle.tokenizer.pieces([text])[0]
    task = model.bundle.tasks["question-answering"]
    document = Document("x", text, questions=(Question("q", "Anna met"),))
    (example,) = task.examples(document, pieces, None)
    assert example.windows[0].ids.tolist() == encoding["input_ids"][0].tolist()
    assert example.windows[0].token_types.tolist() == encoding["token_type_ids"][0].tolist()
    with torch.no_grad():
        out = stock(**encoding)
    begin = example.windows[0].pieces.tolist().index(0)
    start, end = out.start_logits[0], out.end_logits[0]
    (answers,) = next(model.predictor().decoded([document]))[1]["question-answering"].answers
    odds = start[begin : begin + 5, None] + end[None, begin : begin + 5] - start[0] - end[0]
    legal = torch.ones(5, 5).triu().bool()
    total = torch.logaddexp(torch.zeros(()), odds[legal].logsumexp(0))
    best = odds.masked_fill(~legal, -torch.inf).max()
    p = (best - total).exp()
    assert answers.candidates[0].logit == pytest.approx(float(torch.log(p) - torch.log1p(-p)), abs=1e-3)


def test_a_stock_checkpoint_is_read(model: SpanModel, tmp_path: Path):
    model.save_pretrained(tmp_path / "m")
    for name in ("spanbert.json", "checksums.json"):
        (tmp_path / "m" / name).unlink()
    assert json.loads((tmp_path / "m" / "config.json").read_text())["architectures"] == ["BertForQuestionAnswering"]
    foreign = SpanModel.from_pretrained(tmp_path / "m", "cpu", "float32")
    ours, theirs = (m.answer("Anna met", TEXT, threshold=0.0) for m in (model, foreign))
    assert ours.answers == theirs.answers


def test_pairs_are_no_stock_checkpoint(tiny_encoder: Path, tmp_path: Path):
    settings = {"scorer": "pairs", "longest_question": 8}
    made = SpanModel.create(tiny_encoder, task="question-answering", settings=settings)
    made.save_pretrained(tmp_path / "m")
    assert json.loads((tmp_path / "m" / "config.json").read_text())["architectures"] == ["BertModel"]
    loaded = SpanModel.from_pretrained(tmp_path / "m", "cpu", "float32")
    assert loaded.answer("Anna met", TEXT, threshold=0.0).n_best


@pytest.mark.parametrize(
    ("questions", "text"), [(5, TEXT), (["Who?", 3], TEXT), ([], TEXT), ("Who?", ["x"]), ("Who?\udcff", TEXT)]
)
def test_what_is_no_question(model: SpanModel, questions: object, text: object):
    with pytest.raises(UsageError if "\udcff" not in str(questions) else DataError):
        model.answer(questions, text)


def test_gold_answers_are_no_findings(model: SpanModel, tiny_encoder: Path):
    """Neither of the model that was asked, nor of one that answers no questions."""
    gold = (Question("q", "Who?", (Span(0, 4, "answer"),), texts=("Anna of Paris",)),)
    (silent,) = model.predict([Document("a", "Anna ran.", questions=gold)], threshold=1.0)
    assert not silent.questions[0].answers and not silent.questions[0].texts
    other = SpanModel.create(tiny_encoder, task="span-classification", labels=["X"])
    (unasked,) = other.predict([Document("a", "Anna ran.", questions=gold)])
    assert unasked.questions == (Question("q", "Who?"),)
