"""Several processes that share every step, one for each GPU: those that `torchrun` starts.

Each holds the whole network, runs its part of a step's examples, and adds its gradient to those of the others before
the weights move, so that all of them always hold the same weights: those of one process with the same steps, but for
what is dropped out and the order in which numbers are added. The first process alone writes files and tells what goes
on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import distributed, nn

from ..errors import UsageError
from .data import Step


@dataclass(frozen=True)
class Processes:
    """This process among the others; alone, nothing is exchanged."""

    rank: int = 0
    number: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def share(self, step: Step) -> Step:
        """This process's part of a step."""
        return step if self.number == 1 else replace(step, examples=step.examples[self.rank :: self.number])

    def reseed(self, seed: int, step: int) -> None:
        """Let each process drop out numbers of its own, by its rank and the step: resumed, they are the same again."""
        if self.number > 1:
            torch.manual_seed(int(np.random.default_rng((seed, step, self.rank)).integers(2**63)))

    def add_up(self, network: nn.Module, losses: torch.Tensor) -> torch.Tensor:
        """Sum the gradients of all processes into each; the losses summed likewise."""
        if self.number == 1:
            return losses
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        device = parameters[0].device
        has = torch.tensor([float(parameter.grad is not None) for parameter in parameters], device=device)
        distributed.all_reduce(has)
        distributed.all_reduce(losses)
        for parameter, learns in zip(parameters, has.tolist(), strict=True):
            if learns:  # in some process; one that had nothing to learn here adds nothing
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)
        return losses

    def agreed(self, value: float) -> float:
        """The greatest value that any process has."""
        if self.number == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64)
        distributed.all_reduce(held, distributed.ReduceOp.MAX)
        return float(held)

    def copied(self, network: nn.Module) -> None:
        """Give every process the first one's weights."""
        if self.number > 1:
            for tensor in network.state_dict().values():
                distributed.broadcast(tensor, src=0)

    def wait(self) -> None:
        """Until all are here."""
        if self.number > 1:
            distributed.barrier()


ALONE = Processes()


def _number() -> int:
    """How many processes share the run. Raises UsageError where only a part of what `torchrun` sets is there."""
    told = os.environ.get("WORLD_SIZE") or "1"
    if told == "1":
        return 1
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing or not told.isdecimal() or told == "0":
        raise UsageError(
            f"WORLD_SIZE is {told!r}" + (f", and {missing[0]} is not set" if missing else ""),
            "the variables that torchrun sets, or none of them",
            "start it with torchrun, or unset WORLD_SIZE",
        )
    return int(told)


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes of this run, as `torchrun` numbers them in the environment."""
    number = _number()
    if number == 1 or not distributed.is_available():
        yield ALONE
        return
    if distributed.is_initialized():  # by the caller, who ends it as well
        yield Processes(distributed.get_rank(), distributed.get_world_size())
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
