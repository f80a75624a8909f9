"""What tasks that find labelled spans share: windows, what gold spans teach, and which of them are out of reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..decoding.resolve import resolve
from ..documents import Candidate, Decoded, Document, Judged, Span
from ..tokenization import IntArray, Pieces, Tokenizer
from ..windows import Table, Window, cut
from .task import Settings

S = TypeVar("S", bound=Settings)

ARG_MAX = "arg-max"
FLOOR = -6.0  # log-odds below which a pair of pieces is not worth keeping: a probability of 0.25 %
FILL_PER_100_PIECES = 10  # improbable spans that may stand in the room left by the probable ones; in short texts too

INSIDE_PIECE = "a border inside a piece"
NO_PIECE = "no piece of text"
NO_WINDOW = "longer than a window"
POLICY = "in conflict with another gold span under this policy (span classification with --policy nested may keep both)"
UNKNOWN_LABEL = "a label this model does not have"
IN_PARTS = "in several parts"
TOO_LONG = "longer than the longest answer"
NO_QUESTION = "the question has no word that could be read"
NO_PAIR = "a pair that no window holds, of other types, or with an argument that cannot be found"


def adapted(settings: S, documents: Sequence[Document], longest_span: int) -> S:
    """The settings with the labels of the data, and windows that share its longest span and some context."""
    labels = settings.labels or tuple(sorted({span.label for document in documents for span in document.spans}))
    overlap = min(longest_span + 32, settings.window // 2) if settings.overlap is None else settings.overlap
    return replace(settings, labels=labels, overlap=overlap)


def windows(settings: Settings, tokenizer: Tokenizer, pieces: Pieces) -> list[Window]:
    """The windows of a document; before there was training data to learn the overlap from, it is half a window."""
    overlap = settings.window // 2 if settings.overlap is None else settings.overlap
    return cut(pieces, settings.window, overlap, tokenizer.frame)


def teachable(document: Document, labels: Sequence[str], policy: str, how: str) -> tuple[Span, ...]:
    """The gold spans to learn from: of known labels that were looked for, and together legal under the policy."""
    known = [span for span in document.spans if span.label in labels and document.looked_for(span.label)]
    return _resolved(policy, known, how)[0]


def runs(spans: Sequence[Span], pieces: Pieces, labels: Sequence[str]) -> IntArray:
    """S x 3: first piece, last piece, label. A border inside a piece is moved out to the piece's own."""
    rows = [
        (*run, labels.index(span.label)) for span in spans if (run := pieces.covering(span.start, span.end)) is not None
    ]
    return np.array(sorted(set(rows)), dtype=np.int64).reshape(-1, 3)


def taught(document: Document, labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """C: which labels were looked for in this document; the absence of the others says nothing."""
    return np.array([document.looked_for(label) for label in labels], dtype=bool)


def judged(document: Document, decoded: Decoded) -> Judged:
    """Spans are right when start, end and label are; discontinuous ones are missed."""
    gold = {(s.start, s.end, s.label, s.parts) for s in document.spans if document.looked_for(s.label)}
    found = [candidate for candidate in decoded.spans if document.looked_for(candidate.label)]
    return Judged(
        labels=tuple(candidate.label for candidate in found),
        logits=tuple(candidate.logit for candidate in found),
        right=tuple((candidate.start, candidate.end, candidate.label, ()) in gold for candidate in found),
        gold=Counter(label for _, _, label, _ in gold),
    )


def distinct(pieces: Pieces, table: Table) -> Table:
    """The rows that can be told apart in the text: several pieces may stand for the same characters (a Hangul syllable
    in an uncased vocabulary is three), and then a span begins with the first and ends with the last of them. Pieces of
    white space alone, which cover no characters, are not among them."""
    if not table:
        return table
    first, last = table["first"], table["last"]
    seen = np.flatnonzero(pieces.visible)
    begins, ends = np.zeros((2, len(pieces)), dtype=bool)
    begins[seen] = np.diff(pieces.starts[seen], prepend=-1) > 0
    ends[seen] = np.diff(pieces.ends[seen], append=pieces.ends[-1] + 1) > 0
    kept = begins[first] & ends[last]
    return {name: column[kept] for name, column in table.items()} if kept.any() else {}


def room(pieces: Pieces) -> int:
    """How many improbable spans may stand beside the probable ones of a document."""
    return FILL_PER_100_PIECES * max(len(pieces), 100) // 100


def candidates(labels: Sequence[str], pieces: Pieces, table: Table) -> tuple[Candidate, ...]:
    """Rows of pairs of pieces as characters of the text."""
    if not table:
        return ()
    starts, ends = pieces.starts[table["first"]].tolist(), pieces.ends[table["last"]].tolist()
    names = [labels[label] for label in table["label"].tolist()]
    return tuple(map(Candidate, starts, ends, names, table["logit"].tolist()))


def unreachable(
    document: Document, pieces: Pieces, labels: Sequence[str], policy: str, how: str, windows: Sequence[Window] | None
) -> tuple[tuple[Span, str], ...]:
    """Gold spans with the reason why they cannot be predicted; `windows` None: spans may cross window borders."""
    known = [span for span in dict.fromkeys(document.spans) if span.label in labels]
    forbidden = set(_resolved(policy, known, how)[1])
    bounds = None if windows is None else [window.bounds for window in windows]
    reasons: Mapping[Span, str | None] = {
        span: UNKNOWN_LABEL
        if span.label not in labels
        else POLICY
        if span in forbidden
        else _out_of_reach(span, pieces, bounds)
        for span in document.spans
    }
    return tuple((span, reason) for span, reason in reasons.items() if reason is not None)


def _resolved(policy: str, spans: Sequence[Span], how: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Arg-max chooses among predictions only: it forbids no gold."""
    return resolve("overlapping" if policy == ARG_MAX else policy, spans, how)


def _out_of_reach(span: Span, pieces: Pieces, bounds: Sequence[tuple[int, int]] | None) -> str | None:
    run = pieces.covering(span.start, span.end)
    if run is None:
        return NO_PIECE
    if span.parts:
        return IN_PARTS
    if not pieces.exact(span.start, span.end):
        return INSIDE_PIECE
    if bounds is not None and not any(first <= run[0] and run[1] <= last for first, last in bounds):
        return NO_WINDOW
    return None
