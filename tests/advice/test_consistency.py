"""Contradictions by hand, and against counting everything with everything."""

from __future__ import annotations

import re
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from spanbert.advice import consistency
from spanbert.advice.findings import NOTE, WARNING, Place, quoted
from spanbert.documents import Document, Span

from .marked import marked


def test_the_marks_of_the_test_itself():
    document = marked("d", "[Anna|A] met [the [Bolt|B] man|C]")
    assert document.text == "Anna met the Bolt man"
    assert document.spans == (Span(0, 4, "A"), Span(9, 21, "C"), Span(13, 17, "B"))


def test_different_labels_worst_first():
    documents = [
        marked("a", "[Bolt|ORG] and [Bolt|ORG] and [Core|ORG]"),
        marked("b", "[Bolt|PERSON] , [Core|PLACE] , [Core|ORG] , [Acme\nCorp|ORG] , [Core|PERSON]"),
        marked("c", "[Acme Corp|ORG] with [[Both|X]|Y] and [[Both|Y]|X]"),
    ]
    (finding,) = consistency.disagreements(documents)
    assert (finding.kind, finding.severity, finding.count) == ("different-labels", WARNING, 2)
    assert [example.what for example in finding.examples] == [
        "'Core': ORG 2, PERSON 1, PLACE 1",
        "'Bolt': ORG 2, PERSON 1",
    ]
    assert finding.examples[1].places == (Place("a", 0, 4), Place("a", 9, 13), Place("b", 0, 4))


def test_a_place_with_two_labels_agrees_with_itself_only():
    (finding,) = consistency.disagreements([marked("a", "[[Both|X]|Y]"), marked("b", "[Both|X]")])
    assert finding.examples[0].what == "'Both': X 1, X and Y 1"


def test_labels_that_were_not_looked_for_contradict_nothing():
    partly = marked("b", "[Bolt|ORG] , Core", frozenset({"ORG"}))
    documents = [marked("a", "[Bolt|PERSON] and [Core|PERSON]"), partly]
    assert list(consistency.disagreements(documents)) == list(consistency.gaps([*documents, partly])) == []
    whole = marked("b", "[Bolt|ORG] , Core , Core", frozenset({"ORG", "PERSON", "PLACE"}))
    assert [f.count for f in consistency.disagreements([documents[0], whole])] == [1]
    assert [f.count for f in consistency.gaps([documents[0], whole])] == [2]


def test_gaps_are_whole_words_outside_of_spans():
    documents = [
        marked("a", "[Acme|ORG] , Acme , [the Acme house|PLACE] , Acmes , acme"),  # 1 to 1: not most
        marked("b", "[Bolt Corp|ORG] , Bolt  Corp , Bolt Corp . Bolt , [7|X] , 7 , 7 , 7"),  # 1 to 2; no letter in 7
        marked("c", "[Core|ORG] Core Core [Core|ORG] Core"),  # 2 to 3
        marked("d", "end [Bolt Corp|ORG] , Bolt Corp , Bolt"),  # together 2 to 3
    ]
    (finding,) = consistency.gaps(documents)
    assert finding.count == 6
    assert [example.what for example in finding.examples] == [
        "'Bolt Corp': annotated 2, not annotated 3",
        "'Core': annotated 2, not annotated 3",
    ]
    assert finding.examples[0].places == (Place("b", 0, 9), Place("b", 12, 22), Place("b", 25, 34))


def test_gaps_at_the_end_of_a_text():
    """What begins a longer known string there is the shorter one, once."""
    (finding,) = consistency.gaps([marked("a", "[Core Corp|X] [Core|X] Core Core")])
    assert [example.what for example in finding.examples] == ["'Core': annotated 1, not annotated 2"]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=12))
def test_gaps_count_what_a_search_counts(words: list[tuple[str, bool]]):
    """Each word is a span or not; the texts are of two words only, so that they repeat."""
    text = " ".join(word for word, _ in words)
    spans = tuple(Span(2 * k, 2 * k + 1, "X") for k, (_, span) in enumerate(words) if span)
    known = {word: sum(s and w == word for w, s in words) for word in "ab"}
    bare = {word: sum(not s and w == word for w, s in words) for word in "ab"}
    expected = sum(bare[word] for word in "ab" if known[word] and bare[word] >= max(2, known[word] / 4))
    assert sum(finding.count for finding in consistency.gaps([Document("d", text, spans)])) == expected


def test_unsteady_borders():
    documents = [
        marked("a", "[Acme Corp.|ORG] , [Acme Corp|ORG] , [Acme Corp|ORG] , [Acme Corp.|PLACE] , [(Bolt)|ORG]"),
        marked("b", "[Bolt|ORG] , [$5|X] , [5|X] , [U.S|Y] , [U. S|Y] , [10 %|Z] , [10|Z]"),
    ]
    (finding,) = consistency.unsteady_borders(documents)
    assert (finding.kind, finding.count) == ("unsteady-borders", 2)
    assert [example.what for example in finding.examples] == ["'Acme Corp.': … 2, …. 1", "'(Bolt)': (…) 1, … 1"]


def test_spans_of_punctuation_only():
    (finding,) = consistency.unsteady_borders([marked("a", "x [--|ORG] y [%|X]")])
    assert (finding.kind, finding.count, finding.examples[0].places) == ("punctuation-only", 1, (Place("a", 2, 4),))


def test_edges_of_words_and_marks():
    assert consistency.edges(("(", "a", ".", "b", ")", ".")) == (("(",), ("a", ".", "b"), (")", "."))
    assert consistency.edges(("(", ".")) == (("(", "."), (), ())
    assert consistency.edges(()) == ((), (), ())


def test_overlaps_and_their_severity():
    text = "a b c d e f g h"
    nested = Document("n", text, (Span(0, 5, "X"), Span(0, 3, "Y"), Span(8, 9, "X")))
    twice = Document("t", text, (Span(0, 5, "X"), Span(0, 5, "Y")))
    crossing = Document("c", text, (Span(0, 5, "X"), Span(4, 9, "Y"), Span(8, 11, "X")))
    found = {finding.kind: finding for finding in consistency.overlaps([nested, twice, crossing])}
    assert {kind: (finding.count, finding.severity) for kind, finding in found.items()} == {
        "nested": (1, NOTE),
        "two-labels": (1, NOTE),
        "crossing": (2, WARNING),
    }
    same = Document("s", text, (Span(0, 5, "X"), Span(0, 3, "X"), Span(2, 3, "Y")))
    (finding,) = consistency.overlaps([same])
    assert finding.severity == WARNING and finding.what == "3 spans lie inside another, 1 of the same label"
    assert finding.examples[0].what == "'a b c' X and 'a b' X"  # one label first


SPANS = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 4), st.sampled_from("XY")), max_size=8)


@given(SPANS)
def test_overlapping_pairs_are_all_pairs_that_share_text(rows: list[tuple[int, int, str]]):
    spans = [Span(start, start + width, label) for start, width, label in rows]
    found = [frozenset(pair) for pair in consistency.overlapping_pairs(spans)]
    expected = {
        frozenset(pair)
        for pair in combinations(set(spans), 2)
        if pair[0].start < pair[1].end and pair[1].start < pair[0].end
    }
    assert set(found) == expected and len(found) == len(expected)


def test_rare_labels():
    documents = [
        marked(str(n), "[a|OFTEN] " * 5 + ("[b|RARE] " * 9 + "[c|ALONE] " * 20 if n == 0 else "")) for n in range(2)
    ]
    counts = consistency.label_counts(documents)
    assert counts == {"ALONE": (20, 1), "OFTEN": (10, 2), "RARE": (9, 1)}
    (finding,) = consistency.rare_labels(counts)
    assert [example.what for example in finding.examples] == [
        "RARE: 9 spans in 1 document",
        "ALONE: 20 spans in 1 document",
    ]
    assert list(consistency.rare_labels({"OFTEN": (10, 2)})) == []


def test_lengths_and_empty_documents():
    documents = [
        marked("a", "[one|X] [two words|X] [three more words|X]"),
        marked("b", "none"),
        marked("c", "x", frozenset()),
    ]
    (finding,) = consistency.lengths_in_words(documents)
    assert "2 words in the middle, 3 at the 95th percentile, 3 at most" in finding.what
    assert finding.examples[0].what == "3 words: 'three more words' X"
    (finding,) = consistency.empty_documents(documents)
    assert (finding.count, finding.severity, [e.what for e in finding.examples]) == (1, NOTE, ["b"])
    (finding,) = consistency.empty_documents(documents[1:2])
    assert finding.severity == WARNING
    assert list(consistency.lengths_in_words(documents[1:])) == []


def test_quotes_are_short_and_on_one_line():
    assert quoted("a\n b") == "'a b'"
    assert re.fullmatch("'x{40} … x{15}'", quoted("x" * 61)) and quoted("x" * 60) == f"'{'x' * 60}'"
