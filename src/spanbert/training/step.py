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
    counts, weights = step.counts, network.head(step.task).weights
    told = torch.zeros(len(counts), device=network.device)
    for batch, targets in processes.share(step).parts(room(network.device, data.PART_POSITIONS)):
        losses = {name: total / max(counts[name], 1.0) for name, total in network(step.task, batch, targets).items()}
        torch.stack([weights[name] * loss for name, loss in losses.items()]).sum().backward()  # type: ignore[no-untyped-call]
        told += torch.stack([losses[name].detach() for name in counts])
    told = processes.add_up(network, told)
    norm = nn.utils.clip_grad_norm_(network.parameters(), clip)
    *means, size = torch.cat([told, norm.reshape(1).to(told)]).tolist()  # looked at once: a GPU is waited for here
    if all(map(math.isfinite, (*means, size))):
        optimizer.step()
        return dict(zip(counts, means, strict=True))
    return dict.fromkeys(counts, math.nan)
