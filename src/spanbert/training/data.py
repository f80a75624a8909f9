"""Documents to steps: checked, tokenised once for all tasks, then drawn anew for each epoch."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NoReturn
from zlib import crc32

import numpy as np

from ..documents import Document, Span
from ..errors import DataError, at, nearest
from ..near_duplicates import near_duplicates
from ..packing import Batch, lay_out, longest_first, shuffled
from ..tasks.task import Example, Task
from ..tokenization import Pieces, Tokenizer

MOST_UNKNOWN = 0.05
MOST_LABELS = 1000
LONGEST_WORD = 100
Annotations = Callable[[Document], Sequence[Span]]
"""What of a document's annotations is to be found."""
PART_POSITIONS = 4096
"""Positions that go through the network at once on a processor; a larger step is accumulated from several parts."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Documents with their pieces."""

    documents: tuple[Document, ...]
    pieces: tuple[Pieces, ...]

    @classmethod
    def read(cls, documents: Sequence[Document], tokenizer: Tokenizer) -> Corpus:
        """Tokenise every document once."""
        return cls(tuple(documents), tuple(tokenizer.pieces([document.text for document in documents])))

    def longest_span(self, annotations: Annotations) -> int:
        """Pieces of the longest gold span."""
        return max(
            (
                run[1] - run[0] + 1
                for document, pieces in zip(self.documents, self.pieces, strict=True)
                for span in annotations(document)
                if (run := pieces.covering(span.start, span.end)) is not None
            ),
            default=1,
        )

    @property
    def fingerprint(self) -> str:
        """Changes with any text or annotation."""
        state = hashlib.sha256()
        for document in self.documents:
            state.update(
                repr(
                    (document.id, document.text, document.spans, document.annotated and sorted(document.annotated))
                    + ((document.questions,) if document.questions else ())
                    + ((document.relations, document.clusters) if document.relations or document.clusters else ())
                ).encode()
            )
        return state.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Step:
    """What one update of the weights learns from."""

    task: str
    examples: tuple[Example, ...]

    @property
    def counts(self) -> dict[str, float]:
        """What each named loss is divided by: summed over the whole step, before any part of it runs."""
        counts: dict[str, float] = {}
        for example in self.examples:
            for name, count in example.counts.items():
                counts[name] = counts.get(name, 0.0) + count
        return counts

    def parts(self, room: int) -> Iterator[tuple[Batch, list[Any]]]:
        """Batches of at most `room` positions, or one group, with the targets of their groups."""
        groups = [example.windows for example in self.examples]
        for members in longest_first(groups, room):
            yield lay_out(groups, members), [self.examples[member].targets for member in members]


def generator(seed: int, epoch: int, key: str) -> np.random.Generator:
    """Randomness as a value: the same for the same (seed, epoch, key), whatever was drawn before."""
    return np.random.default_rng((seed, epoch, crc32(key.encode())))


def plan(tasks: Mapping[str, Task], corpus: Corpus, seed: int, epoch: int, budget: int) -> list[Step]:
    """The steps of an epoch, a pure function of (seed, epoch): a resumed run goes on at an index of this list."""
    steps = []
    for name, task in tasks.items():
        examples = [
            example
            for document, pieces in zip(corpus.documents, corpus.pieces, strict=True)
            for example in task.examples(document, pieces, generator(seed, epoch, document.id))
        ]
        groups = [example.windows for example in examples]
        for members in shuffled(groups, budget, generator(seed, epoch, f"order of {name}")):
            steps.append(Step(name, tuple(examples[member] for member in members)))
    if len(tasks) > 1:
        steps = [steps[k] for k in generator(seed, epoch, "order of tasks").permutation(len(steps))]
    return steps


def annotations_of(tasks: Mapping[str, Task]) -> Annotations:
    """Those of all tasks."""
    return lambda document: [span for task in tasks.values() for span in task.annotations(document)]


def hold_out(documents: Sequence[Document], *kinds: Annotations) -> tuple[list[Document], list[Document]]:
    """Training and held-out documents where no held-out ones were given, chosen by their ids.

    kinds: what each task learns from. A tenth, one at least of each kind; as many without spans as there are among
    all: probabilities and thresholds are fitted on them, and would be far too high where none is bare. And none whose
    label no other document has.
    """
    if len(documents) < 2:
        raise DataError(
            "fewer than two training documents and no held-out ones",
            "at least two annotated documents",
            "add documents, or give held-out ones (--dev)",
        )
    order = sorted(range(len(documents)), key=lambda n: hashlib.sha256(documents[n].id.encode()).digest())
    labels = [{span.label for kind in kinds for span in kind(document)} for document in documents]
    bare = [number for number in order if not labels[number]]
    wanted = max(1, len(documents) // 10)
    bare = bare[: wanted * len(bare) // len(documents)]
    if not any(labels):
        _refuse_bare(documents)
    held: set[int] = set()
    _hold(held, order, wanted - len(bare), labels)
    for kind in kinds:
        mine = [number for number in order if kind(documents[number])]
        if mine and held.isdisjoint(mine) and not _hold(held, mine, 1, labels):
            raise DataError(
                f"no label stands in two of the {len(mine)} documents that a task learns from, so none can be held out",
                "held-out documents to choose the best weights by",
                "add documents, or give held-out ones (--dev)",
            )
    held |= set(bare)
    train = [document for number, document in enumerate(documents) if number not in held]
    return train, [document for number, document in enumerate(documents) if number in held]


def _hold(held: set[int], order: Sequence[int], most: int, labels: Sequence[Set[str]]) -> int:
    """Hold out up to so many more of these documents, no last one of a label; how many it were."""
    left = Counter(label for number, mine in enumerate(labels) if number not in held for label in mine)
    before = len(held)
    for number in order:
        if len(held) - before < most and labels[number] and all(left[label] > 1 for label in labels[number]):
            held.add(number)
            left.subtract(labels[number])
    return len(held) - before


def _refuse_bare(documents: Sequence[Document]) -> NoReturn:
    """Raises DataError: nothing is annotated that the task could learn to find; it tells what else is."""
    others = _instead(documents)
    raise DataError(
        f"none of the {len(documents)} training documents has a span{others}",
        "annotated documents",
        "choose the task for what they have (--task), or check that all annotations were exported"
        if others
        else "check the format and that the annotations were exported",
    )


def _instead(documents: Sequence[Document]) -> str:
    """What is annotated in documents that have nothing of what a task learns from."""
    kinds = {
        "spans": any(document.spans for document in documents),
        "questions": any(document.questions for document in documents),
        "relations": any(document.relations for document in documents),
        "clusters": any(document.clusters for document in documents),
    }
    others = " and ".join(kind for kind, there in kinds.items() if there)
    return f" of the kind that this task learns from (they have {others})" if others else ""


def doubts(train: Corpus, dev: Corpus, tokenizer: Tokenizer) -> Iterator[str]:
    """What does not stop a run, but a person should know before the figures are believed."""
    known = {_plain(document.text) for document in train.documents}
    if leaked := sum(_plain(document.text) in known for document in dev.documents):
        yield f"{leaked} held-out documents have the text of a training document: the figures will be too good"
    alike = near_duplicates(*([document.text for document in part.documents] for part in (dev, train)))
    if near := sum(_plain(dev.documents[number].text) not in known for number in alike):
        yield f"{near} held-out documents are nearly the same as a training document: the figures will be too good"
    pieces = (*train.pieces, *dev.pieces)
    unknown = [found.ids == tokenizer.ids["unk"] for found in pieces]
    share = sum(int(mask.sum()) for mask in unknown) / max(1, sum(map(len, pieces)))
    if share > MOST_UNKNOWN:
        yield f"{share:.0%} of the pieces are unknown to the vocabulary: is this the language and case of the encoder?"
    widths = (found.ends[mask] - found.starts[mask] for found, mask in zip(pieces, unknown, strict=True))
    if long := sum(int((width > LONGEST_WORD).sum()) for width in widths):
        yield f"{long} words of more than {LONGEST_WORD} characters are read as one unknown piece each"


def _plain(text: str) -> str:
    """Text as far as a reader would tell it apart: without case and runs of white space."""
    return " ".join(text.lower().split())


def _check_names(labels: Set[str]) -> None:
    """Refuse labels that were probably not meant: two that differ in case only, or a whole vocabulary of them."""
    if len(labels) > MOST_LABELS:
        raise DataError(
            f"{len(labels):,} different labels in the training data, {min(labels)!r} among them",
            f"at most {MOST_LABELS:,}, unless they are listed (--labels)",
            "check that the column or key of the label was read, and not the text",
        )
    first: dict[str, str] = {}
    for label in sorted(labels):
        other = first.setdefault(label.casefold(), label)
        if other != label:
            raise DataError(
                f"labels {other!r} and {label!r}, which differ in case only",
                "one spelling of a label",
                f"did you mean {label!r} for both? if there are really two, list all labels (--labels)",
            )


def check(train: Sequence[Document], dev: Sequence[Document], labels: Sequence[str], annotations: Annotations) -> None:
    """Refuse data that cannot be learnt from; `labels` are those asked for, () = those of the training data."""
    if not train or not dev:
        which = "training" if not train else "held-out"
        raise DataError(f"no {which} documents", "at least one document", "check the file that was given")
    if not any(annotations(document) for document in train):
        _refuse_bare(train)
    if not any(annotations(document) for document in dev):
        raise DataError(
            f"none of the {len(dev)} held-out documents has a span{_instead(dev)}",
            "annotated documents, by which the best weights are chosen",
            "check the file, or leave --dev out: then a tenth of the training documents is held out",
        )
    known = set(labels) or {span.label for document in train for span in annotations(document)}
    if not labels:
        _check_names(known)
    for name, documents in (("training", train), ("held-out", dev)):
        for document in documents:
            for span in annotations(document):
                if span.label not in known:
                    with at(document=document.id):
                        raise DataError(
                            f"label {span.label!r} in the {name} data",
                            f"one of {', '.join(sorted(known))}"
                            + ("" if labels else " (the labels of the training data)"),
                            nearest(
                                span.label, known, "add training examples of it, or take it out of the held-out data"
                            ),
                        )
    if not any(document.text.strip() for document in train):
        raise DataError("training documents without any text", "text", "check the file that was given")
