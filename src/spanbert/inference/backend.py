"""What the predictor asks of a runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..packing import Batch
from ..windows import Table


class Backend(Protocol):
    """Runs packed batches through encoder and heads, on whatever runtime."""

    @property
    def room(self) -> int:
        """Positions of a batch that suit it; a single larger window is run too."""
        ...

    def run(self, batch: Batch, floors: Mapping[str, float]) -> Mapping[str, Table]:
        """The table of each task that `floors` names, as numpy columns; see `heads/head.py` for the floor."""
        ...
