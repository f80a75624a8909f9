"""Spans and the relations between them in one pass: what it costs does not grow with the number of pairs.

Every window gives its spans, as in span classification, and the relations of each two of them from the same vectors
(`heads/joint.py`). A pair is read in the one window that has most context around both its spans, so every pair that
lies no further apart than neighbouring windows share is read, in a text of any length; in training the windows learn to
share the longest stretch from one argument to the other.

A relation is told when both its spans are. Its odds are those of all three being right, taken as independent, before
calibration measures what that is worth: a relation of spans that are wrong is wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ..decoding import POLICIES, decode_spans
from ..decoding.resolve import LONGEST, RESOLVERS
from ..documents import Candidate, Decoded, Document, Judged, Relation, RelationCandidate, Span
from ..errors import DataError, UsageError, check_among
from ..metrics.relation_report import joint_report
from ..metrics.report import Report
from ..targets import JointTargets, PairTargets
from ..tokenization import IntArray, Pieces, Tokenizer
from ..windows import GIVEN, Table
from . import gold, related
from .task import Example, Settings, Task

if TYPE_CHECKING:
    from ..encoder.loading import Encoder
    from ..heads.head import Head

RELATION = "relation:"
"""Before the label of a relation, where spans are named too."""


@dataclass(frozen=True, kw_only=True)
class JointSettings(Settings):
    """Settings of joint extraction. `labels` are those of spans, and those of relations after `relation:`, since the
    two may have the same name."""

    types: tuple[str, ...] = ()
    """Types that may be related, as HEAD>TAIL; none given: those of the training data."""
    several: bool | None = None
    """Whether a pair may have several relations; none given: whether one of the training data has."""
    policy: str = "flat"
    """Which spans may stand together: flat, nested or overlapping."""
    resolve: str = LONGEST
    """Which of two training spans stays when the policy forbids both: longest, first or highest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (("policy", POLICIES), ("resolve", tuple(RESOLVERS))):
            check_among(name, getattr(self, name), choices)
        related.check_settings(self.relations, self.types)

    @property
    def spans(self) -> tuple[str, ...]:
        """The labels of spans."""
        return tuple(label for label in self.labels if not label.startswith(RELATION))

    @property
    def relations(self) -> tuple[str, ...]:
        """The labels of relations, as they stand in documents."""
        return tuple(label.removeprefix(RELATION) for label in self.labels if label.startswith(RELATION))


@dataclass(frozen=True)
class JointExtraction(Task):
    """See the top of this file; the contract is `tasks/task.py`."""

    settings: JointSettings
    tokenizer: Tokenizer
    selection = "spans_and_relations/f1"
    tells: ClassVar[tuple[str, ...]] = ("spans", "relations")
    floor = gold.FLOOR

    @property
    def outputs(self) -> tuple[str, ...]:
        """Labels of spans, of relations, and which types may be related."""
        return (*self.settings.labels, *self.settings.types)

    def adapted(self, documents: Sequence[Document], longest_span: int) -> Self:
        """Labels and types of the data, and windows that share its longest related stretch and some context."""
        s = self.settings
        known = [relation for document in documents for relation in related.learnable(document)]
        spans = {span.label for document in documents for span in document.spans}
        labels = s.labels or (*sorted(spans), *sorted({RELATION + relation.label for relation in known}))
        if wrong := [label for label in spans if label.startswith(RELATION)]:
            raise DataError(
                f"label {wrong[0]!r} of spans", f"one that does not begin with {RELATION}", "rename it in the data"
            )
        return replace(
            self,
            settings=replace(
                gold.adapted(replace(s, labels=labels), documents, longest_span),
                types=s.types or tuple(sorted({related.types(relation) for relation in known})),
                several=related.several(documents) if s.several is None else s.several,
            ),
        )

    def annotations(self, document: Document) -> Sequence[Span]:
        """The spans, and of each relation the stretch from one argument to the other."""
        return [*document.spans, *map(_stretch, related.known(document))]

    def examples(self, document: Document, pieces: Pieces, draw: np.random.Generator | None) -> Iterator[Example]:
        """A window each. Losses are divided by its pieces, and by its gold spans. When predicting, the spans that the
        document has are taken as they are.
        """
        targets = None if draw is None else self._targets(document, pieces)
        given = gold.runs(self._known(document), pieces, self.settings.spans) if document.spans else None
        for window in gold.windows(self.settings, self.tokenizer, pieces):
            if targets is None and given is not None:
                window = replace(window, given=given)
            counts = {"spans": float((window.pieces >= 0).sum())}
            if targets is not None:
                first, last = window.bounds
                spans = targets.spans.spans
                counts["relations"] = float(max(1, ((spans[:, 0] >= first) & (spans[:, 1] <= last)).sum()))
            yield Example((window,), targets, counts)

    def unreachable(self, document: Document, pieces: Pieces) -> tuple[tuple[Span, str], ...]:
        """Spans as in span classification; relations between types that may not be related, or too far apart."""
        s = self.settings
        windows = gold.windows(s, self.tokenizer, pieces)
        found = list(gold.unreachable(document, pieces, s.spans, s.policy, s.resolve, windows))
        lost = {span for span, _ in found}
        bounds = [window.bounds for window in windows]
        for relation in related.known(document):
            stretch = related.stretch(relation)
            run = pieces.covering(stretch.start, stretch.end)
            held = run is not None and any(first <= run[0] and run[1] <= last for first, last in bounds)
            if relation.label not in s.relations:
                found.append((stretch, gold.UNKNOWN_LABEL))
            elif (
                not held
                or relation.head == relation.tail
                or {relation.head, relation.tail} & lost
                or related.types(relation) not in s.types
            ):
                found.append((stretch, gold.NO_PAIR))
        return tuple(dict.fromkeys(found))

    def head(self, encoder: Encoder) -> Head:
        """Spans and pairs."""
        from ..heads.joint import JointHead

        if not self.settings.relations or not self.settings.spans:
            raise UsageError(
                f"labels {', '.join(self.settings.labels)}",
                f"labels of spans, and of relations as {RELATION}LABEL",
                "train on data with relations and leave --labels out; without relations, use span-classification",
            )
        return JointHead(encoder.width, self._allowed(), len(self.settings.relations))

    def candidates(self, document: Document, pieces: Pieces, table: Table) -> tuple[Candidate, ...]:  # noqa: ARG002
        """The rows of spans."""
        return gold.candidates(self.settings.spans, pieces, gold.distinct(pieces, _rows(table, pairs=False)))

    def decode(self, document: Document, pieces: Pieces, table: Table) -> Decoded:
        """The best set of spans under the policy, what fits beside it, and the relations between these."""
        spans = gold.distinct(pieces, _rows(table, pairs=False))
        if not spans:
            return Decoded()
        if (spans["logit"] == GIVEN).any():  # then all are
            given: dict[tuple[int, ...], list[Candidate]] = {}  # several of a run, where borders lie inside a piece
            for span in self._known(document):
                for run in gold.runs([span], pieces, self.settings.spans).tolist():
                    given.setdefault(tuple(run), []).append(Candidate(span.start, span.end, span.label, GIVEN))
            return Decoded(tuple(chain(*given.values())), relations=tuple(self._related(given, table)))
        columns = pieces.starts[spans["first"]], pieces.ends[spans["last"]], spans["label"], spans["logit"]
        chosen = decode_spans(self.settings.policy, *columns, floor=gold.FLOOR, room=gold.room(pieces))
        spans = {name: column[chosen] for name, column in spans.items()}
        found = gold.candidates(self.settings.spans, pieces, spans)
        runs = zip(spans["first"].tolist(), spans["last"].tolist(), spans["label"].tolist(), strict=True)
        places: dict[tuple[int, ...], list[Candidate]] = {run: [span] for run, span in zip(runs, found, strict=True)}
        return Decoded(found, relations=tuple(self._related(places, table)))

    def judged(self, document: Document, decoded: Decoded) -> Judged:
        """A span is right when boundaries and label are, a relation when both its spans and its label are. Spans that
        were given are not judged.
        """
        right = {_key(relation) for relation in related.wanted(document)}
        found = [each for each in decoded.relations if document.looked_for(each.label)]
        spans = Judged((), (), (), {}) if decoded.given else gold.judged(document, decoded)
        return Judged(
            labels=(*spans.labels, *(RELATION + each.label for each in found)),
            logits=(*spans.logits, *(each.logit for each in found)),
            right=(*spans.right, *(_key(each) in right for each in found)),
            gold=Counter(spans.gold) + Counter(RELATION + key[-1] for key in right),
        )

    def report(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
        """Strict relations; the spans beside them."""
        return joint_report(gold, predicted)

    def _related(
        self, spans: Mapping[tuple[int, ...], Sequence[Candidate]], table: Table
    ) -> Iterator[RelationCandidate]:
        """Of each pair of these spans its best label, or all where it may have several."""
        rows = _rows(table, pairs=True)
        if not rows:
            return
        relations = self.settings.relations
        heads, tails = (
            zip(*(rows[prefix + name].tolist() for name in ("first", "last", "label")), strict=True)
            for prefix in ("", "tail_")
        )
        for head, tail, odds in zip(heads, tails, np.nan_to_num(rows["odds"], nan=-np.inf), strict=True):
            for ends in product(spans.get(head, ()), spans.get(tail, ())):
                one, other = (Span(end.start, end.end, end.label) for end in ends)
                for label in range(len(odds)) if self.settings.several else [int(odds.argmax())]:
                    if odds[label] > related.FLOOR:
                        z = _of_all(*(end.logit for end in ends), float(odds[label]))
                        yield RelationCandidate(one, other, relations[label], z, RELATION + relations[label])

    def _known(self, document: Document) -> list[Span]:
        """Its spans of labels that are known here; of those that differ in their parts alone the first."""
        known = {(s.start, s.end, s.label): s for s in reversed(document.spans) if s.label in self.settings.spans}
        return list(reversed(known.values()))

    def _targets(self, document: Document, pieces: Pieces) -> JointTargets:
        s = self.settings
        spans = gold.teachable(document, s.spans, s.policy, s.resolve)
        # of all spans, taught or not: one that is found all the same must not teach that it has no relation
        listed = [span for span in dict.fromkeys(document.spans) if span.label in s.spans]
        runs = {span: row for span in listed for row in gold.runs([span], pieces, s.spans).tolist()}
        pairs = [
            (*runs[r.head], *runs[r.tail], s.relations.index(r.label))
            for r in related.wanted(document)
            if r.head in runs and r.tail in runs and r.label in s.relations
        ]
        rows: IntArray = np.array(sorted(set(pairs)), dtype=np.int64).reshape(-1, 7)
        found = PairTargets(gold.runs(spans, pieces, s.spans), gold.taught(document, s.spans))
        return JointTargets(found, rows, gold.taught(document, s.relations))

    def _allowed(self) -> npt.NDArray[np.bool_]:
        """S x S: which labels of spans may be head and tail."""
        number = {label: k for k, label in enumerate(self.settings.spans)}
        allowed = np.zeros((len(number), len(number)), dtype=np.bool_)
        for pair in self.settings.types:
            head, _, tail = pair.partition(">")
            if head not in number or tail not in number:
                raise UsageError(f"types {pair!r}", f"labels of spans: {', '.join(number)}", "correct the name")
            allowed[number[head], number[tail]] = True
        return allowed


def _stretch(relation: Relation) -> Span:
    """Under the name of its label in the settings."""
    stretch = related.stretch(relation)
    return replace(stretch, label=RELATION + stretch.label)


def _key(relation: Relation | RelationCandidate) -> tuple[int, int, str, int, int, str, str]:
    head, tail = relation.head, relation.tail
    return (head.start, head.end, head.label, tail.start, tail.end, tail.label, relation.label)


def _rows(table: Table, *, pairs: bool) -> Table:
    """Those of pairs, or those of spans; no columns where there are none."""
    if not table:
        return {}
    mine = (table["tail_first"] >= 0) == pairs
    return {name: column[mine] for name, column in table.items()} if mine.any() else {}


def _of_all(*logits: float) -> float:
    """Log-odds that all of independent things hold: of the product of their probabilities."""
    log_all = -float(np.logaddexp(0.0, [-logit for logit in logits]).sum())
    return log_all - float(np.log(-np.expm1(min(log_all, -1e-12))))
