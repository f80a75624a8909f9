"""Which documents to annotate next: those in which the model expects to be wrong most often for the work they take.

Doubt = sum of p (1 - p) over what was decoded in a document, whatever the threshold; gain = doubt by words to be read.
p is the calibrated probability that a span is right, so p (1 - p) is the squared error that the model itself expects of
this span, and what an annotation takes away: 0 where it is sure, 1/4 where it cannot tell. The entropy would rank
single spans alike, but gives the many improbable ones more weight together than the few doubtful ones.
Source: uncertainty sampling, Settles, "Active learning literature survey" (2009), section 3.1.

Summed alone, long documents would win by their length (Settles and Craven 2008); divided by the words alone, headings
would. So the cost counts words, and some more for each document: OPENING.

A doubt that is asked twice teaches less the second time. So the doubts about one label and text together count as
d KNOWN / (d + KNOWN), which is d while it is small and never more than KNOWN: what is added by a document shrinks with
those that were chosen before it (a concave function of the mass of each feature: Wei, Iyer and Bilmes 2015).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .documents import Document, only_documents
from .errors import UsageError
from .inference.span_model import SpanModel
from .near_duplicates import Hashes, shingles, similarity

OPENING = 50
"""What it takes to begin with a document, in words read."""
KNOWN = 0.25
"""The most that doubts about one label and text count together: as much as one mention of which it cannot tell."""
Doubts = Mapping[tuple[str, str], float]
"""Expected squared errors by label and text in small letters."""


@dataclass(frozen=True, slots=True)
class Appraised:
    """A document that might be annotated: with predicted spans and their probabilities."""

    document: Document
    doubts: Doubts
    work: int
    """In words."""

    @property
    def gain(self) -> float:
        """Expected squared errors per word of work, were it the only one."""
        return self.added({})

    def added(self, asked: Doubts) -> float:
        """The same after what others ask already."""
        found = (
            _counted(asked.get(key, 0.0) + doubt) - _counted(asked.get(key, 0.0)) for key, doubt in self.doubts.items()
        )
        return sum(found) / self.work


def select(model: SpanModel, documents: Iterable[Document], budget: int) -> list[Document]:
    """The `budget` documents to annotate, the best first, with what the model finds in them.

    Each has `rank` (from 1) and `gain` in its meta, and `annotated` empty: no label was looked for by a person yet.
    Documents with annotations, or in which labels were looked for, are left out.
    A document that resembles a chosen one counts less, by the share of their sequences of three words that both have.
    """
    if budget < 1:
        raise UsageError(f"a budget of {budget}", "at least one document", "say how many you can annotate")
    if not any("spans" in task.tells for task in model.bundle.tasks.values()):
        raise UsageError(
            "a model that finds no labelled spans", "one that does: their doubt is what ranks", "name another"
        )
    bare = (document for document in only_documents(documents) if document.unannotated)
    candidates = list(appraised(model, bare))
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
        document = predictor.probable(reading, decoded)
        doubts: dict[tuple[str, str], float] = {}
        for name, found in decoded.items():
            logits, labels = [span.logit for span in found.spans], [span.label for span in found.spans]
            p = predictor.decisions[name].calibration.probabilities(logits, labels)
            for span, doubt in zip(found.spans, (p * (1.0 - p)).tolist(), strict=True):
                key = span.label, document.text[span.start : span.end].lower()
                doubts[key] = doubts.get(key, 0.0) + doubt
        yield Appraised(document, doubts, OPENING + len(document.text.split()))


def varied(candidates: Sequence[Appraised], budget: int) -> list[int]:
    """Indices of up to `budget` candidates, next the one that adds most x (1 - likeness to those chosen).

    This is maximal marginal relevance (Carbonell and Goldstein 1998) with a product in place of a weighted sum, as
    gain and likeness have no common scale. What is added can only shrink as more are chosen, so a candidate that is
    still ahead with its value brought up to date is the best (Minoux 1978): few are ever compared.
    """
    texts = [_Text.of(candidate.document.text) for candidate in candidates]
    chosen: list[int] = []
    asked: dict[tuple[str, str], float] = {}
    likeness = [0.0] * len(candidates)
    compared = [0] * len(candidates)  # with so many of the chosen ones
    heap = [(-candidate.gain, number) for number, candidate in enumerate(candidates)]
    heapq.heapify(heap)
    while heap and len(chosen) < budget:
        number = heapq.heappop(heap)[1]
        for other in chosen[compared[number] :]:
            likeness[number] = max(likeness[number], texts[number].likeness(texts[other]))
        compared[number] = len(chosen)
        entry = (-candidates[number].added(asked) * (1.0 - likeness[number]), number)
        if heap and heap[0] < entry:
            heapq.heappush(heap, entry)
        else:
            chosen.append(number)
            for key, doubt in candidates[number].doubts.items():
                asked[key] = asked.get(key, 0.0) + doubt
    return chosen


def _counted(doubt: float) -> float:
    return doubt * KNOWN / (doubt + KNOWN)


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
