"""Span classification: a probability for every pair of pieces (start, end) and every label.

The core of this package. The head (`heads/pairs.py`) gives a logit for each pair and label; the rows that are above
a floor come back here as a table; the policy picks the spans:

- flat: spans do not touch each other's text; the set with the greatest total logit is found exactly;
- nested: spans may contain one another but not cross; exact as well;
- overlapping: every span for itself;
- arg-max: the one best span of the document.

With the single label `span` this is plain yes/no span identification.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..decoding import POLICIES, arg_max, decode_spans, decode_within
from ..decoding.limits import Limits, Rules
from ..decoding.resolve import LONGEST, RESOLVERS
from ..documents import Candidate, Decoded, Document, Judged, Span
from ..errors import check_among
from ..metrics.report import Report, span_report
from ..targets import PairTargets
from ..tokenization import Pieces, Tokenizer
from ..windows import Table
from . import gold
from .gold import ARG_MAX, FLOOR
from .task import Example, Settings, Task

if TYPE_CHECKING:
    from ..encoder.loading import Encoder
    from ..heads.head import Head


@dataclass(frozen=True, kw_only=True)
class SpanSettings(Settings):
    """Settings of span classification."""

    policy: str = "flat"
    """Which spans may stand together: flat, nested or overlapping (and arg-max: the best span alone)."""
    resolve: str = LONGEST
    """Which of two training spans stays when the policy forbids both: longest, first or highest."""
    limits: dict[str, Any] | None = None
    """What else holds of the spans of a document: {at_most = {DATE = 1}, contains = {ORG = ["LOC"]}, forbidden =
    [["ORG", "DATE"]]}, each if wanted; contains: which may lie inside which; forbidden: which may not overlap."""


@dataclass(frozen=True)
class SpanClassification(Task):
    """See the top of this file; the contract is `tasks/task.py`."""

    settings: SpanSettings
    tokenizer: Tokenizer
    tells: ClassVar[tuple[str, ...]] = ("spans",)
    weighs_sets = True

    def __post_init__(self) -> None:
        for name, choices in (("policy", (*POLICIES, ARG_MAX)), ("resolve", tuple(RESOLVERS))):
            check_among(name, getattr(self.settings, name), choices)
        if self.settings.limits is not None:
            _ = self.rules if self.ready else self.limits  # raises UsageError for what cannot be read

    @property
    def limits(self) -> Limits:
        """Those of the settings."""
        return Limits() if self.settings.limits is None else Limits.from_json(self.settings.limits)

    @cached_property
    def rules(self) -> Rules:
        """The policy and the limits, by ids of labels."""
        return self.limits.rules(self.settings.policy, self.settings.labels)

    @property
    def threshold(self) -> float:
        """Arg-max returns its span however improbable; the other policies those that are more likely right than not."""
        return 0.0 if self.settings.policy == ARG_MAX else 0.5

    @property
    def floor(self) -> float:
        """Under arg-max no pair is too improbable to be kept."""
        return -math.inf if self.settings.policy == ARG_MAX else FLOOR

    @property
    def outputs(self) -> tuple[str, ...]:
        """The labels."""
        return self.settings.labels

    def adapted(self, documents: Sequence[Document], longest_span: int) -> Self:
        """Labels of the data, and windows that share its longest span and some context."""
        return replace(self, settings=gold.adapted(self.settings, documents, longest_span))

    def annotations(self, document: Document) -> Sequence[Span]:
        """The spans."""
        return document.spans

    def examples(self, document: Document, pieces: Pieces, draw: np.random.Generator | None) -> Iterator[Example]:
        """A window each. The loss of all its pairs is divided by its number of pieces, not of pairs: so a long
        window does not drown its few spans in the absence of very many others."""
        targets = None if draw is None else self._targets(document, pieces)
        for window in gold.windows(self.settings, self.tokenizer, pieces):
            yield Example((window,), targets, {"spans": float((window.pieces >= 0).sum())})

    def unreachable(self, document: Document, pieces: Pieces) -> tuple[tuple[Span, str], ...]:
        """A border inside a piece, no window that holds it, or a conflict with a span that was preferred."""
        s = self.settings
        windows = gold.windows(s, self.tokenizer, pieces)
        return gold.unreachable(document, pieces, s.labels, s.policy, s.resolve, windows)

    def head(self, encoder: Encoder) -> Head:
        """The span scorer."""
        from ..heads.pairs import PairHead

        return PairHead(encoder.width, len(self.settings.labels))

    def candidates(self, document: Document, pieces: Pieces, table: Table) -> tuple[Candidate, ...]:  # noqa: ARG002
        """Every row of the table: pairs of pieces as characters of the text."""
        return gold.candidates(self.settings.labels, pieces, gold.distinct(pieces, table))

    def decode(self, document: Document, pieces: Pieces, table: Table) -> Decoded:  # noqa: ARG002
        """The best set under the policy, then what fits beside it."""
        table = gold.distinct(pieces, table)
        if not table:
            return Decoded()
        starts, ends = pieces.starts[table["first"]], pieces.ends[table["last"]]
        labels, logits = table["label"], table["logit"]
        if self.settings.policy == ARG_MAX:
            chosen = np.array([arg_max(starts, ends, labels, logits)])
        else:
            room = gold.room(pieces)
            columns = starts, ends, labels, logits
            if self.settings.limits is None:
                chosen = decode_spans(self.settings.policy, *columns, floor=FLOOR, room=room)
            else:
                chosen = decode_within(self.rules, *columns, floor=FLOOR, room=room)
        table = {name: column[chosen] for name, column in table.items()}
        return Decoded(gold.candidates(self.settings.labels, pieces, table))

    def judged(self, document: Document, decoded: Decoded) -> Judged:
        """Exact boundaries and label."""
        return gold.judged(document, decoded)

    def report(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
        """Exact boundaries and label."""
        return span_report(gold, predicted, policy=self.settings.policy)

    def _targets(self, document: Document, pieces: Pieces) -> PairTargets:
        labels = self.settings.labels
        spans = gold.teachable(document, labels, self.settings.policy, self.settings.resolve)
        return PairTargets(gold.runs(spans, pieces, labels), gold.taught(document, labels))
