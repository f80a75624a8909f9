"""Which gold spans a tokenizer, a window and a policy can reach, and which settings reach most."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ..decoding import POLICIES
from ..decoding.resolve import LONGEST, resolve
from ..documents import Document, Span
from ..encoder.kinds import first_position
from ..errors import UsageError
from ..models import BASE, shipped
from ..tasks import ANNOTATED, gold, settings_from, task_class
from ..tasks.task import Settings, Task
from ..tokenization import Tokenizer
from ..training.data import Annotations, Corpus
from .findings import ERROR, WARNING, Finding, spans_shown

MOST_LOST = 0.05
"""Share of the spans that may be out of reach before training is not worth beginning."""
SLIPS = 0.01
"""Share of the spans that a stricter policy may lose more than a looser one: so few are slips of annotators."""
NOT_ASKED = "of a label that the document says was not looked for"
_MARGIN = 32  # pieces of context that neighbouring windows share beside the longest span, as in `gold.adapted`
_STEP = 128  # windows are recommended in multiples of it

_FIXES = {
    gold.INSIDE_PIECE: "correct borders that cut a word; if they are meant, choose a base model with smaller pieces",
    gold.NO_PIECE: "remove them: the tokenizer sees nothing there",
    gold.NO_WINDOW: "train with a larger --window, as far as the encoder reads, or shorten the spans",
    gold.POLICY: "say with --resolve which of them is learnt, or choose a looser --policy",
    gold.IN_PARTS: "annotate the parts as spans of their own",
    gold.UNKNOWN_LABEL: "add the label to those that are learnt, or take it out",
    gold.TOO_LONG: "train with a larger --longest-answer, or shorten the answers",
    gold.NO_QUESTION: "write the question out",
    gold.NO_PAIR: "train with a larger --window, or see whether the arguments can be found",
    NOT_ASKED: "add the label to `annotated` in these documents, or take that key out",
}


class Reader(NamedTuple):
    """What reads the text: a tokenizer, and the positions of the longest window its encoder takes."""

    name: str
    tokenizer: Tokenizer
    longest: int


class Lost(NamedTuple):
    """A span out of reach."""

    document: Document
    span: Span
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A task under a policy, and what it cannot reach."""

    task: str
    policy: str
    window: int | None
    lost: tuple[Lost, ...]


def reader_of(base_model: str | None) -> Reader | None:
    """The tokenizer of a base model, without its weights; None: the default one is meant and not at hand."""
    if base_model is None and BASE not in shipped():
        return None
    name = base_model or BASE
    folder = Path(name).expanduser()
    if not folder.is_dir() and name in shipped():
        folder = shipped()[name]
    if not folder.is_dir():
        from ..encoder.files import locate  # downloads; or says what a name may be

        folder = locate(name)
    return Reader(name, Tokenizer.from_folder(folder), _longest(folder / "config.json"))


def _longest(config: Path) -> int:
    """Positions of the longest window; that of the settings where the folder does not say."""
    try:
        record = json.loads(config.read_text(encoding="utf-8"))
        return max(3, int(record["max_position_embeddings"]) - int(first_position(record)))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return Settings().window


def recommended_window(longest_span: int, encoder: int, window: int | None) -> int:
    """The window asked for (None: the usual one), or a larger one where spans may not stand whole in it.

    longest_span: in pieces. A window of `size` shares size // 2 pieces with the next and holds every span whose
    pieces and margin fit in these.
    """
    size = min(window or Settings().window, encoder)
    needed = 2 * (longest_span + _MARGIN)
    return size if needed <= size else min(encoder, -(-needed // _STEP) * _STEP)


def best_choice(documents: Sequence[Document], reader: Reader | None, window: int | None) -> Choice:
    """Of tasks and policies, in the order of their tables, the first that loses hardly more than the best.

    window: the one asked for; None: as large as the spans want it.
    """
    choices = list(_bare(documents) if reader is None else _read(documents, reader, window))
    if not choices:
        raise UsageError(f"a window of {window}", "room for a question or a pair and its text", "leave --window out")
    allowed = min(len(choice.lost) for choice in choices) + SLIPS * sum(len(document.spans) for document in documents)
    return next(choice for choice in choices if len(choice.lost) <= allowed)


def _bare(documents: Sequence[Document]) -> Iterator[Choice]:
    """Without a tokenizer: what the policies forbid."""
    for policy in POLICIES:
        lost = [
            Lost(document, span, gold.POLICY)
            for document in documents
            for span in resolve(policy, _asked(document), LONGEST)[1]
        ]
        yield Choice(ANNOTATED[0], policy, None, (*lost, *_not_asked(documents)))


def _read(documents: Sequence[Document], reader: Reader, window: int | None) -> Iterator[Choice]:
    corpus = Corpus.read([replace(document, spans=_asked(document)) for document in documents], reader.tokenizer)
    names = _fitting(corpus, reader)
    longest = max(map(corpus.longest_span, names.values()))
    advised = recommended_window(longest, reader.longest, window)
    size = min(window or advised, reader.longest)
    for name, learnt in names.items():
        usual = getattr(settings_from(name, {}), "policy", "")
        for policy in dict.fromkeys((usual, *POLICIES)) if usual else ("",):
            chosen = {"window": size, **({"policy": policy} if policy else {})}
            try:
                task: Task = task_class(name)(settings_from(name, chosen), reader.tokenizer)
            except UsageError:  # this task has no such policy
                continue
            task = task.adapted(corpus.documents, corpus.longest_span(learnt))
            lost = [
                Lost(document, span, reason)
                for document, pieces in zip(corpus.documents, corpus.pieces, strict=True)
                for span, reason in task.unreachable(document, pieces)
            ]
            yield Choice(name, policy, advised, (*lost, *_not_asked(documents)))


def _fitting(corpus: Corpus, reader: Reader) -> dict[str, Annotations]:
    """The tasks that would learn something from these documents, all where none would, and what they learn from."""
    tasks = {name: task_class(name)(settings_from(name, {}), reader.tokenizer) for name in ANNOTATED}
    fitting = {name: task.annotations for name, task in tasks.items() if any(map(task.annotations, corpus.documents))}
    return fitting or {name: task.annotations for name, task in tasks.items()}


def _asked(document: Document) -> tuple[Span, ...]:
    """The spans, each once, whose labels were looked for: others are neither learnt nor scored."""
    return tuple(dict.fromkeys(span for span in document.spans if document.looked_for(span.label)))


def _not_asked(documents: Sequence[Document]) -> Iterator[Lost]:
    for document in documents:
        asked = set(_asked(document))
        yield from (Lost(document, span, NOT_ASKED) for span in dict.fromkeys(document.spans) if span not in asked)


def out_of_reach(choice: Choice, spans: int) -> Iterator[Finding]:
    """A finding for each reason; errors where all together are too many of the `spans` that could be learnt."""
    severity = ERROR if len(choice.lost) > MOST_LOST * spans else WARNING
    for reason in dict.fromkeys(lost.reason for lost in choice.lost):
        found = [(lost.document, lost.span) for lost in choice.lost if lost.reason == reason]
        yield Finding(
            "unreachable",
            severity,
            len(found),
            f"{len(found):,} of {spans:,} spans ({len(found) / spans:.1%}) out of reach: {reason}",
            _FIXES[reason],
            spans_shown(found),
        )
