"""Several scorers side by side."""

from __future__ import annotations

import pytest

from spanbert.documents import Document, Span
from spanbert.metrics.breakdown import words
from spanbert.metrics.scorers import NOT_FLAT, TAG_SCORERS, side_by_side

TEXT = "Anna met Bert of Acme Corp"


def scores(gold: list[Span], predicted: list[Span], **more: object) -> tuple[dict[str, object], list[str]]:
    """By scorer (correct, predicted, gold), or the reason why not; and the notes."""
    document = Document("a", TEXT, tuple(gold), **more)  # type: ignore[arg-type]
    found, notes = side_by_side([document], [Document("a", TEXT, tuple(predicted))], [words(document)])
    return {
        each.name: each.reason if each.row is None else (each.row.correct, each.row.predicted, each.row.gold)
        for each in found
    }, notes


def test_each_counts_in_its_own_way():
    """`Anna` right; `Ac` of `Acme`; `met` for `met Bert`; `of` with a wrong label.

    To tags `Ac` is the word `Acme`. nervaluate, partial: Anna and of correct, two halves.
    """
    gold = [Span(0, 4, "P"), Span(5, 13, "X"), Span(14, 16, "X"), Span(17, 21, "O")]
    predicted = [Span(0, 4, "P"), Span(5, 8, "X"), Span(14, 16, "Y"), Span(17, 19, "O")]
    found, notes = scores(gold, predicted)
    assert found == {
        "strict set": (1, 4, 4),
        "boundaries alone": (2, 4, 4),
        **dict.fromkeys(TAG_SCORERS, (2, 4, 4)),
        "nervaluate, strict": (1, 4, 4),
        "nervaluate, exact": (2, 4, 4),
        "nervaluate, partial": (3, 4, 4),
        "nervaluate, type": (3, 4, 4),
    }
    assert any("widened to whole words: 1." in note for note in notes)
    assert any("takes no choice back" in note for note in notes)


def test_neighbours_with_one_label_stay_two_spans():
    found, notes = scores([Span(0, 4, "P"), Span(5, 8, "P")], [Span(0, 8, "P")])
    assert {found[name] for name in TAG_SCORERS} == {(0, 1, 2)}
    assert not any("widened" in note or "without any word" in note for note in notes)


def test_a_span_of_white_space_cannot_be_written_as_tags():
    found, notes = scores([Span(0, 4, "P")], [Span(0, 4, "P"), Span(4, 5, "P")])
    assert found["strict set"] == (1, 2, 1) and found["conlleval"] == (1, 1, 1)
    assert any("cannot write: 1." in note for note in notes)


@pytest.mark.parametrize(
    ("gold", "predicted", "side"),
    [
        ([Span(0, 8, "P"), Span(5, 8, "P")], [], "gold"),
        ([], [Span(0, 2, "P"), Span(2, 4, "Q")], "predicted"),  # side by side, and in one word
        ([Span(0, 8, "P", parts=((0, 4), (5, 8)))], [], "gold"),
    ],
)
def test_what_is_not_flat_has_no_tags(gold: list[Span], predicted: list[Span], side: str):
    found, notes = scores(gold, predicted)
    for name in TAG_SCORERS:
        assert str(found[name]).startswith(f"{NOT_FLAT}: ") and side in str(found[name]) and "'a'" in str(found[name])
    assert found["strict set"] == (0, len(predicted), len(gold))
    assert not any("BIO" in note for note in notes)


def test_repeats_and_labels_that_were_not_looked_for():
    """The repeat of a span shares its words with itself alone; Z was not annotated, so it conflicts with nothing."""
    gold = [Span(0, 4, "P"), Span(0, 4, "P"), Span(0, 8, "Z")]
    found, _ = scores(gold, [Span(0, 4, "P"), Span(0, 4, "Z")], annotated=frozenset("P"))
    assert found["strict set"] == found["conlleval"] == (1, 1, 1)
    assert found["nervaluate, strict"] == (1, 1, 2)  # a repeat is a span like any other there


def test_known_effect_of_order():
    """[0, 2) comes first and takes the gold span that [0, 4) would have had."""
    found, _ = scores([Span(0, 4, "P")], [Span(0, 4, "P"), Span(0, 2, "P")])
    assert found["nervaluate, strict"] == (0, 2, 1) and found["strict set"] == (1, 2, 1)
