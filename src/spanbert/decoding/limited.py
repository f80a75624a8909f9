"""Decoding under limits: exact where it is small enough, else the best found with a bound on what could be better.

Without a limit that makes the problem hard (at most k of a label; under the overlapping policy forbidden overlaps and
a nesting matrix too) the answer is exact for any number of candidates: `best_flat`, `nested.solve`, the k best of each
label. Otherwise prices for the limited labels are found by subgradient steps (Held, Wolfe and Crowder 1974): the
policy's maximum of logits less prices, plus the price of all that is allowed, is a bound, and often met. Then
candidates are taken or left in the order of their starts; what was chosen counts only as far as it can bar later ones
(`Rules.state`) and uses up limits, so many ways merge. Ways that cannot beat the best known set are dropped. If more
than `ways` remain, the most promising go on, and the best that a dropped one could have come to is part of the bound.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .flat import best_flat, best_flat_counted
from .limits import Place, Rules
from .nested import solve

WAYS = 4096
"""Ways that go on side by side: always enough for 12 candidates, since there are no more ways to choose from these."""
VISITS = 200_000
"""Ways of all candidates together, after which only few go on. Half a second, and as much for the searches before."""
CELLS = 1 << 23
"""Numbers that flat decoding may fill: candidates times the product of all limits, each and 1."""
_NARROW, _MIDDLE = 32, 512
_STEPS = 40  # changes of the prices
_BACK = 64  # earlier candidates that the bound for overlapping spans looks at
_TOLERANCE = 1e-9


class Choice(NamedTuple):
    """Chosen candidates in the order of the input, their total logit, and a bound that no legal set can exceed."""

    indices: np.ndarray
    total: float
    bound: float

    @property
    def exact(self) -> bool:
        return self.bound == self.total

    @property
    def gap(self) -> float:
        """By how much a better set could be better."""
        return self.bound - self.total


@dataclass(frozen=True)
class _Problem:
    """Usable candidates, sorted by start, falling end, label, logit."""

    rules: Rules
    starts: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    @property
    def limited(self) -> np.ndarray:
        """Labels of which there are more than allowed."""
        counts = np.bincount(self.labels, minlength=len(self.rules.most))
        return np.flatnonzero(counts > self.rules.most)

    def total(self, chosen: np.ndarray) -> float:
        return float(self.logits[np.sort(chosen)].sum())

    def places(self) -> list[Place]:
        return list(zip(self.starts.tolist(), self.ends.tolist(), self.labels.tolist(), strict=True))

    def cut(self, chosen: np.ndarray) -> np.ndarray:
        """Of every label no more than allowed: those with the greatest logits."""
        ranked = chosen[np.lexsort((chosen, -self.logits[chosen]))]
        seen: Counter[int] = Counter()
        kept = []
        for index, label in zip(ranked.tolist(), self.labels[ranked].tolist(), strict=True):
            seen[label] += 1
            if seen[label] <= self.rules.most[label]:
                kept.append(index)
        return np.array(sorted(kept), dtype=np.int64)


class _Bound(NamedTuple):
    """Prices of labels (C), and for each candidate the most that it and the later ones can add at these prices."""

    prices: np.ndarray
    suffix: list[float]
    most: float
    """What no legal set can exceed."""


def best_within(rules: Rules, starts: np.ndarray, ends: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Choice:
    """The greatest total of positive logits among sets that the rules allow.

    Exact (`bound == total`) for flat spans up to `CELLS`, else up to 12 candidates, and wherever the search needs no
    more than `WAYS` ways at once and `VISITS` in all. Ties are broken by position, whatever the order of the input.
    """
    usable = np.flatnonzero((logits > 0) & (rules.most[labels] > 0))
    order = usable[np.lexsort((logits[usable], labels[usable], -ends[usable], starts[usable]))]
    problem = _Problem(rules, starts[order], ends[order], labels[order], logits[order].astype(np.float64))
    if not len(order):
        return Choice(order, 0.0, 0.0)
    if not rules.pairwise:
        best = problem.cut(np.arange(len(order)))
        chosen, bound = best, problem.total(best)
    else:
        chosen, bound = _barred(problem)
    total = problem.total(chosen)
    exact = bound <= total + _TOLERANCE * (1 + abs(total))
    # what sums were rounded away must not lie above the bound
    return Choice(np.sort(order[chosen]), total, total if exact else bound + _TOLERANCE * (1 + abs(bound)))


def _barred(problem: _Problem) -> tuple[np.ndarray, float]:
    """(the best set found, a bound) where some candidates bar others."""
    if problem.rules.policy == "overlapping":
        return _searched(problem, np.zeros(0, dtype=np.int64), _overlapping(problem))
    chosen, _, legal = _relaxed(problem, problem.logits)
    if legal and len(problem.cut(chosen)) == len(chosen):
        return chosen, problem.total(chosen)
    most = {label: int(problem.rules.most[label]) for label in problem.limited.tolist()}
    cells = len(problem.starts) * math.prod(count + 1 for count in most.values())
    if problem.rules.policy == "flat" and cells <= CELLS:
        chosen = best_flat_counted(problem.starts, problem.ends, problem.labels, problem.logits, most)
        return chosen, problem.total(chosen)
    return _searched(problem, *_priced(problem))


def _priced(problem: _Problem) -> tuple[np.ndarray, _Bound]:
    """The best legal set on the way, and the least bound: of the policy (with the matrix) at changing prices."""
    rules, limited = problem.rules, problem.limited
    prices = np.zeros(len(rules.most))
    best = np.zeros(0, dtype=np.int64)
    bound, least, pace = None, np.inf, 1.0
    for _ in range(_STEPS):
        chosen, gains, legal = _relaxed(problem, problem.logits - prices[problem.labels])
        allowed = float(prices[limited] @ rules.most[limited])
        value = allowed + float((problem.logits - prices[problem.labels])[np.sort(chosen)].sum())
        if value < least:
            least, bound = value, (prices, gains)
        else:
            pace *= 0.7
        if legal:
            best = max(best, problem.cut(chosen), key=problem.total)
        aim = problem.total(best)
        counts = np.bincount(problem.labels[chosen], minlength=len(prices))
        slack = (rules.most - counts)[limited]
        slack[(slack > 0) & (prices[limited] == 0)] = 0
        if least - aim <= _TOLERANCE * (1 + aim) or not slack.any():
            break
        prices = prices.copy()
        prices[limited] = np.maximum(0.0, prices[limited] - pace * (value - aim) / float(slack @ slack) * slack)
    assert bound is not None
    return best, _Bound(bound[0], _suffix(problem, bound[1]), least)


def _relaxed(problem: _Problem, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """(the maximum without limits on numbers, what each candidate and all inside it can give, whether it is legal)."""
    arrays = problem.starts, problem.ends, problem.labels, weights
    if problem.rules.policy == "flat":
        return best_flat(*arrays), np.maximum(weights, 0.0), True
    solved, legal = solve(*arrays, problem.rules.inside), True
    if solved is None:  # too many states: as if any label could lie inside any
        solved, legal = solve(*arrays), False
    assert solved is not None
    return solved.indices, solved.gains, legal


def _suffix(problem: _Problem, gains: np.ndarray) -> list[float]:
    """n + 1: the most that disjoint candidates can gain from each candidate on."""
    best = [0.0] * (len(gains) + 1)
    after = np.searchsorted(problem.starts, problem.ends).tolist()
    for i, gain in reversed(list(enumerate(gains.tolist()))):
        best[i] = max(best[i + 1], gain + best[after[i]])
    return best


def _overlapping(problem: _Problem) -> _Bound:
    """The best of some prices: those that would do if nothing were barred, and parts of them."""
    limited, most = problem.limited, problem.rules.most
    prices = np.zeros(len(most))
    for label in limited.tolist():
        prices[label] = np.sort(problem.logits[problem.labels == label])[::-1][most[label]]
    bounds = []
    for part in (1.0, 0.8, 0.6, 0.4, 0.2, 0.0) if len(limited) else (0.0,):
        suffix = _grouped(problem, part * prices)
        bounds.append(_Bound(part * prices, suffix, suffix[0] + part * float(prices[limited] @ most[limited])))
    return min(bounds, key=lambda bound: bound.most)


def _grouped(problem: _Problem, prices: np.ndarray) -> list[float]:
    """n + 1: a bound from each candidate on, from groups of which only one can stand: a candidate and earlier ones.

    The logit of every candidate is split among such groups; the total is at most the sum over the groups.
    """
    places, conflict = problem.places(), problem.rules.conflict
    left = (problem.logits - prices[problem.labels]).tolist()
    furthest = np.maximum.accumulate(problem.ends).tolist()
    suffix = [0.0] * (len(left) + 1)
    for i in range(len(left) - 1, -1, -1):
        share = max(0.0, left[i])
        suffix[i] = suffix[i + 1] + share
        if not share:
            continue
        barred = []
        for k in range(i - 1, max(-1, i - 1 - _BACK), -1):
            if furthest[k] <= places[i][0]:
                break
            if left[k] > 0 and conflict(places[k], places[i]):
                barred.append(k)
        group: list[int] = []
        for k in sorted(barred, key=lambda k: (-left[k], k)):
            if all(conflict(places[k], places[other]) for other in group):
                group.append(k)
                left[k] -= share
    return suffix


_Key = tuple[tuple[Place, ...], tuple[int, ...]]  # what is open, and how many of each limited label
_Trail = tuple[int, "_Trail"] | None
_Ways = dict[_Key, tuple[float, _Trail]]  # total logit less prices, and what was taken


def _searched(problem: _Problem, known: np.ndarray, limit: _Bound) -> tuple[np.ndarray, float]:
    """The best set found, `known` or another, and a bound."""
    bound = limit.most
    for ways in (_NARROW, _MIDDLE, WAYS):  # quick searches first: the better the known set, the more ways can go
        if bound <= problem.total(known) + _TOLERANCE * (1 + bound):
            break
        found, dropped = _search(problem, limit, problem.total(known), ways)
        known = max(known, found, key=problem.total)
        bound = min(bound, max(problem.total(known), dropped))
    return known, bound


def _search(problem: _Problem, limit: _Bound, known: float, ways: int) -> tuple[np.ndarray, float]:
    """(the best set of those that could beat `known`, the most that a dropped way could have come to)."""
    rules, limited = problem.rules, problem.limited
    slot = {label: place for place, label in enumerate(limited.tolist())}
    most = rules.most[limited].tolist()
    allowed = float(limit.prices[limited] @ rules.most[limited])
    weights = (problem.logits - limit.prices[problem.labels]).tolist()
    states: _Ways = {((), (0,) * len(slot)): (0.0, None)}
    dropped, position, visits = -np.inf, None, 0
    for i, place in enumerate(problem.places()):
        if place[0] != position:
            position = place[0]
            states = _merged((((rules.state(key[0], position), key[1]), way) for key, way in states.items()), -np.inf)
        rest = allowed + limit.suffix[i + 1]
        states = _merged(_steps(states, i, place, weights[i], (rules, slot, most)), known - rest)
        visits += len(states)
        if visits > VISITS:
            ways = min(ways, _NARROW)
        if len(states) > 2 * ways:
            ranked = sorted(states.items(), key=lambda item: -item[1][0])
            dropped = max(dropped, ranked[ways][1][0] + rest)
            states = dict(ranked[:ways])
    sets = [_taken(trail) for _, trail in states.values()]
    return max(sets, key=problem.total, default=np.zeros(0, dtype=np.int64)), dropped


def _steps(
    states: _Ways, i: int, place: Place, weight: float, limits: tuple[Rules, dict[int, int], list[int]]
) -> Iterator[tuple[_Key, tuple[float, _Trail]]]:
    """Every way without candidate i, and with it where it is allowed."""
    rules, slot, most = limits
    own = slot.get(place[2])
    for key, way in states.items():
        yield key, way
        spans, counts = key
        if own is not None:
            if counts[own] == most[own]:
                continue
            counts = (*counts[:own], counts[own] + 1, *counts[own + 1 :])
        if not any(rules.conflict(span, place) for span in spans):
            after = tuple(sorted((*spans, place))) if rules.bars_later(place[2]) else spans
            yield (after, counts), (way[0] + weight, (i, way[1]))


def _merged(ways: Iterator[tuple[_Key, tuple[float, _Trail]]], least: float) -> _Ways:
    """Of equal ways the best one, the first of equally good ones; only those above `least`."""
    merged: _Ways = {}
    for key, way in ways:
        if way[0] > least and (key not in merged or way[0] > merged[key][0]):
            merged[key] = way
    return merged


def _taken(trail: _Trail) -> np.ndarray:
    taken = []
    while trail is not None:
        taken.append(trail[0])
        trail = trail[1]
    return np.array(taken[::-1], dtype=np.int64)


class Admitted:
    """Chosen spans under rules; knows whether another may join them."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._near: dict[int, list[Place]] = {}  # by stretches of 64 characters
        self._counts: Counter[int] = Counter()

    def admits(self, place: Place) -> bool:
        if self._counts[place[2]] >= self._rules.most[place[2]]:
            return False
        return not any(
            self._rules.conflict(other, place)
            for stretch in range(place[0] >> 6, (place[1] - 1 >> 6) + 1)
            for other in self._near.get(stretch, ())
        )

    def add(self, place: Place) -> None:
        self._counts[place[2]] += 1
        for stretch in range(place[0] >> 6, (place[1] - 1 >> 6) + 1):
            self._near.setdefault(stretch, []).append(place)
