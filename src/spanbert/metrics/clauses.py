"""Precision and recall of answers that may be many or none, over all thresholds, as CUAD measures clauses.

Hendrycks et al. 2021 (CUAD), section 4: a predicted clause matches a gold one where the Jaccard index of their sets of
words is at least one half; a gold clause is found where any prediction above the threshold matches it.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np

MATCH = 0.5
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation.replace("'", ""))
Guesses = Sequence[tuple[str, float]]


def clause_scores(questions: Sequence[tuple[Sequence[str], Guesses]]) -> dict[str, float | None]:
    """Of (gold texts, predicted texts with probabilities) of each question: `aupr` and precision at a recall, percent.

    `aupr` is the area under precision over recall, precision being the best at that recall or a greater one.
    precision_at_80_recall and _90_: None where no threshold reaches the recall; None throughout without gold.
    """
    found, wrong, gold = [], [], 0
    for texts, guesses in questions:
        gold += len(texts)
        matched = [[_jaccard(text, guess) >= MATCH for text in texts] for guess, _ in guesses]
        scores = [score for _, score in guesses]
        for k in range(len(texts)):
            mine = [score for score, row in zip(scores, matched, strict=True) if row[k]]
            found.extend([max(mine)] if mine else [])
        wrong += [score for score, row in zip(scores, matched, strict=True) if not any(row)]
    if not gold:
        return {"aupr": None, "precision_at_80_recall": None, "precision_at_90_recall": None}
    thresholds = np.unique([*found, *wrong])[::-1]
    hits = _at_least(np.array(found), thresholds)
    precision = hits / np.maximum(hits + _at_least(np.array(wrong), thresholds), 1)
    recall = hits / gold
    best = np.maximum.accumulate(precision[::-1])[::-1] if len(precision) else precision
    area = float((best * np.diff(recall, prepend=0.0)).sum())
    return {
        "aupr": 100.0 * area,
        "precision_at_80_recall": _best_from(precision, recall, 0.8),
        "precision_at_90_recall": _best_from(precision, recall, 0.9),
    }


def _best_from(precision: np.ndarray, recall: np.ndarray, least: float) -> float | None:
    reached = recall >= least
    return 100.0 * float(precision[reached].max()) if reached.any() else None


def _at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many scores reach each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")


def _jaccard(a: str, b: str) -> float:
    first, second = _words(a), _words(b)
    union = first | second
    return len(first & second) / len(union) if union else 0.0


def _words(text: str) -> set[str]:
    return set(text.translate(_NO_PUNCTUATION).replace("/", " ").lower().split())
