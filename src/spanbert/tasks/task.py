"""What every task states. The training loop, the predictor, the server and the batch job see only this.

A task is the glue for one kind of question about text: which windows and targets a document gives, which head
answers, how rows of scores become spans, and which report says how good they are. Task files need no torch: a head
is imported inside `Task.head`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from ..documents import Document, Judged, check_label
from ..errors import UsageError, check_whole

if TYPE_CHECKING:
    import numpy as np

    from ..documents import Candidate, Decoded, Span
    from ..encoder.loading import Encoder
    from ..heads.head import Head
    from ..metrics.report import Report
    from ..tokenization import Pieces, Tokenizer
    from ..windows import Table, Window


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a task of a bundle was set to; saved in it."""

    labels: tuple[str, ...] = ()
    """Labels to find; none given: those of the training data."""
    window: int = 512
    """Positions that one window may have, special tokens included; at most what the encoder can read."""
    overlap: int | None = None
    """Pieces that neighbouring windows share; none given: the longest training span and 32 more."""

    def __post_init__(self) -> None:
        if not isinstance(self.labels, tuple):
            raise UsageError(f"labels {self.labels!r}", "a list of labels", "write them in brackets")
        for label in self.labels:
            check_label(label, "of the task")
        if len(set(self.labels)) < len(self.labels):
            raise UsageError(f"labels {', '.join(self.labels)}", "each label once", "leave out the repeated one")
        for name, value, least in (("window", self.window, 3), ("overlap", self.overlap, 0)):
            if value is not None:
                check_whole(name, value, least)


@dataclass(frozen=True, slots=True)
class Example:
    """One window, or several that stay in one batch, with what they teach."""

    windows: tuple[Window, ...]
    targets: Any
    counts: Mapping[str, float] = field(default_factory=dict)
    """Per named loss, what its sum is divided by; depends on the targets only."""

    def __reduce__(self) -> tuple[type[Example], tuple[object, ...]]:
        """As of a window."""
        return Example, (self.windows, self.targets, self.counts)


class Task(Protocol):
    """The contract, with what most tasks have in common. `settings` and `tokenizer` are given when it is made."""

    settings: Settings
    tokenizer: Tokenizer
    tells: ClassVar[tuple[str, ...]]
    """What of a document it fills in: spans, relations, clusters, questions. Those it reads too: it answers them."""
    adopts: ClassVar[str | None] = None
    """The stock class whose checkpoints it reads, by `adopted`, its settings for a `config.json`; None: none."""
    reads_spans: bool = False
    """It reads a document's spans; where it has none, those that the other tasks of the model find."""
    weighs_sets: bool = False
    """Its candidates are all the spans that it considers, so that sets of them can be compared."""
    pipeline: str = "token-classification"
    """What model hubs call it."""
    example: str = 'document = model.predict("Text of any length.")'
    """A line of Python that uses a `model` of this task."""
    command: str = "predict --model {model} --input FILE --format highlight"
    """The verb and flags that show one at work, `{model}` for its folder."""

    @classmethod
    def adopted(cls, config: Mapping[str, object]) -> Settings:
        """Settings of a stock checkpoint, by its `config.json`; for tasks that adopt one."""
        raise NotImplementedError(cls.__name__)

    @property
    def selection(self) -> str:
        """The number of the report that picks the best checkpoint; names under `loss/` are better when lower."""
        return "micro/f1"

    @property
    def threshold(self) -> float:
        """Probability below which nothing is returned, until a better one was measured."""
        return 0.5

    @property
    def floor(self) -> float:
        """Log-odds below which a row of the head is not worth keeping."""
        return -math.inf

    @property
    def stock(self) -> str | None:
        """The stock class of `transformers` that can hold it, as in Bert*ForTokenClassification*; None: none can."""
        return self.adopts

    @property
    def ready(self) -> bool:
        """Whether it is known what the head must say: a task that finds labels has some."""
        return bool(self.settings.labels)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each output of the head means, in order: a head fits a task with the same outputs."""
        ...

    def stock_config(self) -> dict[str, object]:
        """What its stock class reads from `config.json`, beyond the encoder's."""
        return {}

    def adapted(self, documents: Sequence[Document], longest_span: int) -> Self:
        """The task with every setting filled in that was left to the training data."""
        ...

    def annotations(self, document: Document) -> Sequence[Span]:
        """What of the annotations it learns to find."""
        ...

    def visible(self, document: Document) -> Document:
        """What the model may see of a gold document: the text."""
        return Document(document.id, document.text)

    def examples(self, document: Document, pieces: Pieces, draw: np.random.Generator | None) -> Iterator[Example]:
        """Windows with their targets; `draw` is None when predicting."""
        ...

    def unreachable(self, document: Document, pieces: Pieces) -> tuple[tuple[Span, str], ...]:
        """Gold that cannot be predicted exactly, each with the reason."""
        ...

    def head(self, encoder: Encoder) -> Head:
        """A new head on the vectors of this encoder."""
        ...

    def candidates(self, document: Document, pieces: Pieces, table: Table) -> tuple[Candidate, ...]:  # noqa: ARG002
        """What the rows say of single spans before decoding: nothing."""
        return ()

    def decode(self, document: Document, pieces: Pieces, table: Table) -> Decoded:
        """What is found, with raw logits, whatever the threshold."""
        ...

    def judged(self, document: Document, decoded: Decoded) -> Judged:
        """What was decoded, each right or wrong by the document's gold; of labels that were looked for in it."""
        ...

    def scored(
        self, gold: Sequence[Document], predicted: Sequence[Document]
    ) -> tuple[Sequence[Document], Sequence[Document]]:
        """What of both its report counts: all. Raises DataError for gold that cannot be scored."""
        return gold, predicted

    def report(self, gold: Sequence[Document], predicted: Sequence[Document]) -> Report:
        """How good it is, with intervals."""
        ...
