"""Which documents to annotate next: those in which the model expects to be wrong most often for the work they take.

Gain of a document = sum of p (1 - p) over what was decoded in it, whatever the threshold, by words to be read. p is
the calibrated probability that a span is right, so p (1 - p) is the squared error that the model itself expects of
this span, and what an annotation takes away: 0 where it is sure, 1/4 where it cannot tell. The entropy would rank
single spans alike, but gives the many improbable ones more weight together than the few doubtful ones.
Source: uncertainty sampling, Settles, "Active learning literature survey" (2009), section 3.1.

Summed alone, long documents would win by their length (Settles and Craven 2008); divided by the words alone, headings
would. So the cost counts words, and some more for each document: OPENING.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .documents import Document
from .errors import UsageError
from .inference.span_model import SpanModel
from .near_duplicates import Hashes, shingles, similarity

OPENING = 50
"""What it takes to begin with a document, in words read."""


@dataclass(frozen=True, slots=True)
class Appraised:
    """A document that might be annotated: with predicted spans and their probabilities."""

    document: Document
    gain: float
    """Expected squared errors per word of work."""


def select(model: SpanModel, documents: Iterable[Document], budget: int) -> list[Document]:
    """The `budget` documents to annotate, the best first, with what the model finds in them.

    Each has `rank` (from 1) and `gain` in its meta, and `annotated` empty: no label was looked for by a person yet.
    A document that resembles a chosen one counts less, by the share of their sequences of three words that both have.
    """
    if budget < 1:
        raise UsageError(f"a budget of {budget}", "at least one document", "say how many you can annotate")
    if not any("spans" in task.tells for task in model.bundle.tasks.values()):
        raise UsageError(
            "a model that finds no labelled spans", "one that does: their doubt is what ranks", "name another"
        )
    candidates = list(appraised(model, documents))
    return [
        replace(
            candidates[number].document,
            annotated=frozenset(),
            coverage=None,
            meta={**candidates[number].document.meta, "rank": rank, "gain": round(candidates[number].gain, 6)},
        )
        for rank, number in enumerate(varied(candidates, budget), start=1)
    ]


def appraised(model: SpanModel, documents: Iterable[Document]) -> Iterator[Appraised]:
    """Documents with predictions and gain, in their order."""
    predictor = model.predictor()
    for reading, decoded in predictor.decoded(documents):
        doubt = 0.0
        for name, found in decoded.items():
            logits, labels = [span.logit for span in found.spans], [span.label for span in found.spans]
            p = predictor.calibrations[name].probabilities(logits, labels)
            doubt += float(np.sum(p * (1.0 - p)))
        document = predictor.probable(reading, decoded)
        yield Appraised(document, doubt / (OPENING + len(document.text.split())))


def varied(candidates: Sequence[Appraised], budget: int) -> list[int]:
    """Indices of up to `budget` candidates, the one with the greatest gain x (1 - likeness to those chosen) next.

    This is maximal marginal relevance (Carbonell and Goldstein 1998) with a product in place of a weighted sum, as
    gain and likeness have no common scale. What is left of a gain can only shrink as more are chosen, so a candidate
    that is still ahead with its value brought up to date is the best (Minoux 1978): few are ever compared.
    """
    texts = [_Text.of(candidate.document.text) for candidate in candidates]
    chosen: list[int] = []
    likeness = [0.0] * len(candidates)
    compared = [0] * len(candidates)  # with so many of the chosen ones
    heap = [(-candidate.gain, number) for number, candidate in enumerate(candidates)]
    heapq.heapify(heap)
    while heap and len(chosen) < budget:
        number = heapq.heappop(heap)[1]
        for other in chosen[compared[number] :]:
            likeness[number] = max(likeness[number], texts[number].likeness(texts[other]))
        compared[number] = len(chosen)
        entry = (-candidates[number].gain * (1.0 - likeness[number]), number)
        if heap and heap[0] < entry:
            heapq.heappush(heap, entry)
        else:
            chosen.append(number)
    return chosen


@dataclass(frozen=True, slots=True)
class _Text:
    """What texts are compared by; `plain` too, since short ones have no shingles."""

    plain: str
    shingles: Hashes

    @classmethod
    def of(cls, text: str) -> _Text:
        return cls(" ".join(text.lower().split()), shingles(text))

    def likeness(self, other: _Text) -> float:
        return 1.0 if self.plain == other.plain else similarity(self.shingles, other.shingles)
