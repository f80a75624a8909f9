"""Token classification: a tag for every piece (BIO or IOBES), read as spans.

The head (`heads/tags.py`) gives a logit for each piece and tag. Over the whole document, not window by window, the
best legal sequence of tags is found exactly (Viterbi over the allowed transitions), and the probability of a *span*
is the share of all legal sequences in which this very span stands (forward-backward), not a mean of its tags.
Spans cannot overlap. A bundle of this task is a stock token-classification checkpoint too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from .. import tag_schemes
from ..decoding.resolve import LONGEST, RESOLVERS
from ..decoding.tags import TagLattice
from ..documents import Candidate, Decoded, Document, Judged, Span
from ..errors import DataError, UsageError, check_among
from ..metrics.report import Report, span_report
from ..targets import TagTargets
from ..tokenization import Pieces, Tokenizer
from ..windows import Table
from . import gold
from .task import Example, Settings, Task

if TYPE_CHECKING:
    from ..encoder.loading import Encoder
    from ..heads.head import Head

TRAINED_SCHEMES = ("iob2", "iobes")

MOST_TAGS = 4001
"""Those of a thousand labels: the lattice has a transition for every two of them."""


@dataclass(frozen=True, kw_only=True)
class TagSettings(Settings):
    """Settings of token classification."""

    policy: str = "flat"
    """Tags cannot say more than flat spans: always flat."""
    resolve: str = LONGEST
    """Which of two training spans stays when the policy forbids both: longest, first or highest."""
    scheme: str = "iob2"
    """How tags write spans: iob2 (BIO) or iobes; a foreign checkpoint may bring bilou, io, or mixed (I- opens too)."""
    tags: tuple[str, ...] = ()
    """Names of the head's outputs in order; none given: those of the scheme for the labels."""


@dataclass(frozen=True)
class TokenClassification(Task):
    """See the top of this file; the contract is `tasks/task.py`."""

    settings: TagSettings
    tokenizer: Tokenizer
    tells: ClassVar[tuple[str, ...]] = ("spans",)
    threshold = 0.0
    adopts = "TokenClassification"

    def __post_init__(self) -> None:
        s = self.settings
        if not all(isinstance(tag, str) for tag in s.tags):
            raise UsageError(f"tags {s.tags!r}", "names of tags", "leave them out")
        if s.policy != "flat":
            raise UsageError(
                f"policy {s.policy!r} for token classification",
                "flat: a piece has one tag",
                "train with --task span-classification for nested or overlapping spans",
            )
        check_among("resolve", s.resolve, RESOLVERS)

    @classmethod
    def adopted(cls, config: Mapping[str, object]) -> TagSettings:
        """Settings of a stock checkpoint, from the tag names of its `config.json`."""
        names = config.get("id2label")
        if not isinstance(names, dict) or not names:
            raise DataError("a config.json without id2label", "the names of the tags", "use a fine-tuned checkpoint")
        if not all(re.fullmatch("[0-9]{1,6}", key) for key in names):
            raise DataError("an id2label whose keys are no numbers", "the numbers of the tags", "copy it again")
        if len(names) > MOST_TAGS:
            raise DataError(f"{len(names):,} tags", f"at most {MOST_TAGS:,}", "use a model of fewer labels")
        tags = tuple(str(names[key]) for key in sorted(names, key=int))
        labels = tuple(dict.fromkeys(_label(tag) for tag in tags if tag != "O"))
        if not labels:
            raise DataError("an id2label without any label", "the names of the tags", "use a fine-tuned checkpoint")
        return TagSettings(labels=labels, tags=tags, scheme=_scheme(tags))

    def stock_config(self) -> dict[str, object]:
        """The tag names, as stock classes want them."""
        return {
            "id2label": {str(number): tag for number, tag in enumerate(self.tags)},
            "label2id": {tag: number for number, tag in enumerate(self.tags)},
        }

    @property
    def outputs(self) -> tuple[str, ...]:
        """The tags."""
        return self.tags

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The head's outputs, in order."""
        return self.settings.tags or tuple(tag_schemes.tag_names(self.settings.labels, self.settings.scheme))

    @cached_property
    def lattice(self) -> TagLattice:
        """The legal sequences of tags."""
        return TagLattice(self.tags, self.settings.scheme)

    def adapted(self, documents: Sequence[Document], longest_span: int) -> Self:
        """Labels of the data, and windows that share its longest span and some context."""
        settings = gold.adapted(self.settings, documents, longest_span)
        scheme = "iob2" if settings.scheme in ("io", "mixed") else settings.scheme
        # a foreign set of tags may lack what training needs to write its spans: then the head is made anew
        whole = set(settings.tags) == set(tag_schemes.tag_names(settings.labels, scheme))
        return replace(self, settings=replace(settings, scheme=scheme, tags=settings.tags if whole else ()))

    def annotations(self, document: Document) -> Sequence[Span]:
        """The spans."""
        return document.spans

    def examples(self, document: Document, pieces: Pieces, draw: np.random.Generator | None) -> Iterator[Example]:
        """A window each; the loss is the mean over its pieces."""
        targets = None if draw is None else self._targets(document, pieces)
        for window in gold.windows(self.settings, self.tokenizer, pieces):
            yield Example((window,), targets, {"tags": float((window.pieces >= 0).sum())})

    def unreachable(self, document: Document, pieces: Pieces) -> tuple[tuple[Span, str], ...]:
        """A border inside a piece, or a conflict with a span that was preferred; windows are no limit here."""
        s = self.settings
        return gold.unreachable(document, pieces, s.labels, s.policy, s.resolve, None)

    def head(self, encoder: Encoder) -> Head:
        """One linear layer."""
        from ..heads.tags import TagHead

        return TagHead(encoder.width, len(self.tags))

    def candidates(self, document: Document, pieces: Pieces, table: Table) -> tuple[Candidate, ...]:
        """The spans of the best sequence: a lattice has no list of all its spans."""
        return self.decode(document, pieces, table).spans

    def decode(self, document: Document, pieces: Pieces, table: Table) -> Decoded:  # noqa: ARG002
        """The spans of the best legal sequence, with the log-odds of each span."""
        if not table:
            return Decoded()
        order = np.argsort(table["piece"], kind="stable")
        found = self.lattice.decode(table["emission"][order])
        piece = table["piece"][order]
        spans: list[Candidate] = []
        for first, last, label, logit in found:
            start, end = pieces.span(piece[first], piece[last])
            if not spans or spans[-1].end <= start:  # several pieces may stand for the same characters
                spans.append(Candidate(start, end, label, logit))
        return Decoded(tuple(spans))

    def judged(self, document: Document, decoded: Decoded) -> Judged:
        """Exact boundaries and label."""
        return gold.judged(document, decoded)

    def report(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
        """Exact boundaries and label."""
        return span_report(gold, predicted, policy=self.settings.policy)

    def _targets(self, document: Document, pieces: Pieces) -> TagTargets:
        labels = self.settings.labels
        spans = gold.teachable(document, labels, "flat", self.settings.resolve)
        rows: list[tuple[int, int, str]] = []
        for first, last, label in gold.runs(spans, pieces, labels).tolist():
            if not rows or rows[-1][1] <= first:  # two spans in one piece: the first has it
                rows.append((first, last + 1, labels[label]))
        number = {tag: n for n, tag in enumerate(self.tags)}
        names = tag_schemes.encode(rows, len(pieces), self.settings.scheme)
        taught = [tag == "O" or document.looked_for(_label(tag)) for tag in self.tags]
        return TagTargets(np.array([number[name] for name in names], dtype=np.int64), np.array(taught, dtype=bool))


def _label(tag: str) -> str:
    """The label of a tag; a tag without a prefix is a label of its own."""
    prefix, label = tag_schemes.split(tag)
    return label if prefix in "BIESLU" and "-" in tag else tag


def _scheme(tags: Sequence[str]) -> str:
    """The scheme that a set of tag names can write."""
    prefixes = {tag_schemes.split(tag)[0] for tag in tags if "-" in tag}
    if not prefixes:
        return "io"
    if prefixes & {"L", "U"}:
        return "bilou"
    if prefixes & {"E", "S"}:
        return "iobes"
    # B- and I- alone do not tell BIO from IOB1, where I- opens a span: reading both as openers loses neither
    return "mixed"
