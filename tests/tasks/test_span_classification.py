"""Span classification: settings, targets, decoding of rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from spanbert.documents import Document, Span
from spanbert.errors import UsageError
from spanbert.tasks.span_classification import FLOOR, SpanClassification, SpanSettings
from spanbert.tokenization import Tokenizer

TEXT = "Anna met Bert of Acme Corp"  # pieces 0 to 5
DOCUMENT = Document("d", TEXT)


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


def task(tokenizer: Tokenizer, **settings) -> SpanClassification:
    return SpanClassification(SpanSettings(labels=("X", "Y"), window=64, **settings), tokenizer)


def table(*rows: tuple[int, int, int, float]) -> dict[str, np.ndarray]:
    """Rows of (first, last, label, logit)."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return dict(zip(("first", "last", "label", "logit"), columns, strict=True)) | {"window": np.zeros(len(rows), int)}


def decoded(made: SpanClassification, tokenizer: Tokenizer, *rows) -> list[tuple[str, str, float]]:
    found = made.decode(DOCUMENT, tokenizer.pieces([TEXT])[0], table(*rows))
    return [(TEXT[span.start : span.end], span.label, span.logit) for span in found.spans]


def test_policies(tokenizer: Tokenizer):
    """`Anna met` 3 against `met Bert` 2 + nothing: flat takes the first, and `Acme Corp` over `Acme` by 4 to 1."""
    rows = [(0, 1, 0, 3.0), (1, 2, 1, 2.0), (4, 5, 0, 4.0), (4, 4, 1, 1.0)]
    flat = [("Anna met", "X", 3.0), ("Acme Corp", "X", 4.0)]
    assert decoded(task(tokenizer), tokenizer, *rows) == flat
    nested = [flat[0], ("Acme", "Y", 1.0), flat[1]]
    assert decoded(task(tokenizer, policy="nested"), tokenizer, *rows) == nested
    everything = [(TEXT[0:8], "X", 3.0), ("met Bert", "Y", 2.0), ("Acme Corp", "X", 4.0), ("Acme", "Y", 1.0)]
    assert sorted(decoded(task(tokenizer, policy="overlapping"), tokenizer, *rows)) == sorted(everything)
    assert decoded(task(tokenizer, policy="arg-max"), tokenizer, *rows) == [flat[1]]
    assert decoded(task(tokenizer, policy="arg-max"), tokenizer, (0, 0, 0, -50.0)) == [("Anna", "X", -50.0)]


def test_the_room_that_is_left(tokenizer: Tokenizer):
    """10 improbable spans for 100 pieces: 120 pieces leave room for 12, the best ones above the floor."""
    text = "the " * 120
    pieces = tokenizer.pieces([text])[0]
    logits = [-1.0 - n / 100 for n in range(13)] + [FLOOR - 0.1]
    rows = [(n, n, 0, logit) for n, logit in enumerate(logits)]
    made = task(tokenizer)
    found = made.decode(Document("d", text), pieces, table(*rows))
    assert [span.logit for span in found.spans] == logits[:12]
    found = made.decode(Document("d", text), pieces, table(rows[0], rows[13]))
    assert [span.logit for span in found.spans] == [-1.0]


def test_candidates_are_all_rows(tokenizer: Tokenizer):
    pieces = tokenizer.pieces([TEXT])[0]
    found = task(tokenizer).candidates(DOCUMENT, pieces, table((0, 1, 0, -3.0), (1, 2, 1, 2.0)))
    assert [(span.start, span.end, span.label, span.logit) for span in found] == [(0, 8, "X", -3.0), (5, 13, "Y", 2.0)]
    assert task(tokenizer).candidates(DOCUMENT, pieces, {}) == ()


def test_thresholds_and_floors(tokenizer: Tokenizer):
    assert (task(tokenizer).threshold, task(tokenizer).floor) == (0.5, FLOOR)
    arg_max = task(tokenizer, policy="arg-max")
    assert (arg_max.threshold, arg_max.floor) == (0.0, -math.inf)


def test_flat_training_gold_that_overlaps(tokenizer: Tokenizer):
    """`Acme Corp` contains `Acme`: only the longest is taught; under nested both are."""
    document = Document("d", TEXT, (Span(17, 21, "Y"), Span(17, 26, "X")))
    pieces = tokenizer.pieces([TEXT])[0]
    draw = np.random.default_rng(0)
    for settings, rows in (
        ({}, [[4, 5, 0]]),
        ({"resolve": "first"}, [[4, 4, 1]]),  # both begin at 17: the shorter one comes first
        ({"policy": "nested"}, [[4, 4, 1], [4, 5, 0]]),
        ({"policy": "overlapping"}, [[4, 4, 1], [4, 5, 0]]),
    ):
        (example,) = task(tokenizer, **settings).examples(document, pieces, draw)
        assert example.targets.spans.tolist() == rows
        assert example.counts == {"spans": 6.0}


@pytest.mark.parametrize(
    ("settings", "hint"),
    [({"policy": "nest"}, "did you mean 'nested'"), ({"resolve": "longst"}, "did you mean 'longest'")],
)
def test_settings_that_do_not_exist(tokenizer: Tokenizer, settings: dict, hint: str):
    with pytest.raises(UsageError, match=hint):
        task(tokenizer, **settings)


def test_texts_of_a_few_pieces_have_room_too(tokenizer: Tokenizer):
    """`the house` has 2 pieces, and 2 spans below even odds that a lower threshold can show."""
    rows = [(0, 0, 0, -1.0), (1, 1, 0, -2.0)]
    found = task(tokenizer).decode(Document("d", "the house"), tokenizer.pieces(["the house"])[0], table(*rows))
    assert [span.logit for span in found.spans] == [-1.0, -2.0]


@pytest.mark.parametrize("policy", ["flat", "nested", "overlapping"])
def test_pieces_that_stand_for_the_same_characters_give_one_span(tmp_path: Path, policy: str):
    """An uncased vocabulary splits the one character \ud55c into three pieces, all of [0, 1): one span, not six."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u1112", "##\u1161", "##\u11ab", "a"]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    syllables = Tokenizer.from_vocabulary(tmp_path / "vocab.txt")
    pieces = syllables.pieces(["\ud55c a"])[0]
    assert pieces.starts.tolist() == [0, 0, 0, 2]
    rows = [(first, last, 0, 1.0 + first + last) for first in range(4) for last in range(first, 4)]
    found = task(syllables, policy=policy).decode(Document("d", "\ud55c a"), pieces, table(*rows))
    places = [(span.start, span.end) for span in found.spans]
    assert len(set(places)) == len(places)
    kept = {(0, 1): 3.0, (0, 3): 4.0, (2, 3): 7.0}  # rows (0, 2), (0, 3) and (3, 3)
    assert {(span.start, span.end): span.logit for span in found.spans}.items() <= kept.items()
