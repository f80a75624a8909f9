"""CoNLL-2012 files: brackets, parts, faults, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanbert.documents import Cluster, Document, Span
from spanbert.errors import DataError
from spanbert.formats import ReadReport, read_documents, write_documents


def conll(*cells: str, end: bool = True, words: tuple[str, ...] = ("Anna", "'s", "dog", ".", "She", "-LRB-")) -> str:
    """A document of two sentences, four tokens and two."""
    rows = [f"d\t0\t{k}\t{word}\tX\t{cell}" for k, (word, cell) in enumerate(zip(words, cells, strict=True))]
    lines = ["#begin document (d); part 000", *rows[:4], "", *rows[4:], ""]
    return "\n".join([*lines, *(["#end document"] * end)]) + "\n"


def read(tmp_path: Path, content: str) -> tuple[list[Document], ReadReport]:
    (tmp_path / "x.conll").write_text(content, encoding="utf-8")
    report = ReadReport()
    return list(read_documents(tmp_path / "x.conll", report=report)), report


def test_nested_mentions(tmp_path: Path):
    """`Anna 's dog` holds `Anna 's`; `She` goes back to the latter."""
    (document,), report = read(tmp_path, conll("(0|(1", "0)", "1)", "-", "(0)", ""))
    assert (document.id, document.text) == ("d", "Anna 's dog .\nShe (")
    assert document.clusters == (
        Cluster((Span(0, 7, "mention"), Span(14, 17, "mention"))), Cluster((Span(0, 11, "mention"),)),
    )  # fmt: skip
    assert report.summary()[0].startswith("1 token ")


def test_mentions_of_one_chain_inside_each_other(tmp_path: Path):
    (document,), _ = read(tmp_path, conll("(3|(3", "3)", "3)", "-", "-", "-"))
    assert [(s.start, s.end) for s in document.clusters[0].spans] == [(0, 7), (0, 11)]


def test_white_space_between_columns_and_parts(tmp_path: Path):
    content = conll("(0)", "-", "-", "-", "(0)", "-").replace("\t", "   ")
    documents, _ = read(tmp_path, content + content.replace("part 000", "part 001"))
    assert [document.id for document in documents] == ["d", "d-1"]


def test_repeats_and_shared_mentions_are_told(tmp_path: Path):
    (document,), report = read(tmp_path, conll("(0)|(0)|(1)", "-", "-", "-", "(0)|(1)", "-", end=False))
    assert [len(cluster.spans) for cluster in document.clusters] == [2, 2]
    said = "\n".join(report.summary())
    for words in ("mention of a chain given twice", "in several chains", "without #end document"):
        assert words in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (conll("(0", "-", "-", "-", "-", "-"), "never closed"),
        (conll("0)", "-", "-", "-", "-", "-"), "without having begun"),
        ("#begin document (d); part 0\nd\t0\n#end document\n", "three columns, or at least five"),
        ("#begin document (d); part 0\n#end document\nd\t0\t0\tAnna\tX\t-\n", "after #begin document"),
        (conll("(0)", "-", "-", "-", "-", "-") + "#end document\n", "#begin document before it"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, content: str, words: str):
    with pytest.raises(DataError, match=words):
        read(tmp_path, content)


def test_a_document_that_is_not_ended_is_kept(tmp_path: Path):
    cells = ("(0)", "-", "-", "-", "(0)", "-")
    content = conll(*cells, end=False).replace("(d)", "(c)") + conll(*cells)
    documents, report = read(tmp_path, content)
    assert [(d.id, d.text, len(d.clusters)) for d in documents] == [(n, "Anna 's dog .\nShe (", 1) for n in "cd"]
    assert "1 document without #end document" in "\n".join(report.summary())


def test_what_brackets_cannot_write_is_counted(tmp_path: Path):
    """Two mentions of one chain that cross, one of white space alone, an id with white space."""
    text = "aa bb cc dd"
    crossing = Cluster((Span(0, 8, "mention"), Span(3, 11, "mention")))
    blank = Cluster((Span(2, 3, "mention"), Span(0, 3, "mention")))
    documents = [Document("#1 x", text, clusters=(crossing, blank, Cluster(())))]
    lost = write_documents(documents, tmp_path / "y.conll", "conll-coref")
    assert lost == {
        "mentions that cross another of their chain": 1,
        "mentions without a word": 1,
        "ids of documents (white space becomes _)": 1,
    }
    (again,) = read_documents(tmp_path / "y.conll")
    assert again.text == text and [[(s.start, s.end) for s in c.spans] for c in again.clusters] == [[(0, 8)], [(0, 2)]]


def test_what_is_written_reads_the_same(tmp_path: Path):
    """Mentions that end inside a word split it; then the text has a space more, and the clusters stand."""
    text = "Anna 's big dog\nShe said"
    a, b, c, d = Span(0, 7, "mention"), Span(0, 15, "mention"), Span(16, 19, "mention"), Span(8, 15, "mention")
    documents = [Document("d", text, clusters=(Cluster((a, c)), Cluster((b,)), Cluster((d,))))]
    assert write_documents(documents, tmp_path / "y.conll", "conll-coref") == {}
    assert [set(cluster.spans) for cluster in next(iter(read_documents(tmp_path / "y.conll"))).clusters] == [
        set(cluster.spans) for cluster in (documents[0].clusters[1], documents[0].clusters[0], documents[0].clusters[2])
    ]
    inside = Document("e", "Anna's dog", clusters=(Cluster((Span(0, 4, "mention"),)),))
    write_documents([inside], tmp_path / "z.conll", "conll-coref")
    (again,) = read_documents(tmp_path / "z.conll")
    assert again.text == "Anna 's dog" and again.clusters == inside.clusters


def test_files_of_ontogum(tmp_path: Path):
    """A number, the token and its chains, whose brackets stand side by side; `_` is none too."""
    rows = [
        "# begin document GUM_a",
        "0\tAnna\t(1)",
        "1\tmet\t_",
        "2\ther\t(2(1)",
        "3\thouse\t2)",
        "",
        "# end document",
    ]
    (tmp_path / "a.conll").write_text("\n".join(rows) + "\n")
    (document,) = read_documents(tmp_path / "a.conll")
    assert (document.id, document.text) == ("GUM_a", "Anna met her house")
    assert [[document.text[s.start : s.end] for s in cluster.spans] for cluster in document.clusters] == [
        ["Anna", "her"],
        ["her house"],
    ]


@pytest.mark.parametrize("cell", ["(x)", "(0)zz", ")0(", "(0", "0"])
def test_cells_that_are_no_chains(tmp_path: Path, cell: str):
    (tmp_path / "a.conll").write_text(f"#begin document (a); part 000\na\t0\t0\tAnna\t{cell}\n#end document\n")
    with pytest.raises(DataError):
        list(read_documents(tmp_path / "a.conll"))


def test_what_cannot_be_written_is_counted(tmp_path: Path) -> None:
    """A mention that ends inside of "Paris." parts it; an id is one word."""
    text = "Marie left Paris. She won."
    document = Document("a b", text, clusters=(Cluster((Span(11, 16), Span(0, 5))),))
    lost = write_documents([document], tmp_path / "o", "conll-coref")
    assert lost["ids of documents (white space becomes _)"] == lost["texts between tokens"] == 1
    assert not write_documents([Document("a", "Marie left")], tmp_path / "p", "conll-coref")
