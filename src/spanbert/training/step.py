"""One update of the weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from ..heads.head import Network
from ..inference.precision import room
from . import data
from .data import Step
from .processes import ALONE, Processes


def take_step(
    network: Network, step: Step, optimizer: torch.optim.Optimizer, clip: float, processes: Processes = ALONE
) -> dict[str, float]:
    """One update of the weights: the mean of each named loss over the whole step, whatever parts it ran in.

    Where a loss or the gradient is not finite the weights are left alone; the losses say so.
    """
    network.train()
    optimizer.zero_grad(set_to_none=True)
    counts, means = step.counts, dict.fromkeys(step.counts, 0.0)
    weights = network.head(step.task).weights
    for batch, targets in processes.share(step).parts(room(network.device, data.PART_POSITIONS)):
        losses = {name: total / max(counts[name], 1.0) for name, total in network(step.task, batch, targets).items()}
        torch.stack([weights[name] * loss for name, loss in losses.items()]).sum().backward()  # type: ignore[no-untyped-call]
        for name, loss in losses.items():
            means[name] += float(loss.detach())
    means = processes.add_up(network, means)
    norm = nn.utils.clip_grad_norm_(network.parameters(), clip)
    if torch.isfinite(norm) and all(map(math.isfinite, means.values())):
        optimizer.step()
        return means
    return {name: math.nan for name in means}
