"""The best legal tag path of a document, and the probability of each span on it.

Every path of tags that the scheme allows has the probability that its emissions give it, divided by that of all
legal paths. A span's probability is that of all legal paths in which exactly this span (first token, last token,
label) appears, whatever stands around it.

Shapes: `n` tokens, `C` tags; state `C` is the border before the first token and after the last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..errors import DataError, check_among
from ..tag_schemes import LETTERS, SCHEMES, split

MAX_LOGIT = 30.0
"""Log-odds are cut off here: beyond, the rounding of the sums would show."""
_REACH = 8  # tokens around an illegal step that are solved anew at first
_STRETCH = 64  # tokens that are summed one after the other: more than a guess is remembered for
_EXACT, _NOTHING = 1e-11, 1e-40
_MAX_GAP = 200.0  # a tag further below the best one of its token counts as if it were so far: no sum runs empty

MIXED = "mixed"
_LIKE_IOBES = {"L": "E", "U": "S"}


class TagSpan(NamedTuple):
    first: int
    last: int
    label: str
    logit: float


@dataclass(frozen=True, slots=True)
class TagLattice:
    """Which tags may follow each other, and where that begins a span.

    `scheme` is one of `SCHEMES`; or `io` for tags without prefixes, where neighbours of one label are one span; or
    `mixed`, in which both B- and I- may open a span and I- goes on with one of its label. The list may lack tags.
    Where a label has no B-, its I- and E- begin a span unless they go on with one; where it has no
    E-, its B- and I- may be the last; in iob1 a label without I- may begin with B- anywhere.
    """

    tags: Sequence[str]
    scheme: str
    labels: tuple[str | None, ...] = field(init=False, repr=False, compare=False)
    """[C]: the label of each tag, None for outside."""
    allowed: np.ndarray = field(init=False, repr=False, compare=False)
    """[C + 1, C + 1] of bool: the second may follow the first."""
    begins: np.ndarray = field(init=False, repr=False, compare=False)
    """[C + 1, C + 1] of bool: the second is allowed and begins a span there."""
    goes_on: np.ndarray = field(init=False, repr=False, compare=False)
    """[C + 1, C + 1] of bool: the second is allowed and continues the span of the first."""
    steps: np.ndarray = field(init=False, repr=False, compare=False)
    """[2, C + 1, C + 1] of float: `allowed` forwards, and backwards."""
    both_steps: np.ndarray = field(init=False, repr=False, compare=False)
    """[2 C + 2, 2 C + 2]: these beside each other, for a row that holds both sums."""
    inside: dict[str, tuple[np.ndarray, ...]] = field(init=False, repr=False, compare=False)
    """Of each label its K tags, and the steps into [C + 1, K], within [K, K] and out of [K, C + 1] a span of it."""

    def __post_init__(self) -> None:
        parsed = [_parse(tag, self.scheme) for tag in self.tags]
        allowed, goes_on = _transitions(parsed, self.scheme)
        if not (allowed[-1] & allowed[:, -1] & allowed.diagonal())[:-1].any():
            raise DataError(
                f"tags {', '.join(self.tags) or '(none)'} with scheme {self.scheme}",
                "a tag that every token may have, such as O",
                "name the scheme that the model was trained with",
            )
        labels = tuple(label for _, label in parsed)
        labelled = np.array([*(label is not None for label in labels), False])
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "allowed", allowed)
        object.__setattr__(self, "begins", allowed & ~goes_on & labelled)
        object.__setattr__(self, "goes_on", goes_on)
        steps = np.stack([allowed, allowed.T]).astype(np.float64)
        nothing = np.zeros_like(steps[0])
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "both_steps", np.block([[steps[0], nothing], [nothing, steps[1]]]))
        inside = {label: self._inside(label) for label in dict.fromkeys(labels) if label is not None}
        object.__setattr__(self, "inside", inside)

    def decode(self, emissions: np.ndarray) -> list[TagSpan]:
        """The spans of the best legal path, with their log-odds; `emissions` [n, C] are logits. O(n C²).

        Both the path and the sums are those of the whole sequence. Long ones are computed in stretches side by side,
        and again where a stretch turns out to depend on its neighbour, so that the result does not depend on them.
        """
        if not len(emissions):
            return []
        logits = emissions.astype(np.float64)
        found = self._spans(_best_path(self.allowed, logits))
        if not found:
            return []
        chain = _Chain(self, logits)
        return [TagSpan(first, last, label, chain.logit(first, last, label)) for first, last, label in found]

    def _inside(self, label: str) -> tuple[np.ndarray, ...]:
        own = np.array([tag for tag, other in enumerate(self.labels) if other == label])
        leaves = self.allowed & ~self.goes_on
        steps = self.begins[:, own], self.goes_on[np.ix_(own, own)], leaves[own]
        return own, *(step.astype(np.float64) for step in steps)

    def _spans(self, path: Sequence[int]) -> list[tuple[int, int, str]]:
        spans: list[tuple[int, int, str]] = []
        for token, (previous, tag) in enumerate(zip([len(self.tags), *path], path, strict=False)):
            label = self.labels[tag]
            if label is not None:
                first = spans.pop()[0] if self.goes_on[previous, tag] else token
                spans.append((first, token, label))
        return spans


def _parse(tag: str, scheme: str) -> tuple[str, str | None]:
    """(prefix, label) in the letters of iobes; the label is None outside."""
    check_among("tag scheme", scheme, (*SCHEMES, "io", MIXED))
    if scheme == "io":
        return ("O", None) if tag == "O" else ("I", tag)
    if scheme == MIXED:
        scheme = "iob2"
    prefix, label = split(tag)
    if prefix not in ("O", *LETTERS[scheme]):
        raise DataError(
            f"tag {tag!r} of the model",
            f"O, or a prefix of {scheme}, a hyphen and a label",
            "name the scheme that the model was trained with ('io' for labels without prefixes)",
        )
    return ("O", None) if prefix == "O" else (_LIKE_IOBES.get(prefix, prefix), label)


def _transitions(parsed: Sequence[tuple[str, str | None]], scheme: str) -> tuple[np.ndarray, np.ndarray]:
    """`allowed` and `goes_on`: between two spans (or outside) a span must close and the next must open."""
    known = set(parsed)
    tags = [*parsed, ("O", None)]  # the border is like outside

    def lacks(letter: str) -> np.ndarray:
        return np.array([(letter, label) not in known for _, label in tags])

    prefixes = np.array([prefix for prefix, _ in tags])
    labels = [label for _, label in tags]
    same = np.array([[label is not None and label == other for other in labels] for label in labels])
    starters, enders = np.isin(prefixes, ["O", "B", "S"]), np.isin(prefixes, ["O", "E", "S"])
    opens = starters | lacks("B") | ((scheme in ("iob1", MIXED)) & (prefixes == "I"))
    closes = enders | lacks("E")
    goes_on = same & np.isin(prefixes, ["B", "I"])[:, None] & np.isin(prefixes, ["I", "E"])
    between = closes[:, None] & opens
    if scheme == "iob1":
        between &= same | (prefixes != "B") | lacks("I")
    return between | goes_on, goes_on


def _best_path(allowed: np.ndarray, logits: np.ndarray) -> list[int]:
    """The legal path with the greatest sum: the best tag of every token, but for stretches where that is illegal.

    A stretch is solved as if it stood alone. Where the result is legal beside the neighbours, no path is better, since
    none has more than the best tags outside and the best path inside; where it is not, the stretch grows.
    """
    count, border = len(logits), len(allowed) - 1
    path = np.concatenate([[border], logits.argmax(1), [border]])
    reach = _REACH
    while len(wrong := np.flatnonzero(~allowed[path[:-1], path[1:]])):
        for first, end in _stretches(wrong, reach, count):
            inner = allowed.copy()
            inner[-1] |= first > 0  # a stretch in the middle may begin and end with any tag
            inner[:, -1] |= end < count
            path[first + 1 : end + 1] = _viterbi(inner, logits[first:end])
        reach *= 4
    return [int(tag) for tag in path[1:-1]]


def _stretches(wrong: np.ndarray, reach: int, count: int) -> Iterator[tuple[int, int]]:
    """Token ranges around the illegal steps (into token t), merged where they meet."""
    first = max(int(wrong[0]) - reach, 0)
    for token, following in zip(wrong.tolist(), [*wrong[1:].tolist(), None], strict=True):
        end = min(token + reach, count)
        if following is None or following - reach > end:
            yield first, end
            first = 0 if following is None else following - reach


def _viterbi(allowed: np.ndarray, logits: np.ndarray) -> list[int]:
    """The best path; ties go to the tag that comes first in the list, decided from the last token to the first."""
    into = np.where(allowed.T, 0.0, -np.inf)  # [next, previous]
    steps = np.ascontiguousarray(into[:-1, :-1])
    totals, rows = np.empty_like(steps), np.arange(0, steps.size, len(steps))
    back = np.empty(logits.shape, dtype=np.intp)
    best = into[:-1, -1] + logits[0]
    for row, previous in zip(logits[1:], back[1:], strict=True):
        np.add(steps, best, out=totals)
        totals.argmax(1, out=previous)
        best = totals.take(rows + previous) + row
    path = [int((best + into[-1, :-1]).argmax())]
    for token in range(len(logits) - 1, 0, -1):
        path.append(int(back[token, path[-1]]))
    return path[::-1]


class _Chain:
    """Sums over all legal paths before and after each token of a sequence; every row is scaled to add up to 1."""

    def __init__(self, lattice: TagLattice, logits: np.ndarray) -> None:
        count, tags = logits.shape
        self.lattice = lattice
        self.weights = np.zeros((count, tags + 1))
        self.weights[:, :-1] = np.exp(np.maximum(logits - logits.max(1, keepdims=True), -_MAX_GAP))
        both = np.stack([self.weights, self.weights[::-1]])
        if count >= 2 * _STRETCH:
            sums, scales = _sums(both, lattice.steps)
        else:
            sums, scales = _short_sums(both, lattice.both_steps)
        self.forward, self.scales = sums[0], scales[0]
        """[n + 1, C + 1]: row t sums the paths up to token t - 1 by its tag; before the first stands the border."""
        self.backward = sums[1, ::-1]
        """[n + 1, C + 1]: row t sums the paths from token t on by its tag; after the last token stands the border."""

    def logit(self, first: int, last: int, label: str) -> float:
        """Log-odds of the legal paths with exactly this span against all others."""
        own, enter, stay, leave = self.lattice.inside[label]
        weights = self.weights[first : last + 1, own] / self.scales[first : last + 1, None]
        row = self.forward[first] @ enter * weights[0]
        for weight in weights[1:]:
            row = row @ stay * weight
        after = self.backward[last + 1]
        with_it = float(row @ (leave @ after))
        without = float(self.forward[last + 1] @ (self.lattice.steps[0] @ after)) - with_it
        if without <= 0.0:
            return MAX_LOGIT
        if with_it <= 0.0:
            return -MAX_LOGIT
        return min(max(math.log(with_it) - math.log(without), -MAX_LOGIT), MAX_LOGIT)


def _short_sums(weights: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `_sums`, of so few tokens that calls cost more than sums: all sequences in one row, divided at every other.

    step: [D S, D S], the steps of the sequences on its diagonal.
    """
    sequences, count, size = weights.shape
    rows = weights.transpose(1, 0, 2).reshape(count, -1)
    sums, scales = np.zeros((count + 1, sequences, size)), np.ones((count, sequences, 1))
    sums[0, :, -1] = 1.0
    flat = sums.reshape(count + 1, -1)
    divide = False
    for before, row, after, total, scale in zip(flat, rows, flat[1:], sums[1:], scales, strict=False):
        np.dot(before, step, out=after)
        np.multiply(after, row, out=after)
        if divide:
            np.add.reduce(total, axis=1, out=scale, keepdims=True)
            np.divide(total, scale, out=total)
        divide = not divide
    return sums.transpose(1, 0, 2), scales[..., 0].T


def _sums(weights: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[D, n, S] and [D, S, S] to [D, n + 1, S] and [D, n], for D sequences with steps of their own.

    Row t + 1 sums all paths from the border over tokens 0 to t, by the tag of t; with what it was divided by.
    Stretches of a sequence are summed side by side, each from a guess of what comes before it, and again from what
    did come, until nothing changes: a few tokens on, the guess is forgotten. The first stretch needs no guess, so
    all are right after as many rounds as there are stretches, at the latest.
    """
    sequences, count, size = weights.shape
    number = count // _STRETCH
    length = -(-count // number)
    padded = np.ones((sequences, number * length, size))
    padded[:, :count] = weights
    blocks = np.ascontiguousarray(padded.reshape(sequences, number, length, size).transpose(2, 0, 1, 3))
    sums, scales = np.empty((length + 1, sequences, number, size)), np.empty((length, sequences, number, 1))
    sums[0] = 1.0 / size
    sums[0, :, 0] = np.eye(size)[-1]
    while True:
        row = sums[0]
        for weight, total, scale in zip(blocks, sums[1:], scales, strict=True):
            row = np.matmul(row, steps, out=total)
            row *= weight
            np.add.reduce(row, axis=-1, out=scale, keepdims=True)
            row /= scale
        came = row[:, :-1]
        if np.allclose(came, sums[0, :, 1:], rtol=_EXACT, atol=_NOTHING):
            break
        sums[0, :, 1:] = came
    rows = sums[1:].transpose(1, 2, 0, 3).reshape(sequences, -1, size)[:, :count]
    divided = scales.transpose(1, 2, 0, 3).reshape(sequences, -1)[:, :count]
    return np.concatenate([sums[0, :, :1], rows], axis=1), divided
