"""The cases of `tacred` and `semeval2010_task8` in the schema of `expected`; every number comes from the metric."""

from __future__ import annotations

from typing import Any

import numpy as np

from spanbert.metrics.relations import (
    OTHER,
    RelationCounts,
    in_gold,
    score_semeval2010_task8,
    score_tacred,
    semeval_accuracy,
    semeval_macro,
    semeval_micro,
    semeval_rates,
    tacred_micro,
    tacred_rates,
    totals,
)

Case = dict[str, Any]

COUNTS = ("correct", "proposed", "wrong_direction", "gold")
RATES = ("precision", "recall", "f1")


def tacred(case: Case, options: Case | None = None) -> Case:
    found = score_tacred(case["gold"], case["pred"])
    counts = found.counts.sum(axis=0)
    return {
        **rates(tacred_micro(counts)),
        "printed_per_relation_percent": {
            relation: [*(f"{rate:.2%}"[:-1] for rate in tacred_rates(row)), int(row[-1])]
            for relation, row in zip(found.relations[:-1], counts, strict=False)
            if row[-1]
        },
    }


def semeval2010_task8(case: Case, options: Case | None = None) -> Case:
    """Raises where the official scorer dies."""
    found = score_semeval2010_task8(*(list(map(tuple, case[side])) for side in ("gold", "pred")))
    return {
        "19way": block(found.directed),
        "10way_no_direction": block(found.undirected),
        "10way_official": block(found.official),
        "official_macro_f1": found.macro_f1,
        "printed_official": f"{found.macro_f1:.2f}",
    }


def block(found: RelationCounts) -> Case:
    counts = found.counts.sum(axis=0)
    accuracy, accuracy_skipped_other, coverage = semeval_accuracy(found.counts)
    return {
        **dict(zip(("correct", "proposed", "gold"), totals(counts.sum(axis=0)).tolist(), strict=True)),
        "accuracy_skipped_wrong": accuracy,
        "accuracy_skipped_other": accuracy_skipped_other,
        "coverage": coverage,
        "micro_counts": totals(in_gold(counts).sum(axis=0)).tolist(),
        "micro": semeval_micro(counts).tolist(),
        "macro": semeval_macro(counts).tolist(),
        "per_relation": {
            "_Other" if relation == OTHER else relation: {
                **dict(zip(COUNTS, row.tolist(), strict=True)),
                **rates(semeval_rates(row)),
            }
            for relation, row in zip(found.relations, counts, strict=True)
            if row[-1]
        },
    }


def rates(values: np.ndarray) -> Case:
    return dict(zip(RATES, values.tolist(), strict=True))
