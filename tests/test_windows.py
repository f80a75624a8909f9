"""Windows cover the document, and every span belongs to exactly one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.documents import Coverage
from spanbert.tokenization import Frame, Pieces
from spanbert.windows import Window, concatenate, coverage, cut

CLS, SEP = 101, 102
FRAME = Frame.plain(CLS, SEP)


def made(total: int) -> Pieces:
    """Pieces of one character with a space between them; ids from 1000."""
    starts = 2 * np.arange(total)
    return Pieces(1000 + np.arange(total), starts, starts + 1, np.arange(total))


def owner(windows: list[Window], first: int, last: int) -> list[int]:
    return [k for k, w in enumerate(windows) if w.low < first + last <= w.high]


def test_one_window_by_hand():
    """Three pieces in a window of 5: both special tokens fit exactly. Sums of first and last go from 0 to 4 <= 6."""
    (window,) = cut(made(3), 5, 1, FRAME)
    assert window.ids.tolist() == [CLS, 1000, 1001, 1002, SEP]
    assert window.pieces.tolist() == [-1, 0, 1, 2, -1]
    assert window.token_types.tolist() == [0, 0, 0, 0, 0]
    assert (window.low, window.high, window.unit) == (-1, 6, 0)
    assert window.bounds == (0, 2)


def test_two_windows_by_hand():
    """Size 8 has room for 6, overlap 2, 10 pieces: ceil((10 - 2) / (6 - 2)) = 2 windows, [0, 5] and [4, 9].

    The border of ownership is 5 + 4 = 9: [4, 5] sums to 9 and has context 0 in both; the tie goes to the first.
    """
    first, second = cut(made(10), 8, 2, FRAME)
    assert (first.bounds, second.bounds) == ((0, 5), (4, 9))
    assert (first.low, first.high, second.low, second.high) == (-1, 9, 9, 20)
    assert owner([first, second], 4, 5) == [0]
    assert owner([first, second], 5, 5) == [1]
    assert second.ids.tolist() == [CLS, *range(1004, 1010), SEP]


def test_windows_are_spread_evenly():
    """11 pieces need ceil((11 - 2) / 4) = 3 windows of 6; firsts at 0, 2.5, 5, of which 2.5 is rounded to 2."""
    assert [window.bounds for window in cut(made(11), 8, 2, FRAME)] == [(0, 5), (2, 7), (5, 10)]


def test_the_overlap_is_at_most_half_the_room():
    """Room 6, wanted 100: 3 are shared. 9 pieces need ceil((9 - 3) / 3) = 2 windows, [0, 5] and [3, 8]."""
    assert [window.bounds for window in cut(made(9), 8, 100, FRAME)] == [(0, 5), (3, 8)]


def test_no_pieces_no_window():
    assert cut(made(0), 8, 2, FRAME) == []
    assert covered("", made(0), []).complete
    assert covered("  \n", made(0), []).complete
    assert covered("  \n", made(0), []).windows == 0


SIZES = [(3, 0), (3, 5), (4, 0), (4, 1), (5, 1), (7, 0), (7, 2), (8, 3), (9, 2), (12, 4), (12, 9), (20, 7)]


@pytest.mark.parametrize(("size", "wanted"), SIZES)
def test_every_span_that_fits_has_exactly_one_owner_and_lies_in_it(size: int, wanted: int):
    """Brute force over all spans of documents of 1 to 60 pieces.

    The owner is a window with most context on the nearer side. So a span that lies whole in any window lies whole in
    its owner; and each of up to overlap + 1 pieces does lie in one.
    """
    overlap = min(wanted, (size - 2) // 2)
    for total in range(1, 61):
        windows = cut(made(total), size, wanted, FRAME)
        first, last = np.triu_indices(total)
        begin, end = np.array([window.bounds for window in windows]).T[..., None]
        low, high = np.array([(window.low, window.high) for window in windows]).T[..., None]
        owns = (low < first + last) & (first + last <= high)
        context = np.minimum(first - begin, end - last)  # negative where the span does not lie whole in the window
        assert (owns.sum(axis=0) == 1).all()
        mine = context[owns.argmax(axis=0), np.arange(len(first))]
        assert (mine == context.max(axis=0)).all()
        assert (mine[(last - first <= overlap) | (total <= size - 2)] >= 0).all()


@given(st.integers(1, 2000), st.integers(3, 130), st.integers(0, 80))
def test_windows_cover_the_document(total: int, size: int, wanted: int):
    windows = cut(made(total), size, wanted, FRAME)
    room = size - 2
    overlap = min(wanted, room // 2)
    seen = np.zeros(total, dtype=int)
    for window in windows:
        a, b = window.bounds
        assert window.pieces.tolist() == [-1, *range(a, b + 1), -1]
        assert window.ids.tolist() == [CLS, *range(1000 + a, 1001 + b), SEP]
        assert b - a + 1 == min(room, total)
        seen[a : b + 1] += 1
    assert seen.min() == 1 or overlap > 0
    assert seen.min() >= 1
    for left, right in zip(windows, windows[1:], strict=False):
        assert left.bounds[0] < right.bounds[0]
        assert left.bounds[1] - right.bounds[0] + 1 >= overlap
        assert left.high == right.low
    fewest = 1 if total <= room else -(-(total - overlap) // (room - overlap))
    assert len(windows) == fewest


def covered(text: str, pieces: Pieces, stretches: Sequence[tuple[int, int]]) -> Coverage:
    read = np.zeros(len(pieces), dtype=bool)
    for first, last in stretches:
        read[first : last + 1] = True
    return coverage(text, pieces, read, len(stretches), unknown=-1)


def test_coverage_is_complete_with_all_windows():
    """Ten pieces of one character with spaces between and around them: 23 characters, all read, in two windows."""
    text = " " + " ".join("abcdefghij") + " \n "
    base = made(10)
    pieces = Pieces(base.ids, base.starts + 1, base.ends + 1, base.words)
    windows = cut(pieces, 8, 2, FRAME)
    found = covered(text, pieces, [window.bounds for window in windows])
    assert (found.characters_read, found.characters, found.windows) == (23, 23, 2)
    assert found.complete


def test_coverage_of_a_part():
    """Text `a b c d e f g h i j` has 19 characters. Window [0, 5] reads `a b c d e f`, 11 of them, spaces included;

    the other, [4, 9], reads `e f g h i j`, 11 as well; together they read all, and shared pieces count once.
    """
    text, pieces = " ".join("abcdefghij"), made(10)
    first, second = cut(pieces, 8, 2, FRAME)
    assert covered(text, pieces, [first.bounds]).characters_read == 11
    assert covered(text, pieces, [second.bounds]).characters_read == 11
    assert not covered(text, pieces, [first.bounds]).complete
    assert covered(text, pieces, [first.bounds, second.bounds]).complete
    assert covered(text, pieces, [first.bounds, first.bounds]).characters_read == 11
    assert covered(text, pieces, []).characters_read == 0


def test_coverage_counts_a_shared_grapheme_once():
    """Two pieces stand for the one grapheme [0, 2) and a third for [2, 3): without the third, 2 of 3 are read."""
    pieces = Pieces(np.arange(3), np.array([0, 0, 2]), np.array([2, 2, 3]), np.arange(3))
    assert covered("e\u0301x", pieces, [(0, 1)]).characters_read == 2


def test_coverage_skips_what_lies_between_parts():
    """Pieces 0-1 and 4 of `a b c d e` were read: `a b` and `e`, 3 + 1 characters of 9."""
    pieces = made(5)
    found = covered("a b c d e", pieces, [(0, 1), (4, 4)])
    assert (found.characters_read, found.characters, found.windows) == (4, 9, 2)


def test_concatenate():
    tables = [{"x": np.array([1, 2]), "y": np.zeros((2, 3))}, {"x": np.array([3]), "y": np.ones((1, 3))}]
    joined = concatenate(tables)
    assert joined["x"].tolist() == [1, 2, 3]
    assert joined["y"].tolist() == [[0] * 3, [0] * 3, [1] * 3]
    assert concatenate([]) == {}
