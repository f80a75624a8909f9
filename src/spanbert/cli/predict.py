"""`spanbert predict`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..documents import Document
from ..errors import check_among, plain
from ..formats import FORMATS, Reading, ReadReport, read_documents, write_documents
from ..formats.sinks import STDOUT, sink
from ..models import EXTRACTOR
from .flags import Device, Dtype, InputFormat, Verbose, refuse_overwriting, split, with_settings
from .show import answer_in_place, counted, highlighted, number, talk, told, told_lost, told_relations
from .thresholds import Thresholds

if TYPE_CHECKING:
    from ..inference.span_model import SpanModel

HIGHLIGHT = "highlight"


@with_settings([Thresholds, Reading], skip=())
def command(
    *,
    model: Annotated[
        str, typer.Option(help="Folder of a trained model, one inside the package, or a hub name.")
    ] = EXTRACTOR,
    input: Annotated[list[str], typer.Option(help="Files of text or documents (one or more); - is standard input.")],
    output: Annotated[str, typer.Option(help="File to write; - is standard output.")] = "-",
    policy: Annotated[
        str | None, typer.Option(help="flat, nested, overlapping or arg-max; none: the model's own.")
    ] = None,
    given_spans: Annotated[
        bool, typer.Option("--given-spans", help="Take the spans of the documents as they are, and relate them.")
    ] = False,
    format: Annotated[str, typer.Option(help=f"{', '.join(FORMATS)} or {HIGHLIGHT} (for people).")] = "jsonl",
    input_format: InputFormat = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    report_coverage: Annotated[
        bool,
        typer.Option("--report-coverage", help="Say what was read whole, what was not, and what is out of reach."),
    ] = False,
    verbose: Verbose = False,
    settings: dict[str, Any],
) -> None:
    """Example: spanbert predict --input report.txt --output spans.jsonl"""
    _check(format, input, output)
    thresholds = Thresholds(**split(Thresholds, settings))
    report = ReadReport(Reading(**split(Reading, settings)))
    documents = read_documents(input, input_format, report)

    from ..inference.span_model import SpanModel

    loaded = SpanModel.from_pretrained(model, device, dtype)
    seen = _Seen({kind for task in loaded.bundle.tasks.values() for kind in task.tells})
    fitting = _fitting(documents, loaded)
    found = loaded.predict_stream(fitting, policy=policy, given_spans=given_spans, **thresholds.of(loaded))
    predicted = seen.of(counted(found, "predicting"))
    try:
        if format == HIGHLIGHT:
            _highlight(predicted, output, loaded.labels)
        else:
            told_lost(write_documents(predicted, output, format), format)
    finally:
        if report.documents:
            told(report, "input", verbose=verbose)
        if seen.documents:  # none where the input ended with an error among the first
            for line in (seen.summary(), *(seen.certificate(loaded) if report_coverage else ())):
                talk().print(plain(line), markup=False)


def _check(format: str, input: list[str], output: str) -> None:
    """What can be told before anything is read."""
    check_among("format", format, (*FORMATS, HIGHLIGHT), "jsonl is the default")
    refuse_overwriting(input, output)


def _fitting(documents: Iterable[Document], model: SpanModel) -> Iterator[Document]:
    """The documents themselves. Raises UsageError where none has what the model needs, before anything is written."""
    stream, first = iter(documents), list[Document]()
    for document in stream:
        first.append(document)
        if model.lacking(document) is None:
            yield from first
            yield from stream
            return
    if first and (error := model.lacking(first[0])) is not None:
        raise error


class _Seen:
    """Sums over the documents that went by."""

    def __init__(self, told: Set[str]) -> None:
        """told: what of a document the model fills in."""
        self.told = told
        self.spans = self.read = self.characters = self.windows = self.documents = self.cut = self.unknown = 0
        self.questions = self.answered = self.relations = self.clusters = 0
        self.unread: list[str] = []

    def of(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents themselves."""
        for document in documents:
            self.documents += 1
            self.spans += sum(span.score is not None for span in document.spans)
            self.relations += len(document.relations)
            self.clusters += len(document.clusters)
            self.questions += len(document.questions)
            self.answered += sum(bool(question.answers) for question in document.questions)
            if document.coverage is not None:
                self.read += document.coverage.characters_read
                self.characters += document.coverage.characters
                self.windows += document.coverage.windows
                self.unknown += document.coverage.unknown
                self.cut += document.coverage.windows > max(1, len(document.questions))
                for start, end in document.coverage.unread:
                    self.unread.append(f"{document.id}: characters {start} to {end} stand in no window")
            yield document

    def summary(self) -> str:
        """What was found, and how much of the text was read."""
        read = f"read {self.read:,} of {self.characters:,} characters in {number(self.windows, 'window')}"
        if "questions" in self.told and self.questions:
            return f"answered {self.answered:,} of {number(self.questions, 'question')}; {read}"
        counts = {"spans": self.spans, "relations": self.relations, "clusters": self.clusters}
        found = [number(count, kind.removesuffix("s")) for kind, count in counts.items() if count or kind in self.told]
        return f"found {', '.join(found) or 'nothing'}; {read}"

    def certificate(self, model: SpanModel) -> Iterator[str]:
        """What was read, what was not, and what windows could cut."""
        yield from self.unread
        whole = "all read whole" if not self.unread else f"{len(self.unread):,} stretches not read"
        yield f"coverage: {number(self.documents, 'document')}, {whole}; {self.cut:,} were read in several windows"
        if self.unknown:
            yield (
                f"  {self.unknown:,} characters are unknown to the vocabulary: a word of them is one piece, inside of "
                "which no span begins or ends"
            )
        for name, task in model.bundle.tasks.items():
            if self.cut and "spans" in task.tells and task.settings.overlap is not None:
                yield (
                    f"  {name}: neighbouring windows share {number(task.settings.overlap, 'piece')}, so that no "
                    "shorter span is cut"
                )


def _highlight(predicted: Iterable[Document], output: str, labels: tuple[str, ...]) -> None:
    place = sys.stdout if output == STDOUT else io.StringIO()  # which tells whether colours can be shown
    console = Console(file=place, highlight=False, emoji=False, soft_wrap=True)
    with sink(output) as stream:
        for document in predicted:
            with console.capture() as captured:  # printed by us: rich has its own way to end when a pipe is closed
                console.print(f"── {plain(document.id)} ", markup=False, style="dim")
                console.print(highlighted(document, labels))
                for line in told_relations(document):
                    console.print(line)
                for question in document.questions:
                    for line in answer_in_place(replace(question, n_best=()), document.text):
                        console.print(line)
            stream.write(captured.get().encode("utf-8"))
            place.flush()  # where somebody looks on
