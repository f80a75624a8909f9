"""Documents of any length through windows, packed batches, heads, decoding, calibration and threshold, in this order.

Works on chunks of the stream, so memory does not grow with the number of documents. Inside a chunk the windows of
all documents are packed together, longest first; windows that several tasks share are encoded once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..calibration.curve import sigmoid
from ..calibration.decision import Decision
from ..decoding.clusters import components
from ..documents import Answers, Cluster, Decoded, Document, Link, Question, Relation, Span
from ..packing import lay_out, longest_first
from ..tasks.task import Task
from ..tokenization import Pieces, Tokenizer
from ..windows import Table, Window, concatenate, coverage
from .backend import Backend

Told = TypeVar("Told", Span, Relation)
CHUNK_CHARACTERS = 400_000
CHUNK_DOCUMENTS = 1_000
POOL_POSITIONS = 200_000
"""Positions of windows that are held at a time."""


@dataclass(frozen=True)
class Predictor:
    """Everything that turns documents into predictions, fixed for a run."""

    tokenizer: Tokenizer
    tasks: Mapping[str, Task]
    backend: Backend
    decisions: Mapping[str, Decision]
    label_thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Per task, those of some labels, in the place of the task's."""
    given_spans: bool = False
    """Whether the spans that documents have are taken as they are, and only what relates them is looked for."""

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Predictions in the order of the documents, which stream in."""
        for reading, decoded in self.decoded(documents):
            yield self.probable(reading, decoded)

    def decoded(self, documents: Iterable[Document]) -> Iterator[tuple[Reading, Mapping[str, Decoded]]]:
        """What each task finds in each document, whatever its probability."""
        first = {name: task for name, task in self.tasks.items() if not task.reads_spans}
        then = {name: task for name, task in self.tasks.items() if task.reads_spans}
        for chunk in chunks(documents):
            readings = self._read(chunk, first or then)
            found = [self._decode(reading, first or then) for reading in readings]
            if first and then:
                with_spans = [
                    reading.document if reading.document.spans else self.probable(reading, decoded)
                    for reading, decoded in zip(readings, found, strict=True)
                ]
                for number, again in enumerate(self._read(with_spans, then)):
                    found[number] |= self._decode(again, then)
            yield from zip(readings, found, strict=True)

    def _read(self, documents: Sequence[Document], tasks: Mapping[str, Task]) -> list[Reading]:
        floors = {name: task.floor for name, task in tasks.items()}
        return read_chunk(documents, self.tokenizer, tasks, self.backend, floors, given_spans=self.given_spans)

    def _decode(self, reading: Reading, tasks: Mapping[str, Task]) -> dict[str, Decoded]:
        given = self.given_spans and bool(reading.document.spans)
        found = {
            name: task.decode(reading.document, reading.pieces, reading.tables[name]) for name, task in tasks.items()
        }
        return {name: replace(each, given=True) for name, each in found.items()} if given else found

    def probable(self, reading: Reading, decoded: Mapping[str, Decoded]) -> Document:
        """The document with what is probable enough; of what several tasks find, the more probable.

        Spans that it had stay where a task reads spans, or none finds any.
        """
        document, tasks = reading.document, self.tasks.values()
        keeps = any(task.reads_spans for task in tasks) or not any("spans" in task.tells for task in tasks)
        given = document.spans if keeps or self.given_spans else ()
        spans: list[Span] = []
        relations: list[Relation] = []
        clusters: list[Cluster] = []
        questions = tuple(Question(each.id, each.text) for each in document.questions)  # what is gold is no finding
        for name in decoded:
            own = self.decisions[name]
            decision = (decoded[name].given and own.given) or own
            judge = _Judge(decision, self.label_thresholds.get(name, {}))
            spans.extend(_above(decoded[name], judge))
            relations.extend(_related(decoded[name], judge))
            clusters.extend(_linked(decoded[name], judge))
            if decoded[name].answers:
                pairs = zip(questions, decoded[name].answers, strict=True)
                questions = tuple(_answered(question, answers, judge) for question, answers in pairs)
        if len(decoded) > 1:
            spans = _once(spans)
        return replace(
            document,
            spans=given or tuple(spans),
            relations=tuple(_once(list(_of_spans(relations, given or spans)))),
            clusters=tuple(clusters),
            questions=questions,
            annotated=None,
            coverage=coverage(document.text, reading.pieces, reading.read, reading.windows, self.tokenizer.ids["unk"]),
        )


@dataclass(slots=True)
class Reading:
    """A document with what the encoder and the heads made of it."""

    document: Document
    pieces: Pieces
    windows: int = 0
    """How many were read."""
    read: npt.NDArray[np.bool_] = field(init=False)
    """T, whether a piece stood in any of them."""
    tables: dict[str, Table] = field(default_factory=dict)
    """Per task, the rows of all its windows; no columns where there is no window."""

    def __post_init__(self) -> None:
        self.read = np.zeros(len(self.pieces), dtype=bool)

    def note(self, window: Window) -> None:
        """That it is read: one stretch of text, two, or none where a pair's arguments were all of it."""
        real = window.pieces[window.pieces >= 0]
        self.windows += bool(len(real))
        self.read[real] = True


def in_one_pass(tasks: Mapping[str, Task]) -> list[str]:
    """Those that find spans and what relates them at once, so that spans can be given in the place of found ones."""
    return [name for name, task in tasks.items() if "relations" in task.tells and not task.reads_spans]


def chunks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """The stream in pieces of bounded size; a document larger than a chunk is one by itself."""
    chunk: list[Document] = []
    characters = 0
    for document in documents:
        if chunk and (len(chunk) == CHUNK_DOCUMENTS or characters + len(document.text) > CHUNK_CHARACTERS):
            yield chunk
            chunk, characters = [], 0
        chunk.append(document)
        characters += len(document.text)
    if chunk:
        yield chunk


class _Pool:
    """Distinct windows, whose they are and which tasks read them."""

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self.owner: list[int] = []
        self.readers: list[tuple[str, ...]] = []
        self.positions = 0

    def add(self, window: Window, number: int, name: str) -> None:
        """A window of document `number` that a task wants."""
        self.windows.append(window)
        self.owner.append(number)
        self.readers.append((name,))
        self.positions += len(window.ids)

    def share(self, place: int, window: Window, name: str) -> None:
        """One that is there already, for another task."""
        self.readers[place] += (name,)
        if window.given is not None:  # which other tasks do not look at
            self.windows[place] = window


def _pools(readings: Sequence[Reading], tasks: Mapping[str, Task], *, given_spans: bool) -> Iterator[_Pool]:
    """The windows that the tasks want of a chunk, those that several want once, in pools of bounded size.

    With one task a pool may end inside a document, so that many questions on a long one take no more memory than few.
    """
    pool = _Pool()
    for number, reading in enumerate(readings):
        known: dict[tuple[int, bytes, int, int], int] = {}
        for name, task in tasks.items():
            seen = reading.document if given_spans else task.visible(reading.document)
            for example in task.examples(seen, reading.pieces, None):
                for window in example.windows:
                    if len(tasks) > 1:
                        key = (window.unit, window.ids.tobytes(), window.low, window.high)
                        if key in known:
                            pool.share(known[key], window, name)
                            continue
                        known[key] = len(pool.windows)
                    elif pool.positions > POOL_POSITIONS:
                        yield pool
                        pool = _Pool()
                    pool.add(window, number, name)
                    reading.note(window)
        if pool.positions > POOL_POSITIONS:
            yield pool
            pool = _Pool()
    if pool.windows:
        yield pool


def read_chunk(
    chunk: Sequence[Document],
    tokenizer: Tokenizer,
    tasks: Mapping[str, Task],
    backend: Backend,
    floors: Mapping[str, float],
    *,
    given_spans: bool = False,
) -> list[Reading]:
    """Encode a chunk and give every document the rows of its windows, per task."""
    pieces = tokenizer.pieces([document.text for document in chunk])
    readings = [Reading(document, found) for document, found in zip(chunk, pieces, strict=True)]
    parts: list[dict[str, list[Table]]] = [{name: [] for name in tasks} for _ in readings]
    for pool in _pools(readings, tasks, given_spans=given_spans):
        for name, tables in _read_pool(pool, tasks, backend, floors).items():
            for number, table in _by_owner(tables, np.array(pool.owner)):
                parts[number][name].append(table)
    for reading, tables_of in zip(readings, parts, strict=True):
        reading.tables = {name: concatenate(tables) for name, tables in tables_of.items()}
    return readings


def _read_pool(
    pool: _Pool, tasks: Mapping[str, Task], backend: Backend, floors: Mapping[str, float]
) -> dict[str, list[Table]]:
    """The rows of all its windows, per task, in no order."""
    rows: dict[str, list[Table]] = {name: [] for name in tasks}
    for names in sorted(set(pool.readers)):
        mine = [k for k, readers in enumerate(pool.readers) if readers == names]
        groups = [(pool.windows[k],) for k in mine]
        for members in longest_first(groups, backend.room):
            batch = lay_out(groups, members)
            number_of = np.array(mine)[batch.members[batch.groups]]
            for name, table in backend.run(batch, {name: floors[name] for name in names}).items():
                rows[name].append({**table, "window": number_of[table["window"]]})
    return rows


def _by_owner(
    tables: Sequence[Table], owner: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Iterator[tuple[int, Table]]:
    """The rows of each document, its windows in their order, rows in the order the head gave them."""
    if not tables:
        return
    joined = concatenate(tables)
    order = np.argsort(joined["window"], kind="stable")
    owners = owner[joined["window"][order]]
    edges = np.flatnonzero(np.diff(owners, prepend=-1))
    for begin, end in pairwise(np.append(edges, len(owners))):
        yield int(owners[begin]), {name: column[order[begin:end]] for name, column in joined.items()}


@dataclass(frozen=True, slots=True)
class _Judge:
    """What makes probabilities of a task's logits, and which of them are enough."""

    decision: Decision
    by_label: Mapping[str, float]
    """Thresholds of some labels, in the place of the task's."""

    def scores(self, logits: Sequence[float], labels: Sequence[str], quiet: float | None = None) -> list[float]:
        """Their probabilities; quiet: the logit of nothing against them."""
        return self.decision.calibration.probabilities(logits, labels, quiet).tolist()  # type: ignore[no-any-return]

    def keeps(self, label: str, score: float) -> bool:
        """Whether it is probable enough."""
        return score >= self.by_label.get(label, self.decision.threshold)


def _above(decoded: Decoded, judge: _Judge) -> Iterator[Span]:
    """What is probable enough, in the order of the text."""
    found = decoded.spans
    scores = judge.scores([each.logit for each in found], [each.label for each in found])
    for each, score in zip(found, scores, strict=True):
        if judge.keeps(each.label, score):
            yield Span(each.start, each.end, each.label, score)


def _related(decoded: Decoded, judge: _Judge) -> Iterator[Relation]:
    """The relations that are probable enough."""
    found = decoded.relations
    names = [each.key or each.label for each in found]
    scores = judge.scores([each.logit for each in found], names)
    for each, name, score in zip(found, names, scores, strict=True):
        if judge.keeps(name, score):
            yield Relation(each.head, each.tail, each.label, score)


def _linked(decoded: Decoded, judge: _Judge) -> Iterator[Cluster]:
    """What remains connected by links that are probable enough, its spans in the order of the text."""
    mentions, links = decoded.mentions, decoded.links
    sure = sigmoid(np.array([each.logit for each in mentions])).tolist()
    labels = [mentions[link.later].label for link in links]
    scores = judge.scores([link.logit for link in links], labels)
    kept = [
        (link, score) for link, label, score in zip(links, labels, scores, strict=True) if judge.keeps(label, score)
    ]
    by_later = {link.later: (link.earlier, score) for link, score in kept}
    for members in components(len(mentions), [(link.later, link.earlier) for link, _ in kept]):
        if len(members) == 1 and not decoded.singletons:
            continue
        place = {member: number for number, member in enumerate(members)}
        spans = tuple(Span(mentions[k].start, mentions[k].end, mentions[k].label, sure[k]) for k in members)
        own = tuple(Link(place[k], place[by_later[k][0]], by_later[k][1]) for k in members if k in by_later)
        yield Cluster(spans, own, min((link.score or 0.0 for link in own), default=None))


def _once(found: list[Told]) -> list[Told]:
    """Each once, whatever its scores were: with the greatest, at its first place."""
    best: dict[Told, Told] = {}
    for each in found:
        key = _bare(each)
        if key not in best or (each.score or 0.0) > (best[key].score or 0.0):
            best[key] = each
    return list(best.values())


def _bare(each: Told) -> Told:
    """Without scores."""
    if isinstance(each, Relation):
        return replace(each, head=_bare(each.head), tail=_bare(each.tail), score=None)
    return replace(each, score=None)


def _of_spans(relations: Sequence[Relation], spans: Sequence[Span]) -> Iterator[Relation]:
    """Those whose two arguments are among the spans, with these, which have scores."""
    known = {(span.start, span.end, span.label): span for span in reversed(spans)}  # of equal ones the first
    for relation in relations:
        head, tail = (known.get((each.start, each.end, each.label)) for each in (relation.head, relation.tail))
        if head is not None and tail is not None:
            yield replace(relation, head=head, tail=tail)


def _answered(question: Question, decoded: Answers, judge: _Judge) -> Question:
    """The question with its probable answers, all that were decoded, and how probable it is that it has none.

    Calibration is of the best answer. Whatever it takes from it or gives to it, it gives to or takes from the rest. Of
    that "no answer" has what was fitted for it, or else keeps its share; so do the other candidates, where one at most
    is right.
    """
    found = decoded.candidates
    logits = [each.logit for each in found]
    quiet = decoded.quiet if found and decoded.exclusive else None
    scores = judge.scores(logits, [each.label for each in found], quiet)
    silent = float(sigmoid(np.array(decoded.no_answer)))
    if found:
        rest = max(float(sigmoid(np.array(-logits[0]))), silent, 1e-300)
        wrong = 1.0 - scores[0]
        fitted = None if quiet is None else judge.decision.calibration.silent(wrong, quiet)
        others, silent = rest - silent, wrong * (silent / rest) if fitted is None else fitted
        if decoded.exclusive:
            shares = ((wrong - silent) * sigmoid(np.array(logits[1:])) / max(others, 1e-300)).tolist()
            scores = [scores[0], *(min(scores[0], share) for share in shares)]
    spans = tuple(Span(each.start, each.end, each.label, score) for each, score in zip(found, scores, strict=True))
    answers = tuple(
        span for span, score in list(zip(spans, scores, strict=True))[: decoded.most] if judge.keeps(span.label, score)
    )
    return replace(question, answers=answers, no_answer=silent, n_best=spans)
