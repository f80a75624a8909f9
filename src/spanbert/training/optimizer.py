"""AdamW with a rate of its own for the heads, and a schedule that depends on the share of training done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from ..heads.head import Network

DECAYS: Mapping[str, Callable[[float], float]] = {
    "linear": lambda share: 1.0 - share,
    "cosine": lambda share: 0.5 * (1.0 + math.cos(math.pi * share)),
}


def make_optimizer(network: Network, rate: float, head_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Groups carry their peak rate as `peak`; biases, LayerNorm and tables of biases do not decay; a frozen encoder has
    no group."""
    groups = []
    modules = ((network.heads, head_rate),) if network.frozen else ((network.encoder, rate), (network.heads, head_rate))
    for module, peak in modules:
        for matrix, decay in ((True, weight_decay), (False, 0.0)):
            parameters = [p for n, p in module.named_parameters() if _decays(n, p) is matrix]
            if parameters:
                groups.append({"params": parameters, "peak": peak, "lr": 0.0, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, share: float, warmup: float, schedule: str) -> float:
    """Set every group's rate for this share (0 to 1) of all training; returns the factor on the peak rates."""
    factor = share / warmup if share < warmup else DECAYS[schedule]((share - warmup) / (1.0 - warmup))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor
    return factor


def default_rate(width: int) -> float:
    """Narrow encoders want higher rates: 5e-5 at 768, 1.4e-4 at 384 (benchmarks/training_choices.py compares)."""
    return float(5e-5 * (768 / width) ** 1.5)


def _decays(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and "norm" not in name and not name.endswith("bias")
