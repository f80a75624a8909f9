"""The settings of pre-training. Nothing here needs torch, so that the command line can print them at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import UsageError, check_among, check_share, check_whole
from ..machine import cores
from ..tasks import LEARNS_FROM_TEXT
from ..training.config import TrainConfig

NEIGHBOURS, RANDOM = STARTS = ("neighbours", "random")
(TASK,) = LEARNS_FROM_TEXT
WORKERS = 3
"""Processes that prepare steps for a GPU: each makes some 400,000 positions a second."""
PASSES = 10
"""How often each piece is read where neither steps nor tokens are given."""
SIZES = {"mini": (256, 4), "small": (384, 6), "base": (768, 12)}
"""Width and layers of an encoder from scratch; its heads are 64 wide, its inner layers four times the width."""


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Every default is meant to be left alone; None is chosen from the data or the encoder."""

    steps: int | None = None
    """Updates of the weights; none given: those that --tokens makes, else ten passes over the corpus."""
    tokens: int | None = None
    """Positions to read in all, special pieces included."""
    evaluations: int = 10
    """How often the held-out losses are measured."""
    held_out: int = 100
    """In every so many documents one is held out, until there are enough."""
    join_documents: bool = False
    """Join neighbouring documents before they are cut into blocks: for corpora of very short ones."""
    learning_rate: float | None = None
    """Peak rate; none given: by the width, higher for an encoder from scratch."""
    head_learning_rate: float | None = None
    """Peak rate of the layers that predict hidden pieces; none given: by the width, as for an encoder from scratch, and
    twice that where a trained encoder goes on."""
    max_tokens: int = 8192
    """Positions in one step, special pieces included."""
    schedule: str = "linear"
    """Decay of the rate after the warm-up: linear or cosine, to zero at the end."""
    warmup: float = 0.05
    """Share of all steps in which the rate rises from zero."""
    weight_decay: float = 0.01
    """Decoupled weight decay; not on biases and LayerNorm."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    start: str = NEIGHBOURS
    """What a new encoder begins with: neighbours (which pieces stand beside which in the corpus, and heads that look at
    what stands beside), or random numbers."""
    dropout: float = 0.0
    """Share of the numbers dropped in pre-training; fine-tuning has the encoder's own."""
    workers: int | None = None
    """Processes that prepare steps ahead, on which the result does not depend; none given: three on a GPU, which would
    else wait, if there are as many cores to spare; on a processor none, as they would share it."""
    seed: int = 0
    """Seed of everything random: new weights, order of the blocks, what is hidden."""
    device: str = "auto"
    """auto, cpu or cuda."""
    dtype: str = "auto"
    """Precision of the encoder: auto is bfloat16 where the processor computes it natively; or float32, bfloat16."""
    output: str | None = None
    """Folder for corpus, checkpoints, log and model; none given: nothing is kept."""
    resume: str = "never"
    """auto: go on from the newest sound checkpoint in the output folder; never: the folder must be empty."""
    checkpoint_minutes: float = 10.0
    """Longest time between two checkpoints; there is one after each evaluation too."""

    def __post_init__(self) -> None:
        default = "leave it out for the default"
        for name, least in (("steps", 1), ("tokens", 1), ("workers", 0)):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), least, default)
        for name, least in (("evaluations", 1), ("held_out", 2)):
            check_whole(name, getattr(self, name), least, default)
        if self.steps and self.tokens:
            raise UsageError("both steps and tokens", "one of them", "leave out the other")
        check_among("start", self.start, STARTS, default)
        check_share("dropout", self.dropout, "leave it out: 0")
        self.for_loop(1, 1e-3, 1e-3)  # which checks the rest

    def for_loop(self, rounds: int, rate: float, head_rate: float) -> TrainConfig:
        """The same for the training loop: so many rounds, none of which ends the run early; and the default rates."""
        return TrainConfig(
            epochs=rounds,
            patience=rounds,
            learning_rate=rate if self.learning_rate is None else self.learning_rate,
            head_learning_rate=head_rate if self.head_learning_rate is None else self.head_learning_rate,
            **{
                name: getattr(self, name)
                for name in ("max_tokens", "schedule", "warmup", "weight_decay", "clip", "seed", "device", "dtype")
                + ("output", "resume", "checkpoint_minutes")
            },
        )

    def readers(self, gpu: bool) -> int:  # noqa: FBT001 - a fact, not a choice
        """Processes that prepare steps."""
        if self.workers is not None:
            return self.workers
        return min(WORKERS, cores() - 1) if gpu else 0

    def plan(self, positions: int, steps: int) -> tuple[int, int]:
        """(rounds, steps in all) for a corpus of so many positions, which are read once in so many steps."""
        passes = PASSES if self.tokens is None else self.tokens / positions
        total = self.steps or math.ceil(passes * steps)
        return min(self.evaluations, total), total
