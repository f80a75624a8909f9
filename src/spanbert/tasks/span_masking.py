"""Pre-training: hide spans of words, and predict them from context and from the span's borders (Joshi et al. 2020).

It needs text and no annotations. `masking.py` says which pieces are hidden, `heads/masked.py` how they are predicted.
Four in five spans become mask pieces, one in ten random pieces, one in ten stays: one draw for the whole span.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self, cast

import numpy as np

from .. import masking
from ..documents import Decoded, Document, Judged, Span
from ..errors import UsageError, check_among, check_whole
from ..metrics.report import Report
from ..targets import BoolArray, MaskTargets
from ..tokenization import IntArray, Pieces, Tokenizer
from ..windows import Table, Window, split
from .task import Example, Settings, Task

if TYPE_CHECKING:
    from ..encoder.loading import Encoder
    from ..heads.head import Head

SHOWN_AS_MASK, RANDOM = 0.8, 0.9
"""Below the first a span is replaced by mask pieces, below the second by random pieces, else it stays."""
LOWEST_RATE, HIGHEST_RATE = 0.01, 0.8


@dataclass(frozen=True, kw_only=True)
class MaskingSettings(Settings):
    """Settings of span masking."""

    masking: str = "span"
    """What is hidden together: span, whole-word or token."""
    masking_rate: float = 0.15
    """Share of the pieces that are hidden; small models learn more from 0.2 to 0.4."""
    lengths: str = "geometric"
    """Lengths of spans in words: geometric (p 0.2) or uniform."""
    longest_masked: int = 10
    """Words of the longest span that is hidden at once."""
    word_borders: str = "strict"
    """strict: spans end where words end; reference: the last one where the budget does, as in the published program."""
    boundary_weight: float = 1.0
    """Weight of the span-boundary objective; 0 leaves it out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = {"masking": MASKINGS, "lengths": masking.LENGTHS, "word_borders": masking.BORDERS}
        for name, known in choices.items():
            check_among(name, getattr(self, name), known)
        if type(self.masking_rate) is not float or not LOWEST_RATE <= self.masking_rate <= HIGHEST_RATE:
            raise UsageError(
                f"masking_rate = {self.masking_rate!r}", f"a share from {LOWEST_RATE} to {HIGHEST_RATE}", "try 0.15"
            )
        check_whole("longest_masked", self.longest_masked, 1, "try 10")
        if self.masking == "span" and self.window - 2 <= self.longest_masked:
            raise UsageError(
                f"spans of up to {self.longest_masked} words in blocks of {self.window - 2} pieces",
                "blocks longer than a span",
                "give a larger --window, or a smaller --longest-masked",
            )
        if type(self.boundary_weight) not in (int, float) or not 0 <= self.boundary_weight < math.inf:
            raise UsageError(f"boundary_weight = {self.boundary_weight!r}", "0 or a positive number", "try 1.0")


def _spans(settings: MaskingSettings, begins: BoolArray, budget: int, draw: np.random.Generator) -> BoolArray:
    lengths = masking.LENGTHS[settings.lengths](settings.longest_masked)
    return masking.BORDERS[settings.word_borders](begins, budget, masking.draws(len(begins), lengths, draw))


MASKINGS: dict[str, Callable[[MaskingSettings, BoolArray, int, np.random.Generator], BoolArray]] = {
    "span": _spans,
    "whole-word": lambda _, begins, budget, draw: masking.words(begins, budget, draw),
    "token": lambda _, begins, budget, draw: masking.tokens(begins, budget, draw),
}


@dataclass(frozen=True)
class SpanMasking(Task):
    """See the top of this file; the contract is `tasks/task.py`."""

    settings: MaskingSettings
    tokenizer: Tokenizer
    noise: Callable[[np.random.Generator, int], IntArray] | None = None
    """Draws random pieces as often as they occur in a corpus; None: all pieces alike."""
    selection = "loss/masked"
    tells: ClassVar[tuple[str, ...]] = ()
    pipeline = "fill-mask"
    example = ""
    command = ""
    floor = 0.0
    stock = "MaskedLM"

    @property
    def ready(self) -> bool:
        """Always: it needs no labels."""
        return True

    @property
    def outputs(self) -> tuple[str, ...]:
        """Its losses."""
        return ("masked", "boundary") if self.settings.boundary_weight else ("masked",)

    def stock_config(self) -> dict[str, object]:
        """The stock class shares word vectors with its last layer, as we do."""
        return {"tie_word_embeddings": True}

    def adapted(self, documents: Sequence[Document], longest_span: int) -> Self:  # noqa: ARG002
        """Nothing is left to the data."""
        return self

    def annotations(self, document: Document) -> Sequence[Span]:  # noqa: ARG002 - it learns from text
        """Nothing."""
        return ()

    def examples(self, document: Document, pieces: Pieces, draw: np.random.Generator | None) -> Iterator[Example]:  # noqa: ARG002
        """A window each, its spans hidden anew by every draw."""
        for window in split(pieces, self.settings.window, self.tokenizer.frame):
            yield Example((window,), None) if draw is None else self._masked(window, pieces, draw)

    def unreachable(self, document: Document, pieces: Pieces) -> tuple[tuple[Span, str], ...]:  # noqa: ARG002
        """There is no gold."""
        return ()

    def head(self, encoder: Encoder) -> Head:
        """The two ways to predict what is hidden."""
        from ..heads.masked import MaskedHead

        return cast("Head", MaskedHead.on(encoder, self.settings.boundary_weight))  # an `OverVocabulary`

    def decode(self, document: Document, pieces: Pieces, table: Table) -> Decoded:  # noqa: ARG002
        """Nothing."""
        return Decoded()

    def judged(self, document: Document, decoded: Decoded) -> Judged:  # noqa: ARG002
        """Nothing."""
        return Judged((), (), ())

    def report(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Report:  # noqa: ARG002
        """There is none: what pre-training is measured by are its losses on held-out text."""
        raise UsageError("a model that was only pre-trained", "a model that finds spans", "train it first")

    def hidden(self, begins: BoolArray, draw: np.random.Generator) -> IntArray:
        """Runs [first, last] of pieces to hide in a block, R x 2; begins: whether each piece begins a word."""
        settings = self.settings
        budget = masking.budget_of(len(begins), settings.masking_rate)
        return masking.runs(MASKINGS[settings.masking](settings, begins, budget, draw))

    def _masked(self, window: Window, pieces: Pieces, draw: np.random.Generator) -> Example:
        real = np.flatnonzero(window.pieces >= 0)
        words = pieces.words[window.pieces[real]]
        begins = np.ones(len(words), dtype=bool)
        begins[1:] = words[1:] != words[:-1]
        hidden = self.hidden(begins, draw)
        ids, sizes = window.ids.copy(), hidden[:, 1] - hidden[:, 0] + 1
        fates = draw.random(len(hidden))
        for (first, last), size, fate in zip(real[hidden].tolist(), sizes.tolist(), fates.tolist(), strict=True):
            if fate < SHOWN_AS_MASK:
                ids[first : last + 1] = self.tokenizer.ids["mask"]
            elif fate < RANDOM:
                ids[first : last + 1] = self._random(draw, size)
        offset = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        first, last = (np.repeat(real[hidden[:, side]], sizes) for side in (0, 1))
        at = first + offset
        targets = MaskTargets(np.stack([at, first - 1, last + 1, offset, window.ids[at]]))
        return Example((replace(window, ids=ids),), targets, dict.fromkeys(self.outputs, float(len(at))))

    def _random(self, draw: np.random.Generator, size: int) -> IntArray:
        if self.noise is not None:
            return self.noise(draw, size)
        ordinary = self.tokenizer.ordinary
        return ordinary[draw.integers(len(ordinary), size=size)]
