"""Exact-set scores of spans: a predicted span is correct if one of the gold has the same boundaries and label.

Repeats count once, 0/0 is 0. Counts are kept per document, so that intervals can be drawn from them; the last axis
of every array of counts is (correct, predicted, gold).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..documents import Document, Span
from ..errors import DataError

Item = tuple[Hashable, str]  # (boundaries, label)
Rate = Callable[[np.ndarray], np.ndarray]  # from counts [..., 3] to [...]


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """What was found in each document, for each label and for boundaries alone."""

    labels: tuple[str, ...]
    """Sorted; those of at least one gold or predicted span."""
    by_label: np.ndarray
    """[documents, labels, 3]"""
    boundaries: np.ndarray
    """[documents, 3], the label ignored"""


def check_matched(gold: Sequence[Document], predicted: Sequence[Document]) -> None:
    """Raises DataError where the documents are not as many, with the same ids in the same order."""
    if len(gold) != len(predicted):
        raise DataError(
            f"{len(predicted)} predicted documents for {len(gold)}",
            "as many predicted documents as gold ones, in the same order",
            "predict the very documents that are evaluated",
        )
    for index, (document, other) in enumerate(zip(gold, predicted, strict=True)):
        if document.id != other.id:
            raise DataError(
                f"document {index} is {document.id!r} in gold and {other.id!r} in the predictions",
                "the same documents in the same order",
                "sort both files alike, or predict again",
            )


def count_documents(gold: Sequence[Document], predicted: Sequence[Document]) -> SpanCounts:
    """Counts of documents matched by position; spans with labels that were not annotated in one are not scored."""
    check_matched(gold, predicted)
    return count_items(
        [_items(document.spans, document) for document in gold],
        [_items(other.spans, document) for document, other in zip(gold, predicted, strict=True)],
    )


def count_items(gold: Sequence[Iterable[Item]], predicted: Sequence[Iterable[Item]]) -> SpanCounts:
    """Counts of any labelled items, one collection a document (or a sentence)."""
    pairs = [(set(right), set(found)) for right, found in zip(gold, predicted, strict=True)]
    labels = sorted({label for pair in pairs for items in pair for _, label in items})
    position = {label: index for index, label in enumerate(labels)}
    by_label = np.zeros((len(pairs), len(labels), 3), dtype=np.int32)
    boundaries = np.zeros((len(pairs), 3), dtype=np.int32)
    for index, (right, found) in enumerate(pairs):
        for column, items in enumerate((right & found, found, right)):
            for _, label in items:
                by_label[index, position[label], column] += 1
        right_places, found_places = {place for place, _ in right}, {place for place, _ in found}
        boundaries[index] = len(right_places & found_places), len(found_places), len(right_places)
    return SpanCounts(tuple(labels), by_label, boundaries)


def precision(counts: np.ndarray) -> np.ndarray:
    """[..., 3] to [...]"""
    return _ratio(counts[..., 0], counts[..., 1])


def recall(counts: np.ndarray) -> np.ndarray:
    """[..., 3] to [...]"""
    return _ratio(counts[..., 0], counts[..., 2])


def f1(counts: np.ndarray) -> np.ndarray:
    """[..., 3] to [...]"""
    return _ratio(2 * counts[..., 0], counts[..., 1] + counts[..., 2])


def macro(counts: np.ndarray, rate: Rate = f1) -> np.ndarray:
    """[..., labels, 3] to [...]: the plain mean over the labels that occur, 0 where none does."""
    return _ratio(rate(counts).sum(axis=-1), counts.any(axis=-1).sum(axis=-1))


def weighted(counts: np.ndarray, rate: Rate = f1) -> np.ndarray:
    """[..., labels, 3] to [...]: the mean over labels, each as often as it is in gold (an average of seqeval)."""
    gold = counts[..., 2]
    return _ratio((rate(counts) * gold).sum(axis=-1), gold.sum(axis=-1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.not_equal(whole, 0))
    return ratio


def _items(spans: Iterable[Span], gold: Document) -> list[Item]:
    return [((span.start, span.end, span.parts), span.label) for span in spans if gold.looked_for(span.label)]
