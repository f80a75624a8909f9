"""The data model: text with annotations, and what a model predicts about it.

Offsets are Unicode code points of `Document.text`, end exclusive: `text[start:end]` is the span's text.
Objects are frozen and checked when they are made, so whoever holds one need not check it again; readers repair
what can be repaired first (`formats/repair.py`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import NoneType

from .errors import DataError, UsageError, at

ANSWER = "answer"
"""Label of the spans that answer a question."""
MENTION = "mention"
"""Label of the spans of clusters."""
JSON = object  # what `json.loads` gives; documents carry it in `meta` without reading it
_LABEL = re.compile(r"[^\s\x00-\x1f\x7f\ud800-\udfff]{1,100}")


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is a `label`; `score` is the probability that this labelled span is right."""

    start: int
    end: int
    label: str = "span"
    score: float | None = None
    parts: tuple[tuple[int, int], ...] = ()
    """A discontinuous span: its parts, of which [start, end) is the hull. Empty: one piece."""

    def __post_init__(self) -> None:
        if type(self.start) is not int or type(self.end) is not int:
            _make_ours(self, "start", "end")
        if type(self.start) is not int or type(self.end) is not int or not 0 <= self.start < self.end:
            raise DataError(
                f"span [{self.start!r}, {self.end!r}) is not a range of characters",
                "whole numbers with 0 <= start < end",
                "offsets are code points, end exclusive: check the tool that wrote them",
            )
        where = f"of span [{self.start}, {self.end})"
        check_label(self.label, where)
        _check_score(self.score, where)
        if type(self.score) not in (float, int, NoneType):
            object.__setattr__(self, "score", float(self.score))  # type: ignore[arg-type]
        if self.parts:
            edges = _edges(self.parts)
            object.__setattr__(self, "parts", tuple(zip(edges[::2], edges[1::2], strict=False)))
            if not edges or (edges[0], edges[-1]) != (self.start, self.end) or edges != sorted(set(edges)):
                raise DataError(
                    f"parts {self.parts} {where}",
                    "parts in the order of the text that begin and end where the span does",
                    "leave the parts out for a span in one piece",
                )


@dataclass(frozen=True, slots=True)
class Relation:
    """A directed, labelled link from `head` to `tail`, both among the document's spans."""

    head: Span
    tail: Span
    label: str
    score: float | None = None

    def __post_init__(self) -> None:
        check_label(self.label, "of a relation")
        _check_score(self.score, "of a relation")


@dataclass(frozen=True, slots=True)
class Link:
    """Two spans of a cluster (indices into its spans) that name the same thing."""

    head: int
    tail: int
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """Spans that name the same thing; a cluster owns its spans, they need not be among the document's."""

    spans: tuple[Span, ...]
    links: tuple[Link, ...] = ()
    score: float | None = None

    def __post_init__(self) -> None:
        _hold(self, spans=Span, links=Link)
        _check_score(self.score, "of a cluster")
        for link in self.links:
            if not (0 <= link.head < len(self.spans) and 0 <= link.tail < len(self.spans)):
                raise DataError(
                    f"a link from {link.head} to {link.tail} in a cluster of {len(self.spans)}",
                    "the indices of two of its spans",
                    "count from 0",
                )


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the document. `answers`: () = it has none, None = nobody has said."""

    id: str
    text: str
    answers: tuple[Span, ...] | None = None
    no_answer: float | None = None
    """The probability that the text does not answer it."""
    n_best: tuple[Span, ...] = ()
    """Predicted: the most probable answers, however improbable; no two of them overlap."""
    texts: tuple[str, ...] = ()
    """Right answers as somebody wrote them, which need not stand in the text."""

    def __post_init__(self) -> None:
        _check_id(self.id, "a question")
        check_text(self.text)
        _hold(self, answers=Span, n_best=Span, texts=str)
        _check_score(self.no_answer, f"of question {self.id!r}")

    @property
    def judged(self) -> bool:
        """Whether somebody has said what answers it, or that nothing does."""
        return self.answers is not None or bool(self.texts)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a document was read: distinct characters of text, and in how many windows."""

    characters_read: int
    characters: int
    windows: int
    unread: tuple[tuple[int, int], ...] = ()
    """Stretches [start, end) of text that stood in no window."""
    unknown: int = 0
    """Characters that the vocabulary does not know: a word of them is one piece, inside of which no span has an end."""

    @property
    def complete(self) -> bool:
        return self.characters_read == self.characters


@dataclass(frozen=True, slots=True)
class Document:
    """Text plus annotations. `annotated`: the labels that were looked for in it, None = all."""

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    relations: tuple[Relation, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    questions: tuple[Question, ...] = ()
    annotated: frozenset[str] | None = None
    coverage: Coverage | None = None
    meta: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_id(self.id, "a document")
        with at(document=self.id):
            check_text(self.text)
            _hold(self, spans=Span, relations=Relation, clusters=Cluster, questions=Question, annotated=str)
            if not isinstance(self.meta, Mapping):
                raise DataError(f"meta that is {type(self.meta).__name__}", "a mapping", "leave it out")
            answers = [span for question in self.questions for span in (*(question.answers or ()), *question.n_best)]
            members = [span for cluster in self.clusters for span in cluster.spans]
            for span in (*self.spans, *answers, *members):
                if span.end > len(self.text):
                    raise DataError(
                        f"span [{span.start}, {span.end}) ends after the text ({len(self.text)} characters)",
                        "offsets in Unicode code points of this very text, end exclusive",
                        "check whether the offsets are UTF-8 bytes, UTF-16 units or belong to another text",
                    )
            if self.relations:
                known = set(self.spans)
                for relation in self.relations:
                    if relation.head not in known or relation.tail not in known:
                        raise DataError(
                            f"relation {relation.label!r} has an argument that is not among the document's spans",
                            "head and tail are two of `spans`",
                            "add the argument to `spans`",
                        )

    def __hash__(self) -> int:
        return hash((self.id, self.text, self.spans))

    @property
    def unannotated(self) -> bool:
        """Whether nobody has looked at it: it says so, or has nothing and names no labels that were looked for."""
        return not self.annotated if self.annotated is not None else not (self.spans or self.relations or self.clusters)

    def looked_for(self, label: str) -> bool:
        """Whether what carries this label was looked for in it, so that its absence says that there is none."""
        return self.annotated is None or label in self.annotated


@dataclass(frozen=True, slots=True)
class Candidate:
    """A labelled span with its raw log-odds, before calibration makes a probability of it."""

    start: int
    end: int
    label: str
    logit: float


@dataclass(frozen=True, slots=True)
class RelationCandidate:
    """A relation between two spans with its raw log-odds."""

    head: Span
    tail: Span
    label: str
    logit: float
    key: str | None = None
    """The name under which its probability is learnt, where spans may have the same label."""


@dataclass(frozen=True, slots=True)
class LinkCandidate:
    """A mention goes back to an earlier one (indices into `Decoded.mentions`), with raw log-odds."""

    later: int
    earlier: int
    logit: float


def _log_p(logit: float) -> float:
    """The logarithm of a probability, from its log-odds."""
    return -math.log1p(math.exp(-logit)) if logit > 0 else logit - math.log1p(math.exp(logit))


@dataclass(frozen=True, slots=True)
class Answers:
    """What was decoded for one question."""

    candidates: tuple[Candidate, ...]
    """The most probable first; no two of them overlap."""
    no_answer: float
    """Log-odds that the text does not answer it."""
    most: int
    """How many of the candidates may be its answers at once."""
    exclusive: bool = False
    """Whether one of the candidates at most is right, so that they and "no answer" share one probability."""

    @property
    def quiet(self) -> float:
        """The logit of no answer against the best candidate alone: how much text there is makes no difference to it."""
        return _log_p(self.no_answer) - _log_p(self.candidates[0].logit)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a task read off the scores of one document, still with raw logits."""

    spans: tuple[Candidate, ...] = ()
    answers: tuple[Answers, ...] = ()
    """One for each question of the document."""
    relations: tuple[RelationCandidate, ...] = ()
    mentions: tuple[Candidate, ...] = ()
    """In the order of the text."""
    links: tuple[LinkCandidate, ...] = ()
    singletons: bool = False
    """Whether a mention without any link is a cluster of its own."""
    given: bool = False
    """Whether the spans were given, and only what relates them was looked for."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was decoded in a gold document, and whether it is right: equal to a gold item of its kind."""

    labels: tuple[str, ...]
    logits: tuple[float, ...]
    right: tuple[bool, ...]
    gold: Mapping[str, int] = field(default_factory=dict)
    """Gold items by label."""
    silence: tuple[bool, ...] = ()
    """Where saying nothing can be right too: whether it would be, in the place of each."""
    quiet: tuple[float, ...] = ()
    """The logit of that against each."""


def _make_ours(owner: object, *names: str) -> None:
    """Whole numbers of other libraries become ints; what is none stays."""
    for name in names:
        value = getattr(owner, name)
        if hasattr(value, "__index__") and not isinstance(value, bool):
            object.__setattr__(owner, name, int(value))


def _hold(owner: object, **kinds: type) -> None:
    """Make each of these fields a tuple (`annotated` a set) of values of its kind. Raises DataError."""
    for name, kind in kinds.items():
        given = getattr(owner, name)
        if given is None and name in ("annotated", "answers"):
            continue
        listed = isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping)
        items = tuple(given) if listed else (given,)
        if not listed or not all(isinstance(each, kind) for each in items):
            raise DataError(f"{name} = {given!r:.80}", f"a list of {kind.__name__}", "make a list of them")
        object.__setattr__(owner, name, frozenset(items) if name == "annotated" else items)


def _edges(parts: object) -> list[int]:
    """Of pairs, one after the other; none where they are no pairs."""
    try:
        return [int(edge) for first, last in parts for edge in (first, last)]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return []


def _check_id(value: object, of: str) -> None:
    if value == "":
        raise DataError(f"{of} with an empty id", "an id of its own for each", "number them, for example")
    if not isinstance(value, str):
        raise DataError(f"id {value!r} of {of}", "a string", f"write {str(value)!r:.40}")
    check_text(value)


def only_documents(given: Iterable[Document]) -> Iterator[Document]:
    """These documents. Raises UsageError for one document alone, for text, and for anything else among them."""
    if isinstance(given, str | bytes | Mapping | Document) or not isinstance(given, Iterable):
        raise UsageError(
            f"a {type(given).__name__}", "a list or stream of documents", "read_documents(path) reads them from files"
        )
    return map(_document, given)


def _document(each: object) -> Document:
    if not isinstance(each, Document):
        raise UsageError(
            f"a {type(each).__name__} among documents", "documents alone", "Document(id, text) makes one of a text"
        )
    return each


def check_label(label: object, where: str) -> None:
    if not isinstance(label, str) or _LABEL.fullmatch(label) is None:
        raise DataError(
            f"label {label!r} {where}",
            "1 to 100 characters without white space or control characters",
            "rename the label, for example with '_' for a space",
        )


def _check_score(score: object, where: str) -> None:
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not 0.0 <= score <= 1.0):
        raise DataError(
            f"score {score!r} {where}", "a probability between 0 and 1", "leave the score out where there is none"
        )


def check_text(text: str) -> None:
    """Refuse text that cannot be written as UTF-8 (lone surrogates); everything else is kept as it is."""
    if not isinstance(text, str):
        raise DataError(f"text that is {type(text).__name__}", "a string", "read or convert it first")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"half a surrogate pair (U+{ord(text[error.start]):04X}) at character {error.start}",
            "text in whole Unicode characters",
            "repair the export that split the character, or replace it with U+FFFD",
        ) from None
