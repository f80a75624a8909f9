"""Official scores of relation classification."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.errors import DataError
from spanbert.metrics.bootstrap import interval
from spanbert.metrics.relations import (
    LABELS,
    NO_RELATION,
    OTHER,
    RELATIONS,
    in_gold,
    score_semeval2010_task8,
    score_tacred,
    semeval_accuracy,
    semeval_macro,
    semeval_micro,
    tacred_micro,
    tacred_rates,
    totals,
)

CAUSE, EFFECT = "Cause-Effect(e1,e2)", "Cause-Effect(e2,e1)"
WHOLE, ORIGIN = "Component-Whole(e1,e2)", "Entity-Origin(e1,e2)"


def test_tacred_by_hand():
    """Predicted 3 relations, 1 right; gold has 4: P 1/3, R 1/4, F1 2/7. no_relation found earns nothing."""
    gold = ["age", "age", "title", "title", NO_RELATION, NO_RELATION]
    found = ["age", "title", NO_RELATION, NO_RELATION, "age", NO_RELATION]
    scores = score_tacred(gold, found)
    counts = scores.counts.sum(axis=0)
    assert scores.relations == ("age", "title", NO_RELATION)
    assert counts.tolist() == [[1, 2, 0, 2], [0, 1, 0, 2], [1, 3, 0, 2]]
    assert tacred_micro(counts) == pytest.approx([1 / 3, 1 / 4, 2 / 7])
    assert tacred_rates(counts[0]) == pytest.approx([1 / 2, 1 / 2, 1 / 2])


def test_tacred_where_nothing_is_predicted():
    """Precision 1 by the official convention, F1 0; the same for one relation that is never predicted."""
    scores = score_tacred(["age", NO_RELATION], [NO_RELATION, NO_RELATION])
    assert tacred_micro(scores.counts.sum(axis=0)).tolist() == [1, 0, 0]
    assert tacred_rates(scores.counts.sum(axis=0)[0]).tolist() == [1, 0, 0]
    assert tacred_micro(score_tacred([NO_RELATION], ["age"]).counts.sum(axis=0)).tolist() == [0, 0, 0]


def test_semeval_by_hand():
    """Cause-Effect: gold 3, proposed 2 with 1 right, and 1 the other way round: P 1/3, R 1/3, F1 1/3.

    Component-Whole: gold 1, proposed 2 with 1 right: P 1/2, R 1, F1 2/3. Macro F1 (1/3 + 2/3) / 2 = 1/2. Micro: 2
    right of 5 proposed and 4 gold, F1 4/9. Without direction Cause-Effect has 2 right of 3 and 3, Component-Whole as
    before: (2/3 + 2/3) / 2.
    """
    gold = [(1, CAUSE), (2, EFFECT), (3, CAUSE), (4, WHOLE), (5, OTHER)]
    found = [(1, CAUSE), (2, CAUSE), (3, WHOLE), (4, WHOLE), (5, EFFECT)]
    scores = score_semeval2010_task8(gold, found)
    official, undirected = (one.counts.sum(axis=0) for one in (scores.official, scores.undirected))
    assert official[:2].tolist() == [[1, 2, 1, 3], [1, 2, 0, 1]]
    assert scores.macro_f1 == pytest.approx(50)
    assert semeval_macro(official) == pytest.approx([100 * (1 / 3 + 1 / 2) / 2, 100 * (1 / 3 + 1) / 2, 50])
    assert semeval_micro(official) == pytest.approx([40, 50, 100 * 4 / 9])
    assert semeval_macro(undirected)[2] == pytest.approx(100 * 2 / 3)
    assert undirected[0].tolist() == [2, 3, 0, 3]


def test_semeval_directed():
    """Cause-Effect(e1,e2): P 1/2, R 1/1, F1 2/3; (e2,e1): nothing right. Macro F1 1/3: two of 18 are in gold."""
    scores = score_semeval2010_task8([(1, CAUSE), (2, EFFECT)], [(2, CAUSE), (1, CAUSE)])
    counts = scores.directed.counts.sum(axis=0)
    assert counts[:2].tolist() == [[1, 2, 0, 1], [0, 0, 0, 1]]
    assert semeval_macro(counts)[2] == pytest.approx(100 / 3)


def test_a_relation_that_is_nowhere_gold_timescosts_nothing():
    """Cause-Effect: P 1/1, R 1/2, F1 2/3; the proposed Component-Whole and Entity-Origin count in no mean."""
    scores = score_semeval2010_task8([(1, CAUSE), (2, CAUSE), (3, OTHER)], [(1, CAUSE), (2, WHOLE), (3, ORIGIN)])
    counts = scores.official.counts.sum(axis=0)
    assert semeval_macro(counts) == pytest.approx([100, 50, 100 * 2 / 3])
    assert semeval_micro(counts) == pytest.approx([100, 50, 100 * 2 / 3])
    assert totals(in_gold(counts)).sum(axis=0).tolist() == [1, 1, 2]
    assert totals(counts).sum(axis=0).tolist() == [1, 3, 3]


def test_skipped_sentences():
    """Of 4, 1 is right; of the 2 skipped, 1 is Other: 1/4, (1 + 1)/4, coverage 2/4. Other found is right too."""
    gold = [(1, CAUSE), (2, CAUSE), (3, OTHER), (4, OTHER)]
    assert semeval_accuracy(score_semeval2010_task8(gold, [(1, CAUSE), (4, WHOLE)]).official.counts) == (25, 50, 50)
    assert semeval_accuracy(score_semeval2010_task8(gold, [(4, OTHER)]).official.counts) == (25, 50, 25)


@pytest.mark.parametrize(
    ("gold", "found", "message"),
    [
        ([(1, OTHER)], [(1, OTHER)], "no gold label but 'Other'"),
        ([(1, CAUSE)], [], "no predictions"),
        ([], [], "no predictions"),
        ([(1, CAUSE)], [(1, CAUSE), (2, CAUSE)], "id 2 is not in gold"),
        ([(1, CAUSE)], [(1, "Cause-Effect")], "predicted label 'Cause-Effect' of sentence 1"),
        ([(1, "Cause-Effect(e1,e3)")], [(1, CAUSE)], "gold label"),
        ([(1, CAUSE), (1, OTHER)], [(1, CAUSE)], "gold sentence id 1 occurs twice"),
        ([(1, CAUSE)], [(1, CAUSE), (1, CAUSE)], "predicted sentence id 1 occurs twice"),
    ],
)
def test_what_semeval_refuses(gold: list[tuple[int, str]], found: list[tuple[int, str]], message: str):
    with pytest.raises(DataError, match=message):
        score_semeval2010_task8(gold, found)


def test_tacred_refuses_different_lengths():
    with pytest.raises(DataError, match="2 predicted relations for 1"):
        score_tacred(["age"], ["age", "age"])


def test_intervals_can_be_drawn():
    """Every sentence alike and right: whatever is drawn, macro F1 is 100, and five leave the doubt of five."""
    scores = score_semeval2010_task8([(n, CAUSE) for n in range(5)], [(n, CAUSE) for n in range(5)])
    found = interval(scores.official.counts, lambda counts: semeval_macro(counts)[..., 2], best=100.0)
    assert found == (pytest.approx(100 * 0.025 ** (1 / 5)), 100)


names = st.sampled_from(["age", "title", "spouse", NO_RELATION])
labels = st.sampled_from([*LABELS[:6], OTHER])


@given(st.lists(st.tuples(names, names), max_size=20))
def test_tacred_is_what_counting_pairs_gives(pairs: list[tuple[str, str]]):
    sides = [label for label, _ in pairs], [label for _, label in pairs]
    right = sum(one == other != NO_RELATION for one, other in pairs)
    gold, found = (sum(label != NO_RELATION for label in side) for side in sides)
    precision, recall, f1 = tacred_micro(score_tacred(*sides).counts.sum(axis=0))
    assert precision == pytest.approx(right / found if found else 1)
    assert recall == pytest.approx(right / gold if gold else 0)
    assert f1 == pytest.approx(2 * right / (gold + found) if gold + found else 0)


@given(st.lists(st.tuples(labels, st.none() | labels), min_size=1, max_size=20), st.randoms())
def test_semeval_is_the_mean_of_f1_over_relations_in_gold(pairs: list[tuple[str, str | None]], random):
    """The macro F1 from its definition; the order of predictions is of no importance."""
    gold = [(n, label) for n, (label, _) in enumerate(pairs)]
    found = [(n, label) for n, (_, label) in enumerate(pairs) if label]
    if not found or all(label == OTHER for _, label in gold):
        with pytest.raises(DataError):
            score_semeval2010_task8(gold, found)
        return
    shuffled = random.sample(found, len(found))
    scores = score_semeval2010_task8(gold, shuffled)
    base = [(label.split("(")[0], (other or "").split("(")[0], label == other) for label, other in pairs]
    gold_times, proposed = Counter(label for label, _, _ in base), Counter(other for _, other, _ in base)
    right = Counter(label for label, _, same in base if same)
    f1 = [200 * right[name] / (gold_times[name] + proposed[name]) for name in RELATIONS if gold_times[name]]
    assert scores.macro_f1 == pytest.approx(sum(f1) / len(f1))
    views = (scores.directed, scores.undirected, scores.official)
    assert len({tuple(totals(view.counts).sum(axis=(0, 1))[1:]) for view in views}) == 1
    assert np.all(scores.official.counts[..., 0] <= scores.undirected.counts[..., 0])
