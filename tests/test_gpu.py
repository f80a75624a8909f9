"""What a GPU computes is what the processor does: predictions of every task, gradients, whole trainings.

Skipped where there is none. In float32 up to the order in which numbers are added, in bfloat16 up to its three digits.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spanbert import PretrainConfig, SpanModel, TrainConfig, continued, pretrain, train
from spanbert.documents import Cluster, Document, Question, Relation
from spanbert.tasks import ANNOTATED
from spanbert.training import data
from spanbert.training.loop import take_step
from spanbert.training.tracking import Evaluated, Event, Finished, Started, Stepped

GPU = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
FAST = {"learning_rate": 3e-3, "head_learning_rate": 4e-3, "max_tokens": 256, "dtype": "float32", "device": "cpu"}


class Interrupt(Exception):
    """Like a power cut."""


@pytest.fixture(scope="module")
def annotated(toy_documents: Callable) -> list[Document]:
    """Toy documents with something for every task: neighbours are related and corefer, a question asks for names."""
    documents = []
    for document in toy_documents(40, 1):
        pairs = list(zip(document.spans, document.spans[1:], strict=False))
        people = tuple(dataclasses.replace(s, label="answer") for s in document.spans if s.label == "PERSON")
        documents.append(
            dataclasses.replace(
                document,
                relations=tuple(Relation(a, b, "next") for a, b in pairs),
                clusters=tuple(Cluster(pair) for pair in pairs[::2]),
                questions=(Question("q", "met with", people),),
            )
        )
    return documents


@pytest.fixture(scope="module", params=ANNOTATED)
def learnt(request: pytest.FixtureRequest, tiny_encoder: Path, annotated: list[Document]) -> SpanModel:
    model = SpanModel.create(tiny_encoder, task=request.param)
    return train(model, annotated[:30], annotated[30:], TrainConfig(epochs=8, **FAST))


def told(model: SpanModel, documents: list[Document]) -> dict[tuple[object, ...], float]:
    """Whatever was found, with its probability; what was given has none."""
    found: dict[tuple[object, ...], float | None] = {}
    for document in model.predict(documents, threshold=0.0):
        spans = {(s.start, s.end, s.label): s.score for s in document.spans}
        relations = {(r.label, r.head.start, r.tail.start): r.score for r in document.relations}
        answers = {("answer", s.start, s.end): s.score for q in document.questions for s in q.n_best}
        clusters = {tuple((m.start, m.end) for m in c.spans): 1.0 for c in document.clusters}
        found |= {(document.id, *key): score for key, score in (spans | relations | answers | clusters).items()}
    return {key: score for key, score in found.items() if score is not None}


def test_every_task_predicts_the_same(learnt: SpanModel, annotated: list[Document]):
    expected = told(SpanModel(learnt.bundle, "cpu", "float32"), annotated)
    assert len(expected) > 20
    found = told(SpanModel(learnt.bundle, GPU, "float32"), annotated)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-4)


def test_every_task_predicts_nearly_the_same_in_bfloat16(learnt: SpanModel, annotated: list[Document]):
    """Of what both name; a rounding may well decide between two that are equally probable."""
    expected = told(SpanModel(learnt.bundle, "cpu", "float32"), annotated)
    found = told(SpanModel(learnt.bundle, GPU, "bfloat16"), annotated)
    both = expected.keys() & found.keys()
    assert len(both) > 0.8 * len(expected.keys() | found.keys())
    apart = [abs(found[key] - expected[key]) for key in both]
    assert max(apart) < 0.1 and sum(apart) / len(apart) < 0.01


def test_every_task_has_the_same_gradient(learnt: SpanModel, annotated: list[Document]):
    bundle = learnt.bundle
    step = data.plan(bundle.tasks, data.Corpus.read(annotated[:8], bundle.tokenizer), 0, 0, 10_000)[0]
    found = {}
    for device in ("cpu", GPU):
        network = copy.deepcopy(bundle.network).to(device).eval()  # without dropout
        losses = take_step(network, step, torch.optim.SGD(network.parameters(), lr=0.0), 1e9)
        found[device] = losses, {name: p.grad.cpu() for name, p in network.named_parameters() if p.grad is not None}
    assert found[GPU][0] == pytest.approx(found["cpu"][0], rel=1e-4)
    for name, gradient in found["cpu"][1].items():
        torch.testing.assert_close(found[GPU][1][name], gradient, rtol=1e-3, atol=1e-5, msg=name)


def weights(model: SpanModel) -> torch.Tensor:
    return torch.cat([weight.detach().cpu().flatten() for weight in model.bundle.network.parameters()])


def test_a_training_that_was_cut_off_ends_with_the_same_weights(
    tiny_encoder: Path, annotated: list[Document], tmp_path: Path
):
    """Dropout included, whose state on the GPU a checkpoint keeps; but for the order in which kernels add."""
    config = TrainConfig(**{**FAST, "device": GPU, "max_tokens": 100}, epochs=2, checkpoint_minutes=1e-9, patience=2)
    whole = train(SpanModel.create(tiny_encoder, task="token-classification"), annotated[:16], annotated[16:], config)

    def interrupt(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 5:
            raise Interrupt

    cut = dataclasses.replace(config, output=str(tmp_path / "out"), resume="auto")
    model = SpanModel.create(tiny_encoder, task="token-classification")
    with pytest.raises(Interrupt):
        train(model, annotated[:16], annotated[16:], cut, [interrupt])
    events: list[Event] = []
    again = train(model, annotated[:16], annotated[16:], cut, [events.append])
    assert isinstance(events[0], Started) and events[0].resumed_at == 4
    assert isinstance(events[-1], Finished) and events[-1].steps > 6
    torch.testing.assert_close(weights(again), weights(whole), atol=2e-3, rtol=0)
    assert (weights(again) - weights(whole)).norm() < 1e-3 * weights(whole).norm()


@pytest.mark.parametrize("workers", [0, 2])
def test_pre_training_has_the_same_held_out_losses(workers: int, tiny_encoder: Path):
    """Steps made by this process or by others, and carried over while the GPU computes."""
    phrases = ("Anna met Acme Corp . ", "the big house on the river . ", "Bert went from the day . ")
    texts = [Document(str(n), (phrases[n % 3] + phrases[n % 2]) * 6) for n in range(40)]
    losses = {}
    for device in ("cpu", GPU):
        config = PretrainConfig(
            steps=12, max_tokens=256, evaluations=3, learning_rate=1e-3, held_out=10,
            device=device, dtype="float32", workers=0 if device == "cpu" else workers,
        )  # fmt: skip
        events: list[Event] = []
        pretrain(continued(tiny_encoder, settings={"window": 32}, seed=1), texts, config, [events.append])
        losses[device] = [event.report.losses for event in events if isinstance(event, Evaluated)]
    assert len(losses["cpu"]) == 3
    for expected, found in zip(losses["cpu"], losses[GPU], strict=True):
        assert found == pytest.approx(expected, rel=1e-3)
    assert losses["cpu"][-1]["masked"] < losses["cpu"][0]["masked"]
