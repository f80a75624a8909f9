"""Reach, the settings that follow from it, and what all advice together says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spanbert.advice import reach
from spanbert.advice.advise import advise
from spanbert.advice.findings import ERROR, Finding, Part
from spanbert.documents import ANSWER, Cluster, Document, Question, Span
from spanbert.tasks import gold

from .marked import marked


@pytest.fixture(scope="module")
def reader(tiny_encoder: Path) -> reach.Reader:
    found = reach.reader_of(str(tiny_encoder))
    assert found is not None
    return found


def spread(number: int, text: str) -> list[Document]:
    return [marked(f"d{n}", text) for n in range(number)]


def test_the_window_holds_the_longest_span_and_its_margin():
    assert reach.recommended_window(10, 512, None) == 512
    assert reach.recommended_window(224, 1024, None) == 512  # 2 x (224 + 32)
    assert reach.recommended_window(225, 1024, None) == 640
    assert reach.recommended_window(225, 600, None) == 600
    assert reach.recommended_window(10, 64, None) == 64
    assert reach.recommended_window(10, 512, 128) == 128
    assert reach.recommended_window(33, 512, 128) == 256
    assert reach.recommended_window(13, 512, 90) == 90


def test_positions_of_the_encoder(tmp_path: Path, reader: reach.Reader):
    assert reader.longest == 64
    for record, longest in (
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "bert", "max_position_embeddings": 256, "pad_token_id": 0}, 256),
        ({"model_type": "mpnet", "max_position_embeddings": 514}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": "x"}, 512),
        ({"model_type": ["bert"], "max_position_embeddings": 256}, 512),
        ({"max_position_embeddings": None}, 512),
        ([], 512),
    ):
        (tmp_path / "config.json").write_text(json.dumps(record))
        assert reach._longest(tmp_path / "config.json") == longest
    assert reach._longest(tmp_path / "none.json") == 512


@pytest.mark.parametrize("with_tokenizer", [False, True])
@pytest.mark.parametrize(
    ("others", "policy"),
    [
        (["[Anna|X] met [Bert|Y]"], "flat"),
        (["[Anna met [Bert|X]|Y] ."] * 2, "flat"),  # 2 of 204 spans: slips
        (["[Anna met [Bert|X]|Y] ."] * 5, "nested"),  # 5 of 210
    ],
)
def test_the_strictest_policy_that_loses_hardly_more(
    reader: reach.Reader, with_tokenizer: bool, others: list[str], policy: str
):
    documents = spread(100, "[Anna|X] met [Bert|Y]") + [marked(f"o{n}", text) for n, text in enumerate(others)]
    choice = reach.best_choice(documents, reader if with_tokenizer else None, None)
    assert choice.policy == policy
    assert choice.window == (64 if with_tokenizer else None)
    assert len(choice.lost) == (len(others) if "[Bert|X]|Y" in others[0] and policy == "flat" else 0)


def test_crossing_spans_ask_for_overlapping(reader: reach.Reader):
    documents = [Document(str(n), "Anna met Bert", (Span(0, 8, "X"), Span(5, 13, "Y"))) for n in range(3)]
    for each in (None, reader):
        assert reach.best_choice(documents, each, None).policy == "overlapping"


def test_spans_longer_than_windows_ask_for_tags(reader: reach.Reader):
    """70 pieces do not fit into 64 positions; tags may cross windows."""
    documents = [marked(f"d{n}", "[" + "the " * 70 + "house|X] .") for n in range(3)]
    choice = reach.best_choice(documents, reader, None)
    assert choice.lost == () and choice.task == "token-classification"


def test_reasons_and_shares(reader: reach.Reader):
    documents = [*spread(18, "[Anna|X] met"), marked("p", "[undo|X]"), Document("q", "undo", (Span(1, 4, "X"),))]
    choice = reach.best_choice(documents, reader, None)
    (finding,) = reach.out_of_reach(choice, 20)
    assert finding.count == 1 and "1 of 20 spans (5.0%)" in finding.what and gold.INSIDE_PIECE in finding.what
    assert finding.severity == "warning"  # 5 % are not more than 5 %
    assert finding.examples[0].what == "'ndo' X"
    (finding,) = reach.out_of_reach(choice, 19)
    assert finding.severity == ERROR


def test_labels_that_were_not_looked_for_are_lost():
    documents = [*spread(3, "[Anna|X] met [Bert|Y]"), marked("p", "[Anna|X] met [Bert|Y]", frozenset({"X"}))]
    choice = reach.best_choice(documents, None, None)
    assert [(lost.span.label, lost.reason) for lost in choice.lost] == [("Y", reach.NOT_ASKED)]


def test_sound_documents(toy_documents: Callable[[int, int], list[Document]], tiny_encoder: Path):
    advice = advise(toy_documents(60, 1), toy_documents(15, 2), base_model=str(tiny_encoder))
    assert advice.errors == () and advice.lost == {} and advice.lost_share == 0.0
    assert advice.recommended == {"task": "span-classification", "policy": "flat", "window": 64}
    assert set(advice.labels) == {"PERSON", "ORG"}
    record = advice.to_json()
    assert json.loads(json.dumps(record)) == record and record["ok"] is True
    text = advice.to_text()
    assert "--task span-classification --policy flat --window 64" in text and ": 0 of 257 (0.00%)" in text


def test_without_a_tokenizer_it_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reach, "shipped", dict)
    advice = advise(spread(3, "[Anna|X] met"))
    assert advice.base_model == "" and "window" not in advice.recommended
    assert "no tokenizer at hand" in advice.to_text() and advice.to_json()["base_model"] is None


@pytest.mark.parametrize(
    ("train", "dev", "said"),
    [
        ([], None, "no training documents"),
        ([marked("a", "[x|X]")], None, "fewer than two training documents"),
        ([marked("a", "x"), marked("b", "y")], None, "none of the 2 training documents has a span"),
        (spread(3, "[x|X]"), [], "no held-out documents"),
        (spread(3, "[x|X]"), [marked("b", "[y|Y]")], "label 'Y' in the held-out data"),
        (spread(3, "[x|X] [y|x]"), [marked("b", "[y|X]")], "differ in case only"),
    ],
)
def test_what_training_would_refuse(train: list[Document], dev: list[Document] | None, said: str):
    (error,) = (finding for finding in advise(train, dev).errors if finding.kind == "refused")
    assert said in error.what


def test_order_and_what_readers_said(tiny_encoder: Path):
    told = Finding("repaired", "note", 3, "3 trimmed", "nothing")
    unknown = [marked(f"d{n}", "[Zyx|X] zyx zyx") for n in range(2)]
    advice = advise(unknown, unknown, base_model=str(tiny_encoder), reading=[told])
    assert told in advice.findings
    kinds = [finding.severity for finding in advice.findings]
    assert kinds == sorted(kinds, key=["error", "warning", "note"].index)
    (finding,) = (finding for finding in advice.findings if finding.kind == "vocabulary")
    assert "100% of the pieces are unknown" in finding.what


def test_answers_out_of_reach_are_told_too(tiny_encoder: Path):
    """Of questions alone, as in a file of SQuAD."""
    text = "Anna was in the house " * 3
    asked = (
        Question("1", "Who?", (Span(0, 4, ANSWER),)),
        Question("2", "Where?", (Span(9, 13, ANSWER),)),
        Question("3", "What?", (Span(0, 3, ANSWER),)),
        Question("4", "\u200b", (Span(16, 21, ANSWER),)),
    )
    told = advise([Document(str(n), text, questions=asked) for n in range(4)], base_model=str(tiny_encoder))
    lost = {f.what.rpartition(": ")[2]: f for f in told.findings if f.kind == "unreachable"}
    assert lost.keys() == {gold.INSIDE_PIECE, gold.NO_QUESTION}
    assert "4 of 16 spans (25.0%)" in lost[gold.NO_QUESTION].what
    assert told.to_text().startswith("train: 4 documents, 16 questions, 60 words\n")
    assert told.to_json()["parts"] == {
        "train": {"documents": 4, "spans": 0, "questions": 16, "relations": 0, "clusters": 0, "words": 60}
    }
    assert str(Part.of([marked("a", "[x|X] [y|X]")])) == "1 document, 2 spans, 2 words"
    assert str(Part.of([Document("b", "x")])) == "1 document, no annotations, 1 word"


def test_there_is_advice_for_every_reason():
    reasons = {value for name, value in vars(gold).items() if name.isupper() and isinstance(value, str)}
    assert reasons - {gold.ARG_MAX} <= reach._FIXES.keys()


def test_clusters_are_annotations_too():
    """Coreference data are no reason to stop."""
    mentions = Cluster((Span(0, 4, "mention"), Span(9, 12, "mention")))
    documents = [Document(f"d{n}", "Anna and her dog", clusters=(mentions,)) for n in range(20)]
    found = advise(documents).findings
    assert [finding.kind for finding in found if finding.kind == "refused"] == []
