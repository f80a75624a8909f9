"""Where predictions are right and wrong: rates by group of spans, kinds of errors, which label is taken for which.

A span counts once, and only where its label was looked for (`Document.annotated`), as in `spans`. All rates have
intervals by drawing whole documents (`bootstrap`, percentile). A rate that is 0/0 is None, not 0: there is nothing to
say about a group without spans, and a draw without spans of the group says nothing about it either.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest

import numpy as np
import regex

from ..documents import JSON, Document, Span
from . import bootstrap
from .bootstrap import Interval

Words = tuple[list[int], list[int]]
"""Where the words of a text start and end, in characters."""
Group = Callable[[int, Span], int]
"""From the number of a document and one of its spans to the number of the span's group."""

_WORD = regex.compile(r"\w+|[^\w\s]")
_LONGEST = (1, 3, 7, 15)  # words in the spans of a group, the last one of which is open
LENGTHS = ("1 word", "2–3 words", "4–7 words", "8–15 words", "16 words and more")
TENTHS = tuple(f"{10 * k}–{10 * k + 10} %" for k in range(10))
SEEN = ("seen with this label", "seen with other labels only", "never seen")
KINDS = ("label", "boundary", "both")
"""Of an error: right boundaries with another label, an overlap with the same label, an overlap with another label."""
ALONE = {"wrong": "spurious", "missed": "missed"}
"""The kind of an error on each side that is none of KINDS."""


@dataclass(frozen=True, slots=True)
class Differences:
    """The spans of one document, gold and predicted, in the order of the text."""

    right: tuple[Span, ...]
    """Predicted, and in gold."""
    wrong: tuple[Span, ...]
    """Predicted, and not in gold."""
    missed: tuple[Span, ...]
    """Gold, and not predicted."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share, and where it would lie in other documents of this kind."""

    value: float
    interval: Interval | None
    """None where fewer than two documents have something to say: nothing varies."""


@dataclass(frozen=True, slots=True)
class Row:
    """Counts and rates of a group of spans; counts may be halves where a scorer gives half a point."""

    name: str
    correct: float
    predicted: float
    gold: float
    documents: int
    """Those with a span of the group, gold or predicted."""
    rates: Mapping[str, Rate | None]

    def to_json(self) -> dict[str, JSON]:
        """Rates as {value, low, high}, null where they are 0/0."""
        record: dict[str, JSON] = {"name": self.name}
        record |= {name: getattr(self, name) for name in ("correct", "predicted", "gold", "documents")}
        for name, rate in self.rates.items():
            low, high = (None, None) if rate is None or rate.interval is None else rate.interval
            record[name] = None if rate is None else {"value": rate.value, "low": low, "high": high}
        return record


def differences(gold: Document, predicted: Document) -> Differences:
    """What two versions of a document have in common, and what not; scores of predicted spans are kept."""
    right, found = (_distinct(document.spans, gold) for document in (gold, predicted))
    return Differences(
        right=tuple(span for key, span in found.items() if key in right),
        wrong=tuple(span for key, span in found.items() if key not in right),
        missed=tuple(span for key, span in right.items() if key not in found),
    )


def rows(counts: np.ndarray, names: Sequence[str], *, samples: int = bootstrap.SAMPLES) -> list[Row]:
    """A row for each group of counts [documents, groups, 3] of (correct, predicted, gold)."""
    drawn = bootstrap.resample(counts, samples=samples) if len(counts) > 1 else counts
    return [_row(name, counts[:, k], drawn[:, k]) for k, name in enumerate(names)]


def count_groups(found: Sequence[Differences], group: Group, groups: int) -> np.ndarray:
    """[documents, groups, 3]: (correct, predicted, gold)."""
    counts = np.zeros((len(found), groups, 3), dtype=np.int64)
    for document, each in enumerate(found):
        for spans, columns in ((each.right, [0, 1, 2]), (each.wrong, [1]), (each.missed, [2])):
            for span in spans:
                counts[document, group(document, span), columns] += 1
    return counts


def words(document: Document) -> Words:
    """The tokens that came with the document, else runs of letters and digits, and every other character but space."""
    listed = document.meta.get("tokens")
    pairs: list[tuple[int, int]] = []
    for item in listed if isinstance(listed, list) else ():
        match item:
            case [int(start), int(end)] if (pairs[-1][1] if pairs else 0) <= start < end <= len(document.text):
                pairs.append((start, end))
            case _:  # of another text, or no offsets at all
                pairs = []
                break
    pairs = pairs or [match.span() for match in _WORD.finditer(document.text)]
    return [start for start, _ in pairs], [end for _, end in pairs]


def word_range(known: Words, start: int, end: int) -> tuple[int, int]:
    """Which words [first, end) share a character with [start, end)."""
    starts, ends = known
    return bisect_right(ends, start), bisect_left(starts, end)


def by_length(known: Sequence[Words]) -> Group:
    """`LENGTHS`: words in the span, parts of words included."""

    def group(document: int, span: Span) -> int:
        ranges = (word_range(known[document], *part) for part in span.parts or ((span.start, span.end),))
        return bisect_left(_LONGEST, sum(end - first for first, end in ranges))

    return group


def by_position(lengths: Sequence[int]) -> Group:
    """`TENTHS`: where in the text, `lengths` in characters, the span starts."""
    return lambda document, span: span.start * 10 // lengths[document]


def quarters(lengths: Sequence[int]) -> tuple[Group, list[str]]:
    """Documents in four groups from the shortest to the longest, those of one length in one group; with their names."""
    edges = np.quantile(lengths, [0.25, 0.5, 0.75], method="inverted_cdf").tolist()
    quarter = [bisect_left(edges, length) for length in lengths]
    names = []
    for k in range(4):
        own = [length for length, mine in zip(lengths, quarter, strict=True) if mine == k]
        names.append(f"{min(own):,}–{max(own):,} characters" if own else "no document")
    return (lambda document, _: quarter[document]), names


def by_mention(texts: Sequence[str], train: Sequence[Document]) -> Group:
    """`SEEN`: whether the text of the span, letter by letter, is that of a span in the training documents."""
    known: dict[str, set[str]] = {}
    for document in train:
        for span in document.spans:
            known.setdefault(document.text[span.start : span.end], set()).add(span.label)

    def group(document: int, span: Span) -> int:
        labels = known.get(texts[document][span.start : span.end])
        return 2 if labels is None else int(span.label not in labels)

    return group


def error_kinds(found: Differences, side: str) -> list[str]:
    """One of `KINDS` or `ALONE` for each error of a side ("wrong" or "missed"), the first that fits.

    Each is compared with the errors of the other side only: what is right explains no error.
    """
    own, other = (found.wrong, found.missed) if side == "wrong" else (found.missed, found.wrong)
    near = _overlapping(other)
    kinds = []
    for span in own:
        met = list(near(span))
        same = [each.label == span.label for each in met]
        if any(_place(each) == _place(span) for each in met):
            kinds.append("label")
        else:
            kinds.append("boundary" if any(same) else "both" if met else ALONE[side])
    return kinds


def confusion(found: Sequence[Differences]) -> Counter[tuple[str | None, str | None]]:
    """How often a gold label (first) and a predicted one have the same boundaries; None: the other side has nothing.

    Of several labels in one place equal ones are paired first, the others in alphabetical order. So the counts of a
    gold label add up to its gold spans, and those of a predicted label to the predicted ones.
    """
    pairs: Counter[tuple[str | None, str | None]] = Counter()
    for each in found:
        pairs.update((span.label, span.label) for span in each.right)
        places: dict[tuple[object, ...], tuple[list[str], list[str]]] = {}
        for side, spans in enumerate((each.missed, each.wrong)):
            for span in spans:
                places.setdefault(_place(span), ([], []))[side].append(span.label)
        for missed, wrong in places.values():
            pairs.update(zip_longest(sorted(missed), sorted(wrong)))
    return pairs


def _distinct(spans: Sequence[Span], gold: Document) -> dict[tuple[object, ...], Span]:
    """Those of labels that were looked for, in the order of the text; of equal ones the first."""
    known: dict[tuple[object, ...], Span] = {}
    for span in sorted(spans, key=lambda span: (span.start, span.end, span.label, span.parts)):
        if gold.looked_for(span.label):
            known.setdefault((*_place(span), span.label), span)
    return known


def _place(span: Span) -> tuple[object, ...]:
    return span.start, span.end, span.parts


def _overlapping(spans: Sequence[Span]) -> Callable[[Span], Iterator[Span]]:
    """A function that finds those of the spans that share a character with one."""
    order = sorted(spans, key=lambda span: span.start)
    starts = [span.start for span in order]
    reach = list(accumulate((span.end for span in order), max))  # ascending, other than the ends themselves

    def near(span: Span) -> Iterator[Span]:
        for other in order[bisect_right(reach, span.start) : bisect_left(starts, span.end)]:
            if any(a < d and c < b for a, b in _parts(span) for c, d in _parts(other)):
                yield other

    return near


def _parts(span: Span) -> tuple[tuple[int, int], ...]:
    return span.parts or ((span.start, span.end),)


def _row(name: str, counts: np.ndarray, drawn: np.ndarray) -> Row:
    """From counts [documents, 3] and sums of drawn ones [samples, 3]."""
    correct, predicted, gold = counts.sum(axis=0).tolist()
    return Row(
        name=name,
        correct=correct,
        predicted=predicted,
        gold=gold,
        documents=int(counts.any(axis=1).sum()),
        rates={rate: _rate(fraction(counts), fraction(drawn)) for rate, fraction in _FRACTIONS.items()},
    )


def _rate(counts: tuple[np.ndarray, np.ndarray], drawn: tuple[np.ndarray, np.ndarray]) -> Rate | None:
    """From the parts and wholes of the documents, and of the draws."""
    part, whole = counts
    if not whole.sum():
        return None
    bounds = bootstrap.interval(np.stack(counts, axis=-1), _share, drawn=np.stack(drawn, axis=-1))
    return Rate(float(part.sum() / whole.sum()), bounds)


def _share(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[..., 0] / sums[..., 1])


_FRACTIONS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "precision": lambda counts: (counts[..., 0], counts[..., 1]),
    "recall": lambda counts: (counts[..., 0], counts[..., 2]),
    "f1": lambda counts: (2 * counts[..., 0], counts[..., 1] + counts[..., 2]),
}
