"""The loop learns, is reproducible to the bit, survives interruption, and says what it did."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import torch

from spanbert import SpanModel, TrainConfig, durable, evaluate, train
from spanbert.bundle import Bundle
from spanbert.documents import Document, Span
from spanbert.errors import DataError, MachineError, UsageError
from spanbert.heads.head import Network
from spanbert.tasks import gold, task_class
from spanbert.training import data, loop, material
from spanbert.training.loop import MOST_FAILED_SAVES, MOST_SKIPPED, take_step
from spanbert.training.processes import Processes
from spanbert.training.tracking import Evaluated, Finished, Started, Stepped, Warned

SPANS, TAGS = TASKS = ("span-classification", "token-classification")
FAST = {"learning_rate": 3e-3, "head_learning_rate": 4e-3, "max_tokens": 256, "dtype": "float32", "device": "cpu"}
SHORT = {**FAST, "epochs": 2, "max_tokens": 100}
EACH_STEP = 1e-9  # minutes between two checkpoints


class Interrupt(Exception):
    """Like a power cut: nothing is saved on the way out."""


@pytest.fixture(scope="module", params=TASKS)
def learnt(request: pytest.FixtureRequest, tiny_encoder: Path, toy_documents: Callable) -> tuple[SpanModel, list]:
    """A model that has learnt the toy data, and the events of its training."""
    events: list = []
    model = SpanModel.create(tiny_encoder, task=request.param)
    config = TrainConfig(epochs=6, **FAST)
    return train(model, toy_documents(80, 1), toy_documents(20, 2), config, [events.append]), events


@pytest.fixture(scope="module")
def few(toy_documents: Callable) -> tuple[list[Document], list[Document]]:
    """Some 2 x 4 steps under SHORT."""
    return toy_documents(20, 3), toy_documents(4, 4)


def weights(model: SpanModel) -> dict[str, torch.Tensor]:
    return model.bundle.network.state_dict()


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# learning


def test_learns(learnt: tuple, toy_documents: Callable):
    model, events = learnt
    assert evaluate(model, toy_documents(40, 7)).micro.f1 >= 0.99
    assert model.labels == ("ORG", "PERSON")
    losses = [sum(event.losses.values()) for event in events if isinstance(event, Stepped)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_events(learnt: tuple):
    """Steps are counted through, shares rise to 1, the rate rises and falls, and the best evaluation is reported."""
    model, events = learnt
    assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
    facts = events[0].facts
    assert model.bundle.facts["training"]["documents"] == facts["documents"]
    assert (facts["documents"], facts["held_out"], events[0].epochs, events[0].resumed_at) == (80, 20, 6, 0)
    assert events[0].lines[0].startswith("learning 2 labels from ")
    assert facts["labels"] == ["ORG", "PERSON"] and facts["unreachable"] == {}
    steps = [event for event in events if isinstance(event, Stepped)]
    assert [event.step for event in steps] == list(range(1, len(steps) + 1))
    shares = [event.share for event in steps]
    assert shares == sorted(shares) and shares[-1] == 1.0
    rates = [event.rate for event in steps]
    assert rates[0] == 0.0 and max(rates) <= 3e-3 and rates.index(max(rates)) == pytest.approx(len(rates) / 10, abs=1)
    assert not any(event.skipped for event in steps)
    done = [event for event in events if isinstance(event, Evaluated)]
    assert [event.epoch for event in done] == list(range(6))
    best = [event for event in done if event.best][-1]
    assert best.value == max(event.value for event in done) == best.report.micro.f1
    assert best.report.losses and all(map(math.isfinite, best.report.losses.values()))
    told = model.bundle.facts["report"]  # that of the best weights, with fitted probabilities and threshold
    assert events[-1].report == told and told["losses"] == best.report.to_json()["losses"]
    assert told["micro"]["f1"] >= best.report.micro.f1
    assert told["calibration"]["brier"] <= best.report.to_json()["calibration"]["brier"]
    assert model.bundle.facts["training"]["best_step"] == best.step
    assert (events[-1].steps, events[-1].reason) == (len(steps), "all epochs done")


def test_a_trained_model_can_be_trained_again(learnt: tuple, few: tuple):
    model, _ = learnt
    before = copy.deepcopy(weights(model))
    again = train(model, *few, TrainConfig(**SHORT))
    assert same(before, weights(model))
    assert not same(before, weights(again))
    assert again.bundle.facts["report"]["micro"]["f1"] >= 0.9  # it went on, it did not start anew


def test_two_tasks_in_one_model(tiny_encoder: Path, toy_documents: Callable):
    both = two_tasks(tiny_encoder)
    documents, dev = toy_documents(80, 1), toy_documents(10, 2)
    model = train(both, documents, dev, TrainConfig(epochs=20, patience=20, **{**FAST, "head_learning_rate": 1e-2}))
    for name in TASKS:
        task, bundle = model.bundle.tasks[name], model.bundle
        alone = SpanModel(Bundle(bundle.network, bundle.tokenizer, {name: task}, bundle.decisions))
        assert evaluate(alone, toy_documents(20, 7)).micro.f1 >= 0.9  # the first task chose the checkpoint
    predicted = [span for document in model.predict(dev) for span in document.spans]
    found = {span.label: sum(other.label == span.label for other in predicted) for span in predicted}
    gold = [span.label for document in dev for span in document.spans]
    assert all(0.85 * gold.count(label) < found[label] < 1.15 * gold.count(label) for label in found)  # told once


def two_tasks(tiny_encoder: Path) -> SpanModel:
    """Untrained, without labels: two tasks that read the same windows of one encoder."""
    one, other = (SpanModel.create(tiny_encoder, task=name).bundle for name in TASKS)
    tasks = {**one.tasks, **other.tasks}
    return SpanModel(Bundle.build(one.network.encoder, one.tokenizer, tasks, one.facts), "cpu", "float32")


@pytest.mark.parametrize("task", TASKS)
def test_data_of_all_kinds(tiny_encoder: Path, task: str):
    """One label; documents without a span, without text, shorter than a piece (a deleted character), of one
    character; a border inside a piece; two spans that exclude each other."""
    documents = [
        Document("a", "Anna met Bert", (Span(0, 4, "X"), Span(9, 13, "X"))),
        Document("b", "the house was big"),
        Document("c", ""),
        Document("d", "\u200b"),
        Document("e", "a"),
        Document("f", "Anna", (Span(1, 3, "X"),)),
        Document("g", "Acme Corp", (Span(0, 9, "X"), Span(0, 4, "X"))),
        Document("h", " \n"),
    ]
    events: list = []
    model = train(
        SpanModel.create(tiny_encoder, task=task), documents, documents, TrainConfig(**SHORT), [events.append]
    )
    assert model.labels == ("X",)
    assert len(model.predict(documents)) == 8
    assert events[0].lines[0].startswith("learning from 5 spans in 8 documents, up to ")
    assert events[0].facts["unreachable"] == {
        "a border inside a piece": 1,
        gold.POLICY: 1,
    }


def test_iobes_trains(tiny_encoder: Path, toy_documents: Callable):
    model = SpanModel.create(tiny_encoder, task=TAGS, settings={"scheme": "iobes"})
    trained = train(model, toy_documents(80, 1), toy_documents(10, 2), TrainConfig(epochs=6, **FAST))
    assert trained.bundle.network.heads[TAGS].classifier.out_features == 9  # O and B, I, E, S of two labels
    assert evaluate(trained, toy_documents(20, 7)).micro.f1 >= 0.95


@pytest.mark.parametrize("policy", ["nested", "overlapping", "arg-max"])
def test_every_policy_trains(tiny_encoder: Path, few: tuple, policy: str):
    model = SpanModel.create(tiny_encoder, task=SPANS, settings={"policy": policy})
    report = train(model, *few, TrainConfig(**SHORT)).bundle.facts["report"]
    assert report["documents"] == 4 and report["unreachable"] == 0


def test_no_held_out_data(tiny_encoder: Path, toy_documents: Callable):
    events: list = []
    train(SpanModel.create(tiny_encoder, task=TAGS), toy_documents(20, 3), None, TrainConfig(**SHORT), [events.append])
    assert (events[0].facts["documents"], events[0].facts["held_out"]) == (18, 2)


def test_refused_data(tiny_encoder: Path, few: tuple, tmp_path: Path):
    model = SpanModel.create(tiny_encoder, task=SPANS)
    documents, dev = few
    with pytest.raises(DataError, match="has a span"):
        train(model, [Document("a", "Anna")], dev, TrainConfig(**SHORT))
    wrong = [Document("dev-9", "Anna", (Span(0, 4, "PERSOM"),))]
    with pytest.raises(DataError, match=r"document 'dev-9'(.|\n)*did you mean 'PERSON'"):
        train(model, documents, wrong, TrainConfig(**SHORT, output=str(tmp_path / "out")))
    train(model, documents, dev, TrainConfig(**SHORT, output=str(tmp_path / "out")))  # the folder is free still
    with pytest.raises(UsageError, match="epochs = 0"):
        train(model, documents, dev, TrainConfig(epochs=0))


# reproducible


@pytest.mark.parametrize("task", TASKS)
def test_seeds_and_the_model_that_was_given(tiny_encoder: Path, few: tuple, task: str):
    model = SpanModel.create(tiny_encoder, task=task, labels=["ORG", "PERSON"])
    before, settings, facts = copy.deepcopy(weights(model)), dict(model.bundle.tasks), copy.deepcopy(model.bundle.facts)
    predicted = model.predict([document.text for document in few[1]], threshold=0.0)
    config = TrainConfig(**SHORT)
    first = train(model, *few, config)
    assert same(before, weights(model)) and model.bundle.tasks == settings and model.bundle.facts == facts
    assert model.predict([document.text for document in few[1]], threshold=0.0) == predicted
    assert not same(before, weights(first))
    torch.rand(5)
    assert same(weights(first), weights(train(model, *few, config)))
    other = weights(train(model, *few, dataclasses.replace(config, seed=1)))
    assert not any(torch.equal(other[name], tensor) for name, tensor in weights(first).items() if tensor.ndim > 1)


def test_new_heads_are_drawn_from_the_seed_of_the_run(tiny_encoder: Path, few: tuple):
    """Labels left to the data: the head is made in `train`."""
    model, config = SpanModel.create(tiny_encoder, task=SPANS), TrainConfig(**SHORT)
    first = train(model, *few, config)
    torch.rand(5)
    assert same(weights(first), weights(train(model, *few, config)))
    assert "heads.span-classification.bilinear" in weights(first) and not model.bundle.network.heads


# resumed = uninterrupted


def choose_by_loss(patch: pytest.MonkeyPatch) -> None:
    """The held-out loss falls in every epoch, so the last weights are the best ones: those of all steps."""
    for name, loss in ((SPANS, "spans"), (TAGS, "tags")):
        patch.setattr(task_class(name), "selection", f"loss/{loss}")


@pytest.fixture
def last_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    choose_by_loss(monkeypatch)


@pytest.fixture
def whole(uninterrupted: tuple, last_is_best: None) -> tuple[str, bytes, int]:
    return uninterrupted


@pytest.fixture(scope="module", params=TASKS)
def uninterrupted(request, tiny_encoder: Path, few: tuple, tmp_path_factory) -> tuple[str, bytes, int]:
    """Task, weights file and number of steps of a run that nobody interrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    events: list = []
    model = SpanModel.create(tiny_encoder, task=request.param)
    with pytest.MonkeyPatch.context() as patch:
        choose_by_loss(patch)
        trained = train(model, *few, TrainConfig(**SHORT, output=str(out)), [events.append])
    assert trained.bundle.facts["training"]["best_step"] == events[-1].steps
    assert sorted(content(out)) == [
        "README.md",
        "checksums.json",
        "config.json",
        "model.safetensors",
        "spanbert.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "train.jsonl",
    ]
    assert [path for path in out.iterdir() if path.is_dir()] == []  # checkpoints have served
    return request.param, (out / "model.safetensors").read_bytes(), events[-1].steps


def run_until(kind: type, step: int, out: Path, model: SpanModel, few: tuple, minutes: float) -> None:
    def interrupt(event: object) -> None:
        if isinstance(event, kind) and event.step == step:
            raise Interrupt

    config = TrainConfig(**SHORT, output=str(out), checkpoint_minutes=minutes)
    with pytest.raises(Interrupt):
        train(model, *few, config, [interrupt])


def resumed(out: Path, model: SpanModel, few: tuple) -> list:
    events: list = []
    train(model, *few, TrainConfig(**SHORT, output=str(out), resume="auto"), [events.append])
    return events


def test_steps_of_the_short_run(whole: tuple):
    """What the next tests count on: two epochs of at least four steps."""
    assert whole[2] >= 8 and whole[2] % 2 == 0


@pytest.mark.parametrize(("minutes", "left"), [(EACH_STEP, 1), (10.0, None)])
def test_resumed_in_the_middle_of_an_epoch(whole, tiny_encoder, few, tmp_path, minutes, left):
    """A checkpoint after each step: one step is done again. One after each epoch: all since the last are."""
    task, expected, steps = whole
    model, per_epoch = SpanModel.create(tiny_encoder, task=task), whole[2] // 2
    stop = per_epoch + 2
    run_until(Stepped, stop, tmp_path, model, few, minutes)
    events = resumed(tmp_path, model, few)
    assert events[0].resumed_at == (stop - 1 if left else per_epoch)
    assert events[-1].steps == steps
    assert (tmp_path / "model.safetensors").read_bytes() == expected
    assert not (tmp_path / "checkpoints").exists()


def test_resumed_before_the_first_checkpoint(whole, tiny_encoder, few, tmp_path):
    model = SpanModel.create(tiny_encoder, task=whole[0])
    run_until(Stepped, 2, tmp_path, model, few, 10.0)
    assert resumed(tmp_path, model, few)[0].resumed_at == 0
    assert (tmp_path / "model.safetensors").read_bytes() == whole[1]


def test_resumed_between_evaluation_and_checkpoint(whole, tiny_encoder, few, tmp_path):
    """The best weights are on disk already, the state that names them is not."""
    model = SpanModel.create(tiny_encoder, task=whole[0])
    run_until(Evaluated, whole[2] // 2, tmp_path, model, few, EACH_STEP)
    resumed(tmp_path, model, few)
    assert (tmp_path / "model.safetensors").read_bytes() == whole[1]


def test_a_damaged_checkpoint_is_passed_over_and_named(whole, tiny_encoder, few, tmp_path):
    model, stop = SpanModel.create(tiny_encoder, task=whole[0]), whole[2] // 2 + 3
    run_until(Stepped, stop, tmp_path, model, few, EACH_STEP)
    newest = tmp_path / "checkpoints" / f"step-{stop - 1:08d}" / "optimizer.safetensors"
    damaged = bytearray(newest.read_bytes())
    damaged[-1] ^= 1
    newest.write_bytes(damaged)
    events = resumed(tmp_path, model, few)
    name = f"step-{stop - 1:08d}"
    assert events[0] == Warned(f"checkpoint passed over: {name}: optimizer.safetensors is damaged")
    assert events[1].resumed_at == stop - 2
    assert (tmp_path / "model.safetensors").read_bytes() == whole[1]


@pytest.mark.parametrize("when", ["mid-epoch", "end of epoch", "evaluation", "last evaluation"])
def test_sigterm_saves_and_exits_143(whole, tiny_encoder, few, tmp_path, when):
    task, expected, steps = whole
    kind, at = {
        "mid-epoch": (Stepped, steps // 2 + 1),
        "end of epoch": (Stepped, steps // 2),
        "evaluation": (Evaluated, steps // 2),
        "last evaluation": (Evaluated, steps),
    }[when]

    def ask(event: object) -> None:
        if isinstance(event, kind) and event.step == at:
            os.kill(os.getpid(), signal.SIGTERM)

    model = SpanModel.create(tiny_encoder, task=task)
    with pytest.raises(SystemExit) as left:
        train(model, *few, TrainConfig(**SHORT, output=str(tmp_path)), [ask])
    assert left.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert resumed(tmp_path, model, few)[0].resumed_at == at  # nothing is done twice
    assert (tmp_path / "model.safetensors").read_bytes() == expected


def test_what_could_not_be_saved_is_not_called_saved(tiny_encoder, few, tmp_path, monkeypatch):
    """The disk is full as the run is asked to stop: the checkpoint before is all there is."""
    events: list = []

    def ask(event: object) -> None:
        events.append(event)
        if isinstance(event, Stepped) and event.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    def full(*_: object) -> None:
        raise MachineError("no room", "room", "make room")

    monkeypatch.setattr(loop.Checkpoints, "save", full)
    with pytest.raises(SystemExit):
        train(SpanModel.create(tiny_encoder, task=TAGS), *few, TrainConfig(**SHORT, output=str(tmp_path)), [ask])
    assert events[-1].message == "stopped after step 2, saved up to the checkpoint before; go on with --resume auto"


def test_too_few_held_out_documents_are_told(tiny_encoder, few):
    """Nothing is fitted on them: the head's own probabilities and the task's own threshold stay."""
    events: list = []
    train(SpanModel.create(tiny_encoder, task=SPANS), *few, TrainConfig(**SHORT), [events.append])
    told = [event.message for event in events if isinstance(event, Warned)]
    assert any(line.startswith("probabilities and threshold are not fitted: ") for line in told)


@pytest.mark.parametrize("spare", [1000, 1001])
def test_a_vocabulary_far_smaller_than_the_encoders_is_told(tiny_encoder, few, spare):
    model, events = SpanModel.create(tiny_encoder, task=SPANS), []
    encoder = model.bundle.network.encoder
    pieces, width = model.bundle.tokenizer.size, encoder.words.embedding_dim
    encoder.words = torch.nn.Embedding(pieces + spare, width)
    encoder.config = dataclasses.replace(encoder.config, vocab_size=pieces + spare)
    train(model, *few, TrainConfig(**SHORT), [events.append])
    told = [event.message for event in events if isinstance(event, Warned) and "belong together" in event.message]
    line = f"the vocabulary has {pieces} pieces, the encoder vectors for {pieces + spare:,}: do they belong together?"
    assert told == [line] * (spare > 1000)


def test_a_signal_that_comes_while_the_processes_agree_is_heeded(tiny_encoder, few, tmp_path, monkeypatch):
    """Waiting for the others takes most of a short step: that is where signals come."""
    asked = []

    def agreed(processes: Processes, value: float) -> float:
        asked.append(value)
        if len(asked) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return value

    monkeypatch.setattr(Processes, "agreed", agreed)
    with pytest.raises(SystemExit):
        train(SpanModel.create(tiny_encoder, task=TAGS), *few, TrainConfig(**SHORT, output=str(tmp_path)))
    assert asked == [0, signal.SIGTERM]


@pytest.mark.parametrize("uninterrupted", [SPANS], indirect=True)
def test_killed_process(whole, tiny_encoder, few, tmp_path):
    """SIGTERM sent to itself by another process of the same seed: exit 143, and resumed here to the same bits."""
    task, expected, steps = whole
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from conftest import make_toy_documents
from spanbert import SpanModel, TrainConfig, train
from spanbert.tasks import task_class
task_class({task!r}).selection = "loss/spans"
def ask(event):
    if getattr(event, "step", 0) == {steps // 2 + 2}:
        os.kill(os.getpid(), signal.SIGTERM)
train(SpanModel.create({str(tiny_encoder)!r}, task={task!r}), make_toy_documents(20, 3), make_toy_documents(4, 4),
      TrainConfig(**{SHORT!r}, output={str(tmp_path)!r}), [ask])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (143, "")
    assert resumed(tmp_path, SpanModel.create(tiny_encoder, task=task), few)[0].resumed_at == steps // 2 + 2
    assert (tmp_path / "model.safetensors").read_bytes() == expected


def test_other_data_or_settings_are_refused(tiny_encoder, few, toy_documents, tmp_path):
    model, (documents, dev) = SpanModel.create(tiny_encoder, task=TAGS), few
    run_until(Stepped, 3, tmp_path, model, few, EACH_STEP)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    config = TrainConfig(**SHORT, output=str(tmp_path), resume="auto")
    iobes = SpanModel.create(tiny_encoder, task=TAGS, settings={"scheme": "iobes"})
    others = [
        ("data", model, documents[1:], dev, config),
        ("data", model, documents, toy_documents(4, 5), config),
        ("learning_rate", model, documents, dev, dataclasses.replace(config, learning_rate=1e-3)),
        ("seed, starting weights", model, documents, dev, dataclasses.replace(config, seed=1)),
        ("settings of the task, starting weights", iobes, documents, dev, config),
    ]
    for named, *given in others:
        with pytest.raises(UsageError, match=rf"other data or settings \({named}\)"):
            train(*given)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_resume_where_the_training_had_finished(tiny_encoder, few, tmp_path, last_is_best):
    """The finished model comes back without a step; other data are refused; without resume so is the folder."""
    model = SpanModel.create(tiny_encoder, task=TAGS)
    config = TrainConfig(**SHORT, output=str(tmp_path))
    trained = train(model, *few, config)
    before = content(tmp_path)
    with pytest.raises(UsageError, match="not empty"):
        train(model, *few, config)
    assert content(tmp_path) == before
    with pytest.raises(UsageError, match=r"other data or settings \(data\)"):
        train(model, few[0][1:], few[1], dataclasses.replace(config, resume="auto"))
    with pytest.raises(UsageError, match=r"other data or settings \(clip\)"):
        train(model, *few, dataclasses.replace(config, resume="auto", clip=0.5))
    events = resumed(tmp_path, model, few)
    assert [type(event) for event in events] == [Warned] and "had come to its end" in events[0].message
    again = train(model, *few, dataclasses.replace(config, resume="auto"))
    assert same(weights(again), weights(trained)) and again.dtype == torch.float32
    assert again.predict("Anna met Bert") == trained.predict("Anna met Bert")
    del before["train.jsonl"]
    assert {name: kept for name, kept in content(tmp_path).items() if name != "train.jsonl"} == before


# the output folder


def test_resume_in_an_empty_folder_starts_and_the_log_parses(tiny_encoder, few, tmp_path):
    events = resumed(tmp_path / "new", SpanModel.create(tiny_encoder, task=TAGS), few)
    records = [orjson.loads(line) for line in (tmp_path / "new" / "train.jsonl").read_bytes().splitlines()]
    assert [record["event"] for record in records] == [type(event).__name__.lower() for event in events]
    assert records[0]["labels"] == ["ORG", "PERSON"] and records[0]["resumed_at"] == 0
    assert records[1]["losses"].keys() == {"tags"} and records[1]["step"] == 1
    assert records[-1]["report"]["micro"].keys() >= {"precision", "recall", "f1"}
    assert not (tmp_path / "new" / ".lock").exists()


def test_a_folder_with_other_files_is_refused(tiny_encoder, few, tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    for resume in ("never", "auto"):
        with pytest.raises(UsageError, match=r"thesis\.txt"):
            config = TrainConfig(**SHORT, output=str(tmp_path), resume=resume)
            train(SpanModel.create(tiny_encoder, task=TAGS), *few, config)
        assert content(tmp_path) == {"thesis.txt": b"three years of work"}


def refuse_checkpoints(monkeypatch: pytest.MonkeyPatch, refused: Callable[[int], bool]) -> None:
    """Let the disk be full for the n-th checkpoint of the run, counted from 1, where `refused(n)`."""
    saved: list[Path] = []
    sync = durable.sync

    def fail(path: Path) -> None:
        if "step-" in str(path) and path.name == "state.json":
            saved.append(path)
            if refused(len(saved)):
                raise OSError(28, "No space left on device")
        sync(path)

    monkeypatch.setattr(durable, "sync", fail)


def test_a_disk_that_fills_up(tiny_encoder, few, tmp_path, monkeypatch, last_is_best):
    """From the second checkpoint on none can be written: three warnings, then an error with advice. The first one
    stays, and the run goes on from it once there is room."""
    model, events = SpanModel.create(tiny_encoder, task=TAGS), []
    whole = train(model, *few, TrainConfig(**SHORT))
    config = TrainConfig(**SHORT, output=str(tmp_path), checkpoint_minutes=EACH_STEP)
    with monkeypatch.context() as patch:
        refuse_checkpoints(patch, lambda number: number > 1)
        with pytest.raises(MachineError, match="No space left on device"):
            train(model, *few, config, [events.append])
    assert sum(isinstance(event, Warned) for event in events) == MOST_FAILED_SAVES
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    assert resumed(tmp_path, model, few)[0].resumed_at == 1
    assert same(weights(whole), weights(SpanModel.from_pretrained(tmp_path)))


def test_a_checkpoint_that_fails_now_and_then_is_only_missed(tiny_encoder, few, tmp_path, monkeypatch):
    model, events = SpanModel.create(tiny_encoder, task=TAGS), []
    refuse_checkpoints(monkeypatch, lambda number: number % 2 == 0)
    config = TrainConfig(**SHORT, output=str(tmp_path), checkpoint_minutes=EACH_STEP)
    trained = train(model, *few, config, [events.append])
    assert "no checkpoint at step" in next(event.message for event in events if isinstance(event, Warned))
    assert same(weights(trained), weights(train(model, *few, TrainConfig(**SHORT))))


def test_the_randomness_of_the_caller_is_left_alone(tiny_encoder, few):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    train(SpanModel.create(tiny_encoder, task=TAGS), *few, TrainConfig(**{**SHORT, "epochs": 1}))
    assert torch.equal(torch.rand(2), expected)


# steps


@pytest.mark.parametrize("task", TASKS)
def test_parts_of_a_step_give_the_gradient_of_the_whole(tiny_encoder, toy_documents, monkeypatch, task):
    """Without dropout, the gradient does not depend on how many parts a step ran in."""
    bundle = SpanModel.create(tiny_encoder, task=task, labels=["ORG", "PERSON"]).bundle
    corpus = data.Corpus.read(toy_documents(16, 1), bundle.tokenizer)
    (step,) = data.plan(bundle.tasks, corpus, 0, 0, 10_000)
    undropped(bundle.network)
    positions = sum(len(window.ids) for example in step.examples for window in example.windows)
    found = {}
    for most, parts in ((positions, 1), (positions * 2 // 3, 2), (1, 16)):
        monkeypatch.setattr(data, "PART_POSITIONS", most)
        assert len(list(step.parts(most))) == parts
        losses = take_step(bundle.network, step, torch.optim.SGD(bundle.network.parameters(), lr=0.0), 1e9)
        found[parts] = losses, {name: p.grad.clone() for name, p in bundle.network.named_parameters()}
    losses, gradients = found[1]
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-3
    for parts in (2, 16):
        assert found[parts][0] == pytest.approx(losses, rel=1e-5)
        for name, gradient in gradients.items():
            torch.testing.assert_close(found[parts][1][name], gradient, rtol=1e-4, atol=1e-7, msg=name)


def undropped(network: Network) -> None:
    network.encoder.set_dropout(0.0)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def a_step(tiny_encoder: Path, documents: list[Document]) -> tuple[Network, data.Step]:
    bundle = SpanModel.create(tiny_encoder, task=TAGS, labels=["ORG", "PERSON"]).bundle
    return bundle.network, data.plan(bundle.tasks, data.Corpus.read(documents, bundle.tokenizer), 0, 0, 10_000)[0]


def test_the_gradient_is_clipped(tiny_encoder, few):
    network, step = a_step(tiny_encoder, few[0])
    for clip in (1e9, 1e-3):
        take_step(network, step, torch.optim.SGD(network.parameters(), lr=0.0), clip)
        norm = float(torch.stack([p.grad.norm() for p in network.parameters()]).norm())
        assert norm > 0.1 if clip > 1 else norm == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_changes_nothing(tiny_encoder, few, monkeypatch, bad):
    network, step = a_step(tiny_encoder, few[0])
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    take_step(network, step, optimizer, 1.0)
    before = copy.deepcopy((network.state_dict(), optimizer.state_dict()["state"]))
    with monkeypatch.context() as patch:
        poison(patch, lambda: bad)
        assert all(math.isnan(loss) for loss in take_step(network, step, optimizer, 1.0).values())
    assert same(before[0], network.state_dict())
    after = optimizer.state_dict()["state"]
    assert all(same(before[1][key], after[key]) for key in before[1])
    assert all(math.isfinite(loss) for loss in take_step(network, step, optimizer, 1.0).values())
    assert not same(before[0], network.state_dict())


def test_a_gradient_that_is_no_number_changes_nothing(tiny_encoder, few):
    """The loss is finite, its gradient is not: as that of a square root at 0."""
    network, step = a_step(tiny_encoder, few[0])
    network.encoder.words.weight.register_hook(lambda gradient: gradient * math.nan)
    before = copy.deepcopy(network.state_dict())
    losses = take_step(network, step, torch.optim.AdamW(network.parameters(), lr=0.1), 1.0)
    assert all(math.isnan(loss) for loss in losses.values())
    assert same(before, network.state_dict())


def poison(patch: pytest.MonkeyPatch, factor: Callable[[], float]) -> None:
    forward = Network.forward

    def poisoned(self: Network, task: str, *rest: object) -> dict:
        times = factor() if self.training else 1.0
        return {name: loss * times for name, loss in forward(self, task, *rest).items()}

    patch.setattr(Network, "forward", poisoned)


def test_a_few_bad_steps_are_skipped(tiny_encoder, few, monkeypatch, tmp_path):
    """Steps 2 to 4 are bad, as many as are borne: they are marked, and null in the log."""
    calls: list = []
    poison(monkeypatch, lambda: math.nan if 1 < (calls.append(1) or len(calls)) <= 1 + MOST_SKIPPED else 1.0)
    events: list = []
    model = SpanModel.create(tiny_encoder, task=TAGS)
    trained = train(model, *few, TrainConfig(**SHORT, output=str(tmp_path)), [events.append])
    skipped = [event.step for event in events if isinstance(event, Stepped) and event.skipped]
    assert skipped == [2, 3, 4]
    assert all(bool(tensor.isfinite().all()) for tensor in weights(trained).values())
    records = [orjson.loads(line) for line in (tmp_path / "train.jsonl").read_bytes().splitlines()]
    assert [record["losses"]["tags"] is None for record in records if record["event"] == "stepped"][:5] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_too_many_bad_steps_end_the_run(tiny_encoder, few, monkeypatch):
    poison(monkeypatch, lambda: math.nan)
    events: list = []
    with pytest.raises(MachineError, match=f"not a number for {MOST_SKIPPED + 1} steps in a row"):
        train(SpanModel.create(tiny_encoder, task=TAGS), *few, TrainConfig(**SHORT), [events.append])
    assert sum(isinstance(event, Stepped) for event in events) == MOST_SKIPPED


# which weights are kept, and when it stops


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """`scripted(values)`: evaluations report these F1; returns the weights that were seen at each."""

    def make(values: list[float]) -> list[dict]:
        seen: list[dict] = []
        real = material.evaluate_with

        def fake(predictor, documents):
            report = real(predictor, documents)
            seen.append(copy.deepcopy(predictor.backend._network.state_dict()))
            return dataclasses.replace(report, micro=dataclasses.replace(report.micro, f1=values[len(seen) - 1]))

        monkeypatch.setattr(material, "evaluate_with", fake)
        return seen

    return make


@pytest.mark.parametrize("with_output", [False, True])
def test_the_best_evaluation_gives_the_weights(tiny_encoder, few, tmp_path, scripted, with_output):
    """Of two equally good ones that with the lower held-out loss."""
    seen = scripted([0.2, 0.9, 0.5, 0.9])
    output = str(tmp_path) if with_output else None
    model, events = SpanModel.create(tiny_encoder, task=TAGS), []
    trained = train(model, *few, TrainConfig(**{**SHORT, "epochs": 4}, output=output), [events.append])
    losses = [event.report.losses["tags"] for event in events if isinstance(event, Evaluated)]
    assert len(seen) == 4 and not same(seen[1], seen[3])
    best = min(1, 3, key=losses.__getitem__)
    assert same(weights(trained), seen[best])
    assert trained.bundle.facts["report"]["micro"]["f1"] == 0.9
    if with_output:
        assert same(weights(SpanModel.from_pretrained(tmp_path)), seen[best])


@pytest.mark.parametrize(("losses", "best"), [([3.0, 1.0, 2.0], 1), ([3.0, 2.0, 1.0], 2), ([1.0, 2.0, 3.0], 0)])
def test_equal_scores_are_told_apart_by_their_losses(tiny_encoder, few, scripted, monkeypatch, losses, best):
    """As of a reader that says nothing, which is right for most questions: its score stays, and its loss falls."""
    seen = scripted([0.7] * 3)
    report = material.AnnotatedDocuments.report
    left = iter(losses)
    monkeypatch.setattr(
        material.AnnotatedDocuments,
        "report",
        lambda *given: dataclasses.replace(report(*given), losses={"tags": next(left)}),
    )
    trained = train(SpanModel.create(tiny_encoder, task=TAGS), *few, TrainConfig(**{**SHORT, "epochs": 3}))
    assert same(weights(trained), seen[best])


def test_a_held_out_loss_that_is_no_number_is_never_the_best(tiny_encoder, few, tmp_path, monkeypatch):
    """The run ends, and what was best until then is the model in the folder; nothing is where nothing was good."""
    model = SpanModel.create(tiny_encoder, task=TAGS)
    monkeypatch.setattr(type(model.bundle.tasks[TAGS]), "selection", "loss/tags")
    report = material.AnnotatedDocuments.report
    for name, losses, kept in (("late", (2.0, math.nan), True), ("soon", (math.nan,), False)):
        left, seen = iter(losses), []

        def told(mine, bundle, *given, left=left, seen=seen):
            seen.append(copy.deepcopy(bundle.network.state_dict()))
            return dataclasses.replace(report(mine, bundle, *given), losses={"tags": next(left)})

        monkeypatch.setattr(material.AnnotatedDocuments, "report", told)
        config = TrainConfig(**{**SHORT, "epochs": 3}, output=str(tmp_path / name))
        with pytest.raises(MachineError, match="the held-out loss is not a number") as caught:
            train(model, *few, config)
        assert ("the model in" in caught.value.found) is kept
        assert (tmp_path / name / "checksums.json").exists() is kept
        if kept:
            assert same(weights(SpanModel.from_pretrained(tmp_path / name)), seen[0])


def test_a_loss_is_better_when_lower(tiny_encoder, few, scripted, monkeypatch):
    """The number that picks is the held-out loss: the last epoch has the lowest, whatever F1 says."""
    scripted([0.9, 0.1])
    model, events = SpanModel.create(tiny_encoder, task=TAGS), []
    monkeypatch.setattr(type(model.bundle.tasks[TAGS]), "selection", "loss/tags")
    train(model, *few, TrainConfig(**SHORT), [events.append])
    first, second = [event for event in events if isinstance(event, Evaluated)]
    assert second.value == second.report.losses["tags"] < first.value
    assert second.best


def test_early_stop(tiny_encoder, few, scripted):
    """Best in epoch 2, then nothing better for two epochs: five would do, four are run. Epochs that score nothing
    before anything was learnt do not count."""
    events: list = []
    seen = scripted([0.0, 0.0, 0.0, 0.5, 0.4, 0.3, 0.9])
    config = TrainConfig(**{**SHORT, "epochs": 7}, patience=2)
    train(SpanModel.create(tiny_encoder, task=TAGS), few[0][:4], few[1], config, [events.append])
    assert len(seen) == 6
    assert events[-1].reason == "no better report for 2 epochs"
    assert events[-1].report["micro"]["f1"] == 0.5


def test_early_stop_holds_after_resuming(tiny_encoder, few, scripted, tmp_path):
    """Asked to leave in the very evaluation that would have ended the run: resumed, it ends without another epoch."""
    seen = scripted([0.5, 0.4, 0.9])
    config = TrainConfig(**{**SHORT, "epochs": 3}, patience=1, output=str(tmp_path), resume="auto")
    model = SpanModel.create(tiny_encoder, task=TAGS)

    def ask(event: object) -> None:
        if isinstance(event, Evaluated) and event.epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        train(model, *few, config, [ask])
    trained = train(model, *few, config)
    assert len(seen) == 2
    assert same(weights(trained), seen[0])


def test_where_nothing_is_found_the_longest_trained_weights_are_kept(tiny_encoder, few):
    """F1 is 0 after each epoch at a rate that teaches nothing; the last weights are the better bet."""
    config = TrainConfig(**{**SHORT, "learning_rate": 1e-9, "head_learning_rate": 1e-9, "epochs": 3})
    events: list = []
    train(SpanModel.create(tiny_encoder, task=SPANS), *few, config, [events.append])
    shown = [event for event in events if isinstance(event, Evaluated)]
    assert [event.value for event in shown] == [0.0] * 3
    assert [event.best for event in shown] == [True] * 3


def test_a_log_that_cannot_be_written_does_not_stop_the_run(tiny_encoder, few, tmp_path, monkeypatch):
    events: list = []

    def refuse(self, event):
        raise MachineError("no room", "room", "make room")

    monkeypatch.setattr(loop.JsonLog, "__call__", refuse)
    model = SpanModel.create(tiny_encoder, task=TAGS)
    trained = train(model, *few, TrainConfig(**SHORT, output=str(tmp_path)), [events.append])
    assert "this log ends here: no room" in [event.message for event in events if isinstance(event, Warned)]
    assert same(weights(trained), weights(SpanModel.from_pretrained(tmp_path)))


def test_best_weights_that_cannot_be_written_are_kept_in_memory(tiny_encoder, few, tmp_path, monkeypatch):
    def refuse(self, network, step):
        raise MachineError("no room", "room", "make room")

    monkeypatch.setattr(loop.Checkpoints, "save_best", refuse)
    model = SpanModel.create(tiny_encoder, task=TAGS)
    trained = train(model, *few, TrainConfig(**SHORT, output=str(tmp_path)))
    assert same(weights(trained), weights(train(model, *few, TrainConfig(**SHORT))))


def test_streams_of_documents_and_a_single_step(tiny_encoder: Path, toy_documents: Callable):
    """Of one step in all the rate is 0: it is said."""
    model = SpanModel.create(tiny_encoder, task="span-classification", labels=["PERSON", "ORG"])
    told: list[object] = []
    config = TrainConfig(epochs=1, max_tokens=10_000, device="cpu", dtype="float32")
    trained = train(model, iter(toy_documents(4, 1)), iter(toy_documents(3, 2)), config, [told.append])
    assert same(weights(model), weights(trained))
    assert any("nothing is learnt" in str(event) for event in told)
    with pytest.raises(UsageError, match="a str"):
        train(model, "train.jsonl")  # type: ignore[arg-type]
