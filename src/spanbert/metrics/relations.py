"""Official scores of relation classification: TACRED and SemEval-2010 Task 8.

Every example has one label: a relation, or that there is none of interest (`no_relation`, `Other`), which earns
nothing. Counts are kept per example, so that intervals can be drawn from them; their last axis is (correct, predicted,
predicted the other way round, gold), where the second leaves out the third. 0/0 is 0 unless it says so.

Sources: Zhang et al. 2017, official scorer of TACRED; Hendrickx et al. 2010, official scorer v1.2 of SemEval-2010
Task 8. Where one of them ends without a number, so does this module, with a DataError.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .spans import f1, precision, recall

Labelled = tuple[Hashable, str]  # (sentence id, label)
Name = Callable[[str], str]  # from a label to what is told apart

NO_RELATION = "no_relation"
OTHER = "Other"
RELATIONS = (
    *("Cause-Effect", "Component-Whole", "Content-Container", "Entity-Destination", "Entity-Origin"),
    *("Instrument-Agency", "Member-Collection", "Message-Topic", "Product-Producer"),
)
"""The nine of SemEval-2010 Task 8."""
LABELS = (*(f"{relation}({ends})" for relation in RELATIONS for ends in ("e1,e2", "e2,e1")), OTHER)
"""Each of the nine in both directions, and `OTHER`."""


@dataclass(frozen=True, slots=True)
class RelationCounts:
    """What was found in each example."""

    relations: tuple[str, ...]
    """The last is the label for none of interest."""
    counts: np.ndarray
    """[examples, relations, 4]"""


@dataclass(frozen=True, slots=True)
class SemevalCounts:
    """The three blocks of the official report, with the same sentences in the same order."""

    directed: RelationCounts
    """Each direction is a relation of its own: 18, and `OTHER`."""
    undirected: RelationCounts
    """Nine relations and `OTHER`; the direction is ignored."""
    official: RelationCounts
    """The same, but correct only with its direction; if that alone is wrong, predicted the other way round."""

    @property
    def macro_f1(self) -> float:
        """The score of the task, in percent."""
        return float(semeval_macro(self.official.counts.sum(axis=0))[2])


def score_tacred(gold: Sequence[str], predicted: Sequence[str]) -> RelationCounts:
    """Labels of examples matched by position (Zhang et al. 2017). DataError: there are more on one side."""
    if len(gold) != len(predicted):
        raise DataError(
            f"{len(predicted)} predicted relations for {len(gold)} examples",
            "one predicted relation for every gold one, in the same order",
            f"predict the very examples that are evaluated, {NO_RELATION!r} where there is none",
        )
    relations = (*sorted({*gold, *predicted} - {NO_RELATION}), NO_RELATION)
    return _count(list(zip(gold, predicted, strict=True)), relations, name=str, right=str)


def score_semeval2010_task8(gold: Iterable[Labelled], predicted: Iterable[Labelled]) -> SemevalCounts:
    """Labels of sentences matched by id, in any order; predictions may skip some (Hendrickx et al. 2010).

    DataError: a repeated id, a predicted one that is not in gold, a label that is none of `LABELS`, no prediction at
    all, or nothing but `OTHER` in gold.
    """
    asked, answered = _by_id(gold, "gold"), _by_id(predicted, "predicted")
    if strange := [id for id in answered if id not in asked]:
        raise DataError(
            f"predicted sentence id {strange[0]!r} is not in gold ({len(strange)} such)",
            "predictions for gold sentences only",
            "predict the very sentences that are evaluated",
        )
    if not answered or set(asked.values()) == {OTHER}:
        raise DataError(
            f"no gold label but {OTHER!r}" if answered else "no predictions",
            "at least one prediction, and one of the nine relations in gold",
            "check that both files are whole and belong together",
        )
    pairs = [(label, answered.get(id)) for id, label in asked.items()]
    relations = (*RELATIONS, OTHER)
    return SemevalCounts(
        directed=_count(pairs, LABELS, name=str, right=str),
        undirected=_count(pairs, relations, name=_relation, right=_relation),
        official=_count(pairs, relations, name=_relation, right=str),
    )


def tacred_rates(counts: np.ndarray) -> np.ndarray:
    """[..., 4] to [..., 3]: precision, recall, F1 from 0 to 1; precision is 1 where nothing is predicted."""
    found = totals(counts)
    precise = np.where(found[..., 1] == 0, 1.0, precision(found))
    return np.stack([precise, recall(found), f1(found)], axis=-1)


def tacred_micro(counts: np.ndarray) -> np.ndarray:
    """[..., relations, 4] to [..., 3]: the rates of all relations together, the official score."""
    return tacred_rates(counts[..., :-1, :].sum(axis=-2))


def semeval_rates(counts: np.ndarray) -> np.ndarray:
    """[..., 4] to [..., 3]: precision, recall, F1 in percent."""
    found = totals(counts)
    return 100.0 * np.stack([precision(found), recall(found), f1(found)], axis=-1)


def semeval_micro(counts: np.ndarray) -> np.ndarray:
    """[..., relations, 4] to [..., 3]: the rates of the relations that occur in gold, together."""
    return semeval_rates(in_gold(counts).sum(axis=-2))


def semeval_macro(counts: np.ndarray) -> np.ndarray:
    """[..., relations, 4] to [..., 3]: the mean rates of the relations that occur in gold, which need not be all."""
    rates = semeval_rates(in_gold(counts))
    occur = (counts[..., :-1, 3] > 0).sum(axis=-1)
    mean: np.ndarray = rates.sum(axis=-2) / np.maximum(1, occur)[..., None]
    return mean


def in_gold(counts: np.ndarray) -> np.ndarray:
    """[..., relations, 4] to [..., relations - 1, 4]: without the last, all 0 for those that do not occur in gold.

    So the official scorer of SemEval has it: to predict a relation that is nowhere in gold costs it no precision.
    """
    relations = counts[..., :-1, :]
    return np.where(relations[..., 3:] > 0, relations, 0)


def totals(counts: np.ndarray) -> np.ndarray:
    """[..., 4] to [..., 3]: correct, predicted either way round, gold."""
    correct, predicted, other_way, gold = np.moveaxis(counts, -1, 0)
    return np.stack([correct, predicted + other_way, gold], axis=-1)


def semeval_accuracy(counts: np.ndarray) -> tuple[float, float, float]:
    """Of [sentences, relations, 4], in percent: accuracy, accuracy if each skipped sentence is `OTHER`, coverage."""
    correct, predicted, _ = np.moveaxis(totals(counts).sum(axis=1), -1, 0)
    skipped_other = (predicted == 0) & (counts[:, -1, 3] > 0)
    right, helped, answered = (100.0 * int(one.sum()) / len(counts) for one in (correct, skipped_other, predicted))
    return right, right + helped, answered


def _count(
    pairs: Sequence[tuple[str, str | None]], relations: tuple[str, ...], name: Name, right: Name
) -> RelationCounts:
    """Counts of (gold, predicted or None) labels, under their `name`.

    A prediction is correct if `right` of both agrees; if only `name` does, it is the other way round.
    """
    position = {relation: index for index, relation in enumerate(relations)}
    counts = np.zeros((len(pairs), len(relations), 4), dtype=np.int32)
    for rows, (label, found) in zip(counts, pairs, strict=True):
        rows[position[name(label)], 3] = 1
        if found is not None:
            correct = right(found) == right(label)
            other_way = name(found) == name(label) and not correct
            rows[position[name(found)], :3] = correct, not other_way, other_way
    return RelationCounts(relations, counts)


def _by_id(labelled: Iterable[Labelled], side: str) -> dict[Hashable, str]:
    labels: dict[Hashable, str] = {}
    for id, label in labelled:
        if id in labels:
            raise DataError(f"{side} sentence id {id!r} occurs twice", "one label a sentence", "leave out all but one")
        if label not in LABELS:
            raise DataError(
                f"{side} label {label!r} of sentence {id!r}",
                f"{OTHER!r}, or one of the nine relations with its direction, as in {LABELS[0]!r}",
                "write the labels as the task does",
            )
        labels[id] = label
    return labels


def _relation(label: str) -> str:
    return label.partition("(")[0]
