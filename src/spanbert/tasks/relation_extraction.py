"""Relations between spans, a window for each pair: the published recipe, which is the most accurate one.

The arguments are enclosed by markers that say their role and type in ordinary words (Zhou and Chen 2022, "typed entity
markers (punct)"), or replaced by role and type, as TACRED models do (Zhang et al. 2017; Joshi et al. 2020); so no
vocabulary needs pieces of its own. Of a text longer than a window, the stretch around both arguments is read, or one
around each where they stand too far apart: no argument is ever cut off the window.

Arguments are spans that the document has, or those that another task of the same model finds.
"""

from __future__ import annotations

import heapq
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from ..documents import Decoded, Document, Judged, Relation, RelationCandidate, Span
from ..errors import SpanbertWarning, UsageError, check_among, check_whole
from ..metrics.relation_report import relation_report
from ..metrics.relations import NO_RELATION
from ..metrics.report import Report
from ..targets import RelationTargets
from ..tokenization import IntArray, Pieces, Tokenizer
from ..windows import HEAD_BEGINS, TAIL_BEGINS, Table, Window
from . import gold, related
from .task import Example, Settings, Task

if TYPE_CHECKING:
    from ..encoder.loading import Encoder
    from ..heads.head import Head

Pair = tuple[Span, Span]
ARGUMENTS = ("marked", "replaced")
PAIRS = ("asked", "all")
_LONGEST_MARK, _NARROWEST = 8, 32  # pieces of a marker; positions of a window, so that text has room beside them
_ROLES = (("@ * {} *", "@"), ("# ^ {} ^", "#"))  # before and after an argument: of the head, of the tail


@dataclass(frozen=True, kw_only=True)
class RelationSettings(Settings):
    """Settings of relation extraction. `labels` are those of relations."""

    arguments: str = "marked"
    """How a window shows its pair: marked (enclosed by markers with role and type) or replaced (by role and type)."""
    pairs: str | None = None
    """Which pairs are read: asked (those that a document lists, no_relation among them; all of one that lists none) or
    all that the types allow; none given: asked where the training data list pairs without a relation."""
    types: tuple[str, ...] = ()
    """Types that may be related, as HEAD>TAIL; none given: those of the training data."""
    several: bool | None = None
    """Whether a pair may have several relations; none given: whether one of the training data has."""
    negatives: int = 5
    """Pairs without a relation that are drawn for each one with a relation in an epoch, weighted so that they stand for
    all of them; 0: all are read."""
    most_pairs: int = 2000
    """Pairs that are read of a document at most, the nearest first, with a warning."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < _NARROWEST:
            raise UsageError(f"window = {self.window} for pairs", f"at least {_NARROWEST} positions", "leave it out")
        check_among("arguments", self.arguments, ARGUMENTS)
        if self.pairs is not None:
            check_among("pairs", self.pairs, PAIRS)
        related.check_settings(self.labels, self.types)
        for name, lowest in (("negatives", 0), ("most_pairs", 1)):
            check_whole(name, getattr(self, name), lowest)


@dataclass(frozen=True)
class RelationExtraction(Task):
    """See the top of this file; the contract is `tasks/task.py`."""

    settings: RelationSettings
    tokenizer: Tokenizer
    tells: ClassVar[tuple[str, ...]] = ("relations",)
    reads_spans = True
    pipeline = "text-classification"
    example = "document = model.predict(document)  # one with spans: its relations"
    command = "predict --model {model} --input FILE"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The labels."""
        return self.settings.labels

    def adapted(self, documents: Sequence[Document], longest_span: int) -> Self:  # noqa: ARG002 - a window is a pair's own
        """Labels and types of the data, which pairs are asked, and whether one may have several relations."""
        s = self.settings
        relations = [relation for document in documents for relation in related.learnable(document)]
        listed = any(relation.label == NO_RELATION for document in documents for relation in document.relations)
        self._check_types(documents)
        return replace(
            self,
            settings=replace(
                s,
                labels=s.labels or tuple(sorted({relation.label for relation in relations})),
                overlap=0 if s.overlap is None else s.overlap,
                pairs=s.pairs or ("asked" if listed else "all"),
                types=s.types or tuple(sorted({related.types(relation) for relation in relations})),
                several=related.several(documents) if s.several is None else s.several,
            ),
        )

    def _check_types(self, documents: Sequence[Document]) -> None:
        """Types that were asked for are labels of spans. Raises UsageError."""
        labels = {span.label for document in documents for span in document.spans}
        for pair in self.settings.types:
            for label in pair.split(">"):
                check_among("type", label, sorted(labels), where=f"in {pair!r}")

    def annotations(self, document: Document) -> Sequence[Span]:
        """Of each relation the stretch from one argument to the other, under its label."""
        return [related.stretch(relation) for relation in related.known(document)]

    def visible(self, document: Document) -> Document:
        """Text and spans, and which pairs are asked where not all are."""
        asked = dict.fromkeys((r.head, r.tail) for r in document.relations) if self.settings.pairs == "asked" else ()
        relations = tuple(Relation(head, tail, NO_RELATION) for head, tail in asked)
        return Document(document.id, document.text, document.spans, relations)

    def examples(self, document: Document, pieces: Pieces, draw: np.random.Generator | None) -> Iterator[Example]:
        """A window each, for every pair; in training, of pairs without a relation some that stand for all."""
        pairs = self._pairs(document, pieces)
        if draw is None:
            for unit, pair in enumerate(pairs):
                yield Example((self._window(pieces, pair, unit),), None)
            return
        taught = gold.taught(document, self.settings.labels)
        if not taught.any():
            return
        labels = {label: number for number, label in enumerate(self.settings.labels) if taught[number]}
        holds: dict[Pair, np.ndarray] = {}
        for relation in document.relations:
            row = holds.setdefault((relation.head, relation.tail), np.zeros(len(taught), dtype=bool))
            if relation.label in labels:
                row[labels[relation.label]] = True
        true = [pair for pair in pairs if pair in holds and holds[pair].any()]
        rest = [pair for pair in pairs if pair not in holds or not holds[pair].any()]
        most = self.settings.negatives * max(1, len(true)) if self.settings.negatives else len(rest)
        kept = rest
        if len(rest) > most and self.settings.pairs != "asked":
            kept = [rest[k] for k in sorted(draw.choice(len(rest), most, replace=False).tolist())]
        none = np.zeros(len(taught), dtype=bool)
        for unit, pair in enumerate([*true, *kept]):
            weight = 1.0 if unit < len(true) else len(rest) / len(kept)
            targets = RelationTargets(holds.get(pair, none), taught, weight)
            yield Example((self._window(pieces, pair, unit),), targets, {"relations": weight})

    def unreachable(self, document: Document, pieces: Pieces) -> tuple[tuple[Span, str], ...]:
        """Relations of arguments without any piece, between types that may not be related, of labels not known."""
        s, known = self.settings, set(self._pairs(document, pieces))
        found = []
        for relation, span in zip(related.known(document), self.annotations(document), strict=True):
            if relation.label not in s.labels:
                found.append((span, gold.UNKNOWN_LABEL))
            elif (relation.head, relation.tail) not in known:
                found.append((span, "a pair that is not read: of other types, without text, or too many"))
        return tuple(dict.fromkeys(found))

    def head(self, encoder: Encoder) -> Head:
        """On the places where the arguments begin."""
        from ..heads.relations import RelationHead

        return RelationHead(encoder.width, len(self.settings.labels))

    def decode(self, document: Document, pieces: Pieces, table: Table) -> Decoded:
        """Of each pair its best label, or all where it may have several, unless hopeless."""
        if not table:
            return Decoded()
        pairs, found = self._pairs(document, pieces), []
        for unit, odds in zip(table["unit"].tolist(), np.nan_to_num(table["odds"], nan=-np.inf), strict=True):
            head, tail = pairs[unit]
            chosen = range(len(odds)) if self.settings.several else [int(odds.argmax())]
            found += [
                RelationCandidate(head, tail, self.settings.labels[label], float(odds[label]))
                for label in chosen
                if odds[label] > related.FLOOR
            ]
        return Decoded(relations=tuple(found))

    def judged(self, document: Document, decoded: Decoded) -> Judged:
        """A relation is right when arguments, direction and label are."""
        gold_items = {(r.head, r.tail, r.label) for r in related.wanted(document)}
        found = [each for each in decoded.relations if document.looked_for(each.label)]
        return Judged(
            labels=tuple(each.label for each in found),
            logits=tuple(each.logit for each in found),
            right=tuple((each.head, each.tail, each.label) in gold_items for each in found),
            gold=Counter(label for _, _, label in gold_items),
        )

    def report(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
        """Strict relations, and the official scores where every pair was asked."""
        return relation_report(gold, predicted, asked=self.settings.pairs == "asked")

    def _pairs(self, document: Document, pieces: Pieces) -> list[Pair]:
        """Those to read, in the order of the text; with too many, the nearest."""
        spans = [span for span in dict.fromkeys(document.spans) if pieces.covering(span.start, span.end) is not None]
        if self.settings.pairs == "asked" and document.relations:
            known = set(spans)
            listed = dict.fromkeys((r.head, r.tail) for r in document.relations)
            return [pair for pair in listed if pair[0] in known and pair[1] in known]
        types, most = set(self.settings.types), self.settings.most_pairs

        def may(head: Span, tail: Span) -> bool:
            return not types or f"{head.label}>{tail.label}" in types

        first = {span.label: span for span in spans}  # any of each label: who may be its tail depends on that alone
        tails = {label: [tail for tail in spans if may(head, tail)] for label, head in first.items()}
        number = sum(len(tails[span.label]) - may(span, span) for span in spans)
        if number <= most:
            return [(head, tail) for head in spans for tail in tails[head.label] if head is not tail]
        warnings.warn(  # the same words each time, so that a corpus of long documents tells it once
            f"of documents with more than {most:,} pairs of spans the nearest {most:,} are read (most_pairs)",
            SpanbertWarning,
            stacklevel=2,
        )
        return _nearest(spans, may, most)

    def _window(self, pieces: Pieces, pair: Pair, unit: int) -> Window:
        """`[CLS] … [SEP]` around the pair, its arguments shown."""
        runs = [pieces.covering(span.start, span.end) for span in pair]
        first = [run[0] for run in runs if run is not None]
        last = [run[1] for run in runs if run is not None]
        shown = [self._shown(span.label, role) for role, span in enumerate(pair)]
        room = self.settings.window - 2 - sum(len(before) + len(after) for before, after in shown)
        rows = [(self.tokenizer.cls, -1)]
        for stretch in _stretches(first, last, len(pieces), room):
            self._write(rows, pieces, stretch, (first, last), shown)
            rows.append((self.tokenizer.sep, -1))
        ids, numbers = np.array(rows, dtype=np.int64).T.copy()
        return Window(ids, np.zeros_like(ids), numbers, -1, 2 * len(pieces), unit)

    def _write(
        self,
        rows: list[tuple[int, int]],
        pieces: Pieces,
        stretch: tuple[int, int],
        runs: tuple[Sequence[int], Sequence[int]],
        shown: Sequence[tuple[list[int], list[int]]],
    ) -> None:
        """Ids and numbers of the pieces of a stretch, with what stands before and after the arguments that begin in it
        and were not shown."""
        (begin, end), (first, last), marks = stretch, runs, (HEAD_BEGINS, TAIL_BEGINS)
        known = {number for _, number in rows}
        inside = [role for role in (0, 1) if begin <= first[role] < end and marks[role] not in known]
        outer_first = sorted(inside, key=lambda role: (first[role], -last[role]))
        replaced = self.settings.arguments == "replaced"
        hidden = {k for role in inside for k in range(first[role], last[role] + 1)} if replaced else set()
        for piece in range(begin, end):
            for role in (role for role in outer_first if first[role] == piece):
                rows += zip(shown[role][0], chain([marks[role]], repeat(-1)), strict=False)
            if piece not in hidden:
                rows.append((int(pieces.ids[piece]), piece if pieces.starts[piece] < pieces.ends[piece] else -1))
            for role in (role for role in reversed(outer_first) if min(last[role], end - 1) == piece):
                rows += [(id, -1) for id in shown[role][1]]

    def _shown(self, label: str, role: int) -> tuple[list[int], list[int]]:
        """Pieces before and after an argument of this type in this role."""
        key = (label, role)
        if key not in self._pieces_of:
            self._pieces_of[key] = self._spelled(label, role)
        return self._pieces_of[key]

    @cached_property
    def _pieces_of(self) -> dict[tuple[str, int], tuple[list[int], list[int]]]:
        return {}

    def _spelled(self, label: str, role: int) -> tuple[list[int], list[int]]:
        words = " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", label)).lower() or label
        if self.settings.arguments == "replaced":
            return self._ids(f"{('subject', 'object')[role]} {words}"), []
        before, after = _ROLES[role]
        return self._ids(before.format(words)), self._ids(after)

    def _ids(self, text: str) -> list[int]:
        ids: IntArray = self.tokenizer.ids_and_words(text)[0]
        return ids[:_LONGEST_MARK].tolist() or [self.tokenizer.ids["unk"]]


def _nearest(spans: Sequence[Span], may: Callable[[Span, Span], bool], most: int) -> list[Pair]:
    """Those pairs that may be related whose arguments begin nearest to each other, ties by place.

    In memory of O(len(spans) + most): no list of all pairs is made.
    """
    spans = sorted(spans, key=lambda span: span.start)
    waiting = [(after.start - before.start, k, k + 1) for k, (before, after) in enumerate(pairwise(spans))]
    heapq.heapify(waiting)
    found: list[Pair] = []
    while waiting and len(found) < most:
        _, k, other = waiting[0]
        a, b = spans[k], spans[other]
        found += [pair for pair in ((a, b), (b, a)) if may(*pair)]
        if other + 1 < len(spans):
            heapq.heapreplace(waiting, (spans[other + 1].start - a.start, k, other + 1))
        else:
            heapq.heappop(waiting)
    return found[:most]


def _stretches(first: Sequence[int], last: Sequence[int], total: int, room: int) -> list[tuple[int, int]]:
    """Pieces [begin, end) to read: one stretch around both arguments, or where that is too long one around each."""
    low, high = min(first), max(last) + 1
    if high - low <= room:
        begin = max(0, min(low - (room - (high - low)) // 2, total - room))
        return [(begin, min(total, begin + room))]
    half = (room - 1) // 2
    found = []
    for role in sorted((0, 1), key=lambda role: first[role]):
        width = min(last[role] + 1 - first[role], half)
        begin = max(0, min(first[role] - (half - width) // 2, total - half))
        found.append((begin, min(total, begin + half)))
    return found  # they may overlap; an argument is shown where it comes first
