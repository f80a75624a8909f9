"""GAP tables and DocRED articles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spanbert.documents import Cluster, Document, Relation, Span
from spanbert.errors import DataError, UsageError
from spanbert.formats import ReadReport, read_documents, write_documents

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
HEADER = "ID\tText\tPronoun\tPronoun-offset\tA\tA-offset\tA-coref\tB\tB-offset\tB-coref\tURL"
TEXT = "Ann met Bea when she left."
ROW = f"d-1\t{TEXT}\tshe\t17\tAnn\t0\tFALSE\tBea\t8\tTRUE\thttp://x"
SHE, ANN, BEA = Span(17, 20, "gap:pronoun"), Span(0, 3, "gap:A"), Span(8, 11, "gap:B")
ARTICLE: dict[str, Any] = {
    "title": "Acme",
    "sents": [["Anna", "leads", "Acme", "."], ["She", "founded", "Acme", "Corp", "in", "1999", "."]],
    "vertexSet": [
        [{"type": "PER", "sent_id": 0, "pos": [0, 1], "name": "Anna"}, {"type": "PER", "sent_id": 1, "pos": [0, 1]}],
        [{"type": "ORG", "sent_id": 0, "pos": [2, 3]}, {"type": "ORG", "sent_id": 1, "pos": [2, 4]}],
        [{"type": "TIME", "sent_id": 1, "pos": [5, 6]}],
    ],
    "labels": [{"h": 0, "t": 1, "r": "P169"}, {"h": 1, "t": 2, "r": "P571", "evidence": [1]}],
}


def read(path: Path, content: str) -> tuple[list[Document], ReadReport]:
    path.write_text(content, encoding="utf-8", newline="")
    report = ReadReport()
    return list(read_documents(path, report=report)), report


def test_gap(tmp_path: Path):
    (document,), _ = read(tmp_path / "x.tsv", f"{HEADER}\n{ROW}\n")
    assert (document.id, document.text, document.spans) == ("d-1", TEXT, (SHE, ANN, BEA))
    assert document.clusters == (Cluster((Span(17, 20, "mention"), Span(8, 11, "mention"))),)
    (neither,), _ = read(tmp_path / "y.tsv", f"{HEADER}\r\n{ROW.replace('TRUE', 'false')}\r\n")
    assert neither.clusters == ()
    (tmp_path / "bare.tsv").write_text(f"{ROW}\n{ROW.replace('d-1', 'd-2')}\n", encoding="utf-8")
    assert [d.id for d in read_documents(tmp_path / "bare.tsv", "gap")] == ["d-1", "d-2"]  # the header is no must


def test_gap_is_written_as_its_scorer_takes_it(tmp_path: Path):
    documents, _ = read(tmp_path / "x.tsv", f"{HEADER}\n{ROW}\n")
    assert not write_documents(documents, tmp_path / "out.tsv", "gap")
    assert (tmp_path / "out.tsv").read_text() == "d-1\tFALSE\tTRUE\n"
    with pytest.raises(DataError, match="without a pronoun and two names"):
        write_documents([Document("d", "a b")], tmp_path / "no.tsv", "gap")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("d-1\tAnn", "2 columns"),
        (ROW.replace("\t17\t", "\t16\t"), "' sh' at 16"),
        (ROW.replace("\t17\t", "\tx\t"), "Pronoun-offset"),
        (ROW.replace("TRUE", "yes"), "TRUE or FALSE"),
    ],
)
def test_gap_rows_that_cannot_be_read(tmp_path: Path, row: str, words: str):
    with pytest.raises(DataError, match=words):
        read(tmp_path / "x.tsv", f"{HEADER}\n{row}\n")


def test_docred(tmp_path: Path):
    """A relation stands between the nearest mentions of its entities."""
    (document,), _ = read(tmp_path / "x.json", json.dumps([ARTICLE]))
    anna, acme, she, corp = Span(0, 4, "PER"), Span(11, 15, "ORG"), Span(18, 21, "PER"), Span(30, 39, "ORG")
    year = Span(43, 47, "TIME")
    assert document.text == "Anna leads Acme .\nShe founded Acme Corp in 1999 ."
    assert document.spans == (anna, she, acme, corp, year) and document.meta == {"title": "Acme"}
    assert document.relations == (Relation(she, acme, "P169"), Relation(corp, year, "P571"))
    assert [[(s.start, s.end) for s in cluster.spans] for cluster in document.clusters] == [
        [(0, 4), (18, 21)], [(11, 15), (30, 39)], [(43, 47)]
    ]  # fmt: skip
    with pytest.raises(UsageError, match="docred to write"):
        write_documents([document], tmp_path / "out.json", "docred")


def test_docred_leaves_out_relations_with_oneself(tmp_path: Path):
    _, report = read(tmp_path / "x.json", json.dumps([{**ARTICLE, "labels": [{"h": 1, "t": 1, "r": "P1"}]}]))
    assert "1 relation of an entity with itself" in report.summary()[0]


def test_docred_relates_no_mention_with_itself(tmp_path: Path):
    """Where two entities share a mention their others are taken, and where there is none the relation is left out."""
    shared = {"type": "ORG", "sent_id": 0, "pos": [2, 3]}
    entities = [
        [{"type": "PER", "sent_id": 0, "pos": [0, 1]}],
        [shared],
        [shared, {"type": "ORG", "sent_id": 1, "pos": [2, 4]}],
    ]
    labels = [{"h": 1, "t": 2, "r": "P1"}]
    (document,), _ = read(tmp_path / "x.json", json.dumps([{**ARTICLE, "vertexSet": entities, "labels": labels}]))
    assert document.relations == (Relation(Span(11, 15, "ORG"), Span(30, 39, "ORG"), "P1"),)
    entities[2] = [shared]
    (document,), report = read(tmp_path / "y.json", json.dumps([{**ARTICLE, "vertexSet": entities, "labels": labels}]))
    assert document.relations == () and "1 relation of a mention with itself" in report.summary()[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": [{"h": 0, "t": 3, "r": "P1"}]}, "entities 0 and 3 of 3"),
        ({"vertexSet": [[{"type": "PER", "sent_id": 2, "pos": [0, 1]}]]}, "sentence 2 of 2"),
        ({"vertexSet": [[{"type": "PER", "sent_id": 0, "pos": [3, 5]}]]}, "tokens 3 to 5 of a sentence of 4"),
        ({"vertexSet": [[]]}, "no list of mentions"),
    ],
)
def test_articles_that_cannot_be_read(tmp_path: Path, change: dict[str, Any], words: str):
    with pytest.raises(DataError, match=words):
        read(tmp_path / "x.json", json.dumps([{**ARTICLE, "labels": [], **change}]))


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared data")
def test_the_published_files():
    """Counts of the data's own description."""
    gap = list(read_documents(SHARED / "gap" / "gap-development.tsv.gz"))
    a, b = (
        sum(any(span.start == d.spans[k].start for c in d.clusters for span in c.spans) for d in gap) for k in (1, 2)
    )
    assert (len(gap), a, b) == (2000, 874, 925)
    articles = list(read_documents(SHARED / "redocred" / "dev_revised.json.gz"))
    assert len(articles) == 500 and sum(len(d.clusters) for d in articles) == 9684
    assert len({r.label for d in articles for r in d.relations}) == 95
