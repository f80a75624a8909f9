"""Spans and relations in one pass: windows, targets, decoding, and what is out of reach."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spanbert.documents import Decoded, Document, Relation, RelationCandidate, Span
from spanbert.errors import DataError, UsageError
from spanbert.tasks import settings_from, task_class
from spanbert.tokenization import Pieces, Tokenizer
from spanbert.windows import GIVEN

NAME = "joint-extraction"
TEXT = "Anna met Bert in the house . Carl went in the day with Acme Corp and said a river was big ."
ANNA, BERT, CARL = Span(0, 4, "PERSON"), Span(9, 13, "PERSON"), Span(29, 33, "PERSON")
ACME = Span(TEXT.index("Acme"), TEXT.index("Acme") + 9, "ORG")
WORKS, MET, BACK = Relation(CARL, ACME, "works"), Relation(ANNA, BERT, "met"), Relation(BERT, ANNA, "met")
LABELS = ("ORG", "PERSON", "relation:met", "relation:works")
TYPES = ("PERSON>ORG", "PERSON>PERSON")


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


def task_of(tokenizer: Tokenizer, **settings: Any) -> Any:
    values = {"window": 40, "overlap": 12, "labels": LABELS, "types": TYPES, "several": False, **settings}
    return task_class(NAME)(settings_from(NAME, values), tokenizer)


def document_of(*relations: Relation, annotated: frozenset[str] | None = None) -> Document:
    return Document("d", TEXT, (ANNA, BERT, CARL, ACME), relations, annotated=annotated)


def pieces_of(tokenizer: Tokenizer) -> Pieces:
    return tokenizer.pieces([TEXT])[0]


def table_of(task: Any, document: Document, pieces: Pieces) -> dict[str, np.ndarray]:
    """What a perfect head says: each gold span and relation once, by the window that owns it."""
    rows: list[tuple[float, ...]] = []
    odds: list[list[float]] = []
    for number, example in enumerate(task.examples(document, pieces, np.random.default_rng(0))):
        (window,), target = example.windows, example.targets
        first, last = window.bounds
        for a, b, label in target.spans.spans.tolist():
            if window.low < a + b <= window.high:
                rows.append((number, a, b, label, 20.0, -1, -1, -1))
                odds.append([0.0] * 2)
        for *pair, label in target.relations.tolist():
            low, high = min(pair[0], pair[3]), max(pair[1], pair[4])
            if window.low < low + high <= window.high and first <= low and high <= last:
                rows.append((number, *pair[:3], 20.0, *pair[3:]))
                odds.append([15.0 if k == label else -15.0 for k in range(2)])
    names = ("window", "first", "last", "label", "logit", "tail_first", "tail_last", "tail_label")
    columns = dict(zip(names, np.array(rows).T, strict=True))
    whole = {name: column.astype(np.int64) for name, column in columns.items() if name != "logit"}
    return {**whole, "logit": columns["logit"], "odds": np.array(odds)}


@pytest.mark.parametrize("window", [16, 40])
def test_gold_decodes_to_gold(tokenizer: Tokenizer, window: int):
    task = task_of(tokenizer, window=window, overlap=8)
    document = document_of(MET, BACK, WORKS)
    pieces = pieces_of(tokenizer)
    decoded = task.decode(document, pieces, table_of(task, document, pieces))
    assert [(s.start, s.end, s.label) for s in decoded.spans] == [(s.start, s.end, s.label) for s in document.spans]
    found = {(r.head, r.tail, r.label) for r in decoded.relations}
    assert found == {(r.head, r.tail, r.label) for r in document.relations}
    assert task.unreachable(document, pieces) == ()
    judged = task.judged(document, decoded)
    assert all(judged.right) and dict(judged.gold) == {"PERSON": 3, "ORG": 1, "relation:met": 2, "relation:works": 1}


def test_a_relation_of_a_span_that_is_not_found_is_not_told(tokenizer: Tokenizer):
    task, document, pieces = task_of(tokenizer), document_of(MET, WORKS), pieces_of(tokenizer)
    table = table_of(task, document, pieces)
    acme = (table["tail_first"] < 0) & (table["label"] == 0)
    table = {name: column[~acme] for name, column in table.items()}
    assert [r.label for r in task.decode(document, pieces, table).relations] == ["met"]


def test_a_pair_has_its_best_label_or_all(tokenizer: Tokenizer):
    document, pieces = document_of(WORKS), pieces_of(tokenizer)
    for several, labels in ((False, ["works"]), (True, ["met", "works"])):
        task = task_of(tokenizer, several=several)
        table = table_of(task, document, pieces)
        table["odds"][table["tail_first"] >= 0] = [1.0, 2.0]
        decoded = task.decode(document, pieces, table)
        assert [(r.label, r.logit, r.key) for r in decoded.relations] == [
            (label, pytest.approx({"met": 1.0, "works": 2.0}[label], abs=1e-5), f"relation:{label}") for label in labels
        ]


def test_numbers_that_are_none_find_nothing(tokenizer: Tokenizer):
    task, document, pieces = task_of(tokenizer), document_of(WORKS), pieces_of(tokenizer)
    table = table_of(task, document, pieces)
    table["odds"][:] = np.nan
    assert task.decode(document, pieces, table).relations == ()
    assert task.decode(document, pieces, {}) == Decoded()


def test_a_relation_of_a_wrong_span_is_wrong(tokenizer: Tokenizer):
    task, wrong = task_of(tokenizer), Span(0, 8, "PERSON")
    found = (RelationCandidate(ANNA, BERT, "met", 1.0), RelationCandidate(wrong, BERT, "met", 1.0),
             RelationCandidate(BERT, CARL, "met", 1.0), RelationCandidate(CARL, ACME, "works", 1.0))  # fmt: skip
    judged = task.judged(document_of(MET, WORKS), Decoded(relations=found))
    assert judged.labels == ("relation:met",) * 3 + ("relation:works",) and judged.right == (True, False, False, True)
    some = task.judged(document_of(MET, WORKS, annotated=frozenset({"PERSON", "ORG", "met"})), Decoded(relations=found))
    assert some.labels == ("relation:met",) * 3 and "relation:works" not in some.gold


def test_odds_are_of_the_spans_and_their_relation(tokenizer: Tokenizer):
    """Spans of 20 and a relation of 2: as good as the relation alone. All of log-odds 0: one in eight."""
    task, document, pieces = task_of(tokenizer), document_of(WORKS), pieces_of(tokenizer)
    table = table_of(task, document, pieces)
    table["odds"][table["tail_first"] >= 0] = [-9.0, 2.0]
    assert task.decode(document, pieces, table).relations[0].logit == pytest.approx(2.0, abs=1e-5)
    table["logit"][:], table["odds"][:] = 1e-9, [-9.0, 0.0]
    assert task.decode(document, pieces, table).relations[0].logit == pytest.approx(-np.log(7), abs=1e-5)


def test_targets_are_pieces_and_what_was_looked_for(tokenizer: Tokenizer):
    task, pieces = task_of(tokenizer), pieces_of(tokenizer)
    document = document_of(WORKS, Relation(ANNA, BERT, "no_relation"), annotated=frozenset({"PERSON", "ORG", "works"}))
    example = next(iter(task.examples(document, pieces, np.random.default_rng(0))))
    assert example.targets.spans.spans.tolist() == [[0, 0, 1], [2, 2, 1], [7, 7, 1], [13, 14, 0]]
    assert example.targets.relations.tolist() == [[7, 7, 1, 13, 14, 0, 1]]
    assert example.targets.taught.tolist() == [False, True] and example.counts == {"spans": 22.0, "relations": 4.0}
    assert next(iter(task.examples(document, pieces, None))).targets is None
    untaught = document_of(WORKS, annotated=frozenset({"PERSON", "works"}))  # of ORG nobody has said
    targets = next(iter(task.examples(untaught, pieces, np.random.default_rng(0)))).targets
    assert targets.relations.tolist() == [[7, 7, 1, 13, 14, 0, 1]] and len(targets.spans.spans) == 3
    not_asked = document_of(WORKS, annotated=frozenset({"PERSON", "ORG"}))
    assert not len(next(iter(task.examples(not_asked, pieces, np.random.default_rng(0)))).targets.relations)


def test_what_is_out_of_reach(tokenizer: Tokenizer):
    """Of other types, further apart than a window, with an argument inside a piece, of a label not known."""
    reason = "a pair that no window holds, of other types, or with an argument that cannot be found"
    pieces = pieces_of(tokenizer)
    back = Relation(ACME, CARL, "works")
    assert task_of(tokenizer).unreachable(document_of(back), pieces) == ((Span(CARL.start, ACME.end, "works"), reason),)
    far = Relation(ANNA, ACME, "works")
    assert task_of(tokenizer).unreachable(document_of(far), pieces) == ()
    narrow = task_of(tokenizer, window=12, overlap=5)
    assert narrow.unreachable(document_of(far), pieces) == ((Span(0, ACME.end, "works"), reason),)
    lead = Relation(CARL, ACME, "leads")
    assert [why for _, why in task_of(tokenizer).unreachable(document_of(lead), pieces)] == [
        "a label this model does not have"
    ]


def test_adapted_learns_labels_types_and_the_longest_stretch(tokenizer: Tokenizer):
    task = task_class(NAME)(settings_from(NAME, {}), tokenizer)
    document = document_of(MET, WORKS, Relation(ANNA, CARL, "no_relation"))
    stretches = [span for span in task.annotations(document) if span.label.startswith("relation:")]
    assert stretches == [Span(0, 13, "relation:met"), Span(29, ACME.end, "relation:works")]
    made = task.adapted([document], 9).settings
    assert (made.labels, made.types, made.several, made.overlap) == (LABELS, TYPES, False, 41)
    assert made.spans == ("ORG", "PERSON") and made.relations == ("met", "works")
    twice = task.adapted([document_of(MET, Relation(ANNA, BERT, "knows"))], 9).settings
    assert twice.several and twice.labels == ("ORG", "PERSON", "relation:knows", "relation:met")


def test_spans_and_relations_may_share_a_name(tokenizer: Tokenizer):
    sector = Document("d", TEXT, (ANNA, BERT), (Relation(ANNA, BERT, "PERSON"),))
    made = task_class(NAME)(settings_from(NAME, {}), tokenizer).adapted([sector], 3).settings
    assert made.spans == ("PERSON",) and made.relations == ("PERSON",)
    named = Span(0, 4, "relation:x")
    wrong = Document("d", TEXT, (named, BERT), (Relation(named, BERT, "met"),))
    with pytest.raises(DataError, match="does not begin with relation:"):
        task_class(NAME)(settings_from(NAME, {}), tokenizer).adapted([wrong], 3)


def test_data_without_relations_are_refused(tokenizer: Tokenizer):
    made = task_class(NAME)(settings_from(NAME, {"types": ("PERSON>ORG",)}), tokenizer).adapted([document_of()], 3)
    with pytest.raises(UsageError, match="use span-classification"):
        made.head(SimpleNamespace(width=8))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"policy": "flatt"}, "did you mean 'flat'"),
        ({"types": ("PERSON-ORG",)}, "HEAD>TAIL"),
        ({"labels": ("PERSON", "relation:no_relation")}, "it is always known"),
        ({"labels": LABELS, "types": ("PERSON>COMPANY",)}, "labels of spans: ORG, PERSON"),
    ],
)
def test_wrong_settings(tokenizer: Tokenizer, settings: dict[str, Any], words: str):
    with pytest.raises(UsageError, match=words):
        task_class(NAME)(settings_from(NAME, settings), tokenizer)._allowed()


def test_report_is_of_relations_with_the_spans_beside(tokenizer: Tokenizer):
    """Gold: four spans, two relations; predicted: three of the spans and one relation."""
    gold = [document_of(MET, WORKS)]
    predicted = [Document("d", TEXT, (ANNA, BERT, CARL), (MET,))]
    report = task_of(tokenizer).report(gold, predicted)
    assert report.micro.recall == 0.5 and report.micro.precision == 1.0
    assert report.scores["spans"] == {"precision": 1.0, "recall": 0.75, "f1": pytest.approx(6 / 7)}
    assert report.value("spans_and_relations/f1") == pytest.approx(2 * 4 / (4 + 6))


def test_given_spans_are_taken_as_they_are(tokenizer: Tokenizer):
    """Crossing ones, and one that ends inside a piece; of a label that is not known here there is nothing to say."""
    whole, part = Span(0, 13, "PERSON"), Span(9, 12, "PERSON")
    twin = Span(9, 13, "PERSON")  # on the same piece
    document = Document("d", TEXT, (whole, part, ACME, Span(18, 26, "PLACE"), twin))
    task, pieces = task_of(tokenizer, window=16, overlap=8), pieces_of(tokenizer)
    windows = [example.windows[0] for example in task.examples(document, pieces, None)]
    rows = [[0, 2, 1], [2, 2, 1], [13, 14, 0]]
    assert len(windows) > 1 and all(window.given.tolist() == rows for window in windows)
    assert all(each.windows[0].given is None for each in task.examples(task.visible(document), pieces, None))
    table = {
        "window": np.zeros(4, dtype=np.int64),
        "logit": np.full(4, GIVEN),
        "odds": np.array([[0.0, 0.0]] * 3 + [[2.0, -9.0]]),
        **dict(zip(("first", "last", "label"), np.array([*rows, rows[1]]).T, strict=True)),
        **dict(zip(("tail_first", "tail_last", "tail_label"), np.array([[-1] * 3] * 3 + [rows[0]]).T, strict=True)),
    }  # fmt: skip
    decoded = task.decode(document, pieces, table)
    assert [(each.start, each.end, each.label) for each in decoded.spans] == [
        (0, 13, "PERSON"), (9, 12, "PERSON"), (9, 13, "PERSON"), (ACME.start, ACME.end, "ORG"),
    ]  # fmt: skip
    assert [(found.head, found.tail, found.label) for found in decoded.relations] == [
        (part, whole, "met"), (twin, whole, "met"),
    ]  # fmt: skip
    assert decoded.relations[0].logit == pytest.approx(2.0)


@pytest.mark.parametrize("name", [NAME, "relation-extraction"])
def test_a_relation_of_a_span_with_itself_teaches_nothing_nor_does_a_repeat(tokenizer: Tokenizer, name: str):
    document = document_of(WORKS, WORKS, Relation(ANNA, ANNA, "met"), Relation(ANNA, ANNA, "knows"))
    made = task_class(name)(settings_from(name, {}), tokenizer).adapted([document], 9).settings
    assert made.types == ("PERSON>ORG",) and made.several is False
    assert not {"met", "relation:met"} & set(made.labels)
