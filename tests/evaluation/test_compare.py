"""Comparisons: what is matched with what, what counts as fixed and broken, and the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spanbert import SpanModel, evaluate
from spanbert.documents import Document, Span
from spanbert.errors import DataError, UsageError
from spanbert.evaluation import compare_page
from spanbert.evaluation.compare import LISTED, compare, matched, predicted_by
from spanbert.evaluation.compare_page import page, passages

TEXT = "Anna met Bert in the house"
ANNA, MET, BERT, HOUSE = Span(0, 4, "P"), Span(5, 8, "P"), Span(9, 13, "P"), Span(21, 26, "L")


def three() -> tuple[list[Document], list[Document], list[Document]]:
    """Gold has 2 P and 1 L, then 1 P, then nothing. A: 1 right; 1 right, 1 wrong; nothing. B: all right; 0; 1 wrong X.

    Micro A: correct 2, predicted 3, gold 4: P 2/3, R 1/2, F1 4/7. B: correct 3, predicted 4: P 3/4, R 3/4, F1 3/4.
    """
    gold = [Document("a", TEXT, (ANNA, BERT, HOUSE)), Document("b", TEXT, (ANNA,)), Document("c", TEXT)]
    a = [(ANNA,), (ANNA, MET), ()]
    b = [(replace(HOUSE, score=0.5), ANNA, BERT), (), (Span(0, 4, "X"),)]
    return gold, *([replace(d, spans=s) for d, s in zip(gold, each, strict=True)] for each in (a, b))


def test_figures_by_hand():
    """F1 of P: A 4/6 (2 right, 3 found, 3 gold), B 4/5 (2, 2, 3). L: A 0, B 1. X: not in gold, 0 and 0.

    p of all: documents 1 and 2 and 3 differ, 8 assignments. With the first as it is (the rest is symmetric), counts
    (correct, predicted) of A and B: as they are (2, 3), (3, 4): 4/7 and 3/4, 5/28. Second swapped: (1, 1), (4, 6): 2/5
    and 4/5. Third swapped: (2, 4), (3, 3): 1/2 and 6/7. Both: (1, 2), (4, 5): 1/3 and 8/9. All at least 5/28: p = 1.
    L: only one document differs, so p = 1 whatever happens.
    """
    record = json.loads(json.dumps(compare(*three(), names=("old", "new")).to_json()))
    assert (record["a"]["name"], record["b"]["name"], record["documents"]) == ("old", "new", 3)
    assert record["a"]["micro"]["f1"] == pytest.approx(4 / 7) and record["b"]["micro"]["f1"] == pytest.approx(3 / 4)
    difference = record["difference"]
    assert difference["f1"] == pytest.approx(3 / 4 - 4 / 7)
    assert difference["precision"] == pytest.approx(3 / 4 - 2 / 3)
    assert difference["recall"] == pytest.approx(3 / 4 - 1 / 2)
    assert difference["p_value"] == 1.0
    low, high = difference["f1_interval"]
    assert low < difference["f1"] < high
    assert {label: row["f1"] for label, row in difference["per_label"].items()} == {
        "L": 1.0, "P": pytest.approx(4 / 5 - 4 / 6), "X": 0.0,
    }  # fmt: skip
    for row in difference["per_label"].values():
        assert set(row) == {"f1", "f1_interval", "p_value", "p_adjusted"}
        assert row["p_value"] == row["p_adjusted"] == 1.0


def test_fixed_and_broken_by_hand():
    """a: B finds two more. b: B loses Anna, and no longer takes `met`. c: B invents a span. Most changed first."""
    record = compare(*three()).to_json()
    row = {"start": 0, "end": 4, "label": "P", "text": "Anna"}
    assert record["changed_documents"] == 3
    assert record["changed"] == [
        {
            "document": "a",
            "fixed": [
                {"start": 9, "end": 13, "label": "P", "text": "Bert", "error": "missed"},
                {"start": 21, "end": 26, "label": "L", "text": "house", "error": "missed"},
            ],
            "broken": [],
        },
        {
            "document": "b",
            "fixed": [{"start": 5, "end": 8, "label": "P", "text": "met", "error": "wrong"}],
            "broken": [{**row, "error": "missed"}],
        },
        {"document": "c", "fixed": [], "broken": [{**row, "label": "X", "error": "wrong"}]},
    ]


def test_text():
    text = compare(*three(), names=("old", "new")).to_text()
    lines = text.splitlines()
    assert lines[:2] == ["A: old", "B: new"]
    assert lines[4].split()[:4] == ["F1", "0.571", "0.750", "+0.179"] and lines[4].split()[-2:] == ["3", "2"]
    assert lines[5].split() == ["precision", "0.667", "0.750", "+0.083", *"-----"]
    assert [line.split()[:2] for line in lines[7:10]] == [["F1", "L"], ["F1", "P"], ["F1", "X"]]
    assert lines[8].split()[-2:] == ["2", "1"]
    assert "counts differ in 3 of 3 documents, so that p is at least 0.2500" in text
    assert "documents: 3, of which 3 have errors fixed or broken" in text
    assert "  b: 1 fixed, 1 broken" in lines


def better(number: int) -> tuple[list[Document], list[Document]]:
    """Gold, and a system that misses everything."""
    gold = [Document(str(n), TEXT, (ANNA,)) for n in range(number)]
    return gold, [replace(document, spans=()) for document in gold]


def test_verdicts():
    """7 documents of 7: p = 2 / 128 = 0.0156. Three for each: no difference. One document: nothing can be said."""
    gold, nothing = better(7)
    assert compare(gold, nothing, gold).verdict == (
        "B is better: if they were equally good, a difference this large would come about with p = 0.0156"
    )
    assert compare(gold, gold, nothing).verdict.startswith("A is better: ")
    assert "cannot be said of one document" in compare(gold[:1], nothing[:1], gold[:1]).to_text()
    mixed = nothing[:3] + gold[3:]
    assert compare(gold, mixed, gold[:3] + nothing[3:]).verdict.startswith("no difference is shown: ")


def test_one_document_is_no_nan():
    gold, nothing = better(1)
    record = compare(gold, nothing, gold).to_json()
    assert record["difference"]["f1"] == 1.0
    assert record["difference"]["f1_interval"] is record["difference"]["p_value"] is None
    assert record["difference"]["per_label"]["P"]["p_adjusted"] is None
    json.dumps(record, allow_nan=False)
    empty = compare([Document("a", "")] * 1, [Document("a", "")], [Document("a", "")]).to_json()
    json.dumps(empty, allow_nan=False)


def test_only_annotated_labels_are_scored():
    """L was not looked for in a: what B finds of it there is neither fixed nor broken, and A misses nothing."""
    gold, a, b = three()
    gold[0] = replace(gold[0], annotated=frozenset({"P"}))
    comparison = compare(gold, a, b)
    (change,) = (change for change in comparison.changed if change.document.id == "a")
    assert ([e.key for e in change.fixed], change.broken) == ([BERT], ())
    assert (change.document.spans, change.b) == ((ANNA, BERT), (ANNA, BERT))
    assert comparison.difference.differing == 3 and "L" not in comparison.per_label


def test_adjusted_for_the_number_of_labels():
    """P differs in 7 documents, p = 2 / 128; L in 6, p = 2 / 64. Holm: 2 x 1/64, then 1 x 1/32 = the same."""
    gold = [Document(str(n), TEXT, (ANNA, HOUSE)) for n in range(7)]
    a = [replace(document, spans=(HOUSE,) if n == 0 else ()) for n, document in enumerate(gold)]
    comparison = compare(gold, a, gold)
    assert {label: each.p_value for label, each in comparison.per_label.items()} == {"L": 1 / 32, "P": 1 / 64}
    assert comparison.adjusted == {"L": 1 / 32, "P": 1 / 32}


def test_what_is_listed_is_limited_and_counted():
    gold, nothing = better(LISTED + 5)
    comparison = compare(gold, nothing, gold)
    record = comparison.to_json()
    assert (len(record["changed"]), record["changed_documents"]) == (LISTED, LISTED + 5)
    assert f"… and {LISTED - 5} more" in comparison.to_text()
    assert "<p>… and 5 more</p>" in page(comparison)


def test_matching_by_id_or_by_place():
    gold, _, b = three()
    assert matched(gold, [b[2], Document("z", "other"), b[0], b[1]]) == b
    renamed = [replace(document, id=f"r{n}") for n, document in enumerate(b)]
    assert matched(gold, renamed) == b


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b[:1], r"2 of 3 gold documents have no prediction in B \(the first: 'b'\)"),
        (lambda b: [*b, b[1], b[0]], r"2 ids stand more than once in B \(the first: 'a'\)"),
        (lambda b: [replace(d, id="x" + d.id) for d in b[:2]], "B has 2 documents, none with the id of one of the 3"),
        (
            lambda b: [b[0], *(replace(d, text=TEXT[:20] + "\t" + TEXT[21:]) for d in b[1:])],
            r"document 'b': 2 of 3 texts of B are not .*here from character 20 on",
        ),
        (lambda b: [replace(d, text=d.text + "\n") for d in b], "3 of 3 texts of B .*from character 26 on"),
    ],
)
def test_what_does_not_match_is_refused(change: Callable, said: str):
    gold, a, b = three()
    with pytest.raises(DataError, match=said):
        compare(gold, a, change(b), names=("A", "B"))


def test_gold_must_be_there_and_distinct():
    gold, _, b = three()
    with pytest.raises(DataError, match="no documents"):
        matched([], b)
    with pytest.raises(DataError, match="1 ids stand more than once in the gold documents"):
        matched([*gold, gold[0]], b)


def test_a_model_is_compared_as_it_is_evaluated(tiny_encoder: Path, toy_documents: Callable):
    """And it sees nothing of gold."""
    model = SpanModel.create(tiny_encoder, task="token-classification", labels=["PERSON", "ORG"])
    model.bundle.network.heads["token-classification"].classifier.bias.data.zero_()  # or it would find nothing
    gold = toy_documents(12, 1)
    found = predicted_by(model, gold, threshold=0.1)
    assert any(document.spans for document in found)
    comparison = compare(gold, [replace(document, spans=()) for document in gold], found)
    assert comparison.b.micro == evaluate(model, gold, threshold=0.1).micro
    assert found == predicted_by(model, [Document(d.id, d.text) for d in gold], threshold=0.1)


class Shown(HTMLParser):
    """What a browser would see: the elements, and the text of each table row of text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.cells: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag != "meta":
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.cells[-1] += "[" + data + "]" if self.open[-1] == "b" else data


def test_the_page_shows_gold_and_both_systems():
    shown = Shown(page(compare(*three())))
    assert shown.open == []
    cells = shown.cells[shown.cells.index("gold") :]
    assert cells[:6] == [
        *("gold", "Anna[P ✓] met Bert[P only B] in the house[L only B]"),
        *("A", "Anna[P ✓] met Bert in the house"),
        *("B", "Anna[P ✓] met Bert[P ✓] in the house[L ✓]"),
    ]
    assert cells[6:12] == [
        *("gold", "Anna[P only A] met Bert in the house"),
        *("A", "Anna[P ✓] met[P ✗] Bert in the house"),
        *("B", TEXT),
    ]


def test_crossing_and_nested_spans_are_cut_at_their_edges():
    """[0, 8) and [5, 13) cross; each label stands where its span ends. Both systems missed both."""
    gold = [Document("a", TEXT, (Span(0, 8, "X"), Span(5, 13, "Y"))), Document("b", TEXT)]
    a = [replace(gold[0], spans=(MET,)), gold[1]]
    cells = Shown(page(compare(gold, a, [replace(document, spans=()) for document in gold]))).cells
    assert cells[cells.index("gold") + 1] == "Anna met[X ✗] Bert[Y ✗] in the house"


def test_hostile_text_stays_text():
    """Markup in ids, texts, labels and names; an escape sequence; a mark that turns the direction of writing."""
    evil = "<script>alert('1')</script>\"><img src=x onerror=alert(1)> \x1b[2J\u202e &amp; x"
    label = "</td><script>x</script>"
    gold = [Document(f"<b>{evil}", evil, (Span(0, 8, label),)), Document("b", evil)]
    text = page(compare(gold, [replace(document, spans=()) for document in gold], gold, names=(evil, "B</p>")))
    shown = Shown(text)
    assert set(shown.elements) <= set(
        ["html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "strong", "table", "tr", "th", "td"]
        + ["bdi", "mark", "b", "div", "thead", "tbody", "footer"]
    )
    assert shown.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class"}
    assert "\x1b" not in text and "\u202e" not in text and "<U+001B>" in "".join(shown.cells)
    assert not re.search(r"https?:|url\(|@import|src=x onerror=alert\(1\)>", text)
    assert f"<script>[{label} only B]alert('1')" in "".join(shown.cells)


def test_long_documents_are_shown_in_passages(monkeypatch: pytest.MonkeyPatch):
    """80 characters around [200, 204): [120, 284); the next begins at 900 - 80; [1000, 1010) is within it."""
    assert passages([Span(1000, 1010), Span(200, 204), Span(900, 950)], 1050) == [(120, 284), (820, 1050)]
    assert passages([Span(5, 8)], 20) == [(0, 20)]
    text = "x" * 2000
    gold = [Document("a", text, (Span(500, 501, "P"), Span(1500, 1501, "P"))), Document("b", text)]
    comparison = compare(gold, [replace(document, spans=()) for document in gold], gold)
    cells = Shown(page(comparison)).cells
    assert cells[cells.index("gold") + 1] == "… " + "x" * 81 + "[P only B]" + "x" * 80 + " …"
    assert cells.count("gold") == 2
    monkeypatch.setattr(compare_page, "PASSAGES", 1)
    assert "and 1 more passages of this document" in page(comparison)
    assert Shown(page(comparison)).cells.count("gold") == 1


def test_streams_are_read_whole():
    gold = [Document(name, TEXT, (MET,)) for name in "abc"]
    assert compare(iter(gold), iter(gold), iter(gold)).a.documents == 3
    with pytest.raises(UsageError, match="a str among documents"):
        compare(gold, ["text"] * 3, gold)
