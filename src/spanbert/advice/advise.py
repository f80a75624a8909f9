"""All advice on annotated documents, in one call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ..documents import MENTION, Document, Span
from ..errors import DataError
from ..training.data import Corpus, check, doubts, hold_out
from . import consistency, reach
from .copies import copies
from .findings import ERROR, WARNING, Advice, Finding, Part, by_severity


def advise(
    train: Sequence[Document],
    dev: Sequence[Document] | None = None,
    *,
    base_model: str | None = None,
    window: int | None = None,
    reading: Iterable[Finding] = (),
) -> Advice:
    """What to know and to correct before training on these documents, and the settings to train with.

    dev: held-out documents; None: training will hold some out. base_model: whose tokenizer is asked (None: the one
    that training starts from, if it is at hand). window: that of training; None: as the spans want it. reading: what
    readers had to do, told among the rest.
    """
    reader = reach.reader_of(base_model)
    documents = [*train, *(dev or ())]
    spans = sum(len(set(_annotated(document))) for document in documents)
    choice = reach.best_choice(documents, reader, window)
    counts = consistency.label_counts(train)
    findings: list[Finding] = [*_refusals(train, dev), *reach.out_of_reach(choice, spans), *reading]
    findings += consistency.rare_labels(counts)
    for examine in (
        consistency.disagreements,
        consistency.gaps,
        consistency.unsteady_borders,
        consistency.overlaps,
        consistency.lengths_in_words,
        consistency.empty_documents,
    ):
        findings += examine(documents)
    findings += copies(train, dev or ())
    if reader is not None:
        findings += _strange_pieces(documents, reader)
    recommended: dict[str, str | int] = {"task": choice.task, **({"policy": choice.policy} if choice.policy else {})}
    if choice.window is not None:
        recommended["window"] = choice.window
    return Advice(
        {"train": Part.of(train)} | ({} if dev is None else {"dev": Part.of(dev)}),
        counts,
        dict(Counter(lost.reason for lost in choice.lost).most_common()),
        by_severity(findings),
        recommended,
        "" if reader is None else reader.name,
        spans,
    )


def _refusals(train: Sequence[Document], dev: Sequence[Document] | None) -> Iterator[Finding]:
    """Why training would refuse these documents, in its own words."""
    try:
        parts = hold_out(train, _annotated) if dev is None and train else (train, dev or ())
        check(*parts, labels=(), annotations=_annotated)
    except DataError as error:
        where = f"{error.place}: " if error.place else ""
        what = f"training would stop: {where}{error.found} (expected: {error.expected})"
        yield Finding("refused", ERROR, 1, what, error.fix)


def _annotated(document: Document) -> list[Span]:
    """All that any task could learn to find."""
    answers = (span for question in document.questions for span in question.answers or ())
    mentions = (Span(span.start, span.end, MENTION) for cluster in document.clusters for span in cluster.spans)
    return [*document.spans, *answers, *mentions]


def _strange_pieces(documents: Sequence[Document], reader: reach.Reader) -> Iterator[Finding]:
    """What the vocabulary does not know."""
    corpus = Corpus.read(documents, reader.tokenizer)
    for doubt in doubts(corpus, Corpus((), ()), reader.tokenizer):
        yield Finding("vocabulary", WARNING, 1, doubt, "choose a base model for this language and case of letters")
