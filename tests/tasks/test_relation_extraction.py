"""Pairs as windows, which pairs are read, what they teach, and how odds become relations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert import SpanModel
from spanbert.documents import Document, Relation, Span
from spanbert.errors import SpanbertWarning, UsageError
from spanbert.tasks import relation_extraction, settings_from, task_class
from spanbert.tokenization import Tokenizer
from spanbert.windows import HEAD_BEGINS, TAIL_BEGINS

NAME = "relation-extraction"
TEXT = "Anna met Bert in the house . Carl went in the day with Acme Corp and said a river was big ."
ANNA, BERT, CARL = Span(0, 4, "PERSON"), Span(9, 13, "PERSON"), Span(29, 33, "PERSON")
ACME = Span(TEXT.index("Acme"), TEXT.index("Acme") + 9, "ORG")
SPANS = (ANNA, BERT, CARL, ACME)
WORKS = Relation(CARL, ACME, "works")


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


def task_of(tokenizer: Tokenizer, **settings: Any) -> Any:
    values = {"window": 40, "labels": ("met", "works"), "pairs": "all", **settings}
    return task_class(NAME)(settings_from(NAME, values), tokenizer)


def window_of(task: Any, tokenizer: Tokenizer, *pair: Span, text: str = TEXT) -> Any:
    document = Document("d", text, tuple(dict.fromkeys(pair)), (Relation(*pair, "no_relation"),))
    (example,) = task.examples(document, tokenizer.pieces([text])[0], None)
    return example.windows[0]


def words(window: Any, tokenizer: Tokenizer) -> list[str]:
    return [tokenizer.token(number) for number in window.ids]


def test_arguments_are_marked(tokenizer: Tokenizer):
    """Unknown marker pieces are [UNK] in this vocabulary: `@ * person *` has four, `@` one. 34 positions in all."""
    task = task_of(tokenizer, pairs="asked", window=60)
    window = window_of(task, tokenizer, CARL, ACME)
    text = TEXT.split()
    unk = "[UNK]"
    expected = [
        "[CLS]",
        *text[:7],
        *[unk] * 4,
        "Carl",
        unk,
        *text[8:13],
        *[unk] * 4,
        "Acme",
        "Corp",
        unk,
        *text[15:],
        "[SEP]",
    ]
    assert words(window, tokenizer) == expected
    pieces = window.pieces.tolist()
    assert pieces[8] == HEAD_BEGINS and pieces[19] == TAIL_BEGINS
    assert [number for number in pieces if number >= 0] == list(range(22))


def test_roles_change_with_the_direction(tokenizer: Tokenizer):
    task = task_of(tokenizer, pairs="asked", window=60)
    there, back = (window_of(task, tokenizer, *pair).pieces.tolist() for pair in ((CARL, ACME), (ACME, CARL)))
    assert there.index(HEAD_BEGINS) == back.index(TAIL_BEGINS) < there.index(TAIL_BEGINS) == back.index(HEAD_BEGINS)


def test_arguments_are_replaced(tokenizer: Tokenizer):
    task = task_of(tokenizer, pairs="asked", arguments="replaced", window=60)
    window = window_of(task, tokenizer, CARL, ACME)
    found = words(window, tokenizer)
    assert "Carl" not in found and "Acme" not in found and "Corp" not in found and "Anna" in found
    assert (window.pieces == HEAD_BEGINS).sum() == (window.pieces == TAIL_BEGINS).sum() == 1


@pytest.mark.parametrize("arguments", ["marked", "replaced"])
@pytest.mark.parametrize(
    "pair", [(Span(0, 26, "X"), BERT), (BERT, Span(0, 26, "X")), (Span(0, 13, "X"), ANNA), (ANNA, Span(0, 4, "Y"))]
)
def test_nested_and_equal_arguments_are_both_shown(tokenizer: Tokenizer, arguments: str, pair: tuple[Span, Span]):
    window = window_of(task_of(tokenizer, pairs="asked", arguments=arguments, window=60), tokenizer, *pair)
    assert (window.pieces == HEAD_BEGINS).sum() == (window.pieces == TAIL_BEGINS).sum() == 1


def test_arguments_far_apart_are_both_in_the_window(tokenizer: Tokenizer):
    """A hundred words between them, a window of 40."""
    text = "Anna " + "the " * 100 + "Bert"
    first, last = Span(0, 4, "PERSON"), Span(len(text) - 4, len(text), "PERSON")
    task = task_of(tokenizer, pairs="asked")
    for pair in ((first, last), (last, first)):
        window = window_of(task, tokenizer, *pair, text=text)
        assert len(window.ids) <= 40
        assert {"Anna", "Bert"} <= set(words(window, tokenizer))
        assert words(window, tokenizer).count("[SEP]") == 2


def test_a_long_text_is_read_around_the_pair(tokenizer: Tokenizer):
    text = "the " * 100 + "Anna met Bert " + "a " * 100
    start = text.index("Anna")
    window = window_of(
        task_of(tokenizer, pairs="asked"),
        tokenizer,
        Span(start, start + 4, "P"),
        Span(start + 9, start + 13, "P"),
        text=text,
    )
    found = words(window, tokenizer)
    assert 36 <= len(found) <= 40 and found.count("the") > 5 and found.count("a") > 5


def test_which_pairs_are_read(tokenizer: Tokenizer):
    """All: ordered pairs of allowed types. Asked: those that the document lists, the label unseen."""
    pieces = tokenizer.pieces([TEXT])[0]
    document = Document("d", TEXT, SPANS, (WORKS, Relation(ANNA, BERT, "no_relation")))
    assert len(task_of(tokenizer)._pairs(document, pieces)) == 12
    assert task_of(tokenizer, types=("PERSON>ORG",))._pairs(document, pieces) == [(s, ACME) for s in (ANNA, BERT, CARL)]
    asked = task_of(tokenizer, pairs="asked")
    assert asked._pairs(document, pieces) == [(CARL, ACME), (ANNA, BERT)]
    seen = asked.visible(document)
    assert {relation.label for relation in seen.relations} == {"no_relation"} and seen.spans == SPANS
    assert task_of(tokenizer).visible(document).relations == ()
    with pytest.warns(SpanbertWarning, match="more than 3 pairs of spans the nearest 3 are read"):
        near = task_of(tokenizer, most_pairs=3)._pairs(document, pieces)
    assert set(near[:2]) == {(ANNA, BERT), (BERT, ANNA)} and len(near) == 3


def test_a_document_that_lists_no_pair_is_asked_about_all(tokenizer: Tokenizer):
    """Raw text in which spans were found, and files whose labels were taken out."""
    pieces = tokenizer.pieces([TEXT])[0]
    task = task_of(tokenizer, pairs="asked", types=("PERSON>ORG",))
    assert task._pairs(Document("d", TEXT, SPANS), pieces) == [(s, ACME) for s in (ANNA, BERT, CARL)]


def test_types_are_those_of_spans(tokenizer: Tokenizer):
    with pytest.raises(UsageError, match="type 'OGR' in 'PERSON>OGR'(.|\n)*did you mean 'ORG'"):
        task_of(tokenizer, types=("PERSON>OGR",)).adapted([Document("d", TEXT, SPANS, (WORKS,))], 1)


def test_what_is_taught(tokenizer: Tokenizer):
    """One related pair, and two of eleven others that weigh as much as all."""
    pieces = tokenizer.pieces([TEXT])[0]
    document = Document("d", TEXT, SPANS, (WORKS,))
    examples = list(task_of(tokenizer, negatives=2).examples(document, pieces, np.random.default_rng(0)))
    assert [example.targets.holds.tolist() for example in examples] == [[False, True], [False] * 2, [False] * 2]
    assert [example.targets.weight for example in examples] == [1.0, 5.5, 5.5]
    assert [example.counts for example in examples] == [{"relations": w} for w in (1.0, 5.5, 5.5)]
    assert len(list(task_of(tokenizer, negatives=0).examples(document, pieces, np.random.default_rng(0)))) == 12
    drawn = {
        example.windows[0].pieces.tobytes()
        for seed in range(60)
        for example in task_of(tokenizer, negatives=2).examples(document, pieces, np.random.default_rng(seed))
    }
    assert len(drawn) == 12


def test_asked_pairs_are_all_taught(tokenizer: Tokenizer):
    pieces = tokenizer.pieces([TEXT])[0]
    relations = tuple(
        Relation(a, b, "no_relation") for a in SPANS for b in SPANS if a is not b and (a, b) != (CARL, ACME)
    )
    document = Document("d", TEXT, SPANS, (WORKS, *relations))
    examples = list(task_of(tokenizer, pairs="asked", negatives=1).examples(document, pieces, np.random.default_rng(0)))
    assert len(examples) == 12 and {example.targets.weight for example in examples} == {1.0}


def test_odds_become_relations(tokenizer: Tokenizer):
    pieces = tokenizer.pieces([TEXT])[0]
    document = Document("d", TEXT, SPANS, (Relation(ANNA, BERT, "x"), Relation(CARL, ACME, "x")))
    table = {"unit": np.array([0, 1]), "odds": np.array([[3.0, 1.0], [-9.0, np.nan]])}
    one = task_of(tokenizer, pairs="asked").decode(document, pieces, table).relations
    assert [(r.head, r.tail, r.label, r.logit) for r in one] == [(ANNA, BERT, "met", 3.0)]
    several = task_of(tokenizer, pairs="asked", several=True).decode(document, pieces, table).relations
    assert [(r.label, r.logit) for r in several] == [("met", 3.0), ("works", 1.0)]
    judged = task_of(tokenizer).judged(
        Document("d", TEXT, SPANS, (Relation(ANNA, BERT, "works"), WORKS)),
        task_of(tokenizer, pairs="asked", several=True).decode(document, pieces, table),
    )
    assert judged.right == (False, True) and judged.gold == {"works": 2}
    assert task_of(tokenizer).decode(document, pieces, {}).relations == ()


def test_adapted_to_the_data(tokenizer: Tokenizer):
    bare = task_class(NAME)(settings_from(NAME, {"window": 40}), tokenizer)
    listed = bare.adapted([Document("d", TEXT, SPANS, (WORKS, Relation(ANNA, BERT, "no_relation")))], 1).settings
    assert (listed.labels, listed.pairs, listed.types, listed.several) == (("works",), "asked", ("PERSON>ORG",), False)
    twice = Document("d", TEXT, SPANS, (WORKS, Relation(CARL, ACME, "owns")))
    assert bare.adapted([twice], 1).settings.pairs == "all" and bare.adapted([twice], 1).settings.several


def test_out_of_reach(tokenizer: Tokenizer):
    pieces = tokenizer.pieces([TEXT])[0]
    task = task_of(tokenizer, types=("PERSON>ORG",))
    document = Document("d", TEXT, SPANS, (WORKS, Relation(ANNA, BERT, "met"), Relation(CARL, ACME, "owns")))
    found = dict(task.unreachable(document, pieces))
    assert found == {
        Span(0, 13, "met"): "a pair that is not read: of other types, without text, or too many",
        Span(29, ACME.end, "owns"): "a label this model does not have",
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"arguments": "marker"}, "did you mean 'marked'"),
        ({"pairs": "al"}, "did you mean 'all'"),
        ({"types": ("PERSON-ORG",)}, "HEAD>TAIL"),
        ({"labels": ("no_relation",)}, "label no_relation"),
        ({"negatives": -1}, "negatives = -1"),
        ({"most_pairs": 0}, "most_pairs = 0"),
        ({"window": 20}, "window = 20 for pairs"),
    ],
)
def test_settings_that_cannot_be(tokenizer: Tokenizer, settings: dict, words: str):
    with pytest.raises(UsageError, match=words):
        task_of(tokenizer, **settings)


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 5), st.sampled_from("PQ")), min_size=1, max_size=9, unique=True
    ),
    st.integers(1, 40),
    st.booleans(),
)
def test_the_nearest_pairs_are_found_without_a_list_of_all(places: list, most: int, one_way: bool):
    spans = [Span(start, start + width, label) for start, width, label in places]

    def may(head: Span, tail: Span) -> bool:
        return not one_way or head.label + tail.label == "PQ"

    found = relation_extraction._nearest(spans, may, most)
    every = [(a, b) for a in spans for b in spans if a is not b and may(a, b)]
    assert len(found) == len(set(found)) == min(most, len(every)) and set(found) <= set(every)
    apart = sorted(abs(a.start - b.start) for a, b in every)
    assert [abs(a.start - b.start) for a, b in found] == apart[:most]


def test_what_lies_between_two_stretches_is_not_said_to_be_read(tiny_encoder: Path):
    """Two arguments 300 words apart, read with some words around each."""
    model = SpanModel.create(tiny_encoder, task="relation-extraction", labels=["works"], settings={"pairs": "all"})
    text = "Anna " + "house " * 300 + "Acme Corp"
    document = Document("d", text, (Span(0, 4, "PERSON"), Span(len(text) - 9, len(text), "ORG")))
    coverage = model.predict(document, threshold=0.0).coverage
    assert coverage.windows == 2 and coverage.characters_read < 1_000
    ((begin, end),) = coverage.unread
    assert begin > 4 and end < len(text) - 9
