"""Coreference scores, by hand first. A letter is a mention; those of the response that the key lacks are spurious."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Cluster, Document, Span
from spanbert.errors import DataError
from spanbert.metrics.bootstrap import interval
from spanbert.metrics.coreference import (
    METRICS,
    Chains,
    CoreferenceCounts,
    blanc,
    conll_f1,
    count_chains,
    count_documents,
    links,
    overlap,
)

PLACES = {name: (place, place) for place, name in enumerate("abcdefxy")}


def chains(text: str) -> list[list[tuple[int, ...]]]:
    """`ab c` is a chain of a and b and a singleton."""
    return [[PLACES[name] for name in chain] for chain in text.split()]


def count(*pairs: tuple[str, str]) -> CoreferenceCounts:
    return count_chains([chains(key) for key, _ in pairs], [chains(response) for _, response in pairs])


def ratios(counts: CoreferenceCounts) -> dict[str, list[float]]:
    return dict(zip(METRICS, counts.ratios.sum(axis=0).tolist(), strict=True))


def test_a_mention_in_the_wrong_chain():
    """abc de read as ab cde: the chains share 2 1 / 0 2 mentions.

    MUC: 5 shared mentions in 3 places leave 2 links of 2 + 1. B-cubed: a b 2/3, c 1/3, d e 1: 11/3, and the same in
    the other direction. CEAF pairs abc-ab and de-cde: 2 + 2 mentions, 2 * 2 / 5 + 2 * 2 / 5 alike. LEA: abc keeps one
    link of three, 3 * 1/3, de its only one, 2 * 1: 3 of 5. BLANC: of 3 + 1 pairs ab and de are common; of 6 others
    ad, ae, bd and be: (2/4 + 4/6) / 2 = 7/12.
    """
    counts = count(("abc de", "ab cde"))
    assert ratios(counts) == {
        "mentions": [5, 5, 5, 5],
        "muc": [2, 3, 2, 3],
        "bcub": pytest.approx([11 / 3, 5, 11 / 3, 5]),
        "ceafm": [4, 5, 4, 5],
        "ceafe": pytest.approx([8 / 5, 2, 8 / 5, 2]),
        "lea": pytest.approx([3, 5, 3, 5]),
    }
    assert counts.links.tolist() == [[[2, 4, 4], [4, 6, 6]]]
    score = counts.scores["blanc"]
    assert (score.recall, score.precision, score.f1) == pytest.approx((7 / 12,) * 3)
    assert counts.conll_f1 == pytest.approx((2 / 3 + 11 / 15 + 4 / 5) / 3)


def test_a_spurious_mention_and_a_chain_cut_off():
    """abc read as abx c.

    MUC: 3 shared mentions in 2 places leave 1 link of 2, and of the response's 2. B-cubed: a b 2/3, c 1/3 makes 5/3;
    from the response a b 2/3, x 0, c 1 makes 7/3. CEAF takes abx: 2 mentions, 2 * 2 / 6 alike. LEA: one link of three
    on both sides, 3 * 1/3; the singleton c is none in the key. BLANC: the key has no other links, so ab of 3 pairs of
    the key and of 3 of the response alone counts.
    """
    counts = count(("abc", "abx c"))
    assert ratios(counts) == {
        "mentions": [3, 3, 3, 4],
        "muc": [1, 2, 1, 2],
        "bcub": pytest.approx([5 / 3, 3, 7 / 3, 4]),
        "ceafm": [2, 3, 2, 4],
        "ceafe": pytest.approx([2 / 3, 1, 2 / 3, 2]),
        "lea": pytest.approx([1, 3, 1, 4]),
    }
    assert counts.links.tolist() == [[[1, 3, 3], [0, 0, 3]]]
    assert blanc(counts.links.sum(axis=0)).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    score = counts.scores["bcub"]
    assert (score.recall, score.precision) == pytest.approx((5 / 9, 7 / 12))
    assert score.f1 == pytest.approx(70 / 123)  # 2 * 35 / 108 / (41 / 36)
    assert counts.conll_f1 == pytest.approx((1 / 2 + 70 / 123 + 4 / 9) / 3)


def test_singletons():
    """MUC does not see them; for LEA a singleton has one link, to itself. BLANC: only other links, ab of ab ac bc."""
    counts = count(("a b c", "a b"))
    assert ratios(counts) == {
        "mentions": [2, 3, 2, 2],
        "muc": [0, 0, 0, 0],
        "bcub": [2, 3, 2, 2],
        "ceafm": [2, 3, 2, 2],
        "ceafe": [2, 3, 2, 2],
        "lea": [2, 3, 2, 2],
    }
    assert blanc(counts.links.sum(axis=0)).tolist() == pytest.approx([1 / 3, 1, 1 / 2])


def test_documents_are_summed_before_dividing():
    """MUC finds 1 of 1 link in one document, 0 of 3 in the other: 1/4, not 1/2."""
    counts = count(("ab", "ab"), ("abcd", ""))
    assert counts.ratios.shape == (2, 6, 4)
    assert counts.ratios[:, 1].tolist() == [[1, 1, 1, 1], [0, 3, 0, 0]]
    assert counts.scores["muc"].recall == 0.25
    assert counts.scores["muc"].precision == 1.0


@pytest.mark.parametrize("pairs", [[], [("", "")], [("ab", "")], [("", "ab")]])
def test_nothing_found_is_zero(pairs: list[tuple[str, str]]):
    counts = count(*pairs)
    assert {rate for score in counts.scores.values() for rate in (score.recall, score.precision, score.f1)} == {0.0}
    assert counts.conll_f1 == 0.0


def test_the_chain_that_begins_first_keeps_a_repeated_mention():
    """bd comes first in the list, ab in the text: b stays with a."""
    each = overlap(chains("ab d"), chains("bd ab"))
    assert (each.response.tolist(), each.common.tolist(), each.repeats) == ([2, 1], [[2, 0], [0, 1]], 1)


def test_of_two_mentions_that_begin_together_the_longer_opens_its_chain_first():
    """(0, 0) with b, (0, 3) with b: b stays with (0, 3)."""
    short, long, b = (0, 0), (0, 3), (5, 5)
    each = overlap([[short], [long, b]], [[short, b], [long, b]])
    assert each.common.tolist() == [[0, 1], [2, 0]]


def test_a_chain_that_loses_all_its_mentions_is_no_entity():
    """b of the second chain is a repeat; what is left is a perfect response."""
    counts = count(("ab", "ab b"))
    assert ratios(counts)["ceafe"] == [1, 1, 1, 1]
    assert ratios(counts) == ratios(count(("ab", "ab")))


def test_empty_chains_are_no_entities():
    counts = count_chains([[*chains("ab"), []]], [[[], *chains("ab")]])
    assert ratios(counts) == ratios(count(("ab", "ab")))


def test_a_spurious_repeat_counts_wherever_it_stands():
    """ax xc: 4 mentions in the chains, 3 distinct. Links ax xc; others ax ac xc, and x to itself."""
    counts = count(("abc", "ax xc"))
    assert ratios(counts)["mentions"] == [2, 3, 2, 3]
    assert [ratios(counts)[name][3] for name in ("muc", "bcub", "ceafm", "lea")] == [2, 4, 4, 4]
    assert counts.links[0, :, 2].tolist() == [2, 4]


def test_a_pair_of_repeats_counts_once():
    """xy xyy: link xy, and y to itself; others xy, x and y to themselves."""
    assert count(("ab", "xy xyy")).links[0, :, 2].tolist() == [2, 3]


def test_ten_repeats_are_dropped_and_eleven_refused():
    """In all documents together."""
    assert count(("ab", "abaaaaa"), ("ab", "abbbbbb")).scores["muc"].f1 == 1.0
    with pytest.raises(DataError, match="11 repeated mentions"):
        count(("ab", "abaaaaaa"), ("ab", "abbbbbb"))


def test_a_key_mention_that_stands_twice_is_refused():
    with pytest.raises(DataError, match=r"mention \(1, 1\) occurs 2 times") as raised:
        count_chains([chains("ab"), chains("ab bc")], [[], []], ["one", "two"])
    assert raised.value.document == "two"


def document(*clusters: tuple[Span, ...], id: str = "d") -> Document:
    return Document(id, "Anna said that she came", clusters=tuple(map(Cluster, clusters)))


def test_documents():
    """Labels are ignored, the parts of a discontinuous mention are not: she is found, the other one is not."""
    anna, she = Span(0, 4, "PERSON"), Span(15, 18, "PERSON")
    in_parts = Span(0, 9, "PERSON", parts=((0, 4), (5, 9)))
    assert count_documents([document((anna, she))], [document((Span(15, 18), Span(0, 4)))]).conll_f1 == 1.0
    counts = count_documents([document((in_parts, she))], [document((Span(0, 9), she))])
    assert ratios(counts)["mentions"] == [1, 2, 1, 2]


def test_other_documents_are_refused():
    for predicted, found in (
        ([document(id="e")], "'d' in gold and 'e' in the predictions"),
        ([], "0 predicted documents for 1"),
        ([document(), document()], "2 predicted documents for 1"),
    ):
        with pytest.raises(DataError, match=found):
            count_documents([document()], predicted)


def test_intervals():
    """One perfect document and an empty one: drawn alone they score 1 and 0."""
    counts = count(("ab", "ab"), ("ab", ""))
    assert interval(counts.ratios, conll_f1) == (0.0, 1.0)
    assert interval(counts.links, lambda drawn: blanc(drawn)[..., 2]) == (0.0, 1.0)
    assert interval(count(*[("abc", "ab c")] * 3).ratios, conll_f1) == pytest.approx(
        (count(("abc", "ab c")).conll_f1,) * 2
    )


def partition(homes: list[int]) -> Chains:
    """Mention i goes to chain homes[i]; no chain for 0."""
    return [[(i, i) for i, home in enumerate(homes) if home == chain] for chain in sorted(set(homes) - {0})]


HOMES = st.lists(st.integers(0, 4), min_size=8, max_size=8)


@given(HOMES, st.randoms(use_true_random=False))
def test_the_key_itself_is_perfect_in_any_order(homes: list[int], random: Random):
    key = partition([1, 1, *homes])  # one link at least, or MUC has nothing to find
    response = [list(chain) for chain in key]
    for order in (response, *response):
        random.shuffle(order)
    counts = count_chains([key], [response])
    assert {name: score.f1 for name, score in counts.scores.items()} == pytest.approx(
        dict.fromkeys([*METRICS, "blanc"], 1.0)
    )
    assert counts.conll_f1 == pytest.approx(1.0)


@given(HOMES, HOMES)
def test_precision_is_recall_of_the_sides_exchanged(one: list[int], other: list[int]):
    forth, back = overlap(partition(one), partition(other)), overlap(partition(other), partition(one))
    for metric in METRICS.values():
        assert metric(forth) == pytest.approx(metric(back)[2:] + metric(back)[:2])
    assert [(common, response, key) for common, key, response in links(forth)] == list(links(back))


@given(HOMES, st.lists(st.lists(st.integers(0, 9).map(lambda place: (place, place)), max_size=5), max_size=4))
def test_links_and_shared_mentions_are_those_of_their_definitions(homes: list[int], response: Chains):
    """Pairs one by one, B-cubed mention by mention. Places 8 and 9 are always spurious, so they may repeat."""
    key = partition(homes)
    gold = {mention for chain in key for mention in chain}
    seen: set[tuple[int, ...]] = set()
    kept: list[list[tuple[int, ...]]] = []
    for chain in sorted(response, key=lambda chain: min(chain, default=())):
        kept.append([])
        for mention in chain:
            if mention not in seen & gold:
                seen.add(mention)
                kept[-1].append(mention)
    sides = [(inside(side), between(side)) for side in (key, kept)]
    expected = [(len(k & r), len(k), len(r)) for k, r in zip(*sides, strict=True)]
    each = overlap(key, response)
    assert list(links(each)) == expected
    alike = [(set(k) & set(r), k, r) for k in key for r in kept]
    assert METRICS["bcub"](each)[0] == pytest.approx(sum(len(both) / len(k) for both, k, _ in alike for _ in both))
    assert METRICS["bcub"](each)[2] == pytest.approx(sum(len(both) / len(r) for both, _, r in alike for _ in both))


def inside(side: Chains) -> set[tuple[object, ...]]:
    return {tuple(sorted(pair)) for chain in side for pair in combinations(chain, 2)}


def between(side: Chains) -> set[tuple[object, ...]]:
    return {tuple(sorted((a, b))) for one, other in combinations(side, 2) for a in one for b in other}
