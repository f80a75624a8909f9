"""Blocks of a corpus as the training loop sees them: steps of a bounded number of positions, in a seeded order."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ..bundle import Bundle
from ..documents import JSON, Document
from ..inference.span_model import SpanModel
from ..machine import end_with_parent
from ..metrics.report import LossReport
from ..tasks.task import Task
from ..tokenization import IntArray
from ..training.data import Step, generator
from ..training.material import Round, held_out_losses
from .corpus import BlockCorpus
from .permutation import permuted

SHARD = 1 << 16
"""Blocks whose steps are laid out at once."""
MOST_UNKNOWN = 0.02
FEWEST_HELD_OUT = 1000
"""Pieces that must be held out before a loss on them is taken as a sign that nothing was learnt."""


@dataclass(frozen=True)
class Stream:
    """The steps of a corpus, epoch after epoch without end; step k is always the same, whatever was read before."""

    corpus: BlockCorpus
    name: str
    task: Task
    seed: int
    budget: int
    _shards: list[tuple[int, int, int]] = field(default_factory=list)
    """(first step, epoch, number of the shard) of those that were passed so far."""

    def step(self, number: int) -> Step:
        """The step of this number: its blocks, hidden as this epoch has it."""
        first, epoch, shard = self._shard_of(number)
        blocks, edges = self._laid_out(epoch, shard)
        mine = blocks[edges[number - first] : edges[number - first + 1]]
        examples = [
            example
            for block in mine.tolist()
            for example in self.task.examples(
                _NO_TEXT, self.corpus.block_pieces(block), generator(self.seed, epoch, f"block {block}")
            )
        ]
        return Step(self.name, tuple(examples))

    @property
    def length(self) -> int:
        """How many steps read each block once, the first time; later times differ by a few."""
        shards = range(-(-len(self.corpus) // SHARD))
        return sum(len(self._laid_out(0, shard)[1]) - 1 for shard in shards)

    def epoch(self) -> Iterator[Step]:
        """The steps that read each block once."""
        return map(self.step, range(self.length))

    def _shard_of(self, number: int) -> tuple[int, int, int]:
        if not self._shards:
            self._shards.append((0, 0, 0))
        first, epoch, shard = self._shards[-1]
        while number >= (end := first + len(self._laid_out(epoch, shard)[1]) - 1):
            last = (shard + 1) * SHARD >= len(self.corpus)
            first, epoch, shard = end, epoch + last, 0 if last else shard + 1
            self._shards.append((first, epoch, shard))
        return next(row for row in reversed(self._shards) if row[0] <= number)

    def _laid_out(self, epoch: int, shard: int) -> tuple[IntArray, IntArray]:
        return _laid_out(self.corpus, self.seed, epoch, shard, self.budget)


@lru_cache(maxsize=4)
def _laid_out(corpus: BlockCorpus, seed: int, epoch: int, shard: int, budget: int) -> tuple[IntArray, IntArray]:
    """The blocks of a shard in their order, and where each step begins among them, and the end."""
    places = np.arange(shard * SHARD, min((shard + 1) * SHARD, len(corpus)))
    blocks = permuted(places, len(corpus), seed, epoch)
    return blocks, fill(corpus.lengths(blocks) + 2, budget)


def fill(positions: IntArray, budget: int) -> IntArray:
    """Where to cut a row of blocks so that each part has at most `budget` positions, or one block; with both ends."""
    ends = np.concatenate([[0], np.cumsum(positions)])
    edges = [0]
    while edges[-1] < len(positions):
        cut = int(np.searchsorted(ends, ends[edges[-1]] + budget, side="right")) - 1
        edges.append(max(cut, edges[-1] + 1))
    return np.array(edges)


def _undisturbed(_worker: int) -> None:
    """A signal that asks a run to stop may go to all of its processes; the run itself ends those that read ahead, or
    the system where it cannot."""
    end_with_parent()
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)


class _Ahead(Dataset[Step]):
    """The stream for workers that read ahead."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __getitem__(self, number: int) -> Step:
        return self._stream.step(number)


@dataclass(frozen=True)
class Blocks:
    """A corpus to learn from and one to measure on; a round is a share of the steps."""

    stream: Stream
    held_out: BlockCorpus
    rounds: int
    steps: int
    """Those of all rounds together."""
    workers: int = 0
    asked: str = ""
    """Of what the run was asked for, next to the settings of the loop."""

    @property
    def fingerprint(self) -> str:
        """Of both corpora and the length of the run, which decides the rates."""
        corpora = f"{self.stream.corpus.fingerprint} {self.held_out.fingerprint}"
        return f"{corpora} {self.rounds} {self.steps} {self.asked}".rstrip()

    @property
    def documents(self) -> int:
        """Those of the corpus to learn from."""
        return self.stream.corpus.counts.documents

    def about(self, bundle: Bundle) -> tuple[Mapping[str, JSON], Sequence[str]]:  # noqa: ARG002 - blocks know no labels
        """How much text there is, and how often it is read."""
        corpus = self.stream.corpus
        counts, steps = corpus.counts, self.steps
        facts: dict[str, JSON] = {
            "documents": counts.documents,
            "blocks": counts.blocks,
            "pieces": counts.pieces,
            "held_out_pieces": self.held_out.counts.pieces,
            "too_short": counts.too_short,
            "steps": steps,
        }
        lines = [
            f"{counts.pieces:,} pieces in {counts.blocks:,} blocks of {counts.documents:,} documents; "
            f"{self.held_out.counts.pieces:,} pieces held out",
            f"{steps:,} steps of up to {self.stream.budget:,} positions: "
            f"each piece is read {steps / self.stream.length:.1f} times",
        ]
        if counts.too_short:
            lines.append(f"  {counts.too_short:,} documents are too short to hide anything in; left out")
        return facts, lines

    def doubts(self, bundle: Bundle) -> Iterator[str]:  # noqa: ARG002 - as above
        """A vocabulary that does not fit the text."""
        counts = self.stream.corpus.counts
        if (share := counts.unknown / max(counts.pieces, 1)) > MOST_UNKNOWN:
            yield f"{share:.0%} of the pieces are unknown to the vocabulary: is it made for this language and alphabet?"

    def round(self, bundle: Bundle, number: int) -> Round:  # noqa: ARG002 - as above
        """The next steps of the stream."""
        begin, end = (number * self.steps // self.rounds, (number + 1) * self.steps // self.rounds)

        def after(first: int) -> Iterator[Step]:
            numbers = range(begin + first, end)
            if not self.workers:
                return map(self.stream.step, numbers)
            own = torch.Generator()  # the loader draws a number, and must not draw it from ours
            return iter(
                DataLoader(
                    _Ahead(self.stream),
                    None,
                    sampler=numbers,
                    num_workers=self.workers,
                    generator=own,
                    worker_init_fn=_undisturbed,
                    pin_memory=torch.cuda.is_available(),  # for its thread, which fetches while the GPU computes
                )
            )

        return Round(end - begin, after)

    def report(self, bundle: Bundle, device: torch.device, dtype: torch.dtype) -> LossReport:  # noqa: ARG002
        """The losses on all that was held out, hidden always in the same way."""
        stream = Stream(self.held_out, self.stream.name, self.stream.task, 0, self.stream.budget)
        losses = held_out_losses(bundle, stream.epoch())
        return LossReport(self.held_out.counts.documents, losses, self._loss_by_frequency)

    @cached_property
    def _loss_by_frequency(self) -> float:
        return self.held_out.loss_by_frequency(self.stream.corpus)

    def settle(self, model: SpanModel) -> tuple[SpanModel, None]:
        """Nothing: it finds no spans whose probabilities could be fitted."""
        return model, None

    def verdict(self, report: Mapping[str, Any]) -> Iterator[str]:
        """Whether anything was learnt."""
        enough = self.held_out.counts.pieces >= FEWEST_HELD_OUT
        if enough and min(report["losses"].values()) >= report["frequencies"]:
            yield (
                "it predicts hidden pieces no better than how often each occurs would let one: the encoder has learnt "
                "nothing; start anew in another folder with a lower --learning-rate, or with more --steps"
            )


_NO_TEXT = Document("block", "")
