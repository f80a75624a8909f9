"""Coreference scores as the official scorer counts them: mentions, MUC, B-cubed, both CEAF, LEA, BLANC, CoNLL F1.

A chain is a set of mentions that name the same thing. Every score is a ratio of sums over documents, so both halves
of the ratios are kept per document and intervals can be drawn from them. 0/0 is 0: empty against empty scores 0.

Repeats follow the official scorer (Pradhan et al. 2014). Predicted chains are read in the order of the text; from its
second occurrence on, a mention that is also in the key is dropped, and with its last mention a chain; a spurious one
counts wherever it stands.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..documents import Document, Span
from ..errors import DataError, at
from .assignment import best_pairs
from .spans import check_matched

Mention = tuple[int, ...]  # (start, end, whatever else tells it from others), in any one unit and kind of end
Chains = Sequence[Sequence[Mention]]
Ratios = tuple[float, float, float, float]  # (numerator, denominator) of recall, then of precision

MOST_REPEATS = 10


@dataclass(frozen=True, slots=True)
class Score:
    """From 0 to 1."""

    recall: float
    precision: float
    f1: float


@dataclass(frozen=True, slots=True)
class CoreferenceCounts:
    """What is summed over documents before any division."""

    ratios: np.ndarray
    """[documents, 6, 4]: for each of `METRICS`, (numerator, denominator) of recall, then of precision"""
    links: np.ndarray
    """[documents, 2, 3], for BLANC: coreferent pairs and others; (common, key, response)"""

    @property
    def scores(self) -> Mapping[str, Score]:
        """Of all documents together, by name: those of `METRICS`, and `blanc`."""
        rows = [*rates(self.ratios.sum(axis=0)), blanc(self.links.sum(axis=0))]
        return {name: Score(*map(float, row)) for name, row in zip((*METRICS, "blanc"), rows, strict=True)}

    @property
    def conll_f1(self) -> float:
        """From 0 to 1."""
        return float(conll_f1(self.ratios.sum(axis=0)))


@dataclass(frozen=True, slots=True)
class Overlap:
    """How the key chains of one document and the predicted ones, its response, share their mentions."""

    common: np.ndarray
    """[K, R], the mentions that a key chain and a response chain share"""
    key: np.ndarray
    """[K], mentions of each key chain"""
    response: np.ndarray
    """[R], mentions of each response chain, repeated spurious ones as often as they stand there"""
    distinct: int
    """Mentions of the response, each once"""
    response_links: tuple[int, int]
    """Pairs of distinct mentions of the response: in one chain, and in two"""
    repeats: int
    """Mentions that were dropped from the response"""


def count_documents(gold: Sequence[Document], predicted: Sequence[Document]) -> CoreferenceCounts:
    """Counts of the clusters of documents matched by position; labels of mentions are ignored.

    DataError: the documents are not the same, or as `count_chains`.
    """
    check_matched(gold, predicted)
    return count_chains(
        [_chains(document) for document in gold],
        [_chains(document) for document in predicted],
        [document.id for document in gold],
    )


def count_chains(
    gold: Sequence[Chains], predicted: Sequence[Chains], documents: Sequence[str] | None = None
) -> CoreferenceCounts:
    """Counts of chains, one collection a document; `documents` are their names in errors.

    DataError: a key mention stands twice, or more than `MOST_REPEATS` repeats would have to be dropped from all
    documents together, which the official scorer refuses too.
    """
    names = documents or [str(index) for index in range(len(gold))]
    overlaps = []
    for name, key, response in zip(names, gold, predicted, strict=True):
        with at(document=name):
            overlaps.append(overlap(key, response))
    repeats = sum(each.repeats for each in overlaps)
    if repeats > MOST_REPEATS:
        raise DataError(
            f"{repeats} repeated mentions in the predicted clusters",
            f"each mention in one cluster, once; at most {MOST_REPEATS} repeats can be dropped",
            "merge the clusters that share a mention, or keep each mention in the likeliest one",
        )
    ratios = [[metric(each) for metric in METRICS.values()] for each in overlaps]
    return CoreferenceCounts(
        np.array(ratios, dtype=np.float64).reshape(len(overlaps), len(METRICS), 4),
        np.array([links(each) for each in overlaps], dtype=np.int64).reshape(len(overlaps), 2, 3),
    )


def overlap(key: Chains, response: Chains) -> Overlap:
    """The chains of one document against each other, empty ones left out. DataError: a key mention stands twice."""
    key = [chain for chain in key if chain]
    home = _homes(key)
    kept = _without_repeats(response, home)
    common = np.zeros((len(key), len(kept)), dtype=np.int64)
    for index, chain in enumerate(kept):
        for mention in chain:
            if mention in home:
                common[home[mention], index] += 1
    return Overlap(
        common,
        key=np.array([len(chain) for chain in key], dtype=np.int64),
        response=np.array([len(chain) for chain in kept], dtype=np.int64),
        distinct=len({mention for chain in kept for mention in chain}),
        response_links=_links_between(kept),
        repeats=sum(map(len, response)) - sum(map(len, kept)),
    )


def check_gold(document: Document) -> None:
    """Raises DataError where a mention stands in two clusters: such a document cannot be scored."""
    with at(document=document.id):
        _homes(_chains(document))


def mentions(each: Overlap) -> Ratios:
    """How many mentions are found, whatever their chains."""
    found = each.common.sum()
    return found, each.key.sum(), found, each.distinct


def muc(each: Overlap) -> Ratios:
    """Links that hold a chain together, one fewer than its mentions (Vilain et al. 1995); singletons have none.

    A chain whose m shared mentions lie in p chains of the other side keeps m - p links.
    """
    kept = each.common.sum() - np.count_nonzero(each.common)
    return kept, (each.key - 1).sum(), kept, (each.response - 1).sum()


def b_cubed(each: Overlap) -> Ratios:
    """For each mention, the part of its chain that the other side's chain has too (Bagga and Baldwin 1998)."""
    squares = each.common**2  # each of the shared mentions sees all of them
    recalled = _ratio(squares.sum(axis=1), each.key).sum()
    precise = _ratio(squares.sum(axis=0), each.response).sum()
    return recalled, each.key.sum(), precise, each.response.sum()


def ceaf_m(each: Overlap) -> Ratios:
    """Mentions that chains share when each is paired with at most one of the other side (Luo 2005, phi 3)."""
    shared = each.common[best_pairs(each.common)].sum()
    return shared, each.key.sum(), shared, each.response.sum()


def ceaf_e(each: Overlap) -> Ratios:
    """The same with F1 of each pair of chains as its worth, out of the number of chains (Luo 2005, phi 4)."""
    similarity = 2 * each.common / (each.key[:, None] + each.response)
    alike = similarity[best_pairs(similarity)].sum()
    return alike, len(each.key), alike, len(each.response)


def lea(each: Overlap) -> Ratios:
    """The part of each chain's links that is found, weighted by its mentions (Moosavi and Strube 2016).

    A singleton's one link leads to itself: it is found if the other side has that singleton.
    """
    singletons = np.ix_(each.key == 1, each.response == 1)
    found = _pairs(each.common)
    found[singletons] = each.common[singletons]
    recalled, precise = (
        _ratio(sizes * found.sum(axis=axis), np.maximum(1, _pairs(sizes))).sum()
        for sizes, axis in ((each.key, 1), (each.response, 0))
    )
    return recalled, each.key.sum(), precise, each.response.sum()


METRICS: dict[str, Callable[[Overlap], Ratios]] = {
    "mentions": mentions,
    "muc": muc,
    "bcub": b_cubed,
    "ceafm": ceaf_m,
    "ceafe": ceaf_e,
    "lea": lea,
}
"""The scores that are one ratio; the names are those of the official scorer. BLANC has two and is apart."""

_CONLL = [list(METRICS).index(name) for name in ("muc", "bcub", "ceafe")]


def links(each: Overlap) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Pairs of mentions (common, key, response): in one chain, and in two (Recasens and Hovy 2011; Luo et al. 2014)."""
    together, in_key = (int(_pairs(counts).sum()) for counts in (each.common, each.key))
    shared, key = (int(_pairs(counts.sum())) for counts in (each.common, each.key))
    one_key, one_response = (int(_pairs(each.common.sum(axis=axis)).sum()) for axis in (1, 0))
    apart = shared - one_key - one_response + together  # in one chain of neither side
    in_response, between_response = each.response_links
    return (together, in_key, in_response), (apart, key - in_key, between_response)


def rates(ratios: np.ndarray) -> np.ndarray:
    """[..., 4] to [..., 3]: recall, precision, F1."""
    recall, precision = _ratio(ratios[..., 0], ratios[..., 1]), _ratio(ratios[..., 2], ratios[..., 3])
    return np.stack([recall, precision, _ratio(2 * recall * precision, recall + precision)], axis=-1)


def conll_f1(ratios: np.ndarray) -> np.ndarray:
    """[..., 6, 4] to [...]: the mean F1 of MUC, B-cubed and CEAF-e (Pradhan et al. 2012)."""
    mean: np.ndarray = rates(ratios[..., _CONLL, :])[..., 2].mean(axis=-1)
    return mean


def blanc(counts: np.ndarray) -> np.ndarray:
    """[..., 2, 3] to [..., 3]: recall, precision, F1, each the mean of both kinds of links (Luo et al. 2014).

    Where the key has links of one kind only, that kind alone counts.
    """
    common, key, response = counts[..., 0], counts[..., 1], counts[..., 2]
    weight = (key > 0).astype(np.float64)
    halves = rates(np.stack([common, key, common, response], axis=-1))
    return _ratio((halves * weight[..., None]).sum(axis=-2), weight.sum(axis=-1)[..., None])


def _chains(document: Document) -> list[list[Mention]]:
    return [[mention(span) for span in cluster.spans] for cluster in document.clusters]


def mention(span: Span) -> Mention:
    """Start, end, and the edges of its parts where it has several."""
    return (span.start, span.end, *(edge for part in span.parts for edge in part))


def _homes(key: Chains) -> dict[Mention, int]:
    """The chain of each key mention."""
    home = {mention: index for index, chain in enumerate(key) for mention in chain}
    if len(home) < sum(map(len, key)):
        mention, times = Counter(mention for chain in key for mention in chain).most_common(1)[0]
        raise DataError(
            f"mention {mention} occurs {times} times in the gold clusters",
            "each mention in one gold cluster, once",
            "merge the clusters that share a mention, or take it out of all but one",
        )
    return home


def _first(chain: Sequence[Mention]) -> tuple[int, ...]:
    """Where a chain begins in the text; of two that begin at the same place, the longer mention opens first."""
    return min(((start, -end) for start, end, *_ in chain), default=())


def _without_repeats(response: Chains, key: Container[Mention]) -> list[list[Mention]]:
    """The response in the order of the text, without the repeats that are in the key; no chain is empty."""
    seen: set[Mention] = set()
    kept: list[list[Mention]] = []
    for chain in sorted(response, key=_first):
        kept.append([])
        for mention in chain:
            if mention not in seen or mention not in key:
                seen.add(mention)
                kept[-1].append(mention)
    return [chain for chain in kept if chain]


def _links_between(chains: Chains) -> tuple[int, int]:
    """Pairs of mentions in one chain, and in two: a pair of repeats counts once, and can be both."""
    homes: dict[Mention, list[int]] = {}
    for index, chain in enumerate(chains):
        for mention in chain:
            homes.setdefault(mention, []).append(index)
    alike = Counter(frozenset(home) for home in homes.values())  # mentions that stand in the very same chains
    together = sum(math.comb(size, 2) for size in alike.values())
    together += sum(m * n for (one, m), (other, n) in combinations(alike.items(), 2) if one & other)
    together += sum(len(set(home)) < len(home) for home in homes.values())  # the official scorer links it to itself
    apart = math.comb(len(homes), 2) - sum(math.comb(size, 2) for home, size in alike.items() if len(home) == 1)
    apart += sum(size for home, size in alike.items() if len(home) > 1)
    return together, apart


def _pairs(sizes: np.ndarray) -> np.ndarray:
    """Unordered pairs among so many things."""
    pairs: np.ndarray = sizes * (sizes - 1) // 2
    return pairs


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(part, whole, out=np.zeros(np.broadcast(part, whole).shape), where=whole != 0)
    return ratio
