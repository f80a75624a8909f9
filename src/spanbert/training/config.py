"""The settings of a training run. Nothing here needs torch, so that the command line can print them at once."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import check_above_zero, check_among, check_share, check_whole

SCHEDULES = ("linear", "cosine")
RESUME = ("never", "auto")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Every default is meant to be left alone; None is chosen from the data or the encoder."""

    epochs: int | None = None
    """Passes over the training data; none given: as many as small data need, as few as large data need."""
    learning_rate: float | None = None
    """Peak rate of the encoder; none given: chosen by its width."""
    freeze_encoder: bool = False
    """Leave the encoder as it is: only the heads of the run learn, and others on it go on saying what they said."""
    head_learning_rate: float = 1e-3
    """Peak rate of the new head."""
    max_tokens: int = 2048
    """Positions in one step, special tokens included."""
    schedule: str = "linear"
    """Decay of the rate after the warm-up: linear or cosine, to zero at the end."""
    warmup: float = 0.1
    """Share of all steps in which the rate rises from zero."""
    weight_decay: float = 0.01
    """Decoupled weight decay; not on biases and LayerNorm."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    patience: int = 5
    """Epochs without a better report after which training stops."""
    seed: int = 0
    """Seed of everything random: order of the data, dropout, new heads."""
    device: str = "auto"
    """auto, cpu or cuda."""
    dtype: str = "auto"
    """Precision of the encoder: auto is bfloat16 where the processor computes it natively; or float32, bfloat16."""
    output: str | None = None
    """Folder for checkpoints, log and the trained model; none given: nothing is written."""
    resume: str = "never"
    """auto: go on from the newest sound checkpoint in the output folder; never: the folder must be empty."""
    checkpoint_minutes: float = 10.0
    """Longest time between two checkpoints; there is one after each epoch too."""

    def __post_init__(self) -> None:
        default = "leave it out for the default"
        if self.epochs is not None:
            check_whole("epochs", self.epochs, 1, default)
        if self.learning_rate is not None:
            check_above_zero("learning_rate", self.learning_rate, default)
        for name in ("max_tokens", "patience"):
            check_whole(name, getattr(self, name), 1, default)
        for name in ("head_learning_rate", "clip", "checkpoint_minutes"):
            check_above_zero(name, getattr(self, name), default)
        for name in ("weight_decay", "warmup"):
            check_share(name, getattr(self, name), default)
        for name, choices in (("schedule", SCHEDULES), ("resume", RESUME)):
            check_among(name, getattr(self, name), choices, default)
        check_whole("seed", self.seed, 0, default, most=2**63 - 1)
