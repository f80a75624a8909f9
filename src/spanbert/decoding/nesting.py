"""What may lie inside what, and the best totals inside spans that hold few others, many spans at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from .flat import best_disjoint

ANY = -1
"""All labels as bits."""
_NARROW = 64  # spans that may end inside one that is solved in vector steps
_CELLS = 1 << 20  # numbers that a batch of such spans may fill
_STATES = 256  # sets of labels that may be admitted at some depth
_SETS = 256  # sets of labels that may stand together on the same boundaries


@dataclass(frozen=True)
class Boundaries:
    """Distinct boundaries, sorted by end and start."""

    starts: np.ndarray
    ends: np.ndarray

    @cached_property
    def _lists(self) -> tuple[list[int], list[int]]:
        return self.starts.tolist(), self.ends.tolist()

    def inside(self, span: int) -> list[int]:
        """Ascending indices of those within the boundaries of `span`, without itself."""
        starts, ends = self._lists
        start, end = starts[span], ends[span]
        ending = range(bisect_right(ends, start), bisect_right(ends, end))
        return [other for other in ending if starts[other] >= start and other != span]

    def best_among(self, region: Sequence[int], totals: Sequence[float]) -> list[int]:
        """The best disjoint ones of a region (ascending indices), each standing for its total."""
        starts, ends = self._lists
        chosen = best_disjoint([starts[i] for i in region], [ends[i] for i in region], [totals[i] for i in region])
        return [region[i] for i in chosen]


@dataclass(frozen=True)
class Nesting:
    """The sets of labels that each boundaries may carry (options), and what each of them admits inside."""

    owners: np.ndarray
    """Per option, ascending: the boundaries."""
    weights: np.ndarray
    """Per option: the total logit of its labels."""
    kinds: np.ndarray
    """Per option: which set of labels."""
    members: list[int]
    """Per set: its labels as bits."""
    after: np.ndarray
    """States x sets: the state inside such a set where this state is around it; -1: not allowed there. State 0: none
    is around it."""

    @property
    def is_free(self) -> bool:
        return self.members == [ANY]

    @classmethod
    def free(cls, weights: np.ndarray) -> Nesting:
        """Everything may lie inside everything: all labels of the same boundaries together."""
        kinds = np.zeros(len(weights), dtype=np.int64)
        return cls(np.arange(len(weights)), weights, kinds, [ANY], np.zeros((1, 1), dtype=np.int64))

    @classmethod
    def under(cls, inside: np.ndarray, first: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Nesting | None:
        """Under a matrix; the candidates from `first[b]` to `first[b + 1]` are on boundaries b. None: too many sets."""
        pairs = _bits(inside | inside.T)
        bits, logits = [1 << label for label in labels.tolist()], weights.tolist()
        owners, totals, members = [], [], []
        for owner, (low, high) in enumerate(pairwise(first.tolist())):
            sets = [(logits[low], bits[low])]
            for place in range(low + 1, high):  # most boundaries have one label
                bars = ~pairs[bits[place].bit_length() - 1]
                sets += [(w + logits[place], m | bits[place]) for w, m in [(0.0, 0), *sets] if not m & bars]
                if len(sets) > _SETS:
                    return None
            for weight, bit in sets:
                owners.append(owner)
                totals.append(weight)
                members.append(bit)
        kinds = {bit: number for number, bit in enumerate(dict.fromkeys(members))}
        after = _states(list(kinds), _bits(inside), sum(set(bits)))
        if after is None:
            return None
        numbers = np.array([kinds[bit] for bit in members])
        return cls(np.array(owners), np.array(totals), numbers, list(kinds), after)

    def options(self, span: int, state: int) -> Iterator[tuple[float, int, int]]:
        """(total logit, labels as bits, state inside) of what these boundaries may carry in this state."""
        weights, kinds, first, after = self._lists
        for option in range(first[span], first[span + 1]):
            kind = kinds[option]
            if after[state][kind] >= 0:
                yield weights[option], self.members[kind], after[state][kind]

    def states_inside(self, span: int) -> set[int]:
        """The states that may hold inside these boundaries."""
        return {after for state in range(len(self.after)) for _, _, after in self.options(span, state)}

    def totals(self, spans: np.ndarray, within: np.ndarray) -> np.ndarray:
        """len(spans) x states, of the best option; `within`, of the same shape: the best total inside each of them."""
        first = self._first[spans]
        counts = self._first[spans + 1] - first
        row = np.repeat(np.arange(len(spans)), counts)
        begins = np.cumsum(counts) - counts
        option = np.arange(len(row)) - begins[row] + first[row]
        after = self.after[:, self.kinds[option]].T
        values = self.weights[option][:, None] + within[row[:, None], np.maximum(after, 0)]
        values[after < 0] = -np.inf
        totals: np.ndarray = np.maximum.reduceat(values, begins, axis=0)
        return totals

    @cached_property
    def _first(self) -> np.ndarray:
        return np.searchsorted(self.owners, np.arange(self.owners[-1] + 2))

    @cached_property
    def _lists(self) -> tuple[list[float], list[int], list[int], list[list[int]]]:
        return self.weights.tolist(), self.kinds.tolist(), self._first.tolist(), self.after.tolist()


def _bits(matrix: np.ndarray) -> list[int]:
    return [sum(1 << column for column in np.flatnonzero(row).tolist()) for row in matrix]


def _states(sets: list[int], rows: list[int], labels: int) -> np.ndarray | None:
    """`Nesting.after`: the states that can be reached from the one that admits all `labels`. None: too many."""
    inner = []
    for members in sets:
        admitted = labels
        for label in range(members.bit_length()):
            if members >> label & 1:
                admitted &= rows[label]
        inner.append(admitted)
    numbers = {labels: 0}
    after = []
    states = [labels]
    for state in states:  # grows on the way
        for members, admitted in zip(sets, inner, strict=True):
            if not members & ~state and state & admitted not in numbers:
                numbers[state & admitted] = len(states)
                states.append(state & admitted)
        if len(states) > _STATES:
            return None
        after.append([-1 if m & ~state else numbers[state & a] for m, a in zip(sets, inner, strict=True)])
    return np.array(after)


def widths(spans: Boundaries) -> np.ndarray:
    """For each boundaries: how many end inside, or where they end; never more for one inside another."""
    size: np.ndarray = np.searchsorted(spans.ends, spans.ends, "right") - np.searchsorted(
        spans.ends, spans.starts, "right"
    )
    return size


def narrow_totals(spans: Boundaries, nesting: Nesting, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n x states totals, indices of the wide boundaries, whose rows are still missing).

    Narrow ones are solved from the innermost out, all of the same depth at a time: step k of `best_disjoint` is one
    vector step for all that have more than k inside.
    """
    narrow = np.flatnonzero(size <= _NARROW)
    totals = np.full((len(size), len(nesting.after)), -np.inf)
    inside = _Inside.of(spans, narrow, size)
    depth = inside.depths()
    for level in range(int(depth.max(initial=0)) + 1):
        of_level = narrow[depth[narrow] == level]
        of_level = of_level[np.argsort(-inside.count[of_level], kind="stable")]
        while len(of_level):
            most = int(inside.count[of_level[0]])
            batch, of_level = np.split(of_level, [max(1, _CELLS // ((most + 1) * totals.shape[1]))])
            totals[batch] = nesting.totals(batch, inside.best(batch, totals))
    return totals, np.flatnonzero(size > _NARROW)


@dataclass(frozen=True)
class _Inside:
    """Pairs of a span and one inside it, sorted by both."""

    inner: np.ndarray
    before: np.ndarray
    """How many of those inside the same span end where this one starts, or earlier."""
    first: np.ndarray
    """n: where the pairs of each span begin."""
    count: np.ndarray
    """n: how many it has."""

    @classmethod
    def of(cls, spans: Boundaries, owners: np.ndarray, size: np.ndarray) -> _Inside:
        starts, ends = spans.starts, spans.ends
        low = np.searchsorted(ends, starts, "right")
        counts = size[owners]
        outer = np.repeat(owners, counts)
        inner = np.arange(len(outer)) + np.repeat(low[owners] - np.cumsum(counts) + counts, counts)
        kept = (starts[inner] >= starts[outer]) & (inner != outer)
        outer, inner = outer[kept], inner[kept]
        count = np.bincount(outer, minlength=len(starts))
        first = np.cumsum(count) - count
        origin = int(starts.min())
        key = outer * (int(ends.max()) - origin + 1) - origin
        before = np.searchsorted(key + ends[inner], key + starts[inner], "right") - first[outer]
        return cls(inner, before, first, count)

    def depths(self) -> np.ndarray:
        """n: the longest chain of spans inside each other inside each."""
        depth = np.zeros(len(self.count), dtype=np.int64)
        filled = np.flatnonzero(self.count)
        while len(filled):
            deeper = 1 + np.maximum.reduceat(depth[self.inner], self.first[filled])
            if (deeper == depth[filled]).all():
                break
            depth[filled] = deeper
        return depth

    def best(self, batch: np.ndarray, totals: np.ndarray) -> np.ndarray:
        """len(batch) x states: the greatest total inside; the batch is sorted by falling count."""
        count, first = self.count[batch], self.first[batch]
        best = np.zeros((len(batch), int(count[0]) + 1, totals.shape[1]))
        rows = np.arange(len(batch))
        for step in range(int(count[0])):
            active = int(np.searchsorted(-count, -step))  # those with more than `step` inside
            pair = first[:active] + step
            taken = best[rows[:active], self.before[pair]] + totals[self.inner[pair]]
            np.maximum(best[:active, step], taken, out=best[:active, step + 1])
        within: np.ndarray = best[rows, count]
        return within
