"""The cases of `nervaluate` in the schema of `expected`; every number comes from the metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from spanbert.documents import Span
from spanbert.metrics.partial_matches import OUTCOMES, SCHEMES, count_matches, worth
from spanbert.metrics.spans import f1, precision, recall
from spanbert.tag_schemes import decode

Case = dict[str, Any]

NAMES = {"type": "ent_type"}  # theirs, where it is not ours


def nervaluate(case: Case, options: Case) -> Case:
    """Raises where the package refuses the input; without documents it reports nothing."""
    gold, predicted = ([spans(one, options["loader"]) for one in case[side]] for side in ("true", "pred"))
    counts = count_matches(gold, predicted, case["labels"], options["min_overlap_percentage"])
    if not gold:
        return {"overall": {}, "per_type": {}}
    by_label = zip(counts.labels, counts.by_label.sum(axis=0), strict=True)
    return {
        "overall": schemes(counts.overall.sum(axis=0)),
        "per_type": {label: schemes(rows) for label, rows in by_label},
    }


def spans(document: list[Any], loader: str) -> list[Span]:
    """From tags, or from dictionaries whose `end` is the last token."""
    if loader == "list":
        return [Span(*found) for found in decode(document, "iob2")]
    return [Span(span["start"], span["end"] + 1, span["label"]) for span in document]


def schemes(counts: np.ndarray) -> Case:
    """[4, 5]"""
    return {NAMES.get(scheme, scheme): scores(row) for scheme, row in zip(SCHEMES, counts, strict=True)}


def scores(counts: np.ndarray) -> Case:
    """[5]"""
    total = worth(counts)
    _, actual, possible = map(int, total)
    rates = {"precision": precision, "recall": recall, "f1": f1}
    return {
        **dict(zip(OUTCOMES, counts.tolist(), strict=True)),
        "actual": actual,
        "possible": possible,
        **{name: float(rate(total)) for name, rate in rates.items()},
    }
