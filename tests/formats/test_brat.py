"""brat stand-off: hand-made pairs of files, round trips, LitBank."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.documents import Document, Relation, Span
from spanbert.errors import DataError, UsageError
from spanbert.formats import ReadReport, read_documents, write_documents
from spanbert.formats.sinks import ODD_IDS

TEXT = "Marie Curie worked in Paris."
ANN = "T1\tPER 0 11\tMarie Curie\nT2\tLOC 22 27\tParis\n"
MARIE, PARIS = Span(0, 11, "PER"), Span(22, 27, "LOC")


def pair(folder: Path, text: str, ann: str, name: str = "a") -> Path:
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes(ann.encode())
    return folder


def fault(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(read_documents(folder))
    return f"{caught.value.place.removeprefix(str(folder))}: {caught.value.found}"


@pytest.mark.parametrize("name", [".", "a.txt", "a.ann"])
def test_folder_text_or_annotation_may_be_named(tmp_path: Path, name: str) -> None:
    pair(tmp_path, TEXT, ANN + "R1\tin Arg1:T1 Arg2:T2\nR2\tof Arg2:T1 Arg1:T2\n")
    assert list(read_documents(tmp_path / name)) == [
        Document("a", TEXT, (MARIE, PARIS), (Relation(MARIE, PARIS, "in"), Relation(PARIS, MARIE, "of")))
    ]


def test_ids_are_paths_below_the_folder_and_empty_annotations_are_fine(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    pair(tmp_path / "sub", TEXT, "")
    assert list(read_documents(tmp_path)) == [Document("sub/a", TEXT)]


def test_what_is_not_read_is_counted(tmp_path: Path) -> None:
    unread = "E1\tin:T1\nA1\tNegated T2\nN1\tReference T1 W:Q7\tx\n#1\tAnnotatorNotes T1\tsure\n"
    pair(tmp_path, TEXT, ANN + unread + "*\tEquiv T1 T2\nM1\tSpeculation E1\nR1\tin Arg1:E1 Arg2:T2\n")
    (tmp_path / "b.txt").write_text("alone")
    report = ReadReport()
    (document,) = read_documents(tmp_path, report=report)
    assert document.relations == ()
    kinds = ("events", "attributes", "normalisations", "notes", "equivalences", "modifications")
    assert report.warned == Counter(
        {f"lines of brat {kind} (not read)": 1 for kind in kinds}
        | {"texts without an .ann file (not read)": 1, "relations of brat events (not read)": 1}
    )
    assert f"{tmp_path}/a.ann:3: warned: lines of brat events (not read): E1\tin:T1" in list(report.listing())


def test_discontinuous_spans_keep_their_parts(tmp_path: Path) -> None:
    pair(tmp_path, "acute and chronic pain", "T1\tDIS 0 5;18 22\tacute pain\n")
    (document,) = read_documents(tmp_path)
    assert document.spans == (Span(0, 22, "DIS", None, ((0, 5), (18, 22))),)


def test_windows_line_ends(tmp_path: Path) -> None:
    """Offsets of the text as it is: Paris at 4; with single line ends: 3. A copy shows a line end as a space."""
    pair(tmp_path, "in\r\nParis\r\nnow", "T1\tLOC 4 9\tParis\r\nT2\tX 4 14\tParis now\r\n")
    report = ReadReport()
    (document,) = read_documents(tmp_path, report=report)
    assert document.spans == (Span(4, 9, "LOC"), Span(4, 14, "X"))
    assert not report.repaired
    pair(tmp_path, "in\r\nParis\r\nnow", "T1\tLOC 3 8\tParis\r\n")
    (document,) = read_documents(tmp_path, report=report)
    assert document.spans == (Span(4, 9, "LOC"),)
    assert report.repaired == Counter({"spans converted from crlf-as-one": 1})


def test_offsets_that_count_the_byte_order_mark(tmp_path: Path) -> None:
    pair(tmp_path, "\ufeff" + TEXT, "T1\tPER 1 12\tMarie Curie\nT2\tLOC 23 28\tParis\n")
    report = ReadReport()
    (document,) = read_documents(tmp_path, report=report)
    assert (document.text, document.spans) == (TEXT, (MARIE, PARIS))
    assert report.repaired == Counter(
        {
            "spans converted from after-byte-order-mark": 2,
            "files with a byte order mark (removed)": 1,
        }
    )


@pytest.mark.parametrize(
    ("ann", "found"),
    [
        (ANN + "T3 LOC 0 5 Marie\n", "/a.ann:3: a line that is not brat's: 'T3 LOC 0 5 Marie'"),
        (ANN + "T1\tPER 0 5\tMarie\n", "/a.ann:3: T1 stands twice"),
        (ANN + "R1\tin Arg1:T1 Arg2:T9\n", "/a.ann:3, document 'a': relation 'in' of T9, which is not there"),
        (
            "T1\tPER 1 11\tMarie Curie\n",
            "/a.ann, document 'a': span [1, 11) 'PER' is 'arie Curie' in the text, but 'Marie Curie' in its copy",
        ),
        (f"T1\tPER 0 {'9' * 5000}\tx\n", f"/a.ann:1: a line that is not brat's: 'T1\\tPER 0 {'9' * 51}'"),
        ("T1\tPER 0 99\tx\n", "/a.ann, document 'a': span [0, 99) ends after the text (28 characters)"),
        ("T1\tPER 5 5\t\n", "/a.ann, document 'a': span [5, 5) is empty"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, ann: str, found: str) -> None:
    assert fault(pair(tmp_path, TEXT, ann)) == found


def test_an_empty_annotation_file_may_be_named_itself(tmp_path: Path) -> None:
    pair(tmp_path, TEXT, "")
    assert list(read_documents(tmp_path / "a.ann")) == [Document("a", TEXT)]


def test_an_annotation_without_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.ann").write_text(ANN)
    assert fault(tmp_path) == "/a.ann: no .txt file beside it"


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(TEXT)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.ann").write_text(ANN)
    (tmp_path / "in" / "a.txt").symlink_to(tmp_path / "secret.txt")
    assert fault(tmp_path / "in") == "/a.ann: a.txt is a link out of the folder"


def test_what_is_written(tmp_path: Path) -> None:
    """Sorted by place; a line end in the copy becomes a space; the configuration names all labels."""
    document = Document(
        "d", "b\nc a", (Span(4, 5, "Z", 0.5), Span(0, 3, "Y")), (Relation(Span(0, 3, "Y"), Span(4, 5, "Z", 0.5), "r"),)
    )
    lost = write_documents([document], tmp_path / "out", "brat")
    assert (tmp_path / "out" / "d.txt").read_bytes() == b"b\nc a"
    assert (tmp_path / "out" / "d.ann").read_bytes() == b"T1\tY 0 3\tb c\nT2\tZ 4 5\ta\nR1\tr Arg1:T1 Arg2:T2\n"
    assert (tmp_path / "out" / "annotation.conf").read_text() == (
        "[entities]\nY\nZ\n\n[relations]\nr\tArg1:<ENTITY>, Arg2:<ENTITY>\n\n[events]\n\n[attributes]\n"
    )
    assert lost == Counter({"scores": 1})


def test_ids_cannot_leave_the_folder(tmp_path: Path) -> None:
    ids = ["../../x", "/etc/x", "a//b", "..", ".", "a", "A", "b/c", "x\x00y", "x:y", "\u00e9" * 300, "%2E."]
    lost = write_documents([Document(identifier, identifier[:2]) for identifier in ids], tmp_path / "out", "brat")
    assert lost == {ODD_IDS: 10}  # all but `a` and `b/c`
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    texts = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.txt")}
    assert len(texts) == len(ids)
    assert {
        "%2E%2E/%2E%2E/x.txt",
        "%2Fetc%2Fx.txt",
        "a.txt",
        "b/c.txt",
        "x%00y.txt",
        "x%3Ay.txt",
        "%252E%2E.txt",
    } <= texts
    assert len(list(read_documents(tmp_path / "out"))) == len(ids)


def test_a_folder_with_content_is_not_written_into(tmp_path: Path) -> None:
    pair(tmp_path, TEXT, ANN)
    with pytest.raises(UsageError, match="something is there already"):
        write_documents([], tmp_path, "brat")


WORD = st.text(st.sampled_from("ab\u00e9\U0001f680"), min_size=1, max_size=3)


@settings(max_examples=60)
@given(st.lists(WORD, min_size=1, max_size=5), st.sampled_from([" ", "\n", "\r\n"]), st.data())
def test_reading_inverts_writing(
    tmp_path_factory: pytest.TempPathFactory, words: list[str], space: str, data: st.DataObject
) -> None:
    text = space.join(words)
    solid = [(a, b) for a in range(len(text)) for b in range(a + 1, len(text) + 1) if text[a:b].strip() == text[a:b]]
    places = data.draw(st.sets(st.tuples(st.sampled_from(solid), st.sampled_from("XY")), max_size=4))
    spans = tuple(Span(*place, label) for place, label in sorted(places))
    relations = tuple(Relation(head, tail, "r") for head in spans[:1] for tail in spans)
    document = Document("d", text, spans, relations)
    folder = tmp_path_factory.mktemp("brat") / "out"
    write_documents([document], folder, "brat")
    report = ReadReport()
    assert list(read_documents(folder, report=report)) == [document]
    assert not report.repaired


def test_a_text_that_begins_with_a_byte_order_mark_keeps_it(tmp_path: Path) -> None:
    document = Document("d", "\ufeffAnna met Bert", (Span(0, 5, "PERSON"), Span(10, 14, "PERSON")))
    write_documents([document], tmp_path / "out", "brat")
    assert list(read_documents(tmp_path / "out")) == [document]


def test_litbank(shared: Path, tmp_path: Path) -> None:
    """80 texts, 11,077 entities (shared/data/README.md), every copy matching."""
    with tarfile.open(shared / "data/litbank/litbank_entities_brat.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    report = ReadReport()
    labels = Counter(span.label for document in read_documents(tmp_path, report=report) for span in document.spans)
    assert (report.documents, report.spans) == (80, 11_077)
    assert labels == Counter(PER=7345, FAC=1707, LOC=1045, GPE=728, VEH=148, ORG=104)
    assert not report.repaired
