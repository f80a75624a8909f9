"""What an evaluation of coreference says: the official scores, in percent, and mentions as spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..documents import MENTION, Cluster, Document, Span
from ..pronouns import coreferent, is_example, marked
from . import bootstrap
from .coreference import METRICS, blanc, check_gold, conll_f1, count_documents, mention, rates
from .gap import gap_scores
from .report import Report, counted_report
from .spans import count_items


def coreference_report(gold: Sequence[Document], predicted: Sequence[Document], *, singletons: bool) -> Report:
    """The report on the clusters of documents matched by position, of those that `scored_clusters` leaves.

    `micro` is of mentions in clusters. Raises DataError where a gold mention stands in two clusters.
    """
    gold, predicted = scored_clusters(gold, predicted, singletons=singletons)
    if gold and all(map(is_example, gold)):
        return _of_pronouns(gold, predicted)
    counts = count_documents(gold, predicted)
    total = rates(counts.ratios.sum(axis=0))
    scores: dict[str, Any] = {name: _percent(row) for name, row in zip(METRICS, total, strict=True)}
    scores["blanc"] = _percent(blanc(counts.links.sum(axis=0)))
    scores["conll_f1"] = 100.0 * float(conll_f1(counts.ratios.sum(axis=0)))
    if bounds := bootstrap.interval(counts.ratios, conll_f1):
        scores["conll_f1_interval"] = [100.0 * bound for bound in bounds]
    found = count_items([_mentions(each) for each in gold], [_mentions(each) for each in predicted])
    by_label = np.concatenate([found.by_label, found.boundaries[:, None]], axis=1)
    kind = "mentions:exact-set" + ("" if singletons else "|singletons:dropped")
    report = counted_report(by_label, found.labels, kind, "clusters")
    return replace(report, scores={"coref": scores}, headline=("coref/conll_f1",))


def _of_pronouns(gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
    """Of GAP: its own scores; of its texts no more than a pronoun and two names is annotated, so `micro` is of these
    mentions where they are in a cluster, on both sides."""
    shown = [_marked_alone(document, other) for document, other in zip(gold, predicted, strict=True)]
    found = count_items([_mentions(each) for each in gold], [_mentions(each) for each in shown])
    by_label = np.concatenate([found.by_label, found.boundaries[:, None]], axis=1)
    report = counted_report(by_label, found.labels, "mentions:exact-set|gap", "clusters")
    return replace(report, scores={"gap": gap_scores(gold, predicted)}, headline=("gap/f1",))


def _marked_alone(document: Document, predicted: Document) -> Document:
    """The clusters that the predicted ones make of pronoun and names."""
    pronoun, *names = (Span(span.start, span.end, MENTION) for span in marked(document))
    true = [name for name, said in zip(names, coreferent(document, predicted), strict=True) if said]
    return replace(predicted, clusters=(Cluster((pronoun, *true)),) if true else ())


def scored_clusters(
    gold: Sequence[Document], predicted: Sequence[Document], *, singletons: bool
) -> tuple[list[Document], list[Document]]:
    """Documents matched by position in which mentions were looked for. singletons: with clusters of one mention, on
    both sides.

    Raises DataError where a gold mention stands in two clusters that count.
    """
    pairs = [pair for pair in zip(gold, predicted, strict=True) if looked_for(pair[0])]
    least = 1 if singletons else 2
    first, second = (
        ([_with(document, least) for document in side] for side in zip(*pairs, strict=True)) if pairs else ([], [])
    )
    for document in first:
        check_gold(document)
    return first, second


def looked_for(document: Document) -> bool:
    """Whether it was annotated with mentions, if it has any."""
    return document.looked_for(MENTION)


def _with(document: Document, least: int) -> Document:
    """The document with its clusters of so many mentions and more."""
    return replace(document, clusters=tuple(each for each in document.clusters if len(each.spans) >= least))


def _mentions(document: Document) -> list[tuple[tuple[int, ...], str]]:
    return [(mention(span), MENTION) for cluster in document.clusters for span in cluster.spans]


def _percent(row: np.ndarray) -> dict[str, float]:
    recall, precision, f1 = (100.0 * row).tolist()
    return {"recall": recall, "precision": precision, "f1": f1}
