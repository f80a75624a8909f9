"""Limits as settings: read, checked, written; and what they say of two spans."""

from __future__ import annotations

import dataclasses
import json

import pytest
from brute_force import LABELS, any_limits, legal_pair
from hypothesis import given
from hypothesis import strategies as st

from spanbert.decoding.limits import UNLIMITED, Limits
from spanbert.errors import UsageError


def test_ids_of_a_plain_mapping():
    """B may lie in A and nothing else in anything: A and C stay apart, although C is named."""
    value = {"contains": {"A": ["B", "C"]}, "at_most": {"C": 2}, "forbidden": [["C", "A"]]}
    rules = Limits.from_json(value).rules("nested", LABELS)
    assert rules.inside.astype(int).tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert rules.apart.astype(int).tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert rules.most.tolist() == [UNLIMITED, UNLIMITED, 2]


def test_without_limits_everything_is_allowed():
    rules = Limits.from_json({}).rules("overlapping", LABELS)
    assert rules.inside.all()
    assert not rules.apart.any()
    assert not rules.pairwise
    assert Limits.from_json({"contains": None}) == Limits()


@given(any_limits())
def test_what_is_written_reads_the_same(limits: Limits):
    assert Limits.from_json(json.loads(json.dumps(dataclasses.asdict(limits)))) == limits


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "limits = "),
        ({"at_mots": {}}, "did you mean 'at_most'"),
        ({"contains": ["A"]}, "contains = "),
        ({"contains": {"A": "B"}}, "contains of A = 'B'"),
        ({"contains": {"A": [1]}}, "contains of A"),
        ({"at_most": {"A": -1}}, "at_most of A = -1"),
        ({"at_most": {"A": True}}, "at_most of A = True"),
        ({"at_most": 3}, "at_most = 3"),
        ({"forbidden": "AB"}, "forbidden = 'AB'"),
        ({"forbidden": [["A"]]}, "a forbidden pair of 1 labels"),
        ({"forbidden": ["AB"]}, "a forbidden pair = 'AB'"),
    ],
)
def test_what_cannot_be_read(value: object, words: str):
    with pytest.raises(UsageError, match=words):
        Limits.from_json(value)


@pytest.mark.parametrize(
    "value", [{"contains": {"Place": []}}, {"contains": {"A": ["Place"]}}, {"at_most": {"Place": 1}}]
)
def test_unknown_labels(value: object):
    with pytest.raises(UsageError, match="did you mean 'PLACE'"):
        Limits.from_json(value).rules("flat", ["A", "PLACE"])


places = st.tuples(st.integers(0, 6), st.integers(1, 5), st.integers(0, 2)).map(lambda p: (p[0], p[0] + p[1], p[2]))


@given(any_limits(), st.sampled_from(["flat", "nested", "overlapping"]), places, places)
def test_two_spans(limits: Limits, policy: str, one: tuple[int, int, int], other: tuple[int, int, int]):
    expected = not legal_pair(policy, limits, (*one, 1.0), (*other, 1.0))
    assert limits.rules(policy, LABELS).conflict(one, other) == expected
    assert limits.rules(policy, LABELS).conflict(other, one) == expected


def test_limits_take_no_memory_that_grows_with_very_many_labels():
    """Pairs of labels are written down, so their number has a bound."""
    with pytest.raises(UsageError, match="limits over 1,001 labels"):
        Limits(at_most={"1": 2}).rules("flat", [str(number) for number in range(1001)])
