"""Batches hold every group once, keep groups together, and stay under the budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.packing import Batch, Groups, lay_out, longest_first, shuffled, size
from spanbert.windows import Window


def window(length: int, start: int = 0, unit: int = 0) -> Window:
    index = np.concatenate([[-1], np.arange(start, start + length - 2), [-1]])
    return Window(np.arange(length) + 10 * start, np.full(length, unit), index, start, start + 7, unit)


def grouped(*lengths: tuple[int, ...]) -> Groups:
    return [tuple(window(length) for length in group) for group in lengths]


GROUPS = st.lists(st.lists(st.integers(2, 40), min_size=1, max_size=4), max_size=40).map(lambda g: grouped(*g))


def check(batches: list[list[int]], groups: Groups, budget: int) -> None:
    """All groups once; a batch above the budget holds a single group."""
    assert sorted(member for batch in batches for member in batch) == list(range(len(groups)))
    for batch in batches:
        assert batch
        assert sum(size(groups[member]) for member in batch) <= budget or len(batch) == 1


def test_longest_first_by_hand():
    """Lengths 3 5 9 5 4, budget 10: 9 alone (9 + 5 > 10), then 5 + 5, then 4 + 3; equals keep their order."""
    groups = grouped((3,), (5,), (9,), (5,), (4,))
    assert longest_first(groups, 10) == [[2], [1, 3], [4, 0]]


def test_a_group_is_as_long_as_its_longest_window_and_as_large_as_all():
    """Group 0 has 2 + 7 = 9 positions and the longest window, 7; group 1 has 6. 9 + 6 > 14, 6 + 5 <= 14."""
    groups = grouped((2, 7), (6,), (5,))
    assert [size(group) for group in groups] == [9, 6, 5]
    assert longest_first(groups, 14) == [[0], [1, 2]]


def test_a_group_above_the_budget_is_a_batch_of_its_own():
    groups = grouped((3,), (8, 8), (3,), (10,))
    assert longest_first(groups, 10) == [[3], [1], [0, 2]]
    assert sorted(map(sorted, shuffled(groups, 10, np.random.default_rng(0)))) == [[0, 2], [1], [3]]


def test_a_budget_that_is_met_exactly():
    assert longest_first(grouped((5,), (5,), (5,)), 10) == [[0, 1], [2]]
    assert longest_first([], 10) == []
    assert shuffled([], 10, np.random.default_rng(0)) == []


@given(GROUPS, st.integers(1, 120))
def test_longest_first_partitions(groups: Groups, budget: int):
    batches = longest_first(groups, budget)
    check(batches, groups, budget)
    lengths = [max(len(w.ids) for w in groups[member]) for batch in batches for member in batch]
    assert lengths == sorted(lengths, reverse=True)


@given(GROUPS, st.integers(1, 120), st.integers(0, 99))
def test_shuffled_partitions_and_depends_on_the_seed_only(groups: Groups, budget: int, seed: int):
    batches = shuffled(groups, budget, np.random.default_rng(seed))
    check(batches, groups, budget)
    assert batches == shuffled(groups, budget, np.random.default_rng(seed))


def test_another_seed_is_another_order():
    groups = grouped(*[(5,)] * 50)
    one, other = (shuffled(groups, 10, np.random.default_rng(seed)) for seed in (1, 2))
    assert one != other
    assert [member for batch in one for member in batch] != list(range(50))


def test_shuffled_sorts_by_length_inside_stretches_only():
    """200 groups of 2 to 11 positions under a budget of 24: a batch is made of lengths that lie near each other.

    In random batches the spread of lengths would be 9 x (n - 1) / (n + 1) for n uniform numbers, here above 4 for
    n = 3 or more. A stretch of 16 budgets has some 60 groups, so three or four neighbours of its order differ by 1.
    """
    lengths = np.random.default_rng(0).integers(2, 12, 200).tolist()
    batches = shuffled(grouped(*[(length,) for length in lengths]), 24, np.random.default_rng(1))
    spreads = [np.ptp([lengths[member] for member in batch]) for batch in batches]
    assert np.mean(spreads) < 1.5
    means = [np.mean([lengths[member] for member in batch]) for batch in batches]
    assert np.abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.5  # batches themselves come in any order


def test_lay_out_by_hand():
    """Groups 0 = (3, 4) and 2 = (4,): windows by falling length 4 4 3, borders 0 4 8 11, in groups 0 1 0."""
    groups = [(window(3, 0), window(4, 5, 1)), (window(9),), (window(4, 20, 2),)]
    batch = lay_out(groups, [0, 2])
    assert batch.members.tolist() == [0, 2]
    assert batch.groups.tolist() == [0, 1, 0]
    assert batch.cu_seqlens.tolist() == [0, 4, 8, 11]
    assert batch.lengths.tolist() == [4, 4, 3]
    assert batch.windows.tolist() == [0] * 4 + [1] * 4 + [2] * 3
    assert batch.runs == [(0, 0, 2, 4), (8, 2, 1, 3)]
    assert batch.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2]
    assert batch.ids.tolist() == [50, 51, 52, 53, 200, 201, 202, 203, 0, 1, 2]
    assert batch.pieces.tolist() == [-1, 5, 6, -1, -1, 20, 21, -1, -1, 0, -1]
    assert batch.token_types.tolist() == [1] * 4 + [2] * 4 + [0] * 3
    assert batch.low.tolist() == [5, 20, 0]
    assert batch.high.tolist() == [12, 27, 7]
    assert batch.unit.tolist() == [1, 2, 0]


def test_members_count_from_the_order_they_are_given_in():
    batch = lay_out(grouped((4,), (4,), (5,)), [2, 0])
    assert batch.members[batch.groups].tolist() == [2, 0]
    assert lay_out(grouped((4,), (4,), (5,)), [0, 2]).members[[1, 0]].tolist() == [2, 0]


@given(GROUPS.filter(bool), st.data())
def test_a_batch_is_consistent(groups: Groups, data: st.DataObject):
    members = data.draw(st.permutations(range(len(groups))))[: data.draw(st.integers(1, len(groups)))]
    batch = lay_out(groups, members)
    total = sum(size(groups[member]) for member in members)
    for column in ("ids", "positions", "token_types", "pieces", "windows"):
        assert getattr(batch, column).shape == (total,)
    assert batch.cu_seqlens[0] == 0
    assert batch.cu_seqlens[-1] == total
    assert batch.lengths.tolist() == sorted(batch.lengths.tolist(), reverse=True)
    assert [length for *_, number, length in batch.runs for _ in range(number)] == batch.lengths.tolist()
    assert [window for _, window, number, _ in batch.runs for window in range(window, window + number)] == [
        *range(len(batch.lengths))
    ]
    assert [at for at, *_ in batch.runs] == [batch.cu_seqlens[window] for _, window, *_ in batch.runs]
    assert len({length for *_, length in batch.runs}) == len(batch.runs)
    assert (batch.positions == np.arange(total) - batch.cu_seqlens[batch.windows]).all()
    for n, member in enumerate(members):
        mine = np.flatnonzero(batch.groups == n)
        expected = sorted((len(w.ids), w.ids.tolist()) for w in groups[member])
        assert sorted((int(batch.lengths[k]), _cut(batch, k)) for k in mine) == expected


def _cut(batch: Batch, k: int) -> list[int]:
    return batch.ids[batch.cu_seqlens[k] : batch.cu_seqlens[k + 1]].tolist()


@pytest.mark.parametrize("lengths", [(3,), (3, 3, 3), (5, 4, 3)])
def test_runs(lengths: tuple[int, ...]):
    runs = lay_out(grouped(*[(length,) for length in lengths]), range(len(lengths))).runs
    different = [(0, 0, 1, 5), (5, 1, 1, 4), (9, 2, 1, 3)]
    assert runs == ([(0, 0, len(lengths), 3)] if set(lengths) == {3} else different)
