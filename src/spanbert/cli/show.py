"""What people see: highlighted spans, a training run as it goes, and what reading did to the data."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from ..documents import Document, Question, Span
from ..errors import plain
from ..formats import Reading, ReadReport, read_documents
from ..training.tracking import Evaluated, Event, Finished, Started, Stepped, Warned

if TYPE_CHECKING:
    from ..inference.span_model import SpanModel

COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "red")
LISTED = 10
AROUND = 300
"""Characters that are shown on each side of an answer."""

T = TypeVar("T")


def talk() -> Console:
    """Standard error, where everything goes that is not data; of several processes of `torchrun` the first one's."""
    return Console(stderr=True, highlight=False, emoji=False, soft_wrap=True, quiet=os.environ.get("RANK", "0") != "0")


def highlighted(document: Document, labels: Sequence[str]) -> Text:
    """The text with its spans as `[Marie Curie|PERSON .98]`, in colour where the terminal has it; nesting is kept.

    Mentions carry the number of their cluster: `[she|#3]`.
    """
    edges: list[tuple[int, int, int, Span]] = []
    chains = [
        replace(span, label=f"#{number}", score=None)
        for number, cluster in enumerate(document.clusters, start=1)
        for span in cluster.spans
    ]
    labels = [*labels, *dict.fromkeys(span.label for span in chains)]  # a colour for each cluster
    for span in (*document.spans, *chains):
        width = span.end - span.start
        edges.append((span.start, 1, -width, span))
        edges.append((span.end, 0, width, span))
    text, at = Text(), 0
    depth = 0
    for position, opens, _, span in sorted(edges, key=lambda edge: edge[:3]):
        text.append(_readable(document.text[at:position]), style="bold" if depth else "")
        at = position
        depth += 1 if opens else -1
        score = "" if span.score is None else f" {min(span.score, 0.995):.2f}".replace(" 0", " ")
        colour = COLOURS[labels.index(span.label) % len(COLOURS)] if span.label in labels else "white"
        text.append("[" if opens else f"|{plain(span.label)}{score}]", style=f"bold {colour}")
    text.append(_readable(document.text[at:]))
    return text


def told_lost(lost: Mapping[str, int], format: str) -> None:
    """What a format could not hold of the documents that were written in it."""
    for what, times in lost.items():
        talk().print(f"  {times:,} {what} left out: {format} cannot hold them", markup=False)


def told_relations(document: Document) -> Iterator[Text]:
    """A line each: `Anna -works-> Acme Corp .98`."""
    for relation in document.relations:
        head, tail = (document.text[span.start : span.end] for span in (relation.head, relation.tail))
        score = "" if relation.score is None else f" {min(relation.score, 0.995):.2f}".replace(" 0", " ")
        yield Text.assemble("  ", plain(head), (f" -{plain(relation.label)}-> ", "bold"), plain(tail), (score, "dim"))


def answer_in_place(question: Question, text: str, name: str = "") -> Iterator[Text]:
    """A question with its answers, each marked in the paragraph it stands in; or that it has none, and how probably.

    Those of the n-best that are no answers are shown too, dimmed. name: of the document, where it should be told.
    """
    where = f" ({name})" if name else ""
    yield Text(f"? {plain(question.text)}{plain(where)}", style="bold")
    answers = question.answers or ()
    for span in (*answers, *(each for each in question.n_best if each not in answers)):
        begin = max(text.rfind("\n", 0, span.start) + 1, span.start - AROUND)
        end = text.find("\n", span.end)
        end = min(len(text) if end < 0 else end, span.end + AROUND)
        before = "… " if begin > 0 and text[begin - 1] != "\n" else ""
        score = f"  {min(span.score or 0.0, 0.995):.2f}  ".replace("0.", ".", 1)
        line = Text(score, style="" if span in answers else "dim")
        line.append(before + _readable(text[begin : span.start]))
        line.append(f"[{_readable(text[span.start : span.end])}]", style="bold green" if span in answers else "bold")
        line.append(
            _readable(text[span.end : end].rstrip("\r")) + (" …" if end < len(text) and text[end] != "\n" else "")
        )
        yield line
    if not answers:
        silent = question.no_answer or 0.0
        yield Text(f"  no answer that is probable enough (that the text has none: {silent:.2f})", style="yellow")


def _readable(text: str) -> str:
    """As a terminal may show it; its line ends are those of the terminal."""
    return plain(text.replace("\r\n", "\n"))


def read_all(
    paths: Sequence[str],
    input_format: str | None,
    reading: Reading,
    *,
    name: str,
    verbose: bool = False,
    predicted: bool = False,
) -> list[Document]:
    """All documents of some files, with a line about them on standard error; predicted: as a system told them."""
    report = ReadReport(reading, predicted=predicted)
    try:
        documents = list(read_documents(paths, input_format, report))
    finally:
        told(report, name, verbose=verbose)
    return documents


def told_seen(facts: Mapping[str, Any], documents: Sequence[Document], *, chosen: bool = True) -> None:
    """Warn of documents that the model was made with; chosen: of those as well by which its checkpoint or thresholds
    were chosen.
    """
    from ..evaluation.seen import seen

    taught, chose = seen(facts, documents)
    chose_by = "the model's checkpoint, threshold or probabilities were chosen by"
    for what, count in {"the model learnt from": taught, chose_by: chose * chosen}.items():
        if count:
            said = f"{what} {count:,} of these {number(len(documents), 'document')}: the figures are too good"
            talk().print(f"warning: {said}", markup=False)


def told_unknown(model: SpanModel, documents: Sequence[Document]) -> None:
    """Warn of gold with labels that the model does not know, and of its labels that no gold has."""
    gold = Counter(s.label for task in model.bundle.tasks.values() for d in documents for s in task.annotations(d))
    known = {label for task in model.bundle.tasks.values() for label in task.settings.labels}
    if strange := gold.keys() - known:
        spans = number(sum(gold[label] for label in strange), "span")
        talk().print(f"warning: {spans} with labels that the model does not know: {_some(strange)}", markup=False)
    if gold and (missing := known - gold.keys()):
        talk().print(f"warning: no gold span of {_some(missing)}, which the model tells", markup=False)


def _some(labels: Collection[str]) -> str:
    """The first of them."""
    return plain(", ".join(sorted(labels)[:LISTED])) + (", …" if len(labels) > LISTED else "")


def told(report: ReadReport, name: str, *, verbose: bool) -> None:
    """Say what was read, and everything that was repaired or is doubtful."""
    console = talk()
    spans = f", {number(report.spans, 'span')}" if report.spans else ""
    console.print(f"{name}: {number(report.documents, 'document')}{spans}", markup=False)
    for line in report.summary():
        console.print(f"  {plain(line)}", markup=False)
    if verbose:
        for line in report.listing():
            console.print(f"    {plain(line)}", markup=False)


@contextmanager
def bar(description: str) -> Iterator[Progress]:
    """A progress bar on a terminal; nothing elsewhere."""
    console = talk()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        progress.add_task(description, total=None, note="")
        yield progress


def counted(documents: Iterable[T], description: str) -> Iterator[T]:
    """The documents themselves, counted on a terminal."""
    with bar(description) as progress:
        for seen, document in enumerate(documents, start=1):
            progress.update(progress.task_ids[0], note=number(seen, "document"))
            yield document


class TrainingDisplay:
    """Observer of a training run: a bar with loss, speed and time left, and a line for every evaluation."""

    def __init__(self, progress: Progress, round_name: str = "epoch") -> None:
        """round_name: what lies between two evaluations."""
        self._round = round_name
        self._progress, self._bar = progress, progress.task_ids[0]
        self._loss = self._tokens = self._seconds = 0.0
        self._epochs = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._started(event)
        elif isinstance(event, Stepped):
            self._stepped(event)
        elif isinstance(event, Evaluated):
            self._evaluated(event)
        elif isinstance(event, Warned):
            self._say(f"warning: {event.message}")
        elif isinstance(event, Finished):
            self._say(f"{event.steps:,} steps in {_duration(event.seconds)}: {event.reason}")

    def _started(self, event: Started) -> None:
        self._epochs = event.epochs
        for line in event.lines:
            self._say(line)
        if event.resumed_at:
            self._say(f"  resumed after {event.resumed_at:,} steps")
        self._progress.update(self._bar, total=1.0)

    def _stepped(self, event: Stepped) -> None:
        if event.skipped:
            self._say(f"step {event.step}: the loss is not a number; the weights were left alone")
            return
        loss = sum(event.losses.values())
        self._loss = loss if not self._loss else 0.95 * self._loss + 0.05 * loss
        self._tokens, self._seconds = 0.9 * self._tokens + event.tokens, 0.9 * self._seconds + event.seconds
        speed = f"{self._tokens / self._seconds:,.0f} tokens/s"
        note = f"{self._round} {event.epoch + 1}/{self._epochs} · loss {self._loss:.4f} · {speed}"
        self._progress.update(self._bar, completed=event.share, note=note)

    def _evaluated(self, event: Evaluated) -> None:
        held_out = sum(event.report.losses.values())
        self._say(
            f"{self._round} {event.epoch + 1:>2}/{self._epochs}  loss {self._loss:.4f}  held-out loss {held_out:.4f}  "
            f"{event.report.summary}" + ("  best" if event.best else "")
        )

    def _say(self, line: str) -> None:
        self._progress.console.print(line, markup=False)


def number(count: int, noun: str) -> str:
    """`1 span`, `2 spans`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
