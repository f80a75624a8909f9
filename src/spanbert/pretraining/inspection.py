"""What would be hidden, to look at before a machine is busy with it for days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from .. import masking
from ..documents import Document
from ..tasks import settings_from, task_class
from ..tasks.task import Example
from ..tokenization import Pieces, Tokenizer
from .config import TASK
from .corpus import SHORTEST

DRAWS = 10_000


class Shown(NamedTuple):
    """A piece of a block, and what the encoder sees of it."""

    piece: str
    fate: str
    """`visible`, `mask`, `random` or `kept` (hidden, and yet shown as it is)."""
    instead: str = ""
    """The random piece."""


def inspection_of(folder: str, settings: Mapping[str, Any]) -> Inspection:
    """With the tokenizer of a model folder, of a hub model, or of a vocabulary."""
    from ..encoder.files import locate

    return Inspection(Tokenizer.from_folder(locate(folder)), settings)


@dataclass(frozen=True)
class Inspection:
    """A masking on a tokenizer."""

    tokenizer: Tokenizer
    settings: Mapping[str, Any]

    def blocks(self, documents: Iterable[Document], seed: int = 0) -> Iterator[tuple[str, list[Shown]]]:
        """The document's id and the pieces of every block. Random pieces come evenly from the vocabulary here; in
        training as often as in the corpus, which has to be read for that."""
        task = task_class(TASK)(settings_from(TASK, self.settings), self.tokenizer)
        draw = np.random.default_rng(seed)
        for document in documents:
            ids, words = self.tokenizer.ids_and_words(document.text)
            if len(ids) < SHORTEST:
                continue  # as in training
            pieces = Pieces(ids, np.arange(len(ids)), np.arange(len(ids)) + 1, words)  # as blocks on disk are read
            for example in task.examples(document, pieces, draw):
                yield document.id, self._shown(example)

    def lengths(self, seed: int = 0) -> list[tuple[int, float, float]] | None:
        """(words, share of DRAWS spans, share in theory) for each length; None where spans are not what is hidden."""
        settings = settings_from(TASK, self.settings)
        if settings.masking != "span":
            return None
        theory = masking.LENGTHS[settings.lengths](settings.longest_masked)
        drawn = [length for length, _ in islice(masking.draws(1, theory, np.random.default_rng(seed)), DRAWS)]
        shares = np.bincount(drawn, minlength=len(theory) + 1)[1:] / DRAWS
        return list(zip(range(1, len(theory) + 1), shares.tolist(), theory.tolist(), strict=True))

    def _shown(self, example: Example) -> list[Shown]:
        (window,), targets = example.windows, example.targets
        gold = dict(zip(*targets.columns[[0, 4]].tolist(), strict=True))
        rows = []
        for position in np.flatnonzero(window.pieces >= 0).tolist():
            seen = int(window.ids[position])
            piece = self.tokenizer.token(gold.get(position, seen))
            if position not in gold:
                rows.append(Shown(piece, "visible"))
            elif seen == self.tokenizer.ids["mask"]:
                rows.append(Shown(piece, "mask"))
            elif seen == gold[position]:
                rows.append(Shown(piece, "kept"))
            else:
                rows.append(Shown(piece, "random", self.tokenizer.token(seen)))
        return rows
