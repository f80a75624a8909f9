"""Which stretches of a text name the same thing: mentions, and for each the earlier one it goes back to.

Mentions are found window by window, each by the one window that owns it, so a document of any length gives one list;
the links are looked for over the whole document. In training a few neighbouring windows of a document stay together.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..decoding.clusters import antecedents
from ..decoding.resolve import LONGEST
from ..documents import MENTION, Candidate, Decoded, Document, Judged, LinkCandidate, Span
from ..errors import SpanbertWarning, UsageError, check_whole
from ..metrics.coreference_report import coreference_report, looked_for, scored_clusters
from ..metrics.report import Report
from ..targets import DISTANCES, ClusterTargets
from ..tokenization import Pieces, Tokenizer
from ..windows import Table, Window
from . import gold
from .task import Example, Settings, Task

if TYPE_CHECKING:
    from ..encoder.loading import Encoder
    from ..heads.head import Head

FLOOR = 0.0  # log-odds of a mention; what is more likely none goes back to nothing


@dataclass(frozen=True, kw_only=True)
class CoreferenceSettings(Settings):
    """Settings of coreference."""

    labels: tuple[str, ...] = (MENTION,)
    """Always mention."""
    windows_together: int = 3
    """Neighbouring windows of a document that a training example holds (Joshi et al. 2019, section 4)."""
    singletons: bool | None = None
    """Whether a mention may stand alone in its cluster; none given: whether one of the training data does. Those that
    may not are still taught, as mentions."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels != (MENTION,):
            raise UsageError(f"labels {', '.join(self.labels)} for coreference", MENTION, "leave the labels out")
        check_whole("windows_together", self.windows_together, 1)


@dataclass(frozen=True)
class Coreference(Task):
    """See the top of this file; the contract is `tasks/task.py`."""

    settings: CoreferenceSettings
    tokenizer: Tokenizer
    selection = "headline"
    tells: ClassVar[tuple[str, ...]] = ("clusters",)
    threshold = 0.0
    floor = FLOOR

    @property
    def outputs(self) -> tuple[str, ...]:
        """Mentions, the two views of links, and how far back each looks."""
        return ("mention", "later", "earlier", "recency")

    def adapted(self, documents: Sequence[Document], longest_span: int) -> Self:
        """Windows that share the longest mention and some context, and whether there are singletons."""
        s = gold.adapted(self.settings, documents, longest_span)
        sizes = [len(cluster.spans) for document in documents for cluster in document.clusters]
        alone = sizes.count(1)
        if alone and s.singletons is False:
            warnings.warn(
                f"clusters of one mention do not count: {alone:,} of {len(sizes):,} of the training data teach what a "
                "mention is, and no more",
                SpanbertWarning,
                stacklevel=2,
            )
        return replace(self, settings=replace(s, singletons=alone > 0 if s.singletons is None else s.singletons))

    def annotations(self, document: Document) -> Sequence[Span]:
        """The mentions of clusters that count; others are taught too, but there is nothing of them to find."""
        least = 2 if self.settings.singletons is False else 1
        counted = (cluster for cluster in document.clusters if len(cluster.spans) >= least)
        return [replace(span, label=MENTION) for cluster in counted for span in cluster.spans]

    def examples(self, document: Document, pieces: Pieces, draw: np.random.Generator | None) -> Iterator[Example]:
        """Predicting a window each; in training all windows, a few neighbours at a time, from a drawn offset on."""
        windows = gold.windows(self.settings, self.tokenizer, pieces)
        if draw is None:
            yield from (Example((window,), None) for window in windows)
            return
        if not looked_for(document):
            return
        targets = self._targets(document, pieces)
        size = self.settings.windows_together
        first = int(draw.integers(0, size)) if len(windows) > size else 0
        edges = sorted({0, *range(first, len(windows), size), len(windows)})
        for begin, end in zip(edges, edges[1:], strict=False):
            group = tuple(windows[begin:end])
            yield Example(group, targets, self._counts(group, targets))

    def unreachable(self, document: Document, pieces: Pieces) -> tuple[tuple[Span, str], ...]:
        """Mentions with a border inside a piece, or longer than a window."""
        s = self.settings
        labelled = replace(document, spans=tuple(self.annotations(document)), relations=(), annotated=None)
        windows = gold.windows(s, self.tokenizer, pieces)
        return gold.unreachable(labelled, pieces, s.labels, "overlapping", LONGEST, windows)

    def head(self, encoder: Encoder) -> Head:
        """Mentions and links."""
        from ..heads.coreference import CoreferenceHead

        return CoreferenceHead(encoder.width)

    def decode(self, document: Document, pieces: Pieces, table: Table) -> Decoded:  # noqa: ARG002
        """All probable mentions in the order of the text, and for each the antecedent that stands for its chain."""
        if not table:
            return Decoded()
        order = np.lexsort((table["last"], table["first"]))
        order = order[~np.isnan(table["logit"][order])]
        starts, ends = pieces.starts[table["first"][order]], pieces.ends[table["last"][order]]
        _, firsts = np.unique(np.stack([starts, ends], 1), axis=0, return_index=True)  # pieces may share a grapheme
        order = order[firsts]
        starts, ends = pieces.starts[table["first"][order]].tolist(), pieces.ends[table["last"][order]].tolist()
        mentions = tuple(
            Candidate(a, b, MENTION, z) for a, b, z in zip(starts, ends, table["logit"][order].tolist(), strict=True)
        )
        later, earlier, recency = (table[name][order] for name in ("later", "earlier", "recency"))
        found = antecedents(later, earlier, recency, table["first"][order], DISTANCES)
        links = tuple(
            LinkCandidate(later, earlier, float(odds))
            for later, (earlier, odds) in enumerate(zip(found.earlier.tolist(), found.log_odds, strict=True))
            if earlier >= 0
        )
        return Decoded(mentions=mentions, links=links, singletons=bool(self.settings.singletons))

    def judged(self, document: Document, decoded: Decoded) -> Judged:
        """A link is right when both mentions are of one gold cluster."""
        if not looked_for(document):
            return Judged((), (), ())
        linked = [cluster for cluster in document.clusters if len(cluster.spans) > 1]
        home = {(span.start, span.end): number for number, cluster in enumerate(linked) for span in cluster.spans}
        places = [home.get((each.start, each.end), -1) for each in decoded.mentions]
        return Judged(
            labels=(MENTION,) * len(decoded.links),
            logits=tuple(link.logit for link in decoded.links),
            right=tuple(places[link.later] == places[link.earlier] >= 0 for link in decoded.links),
            gold=Counter({MENTION: sum(len(cluster.spans) - 1 for cluster in linked)}),
        )

    def scored(
        self, gold: Sequence[Document], predicted: Sequence[Document]
    ) -> tuple[Sequence[Document], Sequence[Document]]:
        """Documents in which mentions were looked for, without singletons where these do not count."""
        return scored_clusters(gold, predicted, singletons=self.settings.singletons is not False)

    def report(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
        """The official scores."""
        return coreference_report(gold, predicted, singletons=self.settings.singletons is not False)

    def _targets(self, document: Document, pieces: Pieces) -> ClusterTargets:
        rows: dict[tuple[int, int], int] = {}
        # where singletons do not count, one of them may stand for a mention that is in a chain too
        for number, cluster in enumerate(sorted(document.clusters, key=lambda cluster: len(cluster.spans) < 2)):
            for span in cluster.spans:
                run = pieces.covering(span.start, span.end)
                if run is not None:
                    rows.setdefault(run, number)
        mentions = np.array(sorted(rows), dtype=np.int64).reshape(-1, 2)
        return ClusterTargets(mentions, np.array([rows[a, b] for a, b in mentions.tolist()], dtype=np.int64))

    def _counts(self, group: Sequence[Window], targets: ClusterTargets) -> dict[str, float]:
        """Pieces for mentions; for links the gold mentions that these windows own."""
        middle = targets.mentions.sum(1)
        owned = sum(int(((middle > window.low) & (middle <= window.high)).sum()) for window in group)
        return {
            "mentions": float(sum(int((window.pieces >= 0).sum()) for window in group)),
            "links": float(max(1, owned)),
        }
