"""Tasks added to a trained model: what it said before it says again, and the new task is learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spanbert import SpanModel, TrainConfig, evaluate, train
from spanbert.documents import Document, Relation
from spanbert.errors import UsageError
from spanbert.evaluation import seen
from spanbert.formats import write_documents
from spanbert.model_card import model_card

from .conftest import Program

SPANS, TAGS, PAIRS = "span-classification", "token-classification", "relation-extraction"
SIZES = TrainConfig(
    epochs=12, patience=12, learning_rate=4e-3, head_learning_rate=1e-2, max_tokens=256, dtype="float32"
)


def with_relations(document: Document) -> Document:
    """Every person is related to every firm after it."""
    pairs = [
        (head, tail)
        for head in document.spans
        for tail in document.spans
        if head.label == "PERSON" and tail.label == "ORG" and head.end < tail.start
    ]
    relations = tuple(Relation(head, tail, "before") for head, tail in pairs)
    return Document(document.id, document.text, document.spans, relations)


@pytest.fixture(scope="module")
def parts(toy_documents: Callable) -> tuple[list[Document], list[Document]]:
    return [with_relations(d) for d in toy_documents(80, 1)], [with_relations(d) for d in toy_documents(30, 2)]


@pytest.fixture(scope="module")
def model(tiny_encoder: Path, parts: tuple) -> SpanModel:
    return train(SpanModel.create(tiny_encoder, task=SPANS), *parts, SIZES)


@pytest.fixture(scope="module")
def folder(model: SpanModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("joined") / "spans"
    model.save_pretrained(path)
    return path


def test_a_frozen_encoder_keeps_what_the_model_said(model: SpanModel, folder: Path, parts: tuple):
    frozen = TrainConfig(**{**vars(SIZES), "freeze_encoder": True})
    added = train(SpanModel.create(folder, task=TAGS), *parts, frozen)
    before, after = (each.bundle.network.encoder.state_dict() for each in (model, added))
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert evaluate(added, parts[1]).micro.f1 > 0.5
    joined = model.join(added)
    assert list(joined.bundle.tasks) == [SPANS, TAGS]
    assert evaluate(joined, parts[1], task=SPANS).to_json() == evaluate(model, parts[1]).to_json()
    assert evaluate(joined, parts[1], task=TAGS).to_json() == evaluate(added, parts[1]).to_json()
    assert list(model.bundle.tasks) == [SPANS]  # as it was


def test_joining_refuses_what_does_not_belong_together(model: SpanModel, tiny_encoder: Path):
    with pytest.raises(UsageError, match="over different encoders"):
        model.join(SpanModel.create(tiny_encoder, task=TAGS, labels=["ORG"]))
    with pytest.raises(UsageError, match="task span-classification in both models"):
        model.join(model)


def test_adding_teaches_all_tasks(model: SpanModel, parts: tuple):
    added = model.adding(PAIRS, settings={"window": 64}, seed=3)
    assert list(added.bundle.tasks) == [SPANS, PAIRS] and list(model.bundle.tasks) == [SPANS]
    text = parts[1][0].text
    heads = [each.bundle.network.heads[SPANS].state_dict() for each in (model, added)]
    assert all(torch.equal(tensor, heads[1][name]) for name, tensor in heads[0].items())
    both = train(added, *parts, TrainConfig(**{**vars(SIZES), "epochs": 4}))
    assert evaluate(both, parts[1], task=PAIRS).micro.f1 > 0.5 and both.predict(text).spans is not None
    with pytest.raises(UsageError, match="span-classification, which this model has"):
        model.adding(SPANS)


def test_the_command_line_adds_a_task(program: Program, folder: Path, parts: tuple, tmp_path: Path):

    for name, documents in zip(("train", "dev"), parts, strict=True):
        write_documents(documents, tmp_path / f"{name}.jsonl")
    data = ("--train", tmp_path / "train.jsonl", "--dev", tmp_path / "dev.jsonl", "--epochs", "3", "--dtype", "float32")
    done = program("train", "--add-to", folder, "--task", TAGS, "--freeze-encoder", *data, "--output", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    (told,) = (line for line in done.stderr.splitlines() if line.startswith("the model is in"))
    reports = [
        json.loads(
            program(
                *("evaluate", "--model", where, "--data", tmp_path / "dev.jsonl", "--task", SPANS, "--json"),
                *("--dtype", "float32"),
            ).stdout
        )
        for where in (folder, tmp_path / "two")
    ]
    assert reports[0] == reports[1]
    frozen = ("train", "--add-to", folder, "--task", TAGS, "--freeze-encoder", *data, "--output", tmp_path / "two")
    done = program(*frozen, "--resume", "auto")
    assert done.returncode == 0 and "had come to its end" in done.stderr, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("the model is in")] == [
        told
    ]  # of the new task
    card = (tmp_path / "two" / "README.md").read_text()
    assert "Added over the frozen encoder: token-classification" in card and "freeze_encoder: True" in card
    two = SpanModel.from_pretrained(tmp_path / "two")
    fitted = replace(two.bundle, decisions=dict.fromkeys((SPANS, TAGS), two.bundle.decisions[SPANS]))
    others = "before threshold and probabilities were fitted on others"
    for calibrated in ({TAGS}, {SPANS}):  # told where that task is, and only there
        again = replace(fitted, facts=seen.calibrated(fitted.facts, calibrated, parts[0]))
        before, after = model_card(again).split("Added over")
        assert (others in after, others in before) == (calibrated == {TAGS}, calibrated == {SPANS})
    spans = [(s.start, s.end, s.label) for d in two.predict(parts[1]) for s in d.spans]
    assert spans and all(
        len({(s.start, s.end, s.label) for s in d.spans}) == len(d.spans) for d in two.predict(parts[1])
    )
    done = program("train", "--add-to", folder, "--task", PAIRS, *data, "--output", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    assert list(SpanModel.from_pretrained(tmp_path / "all").bundle.tasks) == [SPANS, PAIRS]
    for wrong, words in (
        (("--task", SPANS, "--freeze-encoder"), "span-classification, which"),
        ((), "name it"),
        (("--task", TAGS, "--task", PAIRS), "one after another"),
    ):
        done = program("train", "--add-to", folder, *wrong, *data, "--output", tmp_path / "none")
        assert done.returncode == 2 and words in done.stderr, done.stderr
