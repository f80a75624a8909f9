"""The chain over tags: best path and span probabilities, against enumeration of all legal paths."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.decoding.tags import MAX_LOGIT, TagLattice
from spanbert.errors import DataError, UsageError
from spanbert.tag_schemes import decode, tag_names

SCHEMES = ("iob1", "iob2", "iobes", "bilou", "io")


def complete(scheme: str, labels: list[str]) -> list[str]:
    return ["O", *labels] if scheme == "io" else tag_names(labels, scheme)


def legal(path: tuple[str, ...], scheme: str) -> bool:
    """Written without the lattice: a complete scheme's path is legal if reading and writing it changes nothing."""
    if scheme == "io":
        return True
    previous = "O"
    for tag in path:
        if scheme == "iob1" and tag[0] == "B" and previous[2:] != tag[2:]:
            return False
        if scheme == "iob2" and tag[0] == "I" and previous[2:] != tag[2:]:
            return False
        if scheme in ("iobes", "bilou"):
            goes_on, open_before = tag[0] in "IEL", previous[0] in "BI"
            if goes_on != open_before or (goes_on and previous[2:] != tag[2:]):
                return False
        previous = tag
    return scheme not in ("iobes", "bilou") or previous[0] not in "BI"


def spans_of(path: tuple[str, ...], scheme: str) -> list[tuple[int, int, str]]:
    if scheme == "io":
        path, scheme = tuple(tag if tag == "O" else f"I-{tag}" for tag in path), "iob2"
    return [(start, end - 1, label) for start, end, label in decode(path, scheme)]


def enumerate_paths(tags: list[str], scheme: str, emissions: np.ndarray) -> dict[tuple[str, ...], float]:
    """Log weight of every legal path."""
    paths = itertools.product(range(len(tags)), repeat=len(emissions))
    weights = {}
    for path in paths:
        names = tuple(tags[tag] for tag in path)
        if legal(names, scheme):
            weights[names] = math.fsum(float(emissions[token, tag]) for token, tag in enumerate(path))
    return weights


def log_odds(weights: dict[tuple[str, ...], float], scheme: str, span: tuple[int, int, str]) -> float:
    def log_sum(values: list[float]) -> float:
        top = max(values, default=-math.inf)
        return top if top == -math.inf else top + math.log(math.fsum(math.exp(value - top) for value in values))

    has = {path: span in spans_of(path, scheme) for path in weights}
    inside, outside = ([w for path, w in weights.items() if has[path] is wanted] for wanted in (True, False))
    return min(max(log_sum(inside) - log_sum(outside), -MAX_LOGIT), MAX_LOGIT)


def test_one_token_by_hand():
    """Tags O, B-X, I-X with logits 0, 1, 5 on one token: I-X cannot begin a span under iob2.

    Legal: O (weight 1) and B-X (weight e). B-X wins; its odds are e : 1, so the log-odds are 1.
    """
    [span] = TagLattice(["O", "B-X", "I-X"], "iob2").decode(np.array([[0.0, 1.0, 5.0]]))
    assert (span.first, span.last, span.label) == (0, 0, "X")
    assert span.logit == pytest.approx(1.0)


def test_two_tokens_by_hand():
    """Logits token 1: O 0, B 2, I 0; token 2: O 0, B 0, I 1.

    Legal paths: OO 0, OB 0, BO 2, BB 2, BI 3. BI wins. The span [0, 1] is on BI alone:
    odds e^3 : (1 + 1 + 2 e^2) = 20.09 : 16.78, log-odds 3 - log(2 + 2 e^2).
    """
    [span] = TagLattice(["O", "B-X", "I-X"], "iob2").decode(np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 1.0]]))
    assert span[:3] == (0, 1, "X")
    assert span.logit == pytest.approx(3 - math.log(2 + 2 * math.exp(2)))


def test_nothing_to_decode():
    lattice = TagLattice(["O", "B-X"], "iob2")
    assert lattice.decode(np.zeros((0, 2))) == []
    assert lattice.decode(np.array([[3.0, 1.0]])) == []


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SCHEMES), st.integers(0, 2**32), st.integers(1, 5), st.sampled_from([0.5, 3.0, 100.0]))
def test_equals_enumeration(scheme: str, seed: int, count: int, scale: float):
    """Two labels on up to three tokens, one label on four and five: at most 3,125 paths."""
    tags = complete(scheme, ["X", "Y"] if count <= 3 else ["X"])
    emissions = np.random.default_rng(seed).uniform(-scale, scale, (count, len(tags)))
    weights = enumerate_paths(tags, scheme, emissions)
    best = max(weights, key=weights.__getitem__)
    found = TagLattice(tags, scheme).decode(emissions)
    assert [span[:3] for span in found] == spans_of(best, scheme)
    for span in found:
        rounding = 1e-15 * np.exp(span.logit)  # of a probability so near to 1, made into log-odds
        assert span.logit == pytest.approx(log_odds(weights, scheme, span[:3]), rel=1e-6, abs=1e-7 + rounding)


def slowly(lattice: TagLattice, emissions: np.ndarray) -> list[tuple[int, int, str, float]]:
    """The definition again, token by token over the whole sequence."""
    border, count = len(lattice.tags), len(emissions)
    steps = np.where(lattice.allowed, 0.0, -np.inf)
    extended = np.concatenate([emissions, np.full((count, 1), -np.inf)], axis=1)
    best, back, forward = np.zeros(border + 1), [], [np.where(np.arange(border + 1) == border, 0.0, -np.inf)]
    for token, row in enumerate(extended):
        totals = best[:, None] + steps if token else steps[[border]]
        back.append(totals.argmax(0))
        best = totals.max(0) + row
        forward.append(np.logaddexp.reduce(forward[-1][:, None] + steps, axis=0) + row)
    path = [int((best + steps[:, border]).argmax())]
    for pointers in back[:0:-1]:
        path.append(int(pointers[path[-1]]))
    path = path[::-1]
    backward = [steps[:, border]]
    for row in extended[:0:-1]:
        backward.append(np.logaddexp.reduce(steps + (row + backward[-1])[None], axis=1))
    backward = backward[::-1]  # [t]: what follows token t, by the tag of t
    total = np.logaddexp.reduce(forward[-1] + steps[:, border])
    found = []
    for first, last, label in lattice._spans(path):
        own = np.array([other == label for other in (*lattice.labels, None)])
        row = (
            np.logaddexp.reduce(np.where(lattice.begins & own, forward[first][:, None] + steps, -np.inf), axis=0)
            + extended[first]
        )
        for token in range(first + 1, last + 1):
            row = np.logaddexp.reduce(np.where(lattice.goes_on, row[:, None], -np.inf), axis=0) + extended[token]
        leaves = np.where(lattice.allowed & ~lattice.goes_on, 0.0, -np.inf)
        after = (
            leaves[:, border]
            if last + 1 == count
            else np.logaddexp.reduce(leaves + (extended[last + 1] + backward[last + 1])[None], axis=1)
        )
        share = np.logaddexp.reduce(row + after) - total
        found.append((first, last, label, float(share - np.log1p(-np.exp(share))) if share < 0 else MAX_LOGIT))
    return found


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SCHEMES), st.integers(0, 2**32), st.integers(60, 400), st.sampled_from([0.5, 2.0, 8.0]))
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_long_sequences_are_solved_as_a_whole(scheme: str, seed: int, count: int, scale: float):
    """Stretches side by side give what token by token gives; a favoured inside tag makes them depend on each other."""
    tags = complete(scheme, ["X", "Y"])
    draw = np.random.default_rng(seed)
    emissions = draw.normal(0, scale, (count, len(tags)))
    emissions[draw.integers(0, count) : draw.integers(0, count + 1), draw.integers(0, len(tags))] += 3 * scale
    lattice = TagLattice(tags, scheme)
    expected, found = slowly(lattice, emissions), lattice.decode(emissions)
    assert [span[:3] for span in found] == [span[:3] for span in expected]
    for one, other in zip(found, expected, strict=True):
        # far out, the definition above is the less exact of the two: it takes a share of nearly 1 from 1
        logit = min(max(other[3], -MAX_LOGIT), MAX_LOGIT)
        assert one.logit == pytest.approx(logit, abs=1e-6) or min(one.logit, logit) > 9
        assert 1 / (1 + math.exp(-one.logit)) == pytest.approx(1 / (1 + math.exp(-other[3])), abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(SCHEMES), st.integers(0, 2**32), st.sampled_from([100.0, 1e4]))
def test_long_confident_runs_stay_finite(scheme: str, seed: int, size: float):
    """Runs of 40 tokens that all favour one tag by twice the size, legal or not, then another."""
    tags = complete(scheme, ["X", "Y"])
    draw = np.random.default_rng(seed)
    favoured = np.repeat(draw.integers(0, len(tags), 5), 40)
    emissions = np.full((200, len(tags)), -size)
    emissions[np.arange(200), favoured] = size
    for span in TagLattice(tags, scheme).decode(emissions):
        assert math.isfinite(span.logit)
        assert abs(span.logit) <= MAX_LOGIT


def test_ties_go_to_the_first_tag():
    assert TagLattice(["O", "X", "Y"], "io").decode(np.zeros((3, 3))) == []
    assert [span[:3] for span in TagLattice(["Y", "X", "O"], "io").decode(np.zeros((3, 3)))] == [(0, 2, "Y")]


def test_label_without_b_is_read_as_io():
    """I-MISC has no B-MISC: it may begin anywhere, and neighbours merge; I-X still needs its B-X."""
    tags = ["O", "B-X", "I-X", "I-MISC"]
    emissions = np.array([[0, 0, 12, 5], [0, 0, 12, 5], [9, 0, 0, 0], [0, 0, 0, 9]], dtype=float)  # 0 + 12 > 5 + 5
    assert [span[:3] for span in TagLattice(tags, "iob2").decode(emissions)] == [(0, 1, "X"), (3, 3, "MISC")]
    emissions[:, 1] = -20.0
    assert [span[:3] for span in TagLattice(tags, "iob2").decode(emissions)] == [(0, 1, "MISC"), (3, 3, "MISC")]


def test_label_without_e_may_end_with_i():
    found = TagLattice(["O", "B-X", "I-X"], "iobes").decode(np.array([[0, 9, 0], [0, 0, 9], [9, 0, 0]], dtype=float))
    assert [span[:3] for span in found] == [(0, 1, "X")]


def test_iob1_begins_with_b_only_after_its_own_label():
    """B-X would be best on both tokens, but may only follow X: I-X B-X, two spans."""
    found = TagLattice(["O", "B-X", "I-X"], "iob1").decode(np.array([[0, 9, 5], [0, 9, 5]], dtype=float))
    assert [span[:3] for span in found] == [(0, 0, "X"), (1, 1, "X")]
    only_b = TagLattice(["O", "B-X"], "iob1").decode(np.array([[0, 9], [9, 0]], dtype=float))
    assert [span[:3] for span in only_b] == [(0, 0, "X")]


def test_matrices_of_iob2():
    """Tags O, B-X, I-X and the border: only I-X is bound to what stands before it; only B-X begins."""
    lattice = TagLattice(["O", "B-X", "I-X"], "iob2")
    assert lattice.allowed[:, 2].tolist() == [False, True, True, False]
    assert lattice.allowed[:, [0, 1, 3]].all()
    assert lattice.begins[:, 1].all()
    assert not lattice.begins[:, [0, 2, 3]].any()


def test_tags_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="E-X"):
        TagLattice(["O", "B-X", "E-X"], "iob2")
    with pytest.raises(DataError, match="LABEL_1"):
        TagLattice(["O", "LABEL_1"], "iob2")
    with pytest.raises(DataError, match="every token"):
        TagLattice(["B-X", "E-X"], "iobes")
    with pytest.raises(UsageError, match="bilou"):
        TagLattice(["O"], "bioul")


def test_mixed_reads_both_ways_of_opening_a_span():
    """IOB1 opens by I-, IOB2 by B-: in `mixed` I- after outside opens, B- always does, I- after its label goes on."""
    lattice = TagLattice(["O", "B-A", "I-A"], "mixed")
    for path, expected in (
        ("OIIO", [(1, 2)]),
        ("OBIO", [(1, 2)]),
        ("OBBI", [(1, 1), (2, 3)]),
        ("IOBO", [(0, 0), (2, 2)]),
    ):
        emissions = np.array([[9.0 * (tag == letter) for tag in "OBI"] for letter in path])
        assert [(span.first, span.last) for span in lattice.decode(emissions)] == expected
