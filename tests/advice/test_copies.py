"""Copies within and across, by hand."""

from __future__ import annotations

from spanbert.advice.copies import copies
from spanbert.documents import Document

from .marked import marked

LONG = "the house of [Anna|PERSON] was big and the river went on from day to day and night to night until it ended"


def test_copies_within_and_across():
    train = [
        marked("a", LONG),
        marked("b", "short"),
        marked("c", LONG.replace("house", "HOUSE  ").replace("PERSON", "ORG")),  # same text, other label
        marked("d", LONG + " ."),  # near: same words
        marked("e", "Short"),
        marked("f", ""),
        marked("g", ""),
    ]
    dev = [marked("h", LONG), marked("i", LONG + " soon"), marked("j", "another text of some words"), marked("k", "")]
    found = {finding.kind: finding for finding in copies(train, dev)}
    assert {kind: [example.what for example in finding.examples] for kind, finding in found.items()} == {
        "same-text": ["c and a", "e and b"],
        "same-text-held-out": ["h and a"],
        "near-text": ["d and a"],
        "near-text-held-out": ["i and a"],
    }
    assert "1 of these pairs are annotated differently" in found["same-text"].what


def test_nothing_to_say():
    assert list(copies([marked("a", LONG)], [marked("b", "other words")])) == []
    assert list(copies([], [])) == []
    assert list(copies([], [marked("a", LONG), marked("b", LONG)])) == []  # twice held out leaks nothing


def test_copies_of_a_held_out_document_that_is_like_a_training_one_are_like_it_too():
    text = " ".join(f"word{n}" for n in range(40))
    train = [Document("t", text)]
    dev = [Document(f"d{n}", text + " end") for n in range(5)]
    found = {finding.kind: finding.count for finding in copies(train, dev)}
    assert found == {"near-text-held-out": 5}
