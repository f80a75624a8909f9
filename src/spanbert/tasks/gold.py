"""What tasks that find labelled spans share: windows, what gold spans teach, and which of them are out of reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..decoding.resolve import resolve
from ..documents import Decoded, Document, Judged, Span
from ..tokenization import IntArray, Pieces, Tokenizer
from ..windows import Window, cut
from .task import Settings

S = TypeVar("S", bound=Settings)

ARG_MAX = "arg-max"
PIPELINE = "token-classification"
EXAMPLE = 'document = model.predict("Text of any length.")'
COMMAND = "predict --model {model} --input FILE --format highlight"

INSIDE_PIECE = "a border inside a piece"
NO_PIECE = "no piece of text"
NO_WINDOW = "longer than a window"
POLICY = "in conflict with another gold span under this policy"
UNKNOWN_LABEL = "a label this model does not have"
IN_PARTS = "in several parts"


def adapted(settings: S, documents: Sequence[Document], longest_span: int) -> S:
    """The settings with the labels of the data, and windows that share its longest span and some context."""
    labels = settings.labels or tuple(sorted({span.label for document in documents for span in document.spans}))
    overlap = min(longest_span + 32, settings.window // 2) if settings.overlap is None else settings.overlap
    return replace(settings, labels=labels, overlap=overlap)


def windows(settings: Settings, tokenizer: Tokenizer, pieces: Pieces) -> list[Window]:
    """The windows of a document; before there was training data to learn the overlap from, it is half a window."""
    overlap = settings.window // 2 if settings.overlap is None else settings.overlap
    return cut(pieces, settings.window, overlap, tokenizer.frame)


def text_only(document: Document) -> Document:
    """What such a task may see of a gold document."""
    return Document(document.id, document.text)


def teachable(document: Document, labels: Sequence[str], policy: str, how: str) -> tuple[Span, ...]:
    """The gold spans to learn from: of known labels that were looked for, and together legal under the policy."""
    asked = document.annotated
    known = [span for span in document.spans if span.label in labels and (asked is None or span.label in asked)]
    return _resolved(policy, known, how)[0]


def runs(spans: Sequence[Span], pieces: Pieces, labels: Sequence[str]) -> IntArray:
    """S x 3: first piece, last piece, label. A border inside a piece is moved out to the piece's own."""
    rows = [
        (*run, labels.index(span.label)) for span in spans if (run := pieces.covering(span.start, span.end)) is not None
    ]
    return np.array(sorted(set(rows)), dtype=np.int64).reshape(-1, 3)


def taught(document: Document, labels: Sequence[str]) -> npt.NDArray[np.bool_]:
    """C: which labels were looked for in this document; the absence of the others says nothing."""
    return np.array([document.annotated is None or label in document.annotated for label in labels], dtype=bool)


def judged(document: Document, decoded: Decoded) -> Judged:
    """Spans are right when start, end and label are."""
    asked = document.annotated
    gold = {(s.start, s.end, s.label) for s in document.spans if not s.parts and (asked is None or s.label in asked)}
    found = [candidate for candidate in decoded.spans if asked is None or candidate.label in asked]
    return Judged(
        labels=tuple(candidate.label for candidate in found),
        logits=tuple(candidate.logit for candidate in found),
        right=tuple((candidate.start, candidate.end, candidate.label) in gold for candidate in found),
        gold=Counter(label for _, _, label in gold),
    )


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
