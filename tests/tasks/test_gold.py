"""What gold spans teach: which of them, on which pieces, and what their absence says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spanbert.documents import Candidate, Decoded, Document, Span
from spanbert.errors import SpanbertError
from spanbert.tasks import gold
from spanbert.tasks.span_classification import SpanSettings
from spanbert.tokenization import Pieces, Tokenizer

LABELS = ("X", "Y")
A, B, C = Span(0, 8, "X", 0.4), Span(5, 17, "Y", 0.9), Span(14, 17, "X", 0.95)  # A and B overlap, C lies in B
TEXT = "Anna met the man ."[:17]


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


@pytest.mark.parametrize(
    ("policy", "how", "kept"),
    [
        ("flat", "longest", (B,)),  # 12 characters against 8 and 3
        ("flat", "first", (A, C)),
        ("flat", "highest", (A, C)),  # C with 0.95 goes first, B crosses it, A does not
        ("nested", "longest", (B, C)),
        ("nested", "first", (A, C)),
        ("overlapping", "longest", (A, B, C)),
        ("arg-max", "longest", (A, B, C)),  # it chooses among predictions
    ],
)
def test_teachable(policy: str, how: str, kept: tuple):
    assert gold.teachable(Document("d", TEXT, (A, B, C)), LABELS, policy, how) == kept


def test_not_teachable():
    """Labels the model does not have, and those that were not looked for: these spans count nowhere else either."""
    document = Document("d", TEXT, (A, B, C), annotated=frozenset({"X"}))
    assert gold.teachable(document, ("Y",), "overlapping", "longest") == ()
    assert gold.teachable(document, LABELS, "flat", "longest") == (A, C)
    assert gold.teachable(Document("d", TEXT, (A, B, C)), ("X",), "flat", "longest") == (A, C)


def test_judged_counts_what_evaluate_counts():
    """A discontinuous span is gold that nothing finds: a promise of recall knows of it, and its hull is wrong."""
    document = Document("d", TEXT, (C, Span(0, 8, "X", parts=((0, 4), (5, 8)))))
    found = Decoded(spans=(Candidate(14, 17, "X", 1.0), Candidate(0, 8, "X", 0.5)))
    judged = gold.judged(document, found)
    assert (judged.right, judged.gold) == ((True, False), {"X": 2})


def test_taught():
    assert gold.taught(Document("d", ""), LABELS).tolist() == [True, True]
    assert gold.taught(Document("d", "", annotated=frozenset({"Y", "Z"})), LABELS).tolist() == [False, True]
    assert gold.taught(Document("d", "", annotated=frozenset()), LABELS).tolist() == [False, False]


def test_runs(tokenizer: Tokenizer):
    """the = 0, un = 1, ##do = 2, Anna = 3. A border inside a piece moves out; equal rows are one; white space is
    none."""
    pieces = tokenizer.pieces(["the undo Anna"])[0]
    spans = [Span(4, 8, "Y"), Span(0, 6, "X"), Span(10, 12, "X"), Span(9, 13, "X"), Span(3, 4, "X")]
    assert gold.runs(spans, pieces, LABELS).tolist() == [[0, 1, 0], [1, 2, 1], [3, 3, 0]]
    assert gold.runs([], pieces, LABELS).shape == (0, 3)


def test_adapted():
    """Labels sorted; overlap = longest span + 32, at most half the window; what was set stays."""
    documents = [Document("a", "ab", (Span(0, 1, "Y"), Span(1, 2, "X"))), Document("b", "c", (Span(0, 1, "Y"),))]
    assert gold.adapted(SpanSettings(), documents, 10) == SpanSettings(labels=("X", "Y"), overlap=42)
    assert gold.adapted(SpanSettings(window=64), documents, 10).overlap == 32
    own = SpanSettings(labels=("B", "A"), overlap=0)
    assert gold.adapted(own, documents, 10) == own


def test_windows_before_training_share_a_half(tokenizer: Tokenizer):
    pieces = tokenizer.pieces(["the " * 100])[0]
    shared = []
    for overlap in (None, 2):
        windows = gold.windows(SpanSettings(window=22, overlap=overlap), tokenizer, pieces)
        (_, last), (first, _) = windows[0].bounds, windows[1].bounds
        shared.append(last - first + 1)
        assert all(len(window.ids) <= 22 for window in windows)
    assert shared[0] >= 10 > shared[1] >= 2


def test_unreachable_names_each_span_once(tokenizer: Tokenizer):
    """A repeated span is within reach: repeats count once."""
    spans = (Span(0, 4, "X"), Span(0, 4, "X"), Span(1, 4, "X"), Span(1, 4, "X"), Span(5, 8, "Z"))
    pieces = tokenizer.pieces(["Anna met"])[0]
    document = Document("d", "Anna met", spans)
    assert gold.unreachable(document, pieces, LABELS, "overlapping", "longest", None) == (
        (Span(1, 4, "X"), gold.INSIDE_PIECE),
        (Span(5, 8, "Z"), gold.UNKNOWN_LABEL),
    )
    twice = Document("d", "Anna met", spans[:2])
    assert gold.unreachable(twice, pieces, LABELS, "flat", "longest", None) == ()


def test_labels_are_checked_when_a_task_is_set_up():
    for labels, words in ((("PER SON",), "label 'PER SON'"), (("",), "label ''"), (("A", "A"), "labels A, A")):
        with pytest.raises(SpanbertError, match=words):
            SpanSettings(labels=labels)


def test_a_span_before_a_piece_of_white_space_can_be_told():
    """`Anna` and `here` around a piece of white space alone, as byte-level vocabularies have them."""
    pieces = Pieces(np.arange(3), np.array([0, 4, 6]), np.array([4, 4, 10]), np.arange(3))
    table = {"first": np.array([0, 0, 2, 1]), "last": np.array([0, 2, 2, 1])}
    found = gold.distinct(pieces, table)
    assert list(zip(found["first"].tolist(), found["last"].tolist(), strict=True)) == [(0, 0), (0, 2), (2, 2)]
