"""Columns of tokens and tags: hand-made files, round trips, and corpora whose counts are published."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Document, Relation, Span
from spanbert.errors import DataError
from spanbert.formats import ReadReport, read_documents, write_documents


def read(tmp_path: Path, content: str, report: ReadReport | None = None) -> list[Document]:
    path = tmp_path / "c.conll"
    path.write_bytes(content.encode())
    return list(read_documents(path, "conll", report))


def fault(tmp_path: Path, content: str) -> str:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    return f"{caught.value.place.removeprefix(str(tmp_path))}: {caught.value.found}"


def test_sentences_are_documents_without_docstart(tmp_path: Path) -> None:
    """`Marie Curie met Ann .`: Marie Curie is [0, 11), Ann is [16, 19)."""
    first, second = read(tmp_path, "\n\nMarie\tB-PER\nCurie\tI-PER\nmet\tO\nAnn\tB-PER\n.\tO\n\n\nParis\tB-LOC\r\n\n")
    assert first == Document(
        "c-1",
        "Marie Curie met Ann .",
        (Span(0, 11, "PER"), Span(16, 19, "PER")),
        meta={"detokenised": True, "tokens": [[0, 5], [6, 11], [12, 15], [16, 19], [20, 21]]},
    )
    assert (second.id, second.text, second.spans) == ("c-2", "Paris", (Span(0, 5, "LOC"),))


def test_docstart_joins_sentences_by_line_ends(tmp_path: Path) -> None:
    """Four columns with spaces, as CoNLL-2003; IOB1: I- opens, B- only parts neighbours."""
    (first, second) = read(
        tmp_path,
        "-DOCSTART- -X- -X- O\n\nAnn NNP I-NP I-PER\nBob NNP B-NP B-PER\n\nin IN B-PP O\nParis  NNP B-NP I-LOC\n\n"
        "-DOCSTART- -X- -X- O\n\nRome NNP I-NP I-LOC\n",
    )
    assert first.text == "Ann Bob\nin Paris"
    assert first.spans == (Span(0, 3, "PER"), Span(4, 7, "PER"), Span(11, 16, "LOC"))
    assert (second.id, second.text) == ("c-2", "Rome")


@pytest.mark.parametrize(
    "content",
    [
        "B-LOC\tNN\tParis\nO\tNN\t.\n",
        "Paris\tO\tB-LOC\n.\tO\tO\n",
        "Paris NN B-LOC x\n. NN O x\n",
        "1\tParis\tB-LOC\n2\t.\tO\n",  # a column that numbers the tokens
        "0 Paris NN B-LOC\n1 . NN O\n",
    ],
)
def test_the_column_of_tags_is_found(tmp_path: Path, content: str) -> None:
    (document,) = read(tmp_path, content)
    assert (document.text, document.spans) == ("Paris .", (Span(0, 5, "LOC"),))


def test_tokens_that_are_numbers_are_tokens(tmp_path: Path) -> None:
    """Years in order number nothing: what numbers the tokens begins with 0 or 1."""
    (document,) = read(tmp_path, "1999\tNN\tB-YEAR\n2000\tNN\tB-YEAR\n2001\tNN\tO\n")
    assert document.text == "1999 2000 2001"
    (document,) = read(tmp_path, "1\tNN\tB-NUMBER\n1\tNN\tB-NUMBER\n")
    assert document.text == "1 1"


def test_several_layers_of_tags_are_warned_of(tmp_path: Path) -> None:
    report = ReadReport()
    (document,) = read(tmp_path, "Bank\tB-ORG\tO\nof\tI-ORG\tO\nRome\tI-ORG\tB-LOC\n", report)
    assert document.spans == (Span(8, 12, "LOC"),)
    assert report.warned == Counter({"columns that look like tags too (not read)": 1})


def test_bilou_is_found_out(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "A\tB-X\nb\tI-X\nc\tL-X\nd\tU-X\ne\tO\n")
    assert document.spans == (Span(0, 5, "X"), Span(6, 7, "X"))


def test_comments_and_the_token_hash(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "# a comment of five words\n#\tO\n# 1\tB-X\n1\tO\n")
    assert (document.text, document.spans) == ("# # 1 1", (Span(2, 5, "X"),))
    (document,) = read(tmp_path, "# about\n# O\nx B-X\n")
    assert document.text == "# x"


def test_a_token_may_hold_a_no_break_space(tmp_path: Path) -> None:
    (document,) = read(tmp_path, "10\u00a0000 B-N\neuros O\n")
    assert (document.text, document.spans) == ("10\u00a0000 euros", (Span(0, 6, "N"),))


def test_illegal_tags_are_repaired_and_counted(tmp_path: Path) -> None:
    """IOB2 by two votes (B- opens); the I-LOC after B-PER begins a span: one repair."""
    report = ReadReport()
    first, *_ = read(tmp_path, "A\tB-PER\nb\tI-LOC\n\nC\tB-PER\n\nD\tB-PER\nE\tI-PER\n", report)
    assert first.spans == (Span(0, 1, "PER"), Span(2, 3, "LOC"))
    assert report.repaired == Counter({"tags against the scheme iob2 (read as conlleval does)": 1})


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("a\tO\nb\tB-X\nc\tO\td\n", "/c.conll:3: 3 columns: 'c\\tO\\td'"),
        ("a\tO\nb\tB-X\nc\n", "/c.conll:3: 1 columns: 'c'"),
        ("a\tO\nb\tB-X\nc\tNN\n", "/c.conll:3: 'NN' in column 2"),
        ("a\tO\nb\tB-X\n\tO\n", "/c.conll:3: a row without a token: '\\tO'"),
        ("just words\nand more\n", "/c.conll: no column that holds tags"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, content: str, found: str) -> None:
    assert fault(tmp_path, content) == found


def test_a_text_of_another_format_is_not_recognised(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Vitamin B-12\n", encoding="utf-8")
    (document,) = read_documents(path)
    assert document == Document("a", "Vitamin B-12\n")


def test_what_is_written(tmp_path: Path) -> None:
    """The full stop is split off since a span ends before it; a line end ends the sentence, but not inside a span."""
    document = Document(
        "d 1",
        "Visit Paris.\nNew\nYork too",
        (Span(6, 11, "LOC", 0.5), Span(13, 21, "LOC")),
        (Relation(Span(6, 11, "LOC", 0.5), Span(13, 21, "LOC"), "r"),),
    )
    lost = write_documents([document], tmp_path / "o.conll", "conll")
    assert (tmp_path / "o.conll").read_text(encoding="utf-8") == (
        "-DOCSTART-\tO\n# id = d 1\n\nVisit\tO\nParis\tB-LOC\n.\tO\n\nNew\tB-LOC\nYork\tI-LOC\ntoo\tO\n\n"
    )
    split = {"words in one piece (a span ends inside)": 1}
    assert lost == Counter({"scores": 1, "relations": 1, "texts between tokens": 1, **split})


def test_overlapping_spans_cannot_be_written(tmp_path: Path) -> None:
    document = Document("d", "a b c", (Span(0, 3, "X"), Span(2, 5, "Y")))
    with pytest.raises(DataError) as caught:
        write_documents([document], tmp_path / "o.conll", "conll")
    assert caught.value.found == "span [2, 5) Y overlaps [0, 3) X"
    assert caught.value.document == "d"
    assert not list(tmp_path.iterdir())


TOKEN = st.text(st.sampled_from("a#-\u00e9\U0001f680"), min_size=1, max_size=3)
TAG = st.sampled_from(["O", "B-X", "B-Y"])
SENTENCES = st.lists(st.lists(st.tuples(TOKEN, TAG), min_size=1, max_size=4), min_size=1, max_size=4)


@given(st.lists(SENTENCES, min_size=1, max_size=3))
def test_writing_what_was_read_gives_it_back(tmp_path_factory: pytest.TempPathFactory, docs: list) -> None:
    folder = tmp_path_factory.mktemp("conll")
    blocks = [
        "-DOCSTART-\tO\n\n" + "\n\n".join("\n".join(map("\t".join, sentence)) for sentence in document)
        for document in docs
    ]
    once = read(folder, "x\tB-X\n\n" + "\n\n".join(blocks) + "\n")
    lost = write_documents(once, folder / "again.conll", "conll")
    assert list(read_documents(folder / "again.conll", "conll")) == once
    assert not lost
    assert [len(re.findall("\n", document.text)) + 1 for document in once[1:]] == [len(document) for document in docs]


@given(st.lists(st.sampled_from(["ab", "c.", "\u00e9"]), min_size=1, max_size=6), st.data())
def test_spans_survive_in_text_that_was_never_tokenised(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], data: st.DataObject
) -> None:
    """The texts of the spans are the same, but for the spaces put in where a span ends inside a word."""
    text = " ".join(words)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    pairs = [(a, b) for a, b in zip(cuts[::2], cuts[1::2], strict=False) if text[a:b].strip() == text[a:b]]
    document = Document("d", text, tuple(Span(a, b, "X") for a, b in pairs))
    path = tmp_path_factory.mktemp("conll") / "o.conll"
    write_documents([document], path, "conll")
    if not pairs:
        return
    (back,) = read_documents(path, "conll")
    assert [back.text[s.start : s.end].replace(" ", "") for s in back.spans] == [
        text[a:b].replace(" ", "") for a, b in pairs
    ]
    assert back.text.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("file", "documents", "spans"),
    [
        ("wnut17/emerging.dev.conll", 1009, {"person": 470, "location": 74, "group": 39, "corporation": 34}),
        ("sec_filings_ner/FIN5.txt", 5, {"PER": 747, "ORG": 243, "LOC": 171, "MISC": 7}),
        ("crossner/ai/dev.txt", 350, {"misc": 180}),
        ("ncbi_disease/train.txt.gz", 5424, {"Disease": 5134}),
    ],
)
def test_published_counts(shared: Path, file: str, documents: int, spans: dict[str, int]) -> None:
    """The figures of shared/data/README.md (misc of crossner: `grep -c B-misc`)."""
    report = ReadReport()
    labels = Counter(span.label for d in read_documents(shared / "data" / file, report=report) for span in d.spans)
    assert report.documents == documents
    assert {label: labels[label] for label in spans} == spans
    assert not report.repaired


def test_white_space_at_the_border_of_spans_is_counted(tmp_path: Path) -> None:
    document = Document("d", "a b c", (Span(0, 2, "ORG"), Span(3, 5, "LOC"), Span(2, 3, "PER")))
    lost = write_documents([document], tmp_path / "out.conll", "conll")
    assert lost["white space at the border of spans"] == 2
    again = next(iter(read_documents([tmp_path / "out.conll"])))
    assert [(span.start, span.end) for span in again.spans] == [(0, 1), (2, 3), (4, 5)]
