"""Limits on which spans may stand together, beyond what the policy says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import UsageError, check_among, check_whole

_FORM = '{"contains": {"ORG": ["LOC"]}, "at_most": {"DATE": 1}, "forbidden": [["ORG", "PER"]]}'
_KEYS = ("contains", "at_most", "forbidden")
UNLIMITED = 2**62
MOST_LABELS = 1000  # of a model with limits

Place = tuple[int, int, int]
"""start, end, label."""


@dataclass(frozen=True, slots=True)
class Limits:
    """As they are written in settings: by names of labels."""

    contains: Mapping[str, tuple[str, ...]] | None = None
    """For a label, those that may lie inside its spans, at any depth; a label without an entry may hold none. None: any
    may lie inside any. Of two spans with the same boundaries, one must be allowed inside the other."""
    at_most: Mapping[str, int] = field(default_factory=dict)
    """How many spans of a label a document may have."""
    forbidden: tuple[tuple[str, str], ...] = ()
    """Pairs of labels whose spans may not overlap; a label with itself: none of its spans overlap."""

    @classmethod
    def from_json(cls, value: object) -> Limits:
        """Of a mapping with any of the three names; raises UsageError."""
        record = _mapping(value, "limits")
        for key in record:
            check_among("limit", key, _KEYS, "leave it out")
        rows, pairs = record.get("contains"), record.get("forbidden", ())
        contains = None
        if rows is not None:
            contains = {
                str(label): _names(inner, f"contains of {label}") for label, inner in _mapping(rows, "contains").items()
            }
        if not isinstance(pairs, list | tuple):
            raise UsageError(f"forbidden = {pairs!r}", "a list of pairs of labels", f"write it as in {_FORM}")
        forbidden = tuple(_pair(pair) for pair in pairs)
        at_most = {}
        for label, most in _mapping(record.get("at_most", {}), "at_most").items():
            at_most[str(label)] = check_whole(f"at_most of {label}", most, 0)
        return cls(contains, at_most, forbidden)

    def rules(self, policy: str, labels: Sequence[str]) -> Rules:
        """With ids: the places of the labels. Raises UsageError for a label that is not among them, and
        for more than `MOST_LABELS`."""
        if len(labels) > MOST_LABELS:
            raise UsageError(
                f"limits over {len(labels):,} labels",
                f"at most {MOST_LABELS:,}: each pair of them is written down",
                "leave the limits out, or merge labels",
            )
        ids = {label: number for number, label in enumerate(labels)}

        def number(label: str) -> int:
            check_among("label", label, ids, "take it out", where="in the limits")
            return ids[label]

        inside = np.full((len(labels), len(labels)), self.contains is None)
        for label, inner in (self.contains or {}).items():
            inside[number(label), [number(other) for other in inner]] = True
        apart = np.zeros_like(inside)
        for a, b in self.forbidden:
            apart[number(a), number(b)] = apart[number(b), number(a)] = True
        most = np.full(len(labels), UNLIMITED)
        for label, count in self.at_most.items():
            most[number(label)] = count
        return Rules(policy, inside & ~apart, apart, most)


@dataclass(frozen=True)
class Rules:
    """A policy and limits, by ids of labels; C labels."""

    policy: str
    inside: np.ndarray
    """C x C: [a, b]: b may lie inside a."""
    apart: np.ndarray
    """C x C: may not overlap."""
    most: np.ndarray
    """C: how many; `UNLIMITED`: any number."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_inside", self.inside.tolist())  # lists are read faster, one by one
        object.__setattr__(self, "_apart", self.apart.tolist())

    _inside: list[list[bool]] = field(init=False, repr=False, compare=False)
    _apart: list[list[bool]] = field(init=False, repr=False, compare=False)

    @property
    def pairwise(self) -> bool:
        """Whether some two candidates could bar each other."""
        return self.policy != "overlapping" or bool(self.apart.any()) or not self.inside.all()

    def conflict(self, one: Place, other: Place) -> bool:
        """Whether they may not stand together."""
        start, end, label = one
        begin, stop, name = other
        if end <= begin or stop <= start:
            return False
        if self.policy == "flat" or self._apart[label][name]:
            return True
        holds, held = start <= begin and stop <= end, begin <= start and end <= stop
        if not holds and not held:
            return self.policy == "nested"
        return not ((holds and self._inside[label][name]) or (held and self._inside[name][label]))

    def bars_later(self, label: int) -> bool:
        """Whether a chosen span of this label can bar one that begins later, or with it and is no longer."""
        return self.policy != "overlapping" or any(self._apart[label]) or not all(self._inside[label])

    def state(self, spans: Sequence[Place], start: int) -> tuple[Place, ...]:
        """What to remember of chosen spans that begin before `start` to judge those that begin there or later.

        Their own start no longer matters, and is written as -1.
        """
        ahead = {(-1, end, label) for _, end, label in spans if end > start}
        if self.policy == "flat":
            return tuple((-1, end, 0) for _, end, _ in ahead)
        if self.policy == "overlapping":  # of one label, the last end bars whatever the others bar
            furthest: dict[int, int] = {}
            for _, end, label in ahead:
                if self.bars_later(label):
                    furthest[label] = max(end, furthest.get(label, 0))
            ahead = {(-1, end, label) for label, end in furthest.items()}
        return tuple(sorted(ahead))


def _mapping(value: object, name: str) -> Mapping[object, object]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{name} = {value!r}", "a mapping", f"write it as in {_FORM}")
    return value


def _names(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(label, str) for label in value):
        raise UsageError(f"{name} = {value!r}", "a list of labels", f"write it as in {_FORM}")
    return tuple(value)


def _pair(value: object) -> tuple[str, str]:
    names = _names(value, "a forbidden pair")
    if len(names) != 2:
        raise UsageError(f"a forbidden pair of {len(names)} labels", "two labels", f"write it as in {_FORM}")
    return names[0], names[1]
