"""What an evaluation of relations says: strict counts, and the official scores where every pair has one answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..documents import Document, Relation
from ..errors import DataError
from .relations import LABELS, NO_RELATION, OTHER, score_semeval2010_task8, score_tacred, tacred_micro
from .report import Report, counted_report
from .spans import Item, SpanCounts, count_documents, count_items, f1, precision, recall


def relation_report(gold: Sequence[Document], predicted: Sequence[Document], *, asked: bool) -> Report:
    """Relations of documents matched by position: right where both arguments (with their types), direction and label
    are. `boundaries`: the pair alone, whatever the label. asked: gold lists every pair that was to be judged.
    """
    for number, (document, other) in enumerate(zip(gold, predicted, strict=True)):
        if document.id != other.id:
            raise DataError(
                f"document {number} is {document.id!r} in gold and {other.id!r} in the predictions",
                "the same documents in the same order",
                "predict the very documents that are evaluated",
            )
    counts = relation_counts(gold, predicted)
    by_label = np.concatenate([counts.by_label, counts.boundaries[:, None]], axis=1)
    report = counted_report(by_label, counts.labels, "relations:exact-set", "asked" if asked else "all")
    return replace(report, scores=_official(gold, predicted) if asked else {})


def joint_report(gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
    """Relations, `spans` by themselves, and the F1 of spans and relations counted together."""
    report = relation_report(gold, predicted, asked=False)
    spans = count_documents(gold, predicted).by_label.sum(axis=(0, 1))
    both = spans + relation_counts(gold, predicted).by_label.sum(axis=(0, 1))
    rates = {"precision": float(precision(spans)), "recall": float(recall(spans)), "f1": float(f1(spans))}
    return replace(report, scores={"spans": rates, "spans_and_relations": {"f1": float(f1(both))}})


def relation_counts(gold: Sequence[Document], predicted: Sequence[Document]) -> SpanCounts:
    """Of strict relations; labels that were not annotated in a document are not counted in it."""
    return count_items(
        [_items(document, document.annotated) for document in gold],
        [_items(other, document.annotated) for document, other in zip(gold, predicted, strict=True)],
    )


def _items(document: Document, annotated: frozenset[str] | None) -> list[Item]:
    return [
        (_pair(relation), relation.label)
        for relation in document.relations
        if relation.label != NO_RELATION and (annotated is None or relation.label in annotated)
    ]


def _pair(relation: Relation) -> tuple[object, ...]:
    head, tail = relation.head, relation.tail
    return (head.start, head.end, head.parts, head.label, tail.start, tail.end, tail.parts, tail.label)


def _official(gold: Sequence[Document], predicted: Sequence[Document]) -> dict[str, dict[str, Any]]:
    """Of the pairs of gold, each with its first label."""
    right: list[str] = []
    said: list[str] = []
    for document, other in zip(gold, predicted, strict=True):
        best: dict[tuple[object, ...], Relation] = {}
        for relation in other.relations:
            known = best.get(_pair(relation))
            if known is None or (relation.score or 0.0) > (known.score or 0.0):
                best[_pair(relation)] = relation
        pairs: dict[tuple[object, ...], str] = {}
        for relation in document.relations:
            pairs.setdefault(_pair(relation), relation.label)
        right += pairs.values()
        said += [best[pair].label if pair in best else NO_RELATION for pair in pairs]
    if not right:
        return {}
    precision, recall, f1 = (100.0 * tacred_micro(score_tacred(right, said).counts.sum(axis=0))).tolist()
    scores: dict[str, dict[str, Any]] = {"tacred": {"precision": precision, "recall": recall, "f1": f1}}
    others = [OTHER if label == NO_RELATION else label for label in right]
    if set(others) <= set(LABELS) and set(others) != {OTHER}:
        answers = [OTHER if label == NO_RELATION else label for label in said]
        semeval = score_semeval2010_task8(list(enumerate(others)), list(enumerate(answers)))
        same = float(np.mean([a == b for a, b in zip(others, answers, strict=True)]))
        scores["semeval2010_task8"] = {"macro_f1": semeval.macro_f1, "accuracy": 100.0 * same}
    return scores
