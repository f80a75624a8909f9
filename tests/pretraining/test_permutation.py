"""Every number once, another order for every seed and epoch, and computed where it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.pretraining.permutation import permuted


@given(size=st.integers(1, 3000), seed=st.integers(0, 2**31), epoch=st.integers(0, 100))
def test_every_number_once(size: int, seed: int, epoch: int):
    assert sorted(permuted(np.arange(size), size, seed, epoch).tolist()) == list(range(size))


@given(size=st.integers(2, 10**12), seed=st.integers(0, 99), data=st.data())
def test_any_place_alone_is_what_it_is_among_others(size: int, seed: int, data: st.DataObject):
    places = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=20)))
    together = permuted(places, size, seed, 0)
    assert ((together >= 0) & (together < size)).all()
    assert [int(permuted(places[k : k + 1], size, seed, 0)[0]) for k in range(len(places))] == together.tolist()


def test_orders_differ_by_seed_and_epoch():
    orders = {tuple(permuted(np.arange(50), 50, seed, epoch).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


@pytest.mark.parametrize("size", [97, 1000, 4096])
def test_orders_look_shuffled(size: int):
    """No number stays near its place more often than by chance, and neighbours are torn apart."""
    order = permuted(np.arange(size), size, 7, 0)
    correlation = np.corrcoef(np.arange(size), order)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(size)
    assert (np.abs(np.diff(order)) == 1).mean() < 0.05
