"""Spans that nearly match: the four schemes of SemEval-2013 task 9.1, as the package nervaluate 1.2.1 counts them.

Each scheme pairs a prediction with at most one gold span that it overlaps, and judges the pair:

    strict    correct with the same boundaries and label, else incorrect
    exact     correct with the same boundaries, else incorrect; the label is ignored
    partial   correct with the same boundaries, else partial, worth half; the label is ignored
    type      correct with the same label, else incorrect; the boundaries are ignored

What is left without a partner is missed (gold) or spurious (predicted).

Order matters where spans overlap more than one of the other side. Predictions choose one after another, and no choice
is taken back: of the gold spans still free, one that makes the pair correct (of several, the one whose boundaries
are nearest, then the first), else the first. So a fragment takes the gold span of a right prediction that stands
after it: gold [0, 4) against [0, 2), [0, 4) has no correct pair in strict, against [0, 4), [0, 2) it has one.
Repeats are spans like any other, and the schemes need not agree on who is paired. For scores that do not depend on
order, see `spans`.

Sources: Segura-Bedmar et al. 2013, task 9.1; the reported results of nervaluate 1.2.1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ..documents import Span
from ..errors import DataError, UsageError

Judge = Callable[[Span, Span], str]  # from a gold and a predicted span that overlap to one of the first three outcomes

OUTCOMES = ("correct", "incorrect", "partial", "missed", "spurious")


@dataclass(frozen=True, slots=True)
class MatchCounts:
    """How often each outcome occurs in each document."""

    overall: np.ndarray
    """[documents, 4, 5]: `SCHEMES`, `OUTCOMES`"""
    labels: tuple[str, ...]
    """Sorted; those of at least one span that is scored, gold or predicted."""
    by_label: np.ndarray
    """[documents, labels, 4, 5]: the spans of each label among themselves. A wrong label is missed and spurious here,
    never incorrect, so the labels do not add up to `overall`."""


def count_matches(
    gold: Sequence[Sequence[Span]],
    predicted: Sequence[Sequence[Span]],
    labels: Collection[str] | None = None,
    min_overlap: float = 1.0,
) -> MatchCounts:
    """Counts of the spans of documents matched by position; the order of a document's spans matters, see above.

    `labels`: those that are scored, None = all. `min_overlap`: the part of a gold span that a prediction has to cover
    to be paired with it, in percent. Of a discontinuous span the hull counts. DataError: there are more documents on
    one side. UsageError: `min_overlap` is not from 1 to 100, the range of nervaluate.
    """
    if len(gold) != len(predicted):
        raise DataError(
            f"predicted spans of {len(predicted)} documents for {len(gold)}",
            "as many predicted documents as gold ones, in the same order",
            "predict the very documents that are evaluated",
        )
    if not 1 <= min_overlap <= 100:
        raise UsageError(f"min_overlap {min_overlap}", "a percentage from 1 to 100", "give 50 for half of a gold span")
    names = {span.label for side in (gold, predicted) for spans in side for span in spans}
    scored = sorted(names if labels is None else names.intersection(labels))
    shape = (len(SCHEMES), len(OUTCOMES))
    overall = np.zeros((len(gold), *shape), dtype=np.int32)
    by_label = np.zeros((len(gold), len(scored), *shape), dtype=np.int32)
    for document, (right, found) in enumerate(zip(gold, predicted, strict=True)):
        overall[document] = tally(_labelled(right, scored), _labelled(found, scored), min_overlap)
        for index, name in enumerate(scored):
            by_label[document, index] = tally(_labelled(right, [name]), _labelled(found, [name]), min_overlap)
    return MatchCounts(overall, tuple(scored), by_label)


def worth(counts: np.ndarray) -> np.ndarray:
    """[..., 5] to [..., 3]: what is correct and half of what is partial, predicted spans, gold spans.

    These are counts for `precision`, `recall` and `f1` of `spans`; the task calls the latter two actual and possible.
    """
    correct, incorrect, partly, missed, spurious = np.moveaxis(counts, -1, 0)
    paired = correct + incorrect + partly
    return np.stack([correct + 0.5 * partly, paired + spurious, paired + missed], axis=-1)


def tally(gold: Sequence[Span], predicted: Sequence[Span], min_overlap: float) -> np.ndarray:
    """[4, 5]: how often each outcome occurs in one document, in each scheme."""
    near = [[index for index, right in enumerate(gold) if covered(right, found) >= min_overlap] for found in predicted]
    counts = np.zeros((len(SCHEMES), len(OUTCOMES)), dtype=np.int32)
    for row, judge in zip(counts, SCHEMES.values(), strict=True):
        for outcome in outcomes(gold, predicted, near, judge):
            row[OUTCOMES.index(outcome)] += 1
    return counts


def outcomes(gold: Sequence[Span], predicted: Sequence[Span], near: Sequence[Sequence[int]], judge: Judge) -> list[str]:
    """One for each prediction, in their order, then one for each gold span that is left over.

    `near`: for each prediction, which gold spans it may be paired with, ascending.
    """
    free = set(range(len(gold)))
    found: list[str] = []
    for span, candidates in zip(predicted, near, strict=True):
        judged = {index: judge(gold[index], span) for index in candidates if index in free}
        if not judged:
            found.append("spurious")
            continue
        right = [index for index, outcome in judged.items() if outcome == "correct"]
        chosen = min(right, key=lambda index: distance(gold[index], span)) if right else next(iter(judged))
        free.remove(chosen)
        found.append(judged[chosen])
    return found + ["missed"] * len(free)


def covered(gold: Span, predicted: Span) -> float:
    """How much of the gold span the predicted one covers, in percent."""
    shared = min(gold.end, predicted.end) - max(gold.start, predicted.start)
    # in this very order of rounding: to nervaluate 29 of 100 are less than 29 percent
    return max(0, shared) / (gold.end - gold.start) * 100


def distance(gold: Span, predicted: Span) -> int:
    """By how much the boundaries differ, both ends together."""
    return abs(gold.start - predicted.start) + abs(gold.end - predicted.end)


def strict(gold: Span, predicted: Span) -> str:
    return "correct" if distance(gold, predicted) == 0 and gold.label == predicted.label else "incorrect"


def exact(gold: Span, predicted: Span) -> str:
    return "correct" if distance(gold, predicted) == 0 else "incorrect"


def partial(gold: Span, predicted: Span) -> str:
    return "correct" if distance(gold, predicted) == 0 else "partial"


def same_type(gold: Span, predicted: Span) -> str:
    return "correct" if gold.label == predicted.label else "incorrect"


SCHEMES: dict[str, Judge] = {"strict": strict, "exact": exact, "partial": partial, "type": same_type}
"""How each scheme judges a pair."""


def _labelled(spans: Sequence[Span], labels: Collection[str]) -> list[Span]:
    return [span for span in spans if span.label in labels]
