"""GAP scores: whether a pronoun is one of two names, by the pronoun's gender (Webster et al. 2018, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..documents import Document
from ..pronouns import coreferent, marked
from . import bootstrap
from .spans import f1

MASCULINE, FEMININE = frozenset({"he", "him", "his"}), frozenset({"she", "her", "hers"})


def gap_scores(gold: Sequence[Document], predicted: Sequence[Document]) -> dict[str, Any]:
    """F1 of "the pronoun is this name" in percent, of all and by gender, and `bias`: feminine by masculine.

    Two decisions an example. None where there is nothing to measure: neither said nor true.
    """
    genders = []
    for document in gold:
        pronoun = marked(document)[0]
        word = document.text[pronoun.start : pronoun.end].lower()
        genders.append("masculine" if word in MASCULINE else "feminine" if word in FEMININE else "other")
    table, gender = pronoun_counts(gold, predicted), np.array(genders)
    scores: dict[str, Any] = {"f1": _percent(table)}
    if bounds := bootstrap.interval(table):
        scores["f1_interval"] = [100.0 * bound for bound in bounds]
    for name in ("masculine", "feminine"):
        scores[f"{name}_f1"] = _percent(table[gender == name])
    both = scores["masculine_f1"], scores["feminine_f1"]
    scores["bias"] = both[1] / both[0] if all(both) else None
    return scores


def pronoun_counts(gold: Sequence[Document], predicted: Sequence[Document]) -> np.ndarray:
    """[documents, 3]: names that the pronoun is (rightly said, said, true)."""
    counts = []
    for document, other in zip(gold, predicted, strict=True):
        true, said = coreferent(document, document), coreferent(document, other)
        counts.append((sum(a and b for a, b in zip(true, said, strict=True)), sum(said), sum(true)))
    return np.array(counts, dtype=np.int64).reshape(-1, 3)


def _percent(counts: np.ndarray) -> float | None:
    total = counts.sum(axis=0)
    return 100.0 * float(f1(total)) if total[1] + total[2] else None
