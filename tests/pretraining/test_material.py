"""The stream of steps: a pure function of its number, each block once an epoch, hidden anew each time."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Document
from spanbert.pretraining import material as module
from spanbert.pretraining.corpus import BlockCorpus, write_corpus
from spanbert.pretraining.material import Blocks, Stream, fill
from spanbert.tasks import settings_from, task_class
from spanbert.tokenization import Tokenizer
from spanbert.training.data import Step

WORDS = tuple(
    [
        "the",
        "house",
        "of",
        "Anna",
        "was",
        "unable",
        "from",
        "met",
        "with",
        "Acme",
        "Corp",
        "on",
        "big",
        "river",
        "day",
        ".",
    ]
)


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


@pytest.fixture(scope="module")
def corpora(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> tuple[BlockCorpus, BlockCorpus]:
    draw = np.random.default_rng(0)
    documents = [Document(str(n), " ".join(draw.choice(WORDS, size=int(draw.integers(10, 90))))) for n in range(60)]
    return write_corpus(documents, tokenizer, tmp_path_factory.mktemp("c") / "c", block=30, held_out=6)


@pytest.fixture
def stream(corpora: tuple, tokenizer: Tokenizer) -> Stream:
    task = task_class("span-masking")(settings_from("span-masking", {"window": 32}), tokenizer)
    return Stream(corpora[0], "span-masking", task, seed=3, budget=128)


def said(step: Step) -> list:
    return [(example.windows[0].ids.tolist(), example.targets.columns.tolist()) for example in step.examples]


def blocks_of(step: Step) -> list[tuple[int, ...]]:
    """The pieces of each block before anything was hidden."""
    found = []
    for example in step.examples:
        ids = example.windows[0].ids.copy()
        at, *_, truth = example.targets.columns
        ids[at] = truth
        found.append(tuple(ids[1:-1].tolist()))
    return found


def epoch_of(stream: Stream, first: int = 0) -> list[Step]:
    """Steps from `first` on that hold each block once."""
    steps: list[Step] = []
    while sum(len(step.examples) for step in steps) < len(stream.corpus):
        steps.append(stream.step(first + len(steps)))
    return steps


@pytest.mark.parametrize("shard", [7, 1 << 16])
def test_every_block_once_an_epoch_in_an_order_of_its_own(stream: Stream, monkeypatch, shard: int):
    monkeypatch.setattr(module, "SHARD", shard)
    module._laid_out.cache_clear()
    everything = sorted(tuple(stream.corpus.block_pieces(n).ids.tolist()) for n in range(len(stream.corpus)))
    orders = []
    first = 0
    for _ in range(3):
        steps = epoch_of(stream, first)
        first += len(steps)
        orders.append([block for step in steps for block in blocks_of(step)])
        assert sorted(orders[-1]) == everything
    assert orders[0] != orders[1] != orders[2]
    assert [said(step) for step in stream.epoch()] == [said(stream.step(n)) for n in range(len(epoch_of(stream)))]
    module._laid_out.cache_clear()


def test_what_is_hidden_differs_between_epochs(stream: Stream):
    steps = epoch_of(stream)
    later = epoch_of(stream, len(steps))
    hidden = [
        {b: e.targets.columns[0].tolist() for step in part for b, e in zip(blocks_of(step), step.examples, strict=True)}
        for part in (steps, later)
    ]
    assert sum(hidden[0][block] != hidden[1][block] for block in hidden[0]) > 0.9 * len(hidden[0])


def test_a_step_does_not_depend_on_what_was_read_before(stream: Stream, corpora: tuple):
    straight = [said(stream.step(number)) for number in range(40)]
    fresh = Stream(corpora[0], "span-masking", stream.task, seed=3, budget=128)
    assert said(fresh.step(39)) == straight[39]
    assert said(fresh.step(2)) == straight[2]
    other = Stream(corpora[0], "span-masking", stream.task, seed=4, budget=128)
    assert said(other.step(0)) != straight[0]


def test_steps_are_full_and_never_too_full(stream: Stream):
    sizes = [sum(len(e.windows[0].ids) for e in step.examples) for step in epoch_of(stream)]
    assert max(sizes) <= 128 and sorted(sizes)[1] > 128 - 32


@given(positions=st.lists(st.integers(1, 20), min_size=1, max_size=50), budget=st.integers(1, 40))
def test_fill(positions: list[int], budget: int):
    edges = fill(np.array(positions), budget).tolist()
    assert edges[0] == 0 and edges[-1] == len(positions) and edges == sorted(set(edges))
    for first, end in zip(edges, edges[1:], strict=False):
        assert sum(positions[first:end]) <= budget or end == first + 1
        if end < len(positions):
            assert sum(positions[first : end + 1]) > budget


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_rounds_join_and_workers_change_nothing(stream: Stream, corpora: tuple, workers: int):
    blocks = Blocks(stream, corpora[1], rounds=3, steps=12, workers=workers)
    straight = [said(stream.step(number)) for number in range(12)]
    found = [said(step) for number in range(3) for step in blocks.round(None, number).after(0)]
    assert found == straight
    assert [said(step) for step in blocks.round(None, 1).after(2)] == straight[6:8]
    assert blocks.round(None, 0).length == 4
    uneven = Blocks(stream, corpora[1], rounds=3, steps=11, workers=workers)  # no more than were asked for
    assert [uneven.round(None, number).length for number in range(3)] == [3, 4, 4]
    assert [said(step) for number in range(3) for step in uneven.round(None, number).after(0)] == straight[:11]


def test_the_fingerprint_tells_runs_apart(stream: Stream, corpora: tuple):
    runs = [Blocks(stream, corpora[1], 3, 4), Blocks(stream, corpora[1], 3, 5), Blocks(stream, corpora[0], 3, 4)]
    assert len({run.fingerprint for run in runs}) == 3
    assert Blocks(stream, corpora[1], 3, 4, workers=2).fingerprint == runs[0].fingerprint
    assert Blocks(stream, corpora[1], 3, 4, asked="other dropout").fingerprint != runs[0].fingerprint


def test_a_corpus_travels_as_a_path(corpora: tuple):
    """To processes that read ahead, where these are not forked: its arrays may be larger than the memory."""
    sent = pickle.dumps(corpora[0])
    assert len(sent) < 1000
    received = pickle.loads(sent)  # noqa: S301 - what was just sent
    assert received.block_pieces(1).ids.tolist() == corpora[0].block_pieces(1).ids.tolist()
