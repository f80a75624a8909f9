"""Distance of spans from cuts between windows."""

from __future__ import annotations

from pathlib import Path

from spanbert.documents import Document, Span
from spanbert.evaluation.borders import DISTANCES, by_border
from spanbert.tasks import settings_from, task_class
from spanbert.tokenization import Tokenizer

WORDS = "house " * 100


def test_distance_by_hand(tiny_encoder: Path):
    """100 pieces in windows of 50, which share 20: pieces 0-47, 26-73, 52-99. Sums up to 26 + 47 are of the first,
    up to 52 + 73 of the second. Pieces 40 and 26 stand 7 and 10 pieces from cuts; 0 and 99 from none but far ones.
    """
    tokenizer, name = Tokenizer.from_folder(tiny_encoder), "span-classification"
    task = task_class(name)(settings_from(name, {"labels": ("P",), "window": 50, "overlap": 20}), tokenizer)
    documents = [Document("a", WORDS), Document("b", "house house")]
    pieces = tokenizer.pieces([document.text for document in documents])
    assert [len(each) for each in pieces] == [100, 2]
    group = by_border(task, documents, pieces)

    def told(first: int, last: int | None = None, number: int = 0) -> str:
        place = pieces[number].span(first, first if last is None else last)
        return DISTANCES[group(number, Span(*place, "P"))]

    bounds = [each.windows[0].bounds for each in task.examples(documents[0], pieces[0], None)]
    assert bounds == [(0, 47), (26, 73), (52, 99)]
    assert told(36) == "up to 16 pieces away"  # 36 + 36 <= 73: the first window, 11 from its end
    assert told(37) == "up to 16 pieces away"  # the second, 11 from its begin
    assert told(43) == "17–64 pieces away"  # 17 from the begin of the second
    assert told(0) == told(99) == "17–64 pieces away"  # 47 from the end, and the text's own end is no cut
    assert told(30, 46) == "up to 16 pieces away"  # of the second: 4 from its begin
    assert told(0, number=1) == "in one window"
    assert DISTANCES[group(1, Span(5, 6, "P"))] == "in one window"  # no piece there
