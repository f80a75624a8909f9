"""The predictor over a fake runtime: streams, windows, company, thresholds, several tasks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from spanbert.calibration.curve import Calibration
from spanbert.calibration.decision import Decision
from spanbert.documents import Coverage, Document, Relation, Span
from spanbert.inference import predictor as module
from spanbert.inference.predictor import Predictor, chunks
from spanbert.packing import Batch
from spanbert.tasks import settings_from, task_class
from spanbert.tokenization import Tokenizer
from spanbert.windows import Table

SPANS, TAGS = "span-classification", "token-classification"
LABELS = ("ORG", "PERSON")
WIDEST = 4
TEXT = "the a met with in of from went said then and house river day on . , was big Anna Acme Corp undo"
WORDS = TEXT.split()


class FakeBackend:
    """Scores every owned run of up to four pieces by what stands in it alone, and counts what it read."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.room = 2048

    def run(self, batch: Batch, floors: Mapping[str, float]) -> Mapping[str, Table]:
        self.batches.append(batch)
        made = {SPANS: self._pairs, TAGS: self._tags}
        return {name: made[name](batch) for name in floors}

    @property
    def positions(self) -> int:
        return sum(len(batch.ids) for batch in self.batches)

    @property
    def windows(self) -> list[tuple[int, ...]]:
        return [
            tuple(batch.ids[a:b].tolist()) for batch in self.batches for a, b in itertools.pairwise(batch.cu_seqlens)
        ]

    def _pairs(self, batch: Batch) -> Table:
        rows = [
            (window, first, last, label, logit(ids, label))
            for window, first, last, ids in owned(batch, WIDEST)
            for label in range(len(LABELS))
        ]
        names = ("window", "first", "last", "label", "logit")
        return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}

    def _tags(self, batch: Batch) -> Table:
        rows = list(owned(batch, 1))
        emission = [[logit(ids, tag) for tag in range(5)] for _, _, _, ids in rows]
        return {
            "window": np.array([row[0] for row in rows]),
            "piece": np.array([row[1] for row in rows]),
            "emission": np.array(emission),
        }


def owned(batch: Batch, widest: int) -> Iterator[tuple[int, int, int, tuple[int, ...]]]:
    """(window, first piece, last piece, ids) of the runs of pieces that their window owns."""
    for window, (a, b) in enumerate(itertools.pairwise(batch.cu_seqlens)):
        real = [p for p in range(a, b) if batch.pieces[p] >= 0]
        for n, p in enumerate(real):
            for q in real[n : n + widest]:
                first, last = int(batch.pieces[p]), int(batch.pieces[q])
                if batch.low[window] < first + last <= batch.high[window]:
                    yield window, first, last, tuple(batch.ids[p : q + 1].tolist())


def logit(ids: tuple[int, ...], label: int) -> float:
    """From -5 to 5, different for near all runs."""
    return math.sin(sum((n + 2) * number for n, number in enumerate(ids)) * 1.7 + 3 * label) * 5


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


@pytest.fixture
def make(tokenizer: Tokenizer):
    def predictor(*names: str, policy: str = "flat", threshold: float = 0.5, overlap: int | None = None) -> Predictor:
        tasks = {}
        for name in names or (SPANS,):
            values = {"labels": LABELS, "window": 20, "overlap": overlap}
            values |= {"policy": policy} if name == SPANS else {}
            tasks[name] = task_class(name)(settings_from(name, values), tokenizer)
        return Predictor(tokenizer, tasks, FakeBackend(), dict.fromkeys(tasks, Decision(threshold)))

    return predictor


def texts(number: int, longest: int = 60) -> list[Document]:
    draw = np.random.default_rng(number)
    return [Document(f"d{k}", " ".join(draw.choice(WORDS, draw.integers(0, longest)))) for k in range(number)]


@pytest.mark.parametrize("task", [SPANS, TAGS])
def test_alone_in_company_and_in_any_order(make, task):
    """The fake depends on windows alone, so results are equal to the last bit."""
    documents = texts(30)
    together = list(make(task)(documents))
    assert sum(len(document.spans) for document in together) > 50
    assert [document.id for document in together] == [document.id for document in documents]
    assert list(make(task)(documents[::-1])) == together[::-1]
    predictor = make(task)
    assert [next(predictor([document])) for document in documents] == together


def test_windows_make_no_difference_to_what_is_scored(make, tokenizer):
    """Every run of up to four pieces is owned by one window: as if the document had been read in one."""
    document = Document("d", " ".join(WORDS * 5))
    (found,) = make(policy="overlapping", overlap=6)([document])
    pieces = tokenizer.pieces([document.text])[0]
    expected = {
        (*pieces.span(first, last), LABELS[label])
        for first in range(len(pieces))
        for last in range(first, min(first + WIDEST, len(pieces)))
        for label in range(2)
        if logit(tuple(pieces.ids[first : last + 1].tolist()), label) >= 0
    }
    assert {(span.start, span.end, span.label) for span in found.spans} == expected
    assert len(found.spans) == len(expected)
    assert found.coverage.windows > 5 and found.coverage.complete


@pytest.mark.parametrize("task", [SPANS, TAGS])
def test_scores_are_calibrated_logits(make, task):
    document, plain = texts(3)[2], make(task, threshold=0.0)
    tuned = make(task, threshold=0.0)
    tuned.decisions[task] = Decision(0.0, Calibration(2.0, 1.0))
    (before,), (after,) = plain([document]), tuned([document])
    assert before.spans
    for one, other in zip(before.spans, after.spans, strict=True):
        z = math.log(one.score / (1 - one.score))
        assert other.score == pytest.approx(1 / (1 + math.exp(-2 * z - 1)), abs=1e-9)


@pytest.mark.parametrize("policy", ["flat", "nested", "overlapping"])
def test_a_higher_threshold_gives_a_subset(make, policy):
    documents = texts(12)
    everything = {(d.id, span) for d in make(policy=policy, threshold=0.0)(documents) for span in d.spans}
    assert len(everything) > 30
    for threshold in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0):
        found = {(d.id, span) for d in make(policy=policy, threshold=threshold)(documents) for span in d.spans}
        assert found == {(id, span) for id, span in everything if span.score >= threshold}
    assert not found


def test_arg_max_is_the_one_best_span(make):
    documents = [document for document in texts(20) if document.text]
    for arg_max, everything in zip(
        make(policy="arg-max", threshold=0.0)(documents),
        make(policy="overlapping", threshold=0.0)(documents),
        strict=True,
    ):
        (span,) = arg_max.spans
        assert span.score == max([s.score for s in everything.spans] + [span.score])


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u200b"])
@pytest.mark.parametrize("task", [SPANS, TAGS])
def test_text_without_pieces(make, task, text):
    predictor = make(task, threshold=0.0)
    (found,) = predictor([Document("d", text)])
    assert found.spans == () and found.coverage == Coverage(len(text), len(text), 0) and found.coverage.complete
    assert predictor.backend.batches == []
    alone = next(make(task, threshold=0.0)([Document("b", "Anna met Acme Corp")]))
    mixed = list(make(task, threshold=0.0)([Document("a", text), Document("b", "Anna met Acme Corp")]))
    assert mixed == [Document("a", text, coverage=found.coverage), alone]


def test_documents_without_a_row_above_the_floor(make):
    """The head gives a table without rows, for one document or for all of them: no spans, read all the same."""
    predictor = make(threshold=0.0)
    pairs = predictor.backend._pairs
    anna = predictor.tokenizer.pieces(["Anna"])[0].ids[0]

    def only_anna(batch: Batch) -> Table:
        table = pairs(batch)
        ids = [
            int(batch.ids[batch.cu_seqlens[w] + 1 + f]) for w, f in zip(table["window"], table["first"], strict=True)
        ]
        return {name: column[np.array(ids) == anna] for name, column in table.items()}

    predictor.backend._pairs = only_anna
    nothing, something = Document("a", "the house"), Document("b", "Anna met")
    (found,) = predictor([nothing])
    assert found.spans == () and found.coverage == Coverage(9, 9, 1)
    everything = make(threshold=0.0, policy="overlapping")
    everything.backend._pairs = only_anna
    before, after, last = everything([nothing, something, nothing])
    assert before.spans == last.spans == () and {span.start for span in after.spans} == {0}


def test_what_was_annotated_is_not_passed_on(make):
    span = Span(0, 4, "X")
    gold = Document("d", "Anna met", (span,), (Relation(span, span, "R"),), annotated=frozenset("X"), meta={"k": 1})
    (found,) = make()([gold])
    assert (found.id, found.text, found.meta) == ("d", "Anna met", {"k": 1})
    assert (found.relations, found.clusters, found.annotated) == ((), (), None)
    assert span not in found.spans


# streams


def counting(documents: list[Document], pulled: list[Document]) -> Iterator[Document]:
    for document in documents:
        pulled.append(document)
        yield document


def test_the_stream_is_pulled_a_chunk_at_a_time(make, monkeypatch):
    """To see that a chunk is full one document more is pulled, and none before the first result is asked for."""
    monkeypatch.setattr(module, "CHUNK_DOCUMENTS", 5)
    documents, pulled = texts(23), []
    stream = make()(counting(documents, pulled))
    assert pulled == []
    for number in range(23):
        assert next(stream).id == f"d{number}"
        assert len(pulled) <= min(23, 5 * (number // 5 + 1) + 1)
    assert list(stream) == []


def test_chunks(monkeypatch):
    """At most 3 documents or 10 characters, except for a document that is larger by itself."""
    monkeypatch.setattr(module, "CHUNK_DOCUMENTS", 3)
    monkeypatch.setattr(module, "CHUNK_CHARACTERS", 10)
    sizes = [4, 4, 4, 30, 1, 1, 1, 1, 10, 0, 1]
    documents = [Document(str(n), "x" * size) for n, size in enumerate(sizes)]
    found = list(chunks(documents))
    assert [[len(document.text) for document in chunk] for chunk in found] == [
        [4, 4],
        [4],
        [30],
        [1, 1, 1],
        [1],
        [10, 0],
        [1],
    ]
    assert [document for chunk in found for document in chunk] == documents
    assert list(chunks([])) == []


def test_chunk_size_makes_no_difference(make, monkeypatch):
    documents = texts(20)
    whole = list(make()(documents))
    monkeypatch.setattr(module, "CHUNK_CHARACTERS", 100)
    predictor = make()
    predictor.backend.room = 64
    assert list(predictor(documents)) == whole
    assert max(len(batch.ids) for batch in predictor.backend.batches) <= 64


# several tasks


def each_once(spans: Sequence[Span]) -> set[Span]:
    """Of equal spans the most probable."""
    best: dict[tuple[int, int, str], Span] = {}
    for span in spans:
        key = (span.start, span.end, span.label)
        best[key] = max(best.get(key, span), span, key=lambda each: each.score)
    return set(best.values())


def test_tasks_share_their_windows(make):
    """Both tasks cut alike: every window is encoded once, and each finds what it finds alone; what both find is told
    once."""
    documents = texts(10)
    spans, tags, both = make(SPANS), make(TAGS), make(SPANS, TAGS)
    expected = [
        each_once(one.spans + other.spans) for one, other in zip(spans(documents), tags(documents), strict=True)
    ]
    found = [document.spans for document in both(documents)]
    assert [set(each) for each in found] == expected and list(map(len, found)) == list(map(len, expected))
    assert spans.backend.positions == tags.backend.positions == both.backend.positions > 0
    assert sorted(both.backend.windows) == sorted(spans.backend.windows)


def test_tasks_with_windows_of_their_own(make, tokenizer):
    """Another overlap, other windows: each task gets rows of its own ones, coverage counts all."""
    documents, predictor = texts(10), make(SPANS, TAGS, overlap=2)
    other = task_class(TAGS)(settings_from(TAGS, {"labels": LABELS, "window": 20, "overlap": 8}), tokenizer)
    tasks = {SPANS: predictor.tasks[SPANS], TAGS: other}
    mixed = Predictor(tokenizer, tasks, predictor.backend, predictor.decisions)
    one, two = make(SPANS, overlap=2), make(TAGS, overlap=8)
    for found, first, second in zip(mixed(documents), one(documents), two(documents), strict=True):
        assert set(found.spans) == each_once(first.spans + second.spans)
        assert found.coverage.complete
        assert found.coverage.windows >= max(first.coverage.windows, second.coverage.windows)
    assert len(set(predictor.backend.windows)) == len(set(one.backend.windows + two.backend.windows))


def test_each_task_has_its_own_threshold_and_calibration(make):
    predictor = make(SPANS, TAGS, threshold=0.0)
    predictor.decisions[SPANS] = Decision(1.0)
    found = [span for document in predictor(texts(10)) for span in document.spans]
    assert found == [span for document in make(TAGS, threshold=0.0)(texts(10)) for span in document.spans]
