"""Tag schemes: reading, strict reading, writing, repairs and recognition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.errors import DataError, UsageError
from spanbert.tag_schemes import SCHEMES, Range, decode, decode_strict, detect, encode, repairs, split, tag_names


@pytest.mark.parametrize(
    ("tag", "parts"),
    [("O", ("O", "")), ("B", ("B", "")), ("B-X", ("B", "X")), ("I-credit-rating", ("I", "credit-rating"))],
)
def test_split_at_the_first_hyphen(tag: str, parts: tuple[str, str]):
    assert split(tag) == parts


def test_tag_names():
    assert tag_names(["X", "a-b"], "iob2") == ["O", "B-X", "I-X", "B-a-b", "I-a-b"]
    assert tag_names(["X"], "iobes") == ["O", "B-X", "I-X", "E-X", "S-X"]
    assert tag_names(["X"], "bilou") == ["O", "B-X", "I-X", "L-X", "U-X"]
    assert tag_names([], "iob1") == ["O"]


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-X I-X O", [(0, 2, "X")]),
        ("I-X I-X B-X O", [(0, 2, "X"), (2, 3, "X")]),  # iob1, and an inside tag after nothing
        ("B-X I-Y I-Y", [(0, 1, "X"), (1, 3, "Y")]),  # another label ends a span and begins one
        ("B-X O I-X", [(0, 1, "X"), (2, 3, "X")]),
        ("B I O B", [(0, 2, ""), (3, 4, "")]),
        ("O O", []),
        ("", []),
        ("B-X E-X I-X E-X E-X", [(0, 2, "X"), (2, 4, "X"), (4, 5, "X")]),  # conlleval: a border after E- before I-, E-
        ("S-X B-X S-X", [(0, 3, "X")]),  # and none that knows S-
    ],
)
def test_decode_iob(tags: str, spans: list[Range]):
    assert decode(tags.split(), "iob2") == spans
    assert decode(tags.split(), "iob1") == spans


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-X I-X E-X S-X", [(0, 3, "X"), (3, 4, "X")]),
        ("S-X S-X B-X E-X", [(0, 1, "X"), (1, 2, "X"), (2, 4, "X")]),
        ("B-X I-X O", [(0, 2, "X")]),  # never closed
        ("B-X I-X S-X", [(0, 2, "X"), (2, 3, "X")]),
        ("I-X E-X E-X", [(0, 2, "X"), (2, 3, "X")]),  # never begun, twice
        ("B-X E-Y", [(0, 1, "X"), (1, 2, "Y")]),
        ("B-X B-X", [(0, 1, "X"), (1, 2, "X")]),
    ],
)
def test_decode_iobes_and_bilou(tags: str, spans: list[Range]):
    assert decode(tags.split(), "iobes") == spans
    assert decode(tags.replace("E-", "L-").replace("S-", "U-").split(), "bilou") == spans


@pytest.mark.parametrize(
    ("tags", "scheme", "spans"),
    [
        ("B-X I-X I-X", "iob2", [(0, 3, "X")]),
        ("I-X B-X I-Y I-Y", "iob2", [(1, 2, "X")]),
        ("B-X B-X O I-X", "iob2", [(0, 1, "X"), (1, 2, "X")]),
        ("B-X I-X E-X S-Y", "iobes", [(0, 3, "X"), (3, 4, "Y")]),
        ("B-X I-X O S-X", "iobes", [(3, 4, "X")]),
        ("B-X B-X E-X", "iobes", [(1, 3, "X")]),
        ("I-X E-X B-X E-Y", "iobes", []),
        ("B-X I-Y E-X", "iobes", []),
        ("B-X L-X U-X", "bilou", [(0, 2, "X"), (2, 3, "X")]),
    ],
)
def test_decode_strict(tags: str, scheme: str, spans: list[Range]):
    assert decode_strict(tags.split(), scheme) == spans


def test_strict_refuses_other_schemes():
    with pytest.raises(DataError, match="E-X"):
        decode_strict(["B-X", "E-X"], "iob2")
    with pytest.raises(UsageError, match="iob1"):
        decode_strict(["I-X"], "iob1")


def test_encode():
    """X on tokens 0 and 1, X again on 2, Y on 4."""
    spans = [(4, 5, "Y"), (0, 2, "X"), (2, 3, "X")]
    assert encode(spans, 6, "iob2") == ["B-X", "I-X", "B-X", "O", "B-Y", "O"]
    assert encode(spans, 6, "iob1") == ["I-X", "I-X", "B-X", "O", "I-Y", "O"]
    assert encode(spans, 6, "iobes") == ["B-X", "E-X", "S-X", "O", "S-Y", "O"]
    assert encode(spans, 6, "bilou") == ["B-X", "L-X", "U-X", "O", "U-Y", "O"]
    assert encode([(0, 3, "X")], 3, "iobes") == ["B-X", "I-X", "E-X"]


def test_encode_refuses():
    with pytest.raises(DataError, match="overlaps"):
        encode([(0, 2, "X"), (1, 3, "Y")], 3, "iob2")
    with pytest.raises(DataError, match="overlaps"):
        encode([(0, 2, "X"), (0, 2, "Y")], 3, "iob2")
    with pytest.raises(DataError, match="of 3"):
        encode([(2, 4, "X")], 3, "iob2")


@pytest.mark.parametrize(
    ("tags", "scheme", "count"),
    [
        ("I-X I-X O B-X", "iob2", 1),  # the first
        ("I-X I-X O B-X", "iob1", 1),  # the last: nothing of X stands before it
        ("B-X I-Y", "iob2", 1),
        ("B-X", "iobes", 1),  # S-X
        ("I-X I-X", "iobes", 2),  # B-X E-X
        ("B-X E-X S-X", "iobes", 0),
    ],
)
def test_repairs(tags: str, scheme: str, count: int):
    assert repairs(tags.split(), scheme) == count


@pytest.mark.parametrize(
    ("sequences", "scheme"),
    [
        (["B-X I-X", "O B-Y"], "iob2"),
        (["I-X I-X", "O I-Y B-Y"], "iob1"),
        (["O O"], "iob2"),
        (["I-X O", "B-X I-X", "B-X"], "iob2"),  # one repair as iob2, two as iob1
        (["B-X", "S-X"], "iobes"),
        (["B-X L-X"], "bilou"),
        ([], "iob2"),
    ],
)
def test_detect(sequences: list[str], scheme: str):
    assert detect(tags.split() for tags in sequences) == scheme


def test_detect_refuses():
    with pytest.raises(DataError, match="'PER'"):
        detect([["O", "PER"]])
    with pytest.raises(DataError, match="two schemes"):
        detect([["B-X", "E-X"], ["U-X"]])


def test_unknown_tags_and_schemes():
    with pytest.raises(DataError, match="'PER'"):
        decode(["O", "PER"], "iob2")
    with pytest.raises(DataError, match="'L-X'"):
        decode(["B-X", "L-X"], "iobes")
    with pytest.raises(DataError, match="''"):
        decode([""], "iob2")
    with pytest.raises(UsageError, match="did you mean 'bilou'"):
        decode(["O"], "biluo")


@st.composite
def spans_in_order(draw: st.DrawFn) -> tuple[list[Range], int]:
    """Up to six disjoint spans, some of which touch."""
    spans, position = [], 0
    pieces = st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(["X", "Y", "a-b", ""]))
    for gap, width, label in draw(st.lists(pieces, max_size=6)):
        spans.append((position + gap, position + gap + width, label))
        position += gap + width
    return spans, position + draw(st.integers(0, 2))


@given(spans_in_order(), st.sampled_from(SCHEMES))
def test_what_is_written_is_read(written: tuple[list[Range], int], scheme: str):
    spans, length = written
    tags = encode(spans, length, scheme)
    assert len(tags) == length
    assert decode(tags, scheme) == spans
    assert repairs(tags, scheme) == 0
    if scheme != "iob1":
        assert decode_strict(tags, scheme) == spans


@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y", "B", "I"]), max_size=12), st.sampled_from(SCHEMES))
def test_every_tag_inside_belongs_to_one_span_of_its_label(tags: list[str], scheme: str):
    labels = [None if tag == "O" else split(tag)[1] for tag in tags]
    found = [None] * len(tags)
    for start, end, label in decode(tags, scheme):
        assert found[start:end] == [None] * (end - start)
        found[start:end] = [label] * (end - start)
    assert found == labels


@given(st.lists(spans_in_order(), min_size=1, max_size=3), st.sampled_from(["iobes", "bilou", "iob2"]))
def test_written_schemes_are_recognised(written: list[tuple[list[Range], int]], scheme: str):
    """Only where some span is written; one without E- or S- cannot be told from iob2."""
    sequences = [encode(spans, length, scheme) for spans, length in written]
    expected = scheme if any(spans for spans, _ in written) else "iob2"
    assert detect(sequences) == expected
