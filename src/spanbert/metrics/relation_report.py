"""What an evaluation of relations says: strict counts, and the official scores where every pair has one answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..documents import Document, Relation
from .bootstrap import Interval, interval
from .relations import (
    LABELS,
    NO_RELATION,
    OTHER,
    score_semeval2010_task8,
    score_tacred,
    semeval_macro,
    tacred_micro,
)
from .report import Report, counted_report
from .spans import Item, SpanCounts, check_matched, count_documents, count_items, f1, precision, recall


def relation_report(gold: Sequence[Document], predicted: Sequence[Document], *, asked: bool) -> Report:
    """Relations of documents matched by position: right where both arguments (with their types), direction and label
    are. `boundaries`: the same with the types of the arguments ignored. asked: gold lists every pair that was to be
    judged.
    """
    check_matched(gold, predicted)
    counts = relation_counts(gold, predicted)
    untyped = relation_counts(gold, predicted, typed=False).by_label.sum(axis=1, keepdims=True)
    by_label = np.concatenate([counts.by_label, untyped], axis=1)
    report = counted_report(by_label, counts.labels, "relations:exact-set", "asked" if asked else "all")
    if not asked:
        return report
    scores, intervals = _official(gold, predicted)
    return replace(report, scores=scores, intervals=intervals)


def joint_report(gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
    """Relations, `spans` by themselves, and the F1 of spans and relations counted together."""
    report = relation_report(gold, predicted, asked=False)
    spans = count_documents(gold, predicted).by_label.sum(axis=(0, 1))
    both = spans + relation_counts(gold, predicted).by_label.sum(axis=(0, 1))
    rates = {"precision": float(precision(spans)), "recall": float(recall(spans)), "f1": float(f1(spans))}
    return replace(report, scores={"spans": rates, "spans_and_relations": {"f1": float(f1(both))}})


def relation_counts(gold: Sequence[Document], predicted: Sequence[Document], *, typed: bool = True) -> SpanCounts:
    """Of strict relations; labels that were not annotated in a document are not counted in it.

    typed: whether the labels of the arguments must be right too.
    """
    return count_items(
        [_items(document.relations, document, typed=typed) for document in gold],
        [_items(other.relations, document, typed=typed) for document, other in zip(gold, predicted, strict=True)],
    )


def _items(relations: Iterable[Relation], gold: Document, *, typed: bool) -> list[Item]:
    return [
        (_pair(relation, typed=typed), relation.label)
        for relation in relations
        if relation.label != NO_RELATION and gold.looked_for(relation.label)
    ]


def _pair(relation: Relation, *, typed: bool = True) -> tuple[object, ...]:
    head, tail = relation.head, relation.tail
    places = (head.start, head.end, head.parts, tail.start, tail.end, tail.parts)
    return (*places, head.label, tail.label) if typed else places


def _official(
    gold: Sequence[Document], predicted: Sequence[Document]
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Interval | None]]]:
    """Of the pairs of gold, each with its first label; and the intervals of the main scores, by drawing documents."""
    right: list[str] = []
    said: list[str] = []
    owners: list[int] = []
    for number, (document, other) in enumerate(zip(gold, predicted, strict=True)):
        best: dict[tuple[object, ...], Relation] = {}
        for relation in other.relations:
            known = best.get(_pair(relation))
            if known is None or (relation.score or 0.0) > (known.score or 0.0):
                best[_pair(relation)] = relation
        pairs: dict[tuple[object, ...], str] = {}
        for relation in document.relations:
            pairs.setdefault(_pair(relation), relation.label)
        right += pairs.values()
        owners += [number] * len(pairs)
        said += [best[pair].label if pair in best else NO_RELATION for pair in pairs]
    if not right:
        return {}, {}
    counts = score_tacred(right, said).counts
    precision, recall, f1 = (100.0 * tacred_micro(counts.sum(axis=0))).tolist()
    scores: dict[str, dict[str, Any]] = {"tacred": {"precision": precision, "recall": recall, "f1": f1}}
    drawn = interval(_by_document(counts, owners), lambda sums: 100.0 * tacred_micro(sums)[..., 2], best=100.0)
    intervals = {"tacred": {"f1": drawn}}
    others = [OTHER if label == NO_RELATION else label for label in right]
    if set(others) <= set(LABELS) and set(others) != {OTHER}:
        answers = [OTHER if label == NO_RELATION else label for label in said]
        semeval = score_semeval2010_task8(list(enumerate(others)), list(enumerate(answers)))
        same = float(np.mean([a == b for a, b in zip(others, answers, strict=True)]))
        scores["semeval2010_task8"] = {"macro_f1": semeval.macro_f1, "accuracy": 100.0 * same}
        by_document = _by_document(semeval.official.counts, owners)
        drawn = interval(by_document, lambda sums: semeval_macro(sums)[..., 2], best=100.0)
        intervals["semeval2010_task8"] = {"macro_f1": drawn}
    return scores, intervals


def _by_document(counts: np.ndarray, owners: Sequence[int]) -> np.ndarray:
    """[pairs, ...] to [documents, ...]: the sums of each document's pairs, of those that have any."""
    sums = np.zeros((max(owners) + 1, *counts.shape[1:]), dtype=np.int64)
    np.add.at(sums, owners, counts)
    return sums[np.unique(owners)]
