"""The greatest total of any legal set of a few candidates, by trying all; written without the rules of the package."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from hypothesis import strategies as st

from spanbert.decoding.limits import Limits

Candidate = tuple[int, int, int, float]  # start, end, label, logit
LABELS = ("A", "B", "C")


def arrays(candidates: list[Candidate]) -> tuple[np.ndarray, ...]:
    starts, ends, labels, logits = zip(*candidates, strict=True) if candidates else ((), (), (), ())
    return np.array(starts, dtype=int), np.array(ends, dtype=int), np.array(labels, dtype=int), np.array(logits)


def legal_pair(policy: str, limits: Limits, one: Candidate, other: Candidate) -> bool:
    a, b = (set(range(candidate[0], candidate[1])) for candidate in (one, other))
    if not a & b:
        return True
    names = LABELS[one[2]], LABELS[other[2]]
    if policy == "flat" or names in limits.forbidden or names[::-1] in limits.forbidden:
        return False
    if not a <= b and not b <= a:
        return policy == "overlapping"
    rows = {label: LABELS for label in LABELS} if limits.contains is None else limits.contains
    one_in_other, other_in_one = names[0] in rows.get(names[1], ()), names[1] in rows.get(names[0], ())
    return (b <= a and other_in_one) or (a <= b and one_in_other)


def legal(policy: str, limits: Limits, chosen: list[Candidate]) -> bool:
    counts = Counter(LABELS[candidate[2]] for candidate in chosen)
    return all(counts[label] <= most for label, most in limits.at_most.items()) and all(
        legal_pair(policy, limits, *pair) for pair in itertools.combinations(chosen, 2)
    )


def greatest_total(policy: str, limits: Limits, candidates: list[Candidate]) -> float:
    usable = [candidate for candidate in candidates if candidate[3] > 0]
    most = [limits.at_most.get(label, len(usable)) for label in LABELS]
    barred = [[j for j in range(i) if not legal_pair(policy, limits, usable[i], usable[j])] for i in range(len(usable))]

    def best(i: int, chosen: frozenset[int], left: tuple[int, ...]) -> float:
        if i == len(usable):
            return 0.0
        total = best(i + 1, chosen, left)
        label = usable[i][2]
        if left[label] and chosen.isdisjoint(barred[i]):
            fewer = tuple(count - (number == label) for number, count in enumerate(left))
            total = max(total, usable[i][3] + best(i + 1, chosen | {i}, fewer))
        return total

    return best(0, frozenset(), tuple(most))


@st.composite
def candidate_lists(draw: st.DrawFn, most: int = 12, span: int = 12, width: int = 8) -> list[Candidate]:
    """Distinct (start, end, label) with logits in eighths, so that sums are exact and ties are common."""
    place = st.tuples(st.integers(0, span), st.integers(1, width), st.integers(0, len(LABELS) - 1))
    keys = draw(st.lists(place, max_size=most, unique=True))
    logits = st.sampled_from([-1.0, 0.0, 0.125, 0.25, 0.25, 0.5, 0.5, 1.0, 2.0])
    return [(start, start + size, label, draw(logits)) for start, size, label in keys]


@st.composite
def any_limits(draw: st.DrawFn) -> Limits:
    inner = st.lists(st.sampled_from(LABELS), unique=True).map(tuple)
    contains = draw(st.none() | st.dictionaries(st.sampled_from(LABELS), inner))
    at_most = draw(st.dictionaries(st.sampled_from(LABELS), st.integers(0, 3)))
    pairs = draw(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), max_size=3))
    return Limits(contains, at_most, tuple(pairs))
