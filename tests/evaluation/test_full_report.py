"""The full report: its JSON record by hand, its page as a browser would read it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from spanbert import SpanModel, evaluate
from spanbert.documents import Document, Span
from spanbert.errors import DataError, MachineError, UsageError
from spanbert.evaluation import excerpts
from spanbert.evaluation.evaluate import Examined
from spanbert.evaluation.full_report import full_report, record
from spanbert.evaluation.page import NOTHING, page
from spanbert.metrics.probabilities import calibration_report
from spanbert.metrics.report import Unreachable, span_report

TEXT = "Anna met Bert of Acme Corp"
HOSTILE = (
    "</td><script>alert(1)</script> \"quotes\" 'single' ]]> <!-- --> <img src=x onerror=alert(2)> &lt;b&gt; "
    "\u202eright to left\u202c \u200f \x00 \x1b[31m \ufeff null NaN https://example.org/x </style> </title>"
)
LABEL = "<b\u00a0onclick='x'>\"&".replace("\u00a0", "/")


class Page(HTMLParser):
    """What a browser makes of a page: elements, attributes and text."""

    EMPTY = frozenset({"meta", "br", "line", "circle", "polyline", "polygon"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def made(gold: list[Document], predicted: list[Document], train: list[Document] | None = None, **more) -> dict:
    """The record of predictions that were made up, as it is read from a file."""
    scores = np.array([span.score for document in predicted for span in document.spans], dtype=np.float64)
    right = np.array([
        any((span.start, span.end, span.label) == (s.start, s.end, s.label) for s in document.spans)
        for document, other in zip(gold, predicted, strict=True)
        for span in other.spans
    ], dtype=np.bool_)  # fmt: skip
    report = span_report(gold, predicted, policy="flat", unreachable=more.get("unreachable", ()))
    object.__setattr__(report, "calibration", calibration_report(scores, right))
    about = {"model": more.get("model", "m"), "task": "t", "threshold": 0.5, "labels": []}
    found = record(gold, Examined(report, tuple(predicted), scores, right), train, about)
    text = json.dumps(found, allow_nan=False)
    return json.loads(text)


@pytest.fixture
def small() -> dict:
    """a: P right, O for P in Bert, `Corp` for `Acme Corp`. b: one missed, and nothing predicted."""
    gold = [
        Document("a", TEXT, (Span(0, 4, "P"), Span(9, 13, "P"), Span(17, 26, "O"))),
        Document("b", "Anna", (Span(0, 4, "P"),)),
    ]
    predicted = [
        Document("a", TEXT, (Span(0, 4, "P", 0.9), Span(9, 13, "O", 0.6), Span(22, 26, "O", 0.7))),
        Document("b", "Anna"),
    ]
    train = [Document("t", "Anna Bert", (Span(0, 4, "P"), Span(5, 9, "O")))]
    return made(gold, predicted, train, unreachable=[Unreachable("a", Span(17, 26, "O"), "a reason")])


def counts(row: dict) -> tuple[float, float, float]:
    return row["correct"], row["predicted"], row["gold"]


def test_the_record_by_hand(small: dict):
    assert counts(small["overall"]) == (1, 3, 4)
    assert small["overall"]["f1"]["value"] == pytest.approx(2 / 7)
    assert small["macro_f1"] == pytest.approx((2 * 1 / (1 + 3) + 0) / 2)
    assert {row["name"]: counts(row) for row in small["per_label"]} == {"O": (0, 2, 1), "P": (1, 1, 3)}
    assert {row["name"]: counts(row) for row in small["by_length"] if row["documents"]} == {
        "1 word": (1, 3, 3),
        "2–3 words": (0, 0, 1),
    }
    # starts 0, 9 and 17, 22 of 26 characters; 0 of 4
    assert {row["name"]: counts(row) for row in small["by_position"] if row["documents"]} == {
        "0–10 %": (1, 1, 2),
        "30–40 %": (0, 1, 1),
        "60–70 %": (0, 0, 1),
        "80–90 %": (0, 1, 0),
    }
    assert [counts(row) for row in small["by_document_length"]] == [(0, 0, 1), (0, 0, 0), (1, 3, 3), (0, 0, 0)]
    assert {row["name"]: counts(row) for row in small["by_mention"]} == {
        "seen with this label": (1, 2, 2),  # Anna twice; Bert as O was predicted
        "seen with other labels only": (0, 0, 1),  # Bert as P
        "never seen": (0, 1, 1),
    }
    assert small["errors"] == {
        "wrong": {"label": 1, "boundary": 1, "both": 0, "spurious": 0},
        "missed": {"label": 1, "boundary": 1, "both": 0, "missed": 1},
    }
    assert small["confusion"] == [
        {"gold": None, "predicted": "O", "count": 1},
        {"gold": "O", "predicted": None, "count": 1},
        {"gold": "P", "predicted": None, "count": 1},
        {"gold": "P", "predicted": "O", "count": 1},
        {"gold": "P", "predicted": "P", "count": 1},
    ]
    assert small["unreachable"] == [
        {"document": "a", "start": 17, "end": 26, "label": "O", "text": "Acme Corp", "reason": "a reason"}
    ]
    calibration = small["calibration"]
    assert calibration["count"] == 3
    assert calibration["risk_coverage"] == [
        [pytest.approx(1 / 3), 0],
        [pytest.approx(2 / 3), 0.5],
        [1, pytest.approx(2 / 3)],
    ]
    assert calibration["aurc"] == pytest.approx((0 + 0.5 + 2 / 3) / 3)


def test_worst_documents(small: dict):
    first, second = small["worst_documents"]
    assert (first["id"], first["right"], first["wrong"], first["missed"]) == ("a", 1, 2, 2)
    assert (second["id"], second["wrong"], second["missed"]) == ("b", 0, 1)
    (excerpt,) = first["excerpts"]
    assert (excerpt["start"], excerpt["end"], excerpt["text"]) == (0, 26, TEXT)
    assert [(s["start"], s["end"], s["side"], s["kind"]) for s in excerpt["spans"]] == [
        (0, 4, "right", None),
        (9, 13, "wrong", "label"),
        (22, 26, "wrong", "boundary"),
        (9, 13, "missed", "label"),
        (17, 26, "missed", "boundary"),
    ]
    assert [span.get("score") for span in excerpt["spans"]] == [0.9, 0.6, 0.7, None, None]


def test_long_documents_are_cut_to_the_errors():
    """Errors at 1000 and from 2000 to 3000: three places with AROUND characters on both sides; no emoji is cut."""
    emoji = "\U0001f469\u200d\U0001f52c"  # one grapheme of three characters
    text = ("x" * (1000 - excerpts.AROUND - 1) + emoji + "x" * 5000)[:5000]
    gold = [
        Document("a", text, (Span(1000, 1004, "P"), Span(2000, 3000, "P"), Span(4000, 4001, "P"))),
        Document("b", ""),
    ]
    predicted = [Document("a", text, (Span(4000, 4001, "P", 0.5),)), Document("b", "")]
    found = made(gold, predicted)
    (worst,) = found["worst_documents"]
    around = excerpts.AROUND
    assert [(each["start"], each["end"]) for each in worst["excerpts"]] == [
        (1000 - around - 1, 1004 + around),
        (2000 - around, 2000 + around),
        (3000 - around, 3000 + around),
    ]
    assert [len(each["spans"]) for each in worst["excerpts"]] == [1, 1, 1]
    assert worst["excerpts"][0]["text"].startswith(emoji)
    many = [Document("a", text, tuple(Span(k, k + 1, "P") for k in range(1000, 5000, 400)))]
    (worst,) = made(many, [Document("a", text)])["worst_documents"]
    assert (len(worst["excerpts"]), worst["more_excerpts"]) == (excerpts.EXCERPTS, 10 - excerpts.EXCERPTS)


def test_no_more_documents_than_promised():
    gold = [Document(str(k), TEXT, tuple(Span(n, n + 1, "P") for n in range(k))) for k in range(15)]
    found = made(gold, [Document(str(k), TEXT) for k in range(15)])
    assert [each["id"] for each in found["worst_documents"]] == [str(k) for k in range(14, 4, -1)]


def test_the_page_says_what_the_record_says(small: dict):
    seen = Page(page(small))
    assert seen.open == []
    for said in ("0.286", "P", "seen with other labels only", "a reason", "Acme Corp", "percentile", "1,000 draws"):
        assert said in seen.text
    strips = 3 + 9 + 2 + (2 + 4 + 2 + 3)  # head, scorers, labels, groups that have spans
    assert seen.tags.count("svg") == strips + 2
    for section in ("scorers", "labels", "groups", "errors", "probabilities", "worst-documents", "out-of-reach"):
        assert ("h2", "id", section) in seen.attributes and ("a", "href", f"#{section}") in seen.attributes
    ids = [value for _, name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_highlights_nest_and_cross():
    gold = [Document("a", "abcdef", (Span(0, 4, "P"), Span(1, 2, "Q")))]
    predicted = [Document("a", "abcdef", (Span(1, 2, "Q", 0.25), Span(2, 6, "P", 0.999)))]
    text = page(made(gold, predicted))
    (marked,) = re.findall(r'<div class="text" dir="auto">(.*?)</div>', text)
    marked = re.sub(r'<span class="chip (\w+)"[^>]*>(.*?)</span>', r"[\2]", marked)
    assert marked == (
        '<span class="missed">a</span><span class="right missed">b</span>[Q 0.25]'
        '<span class="wrong missed">cd</span>[−P]<span class="wrong">ef</span>[+P 1.00]'
    )


def test_nothing_in_the_data_is_markup():
    """In ids, labels, text, names and reasons."""
    span = Span(0, len(HOSTILE), LABEL)
    gold = [Document(HOSTILE, HOSTILE, (span, Span(3, 8, LABEL), Span(2, 7, LABEL))), Document("b", "x")]
    predicted = [
        Document(HOSTILE, HOSTILE, (Span(5, 9, LABEL + "2", 0.5),)),
        Document("b", "x", (Span(0, 1, "Y", 1.0),)),
    ]
    unreachable = [Unreachable(HOSTILE, span, HOSTILE)]
    text = page(made(gold, predicted, gold, unreachable=unreachable, model=HOSTILE))
    seen = Page(text)
    assert seen.open == []
    frame = {"html", "head", "meta", "title", "style", "body", "nav", "a", "footer", "figure", "figcaption", "div"}
    content = {"h1", "h2", "h3", "p", "span", "b", "br", "small", "table", "thead", "tbody", "tr", "th", "td"}
    assert set(seen.tags) <= frame | content | {"svg", "line", "circle", "polyline", "polygon", "text"}
    assert "<script" not in text and "<img" not in text and "-->" not in text
    for tag, name, value in seen.attributes:
        assert not name.startswith("on") and name not in ("src", "style", "xlink:href", "srcset"), (tag, name)
        assert "http:" not in value and "https:" not in value
        assert name != "href" or value.startswith("#")
    assert not set(text) & set("\x00\x1b\u202e\u202c\u200f\ufeff")
    assert "<U+202E>right to left<U+202C>" in seen.text and "<U+0000>" in seen.text
    assert "</td><script>alert(1)</script> \"quotes\" 'single' ]]>" in seen.text  # as text, and all of it
    assert LABEL in seen.text and "https://example.org/x" in seen.text


def test_emoji_and_joined_letters_stay_whole():
    text = "\U0001f469\u200d\U0001f52c می\u200cخواهم"
    seen = Page(page(made([Document("a", text, (Span(0, 3, "P"),))], [Document("a", text)])))
    assert text in seen.text.replace("−P", "")


def test_the_policy_forbids_scripts_and_allows_this_style_alone(small: dict):
    import base64
    import hashlib

    text = page(small)
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert text.index("Content-Security-Policy") < text.index("<style>")
    assert "url(" not in style and "@import" not in style


@pytest.mark.parametrize("documents", [1, 2])
def test_nothing_found_and_nothing_to_find(documents: int):
    """No number at all: dashes, no drawing of probabilities, and a record without NaN."""
    gold = [Document(str(k), "") for k in range(documents)]
    found = made(gold, gold, [])
    assert found["overall"]["f1"] is None and found["macro_f1"] is None
    assert found["calibration"] == {"count": 0} and found["worst_documents"] == [] and found["confusion"] == []
    text = Page(page(found)).text
    assert f"F1{NOTHING}no interval" in text and "nan" not in text.lower()
    assert "Nothing was decoded" in text and "No document has an error" in text


def test_many_labels_are_cut_on_the_page_alone():
    spans = tuple(Span(k, k + 1, f"L{k:02}") for k in range(26))
    found = made([Document("a", TEXT, spans)], [Document("a", TEXT)])
    assert len(found["confusion"]) == 26
    assert "The 20 labels with most spans of 26 are shown." in Page(page(found)).text


def test_the_same_document_name_twice():
    """Then it is not known whose text it is."""
    gold = [Document("a", TEXT, (Span(0, 4, "P"),)), Document("a", "Bert")]
    found = made(gold, gold_without(gold), unreachable=[Unreachable("a", Span(0, 4, "P"), "why")])
    assert found["unreachable"][0]["text"] is None
    assert "why" in page(found)


def gold_without(gold: list[Document]) -> list[Document]:
    return [Document(document.id, document.text) for document in gold]


@pytest.fixture(scope="module")
def model(tiny_encoder: Path) -> SpanModel:
    return SpanModel.create(tiny_encoder, task="span-classification", labels=["PERSON", "ORG"])


def test_it_agrees_with_evaluate(model: SpanModel, toy_documents: Callable, tmp_path: Path):
    documents = toy_documents(6, 3)
    full = full_report(model, iter(documents), threshold=0.3, train=documents[:3], names={"model": "m"})
    assert full.report.to_json() == evaluate(model, documents, threshold=0.3).to_json()
    assert full.record["about"]["threshold"] == 0.3  # type: ignore[index]
    folder = tmp_path / "new" / "report"
    assert full.write(folder) == folder / "report.html"
    (folder / "mine.txt").write_text("stays")
    full.write(folder)
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.html", "mine.txt"}
    found = json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)
    assert found["overall"]["f1"]["value"] == pytest.approx(full.report.micro.f1)
    assert page(found) == (folder / "report.html").read_text()
    assert all(math.isfinite(number) for number in numbers(found))
    assert sum(counts(row)[2] for row in found["by_mention"]) == full.report.micro.support


def numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [value] if isinstance(value, int | float) else []


def test_errors(model: SpanModel, tmp_path: Path):
    with pytest.raises(DataError, match="no documents"):
        full_report(model, [])
    with pytest.raises(UsageError, match="a str among documents"):
        full_report(model, ["text"])  # type: ignore[list-item]
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot write"):
        full_report(model, [Document("a", "Anna")]).write(tmp_path / "file")
