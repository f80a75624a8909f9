"""What a run learns from and is measured on, as the loop sees it; and the one of annotated documents."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch

from ..bundle import Bundle
from ..documents import JSON
from ..evaluation.calibrate import calibrate
from ..evaluation.evaluate import evaluate, evaluate_with, unreachable
from ..inference.precision import room
from ..inference.predictor import Predictor
from ..inference.span_model import SpanModel
from ..inference.torch_backend import TorchBackend
from ..metrics.report import LossReport, Report
from . import data
from .config import TrainConfig
from .data import Corpus, Step


@dataclass(frozen=True, slots=True)
class Round:
    """The steps between two evaluations: for annotated documents an epoch."""

    length: int
    after: Callable[[int], Iterator[Step]]
    """The steps from this one on, always the same: so a resumed run goes on where it was."""


class Material(Protocol):
    """What the loop asks for."""

    @property
    def rounds(self) -> int:
        """How many rounds there are, if none ends the run early."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes with everything that is learnt from."""
        ...

    @property
    def documents(self) -> int:
        """How many are learnt from."""
        ...

    def about(self, bundle: Bundle) -> tuple[Mapping[str, JSON], Sequence[str]]:
        """What it is: for the log, and in lines for people."""
        ...

    def doubts(self, bundle: Bundle) -> Iterator[str]:
        """What does not stop a run, but a person should know before the figures are believed."""
        ...

    def round(self, bundle: Bundle, number: int) -> Round:
        """The steps of a round."""
        ...

    def report(self, bundle: Bundle, device: torch.device, dtype: torch.dtype) -> Report | LossReport:
        """How good the network is by now, on what was held out."""
        ...

    def settle(self, model: SpanModel) -> tuple[SpanModel, Report | LossReport | None]:
        """What is left to do with the best weights, and the report after it, where that changes.

        Raises DataError where what was held out is too little for it.
        """
        ...

    def verdict(self, report: Mapping[str, Any]) -> Iterator[str]:
        """What a person should know of the best weights, by the report on them in its JSON form."""
        ...


@dataclass(frozen=True, slots=True)
class AnnotatedDocuments:
    """Documents with gold annotations, some of them held out."""

    train: Corpus
    held_out: Corpus
    seed: int
    budget: int
    rounds: int

    @classmethod
    def of(cls, train: Corpus, held_out: Corpus, config: TrainConfig) -> AnnotatedDocuments:
        """With as many epochs as asked for, else as many as the data need."""
        positions = sum(len(pieces) + 2 for pieces in train.pieces)
        epochs = config.epochs or _default_epochs(positions / config.max_tokens)
        return cls(train, held_out, config.seed, config.max_tokens, epochs)

    @property
    def fingerprint(self) -> str:
        """Of the texts and annotations of both parts."""
        return f"{self.train.fingerprint} {self.held_out.fingerprint}"

    @property
    def documents(self) -> int:
        """How many are learnt from."""
        return len(self.train.documents)

    def about(self, bundle: Bundle) -> tuple[Mapping[str, JSON], Sequence[str]]:
        """How much there is, and what of it cannot be learnt."""
        train, held_out = self.train.documents, self.held_out.documents
        spans = sum(map(len, map(data.annotations_of(bundle.tasks), train)))
        labels = [label for task in bundle.tasks.values() for label in task.settings.labels]
        reasons = Counter(
            missed.reason for task in bundle.tasks.values() for missed in unreachable(task, train, self.train.pieces)
        )
        facts: dict[str, JSON] = {
            "documents": len(train),
            "held_out": len(held_out),
            "spans": spans,
            "labels": list(labels),
            "unreachable": dict(reasons),
        }
        learnt = f"{len(labels)} labels from" if len(labels) > 1 else "from"  # answers have the one label of their task
        lines = [
            f"learning {learnt} {spans:,} spans in {len(train):,} documents, "
            f"up to {self.rounds} epochs; {len(held_out):,} documents held out"
        ]
        for reason, times in reasons.items():
            share = 100 * times / max(spans, 1)
            lines.append(f"  {times:,} spans ({share:.2f} %) cannot be learnt exactly: {reason}")
        return facts, lines

    def doubts(self, bundle: Bundle) -> Iterator[str]:
        """Leaks between the parts, and pieces that the vocabulary does not know."""
        return data.doubts(self.train, self.held_out, bundle.tokenizer)

    def round(self, bundle: Bundle, number: int) -> Round:
        """Every document once."""
        steps = data.plan(bundle.tasks, self.train, self.seed, number, self.budget)
        return Round(len(steps), lambda first: islice(steps, first, None))

    def report(self, bundle: Bundle, device: torch.device, dtype: torch.dtype) -> Report:
        """Predict the held-out documents the way users will; and the losses there, with one fixed draw."""
        backend = TorchBackend(bundle.network, device, dtype)
        predictor = Predictor(bundle.tokenizer, bundle.tasks, backend, bundle.decisions)
        report = evaluate_with(predictor, self.held_out.documents)
        steps = data.plan(bundle.tasks, self.held_out, 0, 0, self.budget)
        return dataclasses.replace(report, losses=held_out_losses(bundle, steps))

    def settle(self, model: SpanModel) -> tuple[SpanModel, Report | LossReport | None]:
        """Probabilities and thresholds fitted on the held-out documents."""
        settled, _ = calibrate(model, self.held_out.documents)
        return settled, evaluate(settled, self.held_out.documents)

    def verdict(self, report: Mapping[str, Any]) -> Iterator[str]:  # noqa: ARG002 - the report itself says it
        """Nothing."""
        return iter(())


@torch.no_grad()
def held_out_losses(bundle: Bundle, steps: Sequence[Step] | Iterator[Step]) -> dict[str, float]:
    """The mean of every named loss over these steps."""
    bundle.network.eval()
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    for step in steps:
        for name, count in step.counts.items():
            counts[name] = counts.get(name, 0.0) + count
        for batch, targets in step.parts(room(bundle.network.device, data.PART_POSITIONS)):
            for name, total in bundle.network(step.task, batch, targets).items():
                sums[name] = sums.get(name, 0.0) + float(total)
    return {name: sums[name] / max(counts[name], 1.0) for name in sums}


def _default_epochs(steps: float) -> int:
    """Enough passes for a thousand steps, but no fewer than 5 and no more than 40."""
    return min(40, max(5, math.ceil(1000 / max(steps, 1.0))))
