"""Token classification: tags of all schemes, foreign tag sets, decoding of rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from spanbert.documents import Document, Span
from spanbert.errors import DataError, UsageError
from spanbert.tasks.token_classification import TagSettings, TokenClassification
from spanbert.tokenization import Tokenizer

TEXT = "Anna met Bert of Acme Corp undo"  # pieces 0 to 5, un = 6, ##do = 7
DRAW = np.random.default_rng(0)


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


def task(tokenizer: Tokenizer, **settings) -> TokenClassification:
    return TokenClassification(TagSettings(**{"labels": ("X", "Y"), "window": 64} | settings), tokenizer)


def targets(made: TokenClassification, tokenizer: Tokenizer, document: Document):
    (example,) = made.examples(document, tokenizer.pieces([document.text])[0], DRAW)
    return example.targets


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("iob2", "B-X O B-X O B-Y I-Y B-Y I-Y"),
        ("iobes", "S-X O S-X O B-Y E-Y B-Y E-Y"),
        ("bilou", "U-X O U-X O B-Y L-Y B-Y L-Y"),
        ("iob1", "I-X O I-X O I-Y I-Y B-Y I-Y"),
    ],
)
def test_targets(tokenizer: Tokenizer, scheme: str, expected: str):
    spans = (Span(0, 4, "X"), Span(9, 13, "X"), Span(17, 26, "Y"), Span(27, 31, "Y"))
    made = task(tokenizer, scheme=scheme)
    found = targets(made, tokenizer, Document("d", TEXT, spans))
    assert " ".join(made.tags[tag] for tag in found.tags) == expected
    assert found.taught.all() and len(found.taught) == len(made.tags)


def test_two_spans_in_one_piece(tokenizer: Tokenizer):
    """`An` and `na` would both be the piece `Anna`: the first has it."""
    made = task(tokenizer)
    found = targets(made, tokenizer, Document("d", "Anna met", (Span(0, 2, "X"), Span(2, 4, "Y"))))
    assert [made.tags[tag] for tag in found.tags] == ["B-X", "O"]


def test_partial_annotation(tokenizer: Tokenizer):
    """Y was not looked for: its tags take no part, and a span of it teaches nothing."""
    made = task(tokenizer)
    document = Document("d", TEXT, (Span(0, 4, "X"), Span(9, 13, "Y")), annotated=frozenset({"X"}))
    found = targets(made, tokenizer, document)
    assert dict(zip(made.tags, found.taught.tolist(), strict=True)) == {
        "O": True,
        "B-X": True,
        "I-X": True,
        "B-Y": False,
        "I-Y": False,
    }
    assert [made.tags[tag] for tag in found.tags] == ["B-X"] + ["O"] * 7


def test_flat_gold(tokenizer: Tokenizer):
    made = task(tokenizer)
    document = Document("d", TEXT, (Span(17, 21, "X"), Span(17, 26, "Y")))
    assert [made.tags[tag] for tag in targets(made, tokenizer, document).tags[4:6]] == ["B-Y", "I-Y"]
    first = task(tokenizer, resolve="first")
    assert [made.tags[tag] for tag in targets(first, tokenizer, document).tags[4:6]] == ["B-X", "O"]


def test_the_probability_of_a_span(tokenizer: Tokenizer):
    """One piece, tags O, B-X, I-X with weights 1, 3 and 5; I-X is not legal there: odds of `Anna` 3 to 1."""
    made = task(tokenizer, labels=("X",))
    pieces = tokenizer.pieces(["Anna"])[0]
    rows = {"window": np.array([0]), "piece": np.array([0]), "emission": np.log([[1.0, 3.0, 5.0]])}
    (span,) = made.decode(Document("d", "Anna"), pieces, rows).spans
    assert (span.start, span.end, span.label) == (0, 4, "X")
    assert span.logit == pytest.approx(math.log(3))
    assert made.candidates(Document("d", "Anna"), pieces, rows) == (span,)


def test_rows_in_any_order(tokenizer: Tokenizer):
    """Windows come in the order of their length, pieces must not."""
    made = task(tokenizer)
    pieces = tokenizer.pieces([TEXT])[0]
    emission = np.zeros((8, 5))
    emission[[4, 5], [3, 4]] = 9.0  # B-Y I-Y on Acme Corp
    emission[[0, 1, 2, 3, 6, 7], 0] = 9.0
    order = np.array([4, 5, 6, 7, 0, 1, 2, 3])
    rows = {"window": np.array([1] * 4 + [0] * 4), "piece": order, "emission": emission[order]}
    (span,) = made.decode(Document("d", TEXT), pieces, rows).spans
    assert (TEXT[span.start : span.end], span.label) == ("Acme Corp", "Y")


@pytest.mark.parametrize(
    ("tags", "labels", "scheme"),
    [
        (["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], ("PER", "LOC"), "mixed"),
        (["B-PER", "E-PER", "I-PER", "S-PER", "O"], ("PER",), "iobes"),
        (["O", "B-A", "I-A", "L-A", "U-A"], ("A",), "bilou"),
        (["O", "PER", "LOC"], ("PER", "LOC"), "io"),
        (["O", "B-sub-part", "I-sub-part"], ("sub-part",), "mixed"),
    ],
)
def test_foreign_tags(tokenizer: Tokenizer, tags: list, labels: tuple, scheme: str):
    """Eleven tags and more: the keys of id2label are numbers, not words ("10" < "2")."""
    config = {"id2label": {str(n): tag for n, tag in reversed(list(enumerate(tags)))}}
    settings = TokenClassification.adopted(config)
    assert (settings.tags, settings.labels, settings.scheme) == (tuple(tags), labels, scheme)
    made = TokenClassification(settings, tokenizer)
    assert made.tags == tuple(tags)
    assert made.stock_config()["id2label"] == {str(n): tag for n, tag in enumerate(tags)}
    assert made.lattice.tags == tuple(tags)


def test_many_foreign_tags_are_in_the_order_of_their_numbers():
    tags = ["O", *(f"{letter}-L{n}" for n in range(6) for letter in "BI")]
    config = {"id2label": {str(n): tag for n, tag in sorted(enumerate(tags), key=lambda pair: str(pair[0]))}}
    assert TokenClassification.adopted(config).tags == tuple(tags)


@pytest.mark.parametrize("config", [{}, {"id2label": {}}, {"id2label": ["O"]}])
def test_no_foreign_tags(config: dict):
    with pytest.raises(DataError, match="id2label"):
        TokenClassification.adopted(config)


def test_settings_that_do_not_exist(tokenizer: Tokenizer):
    for policy in ("nested", "overlapping", "arg-max"):
        with pytest.raises(UsageError, match=rf"policy '{policy}'(.|\n)*span-classification"):
            task(tokenizer, policy=policy)
    with pytest.raises(UsageError, match="did you mean 'highest'"):
        task(tokenizer, resolve="higest")
    with pytest.raises(UsageError, match="did you mean 'iobes'"):
        task(tokenizer, scheme="iobse").tags  # noqa: B018
