"""Scores of tag sequences under the readings of conlleval and seqeval."""

from __future__ import annotations

import pytest

from spanbert.errors import DataError
from spanbert.metrics.tags import READINGS, score_tags

GOLD = [["B-X", "I-X", "O"], ["B-Y"]]
FOUND = [["I-X", "I-X", "O"], ["I-Y"]]


def test_conlleval_reads_what_strict_leaves_out():
    """No predicted span has its B-: conlleval repairs both, strict iob2 sees none. 2 of 4 tags agree."""
    lenient, strict = (score_tags(GOLD, FOUND, scorer) for scorer in ("conlleval", "seqeval_strict_iob2"))
    assert lenient.spans.by_label.sum(axis=(0, 1)).tolist() == [2, 2, 2]
    assert strict.spans.by_label.sum(axis=(0, 1)).tolist() == [0, 0, 2]
    assert (lenient.tokens, lenient.correct_tags, lenient.accuracy) == (4, 2, 0.5)
    assert strict.gold == (((0, 2, "X"),), ((0, 1, "Y"),))
    assert strict.predicted == ((), ())


def test_sentences_are_counted_apart():
    assert score_tags([["B-X"], ["I-X"]], [["B-X"], ["O"]], "conlleval").spans.by_label.tolist() == [
        [[1, 1, 1]],
        [[0, 0, 1]],
    ]


def test_untyped_tags():
    """conlleval calls the label '', seqeval '_'; B I without E is no span of strict iobes."""
    found = {scorer: score_tags([["B", "I"]], [["B", "I"]], scorer).gold for scorer in READINGS}
    assert found == {
        "conlleval": (((0, 2, ""),),),
        "seqeval_default": (((0, 2, "_"),),),
        "seqeval_strict_iob2": (((0, 2, "_"),),),
        "seqeval_strict_iobes": ((),),
    }


def test_no_tokens():
    assert score_tags([], [], "conlleval").accuracy == 0.0


def test_lengths_must_match():
    with pytest.raises(DataError, match="lengths"):
        score_tags([["O", "O"]], [["O"]], "conlleval")
    with pytest.raises(DataError, match="lengths"):
        score_tags([["O"]], [], "conlleval")
