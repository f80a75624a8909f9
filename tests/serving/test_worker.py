from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from spanbert import Document
from spanbert.documents import Question
from spanbert.serving.worker import BATCH_WORK, Busy, Predict, Stopping, Worker, _Job, work


def documents(*texts: str) -> list[Document]:
    return [Document(f"{number}-{text[:8]}", text) for number, text in enumerate(texts)]


class Recorder:
    """Predicts nothing; remembers the batches, and waits before each until it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go_on = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def __call__(self, given: Sequence[Document], choices: object, check: object) -> list[Document]:
        self.batches.append([document.text for document in given])
        self.begun.release()
        assert self.go_on.acquire(timeout=20)
        return list(given)

    def free(self) -> None:
        self.go_on.release(1000)


def test_answers_come_in_the_order_of_the_documents():
    worker = Worker(lambda given, choices, check: list(given), 10, 10**6)
    several = documents("b", "a", "c" * 30_000, "d")
    assert worker.submit(several, {}).result(20) == several
    assert worker.close(20)
    assert not worker.ready


def test_what_waits_is_predicted_together_under_its_own_choices():
    recorder = Recorder()
    worker = Worker(recorder, 10, 10**6)
    worker.submit(documents("first"), {})
    assert recorder.begun.acquire(timeout=20)
    told = [worker.submit(documents(*texts), {}) for texts in (("a1", "a2", "a3"), ("b1",), ("c1", "c2"))]
    other = worker.submit(documents("other"), {"threshold": 0.9})
    recorder.free()
    assert [len(each.result(20)) for each in (*told, other)] == [3, 1, 2, 1]
    assert [sorted(batch) for batch in recorder.batches] == [["first"], ["a1", "a2", "a3", "b1", "c1", "c2"], ["other"]]
    assert worker.close(20)


def test_a_short_text_waits_for_what_is_under_way_alone():
    """Whoever asks, and however many long ones wait."""
    recorder = Recorder()
    worker = Worker(recorder, 100, 10**9)
    whole = "x" * 10 * BATCH_WORK
    for _ in range(4):
        worker.submit(documents(whole, whole, whole), {})
    assert recorder.begun.acquire(timeout=20)
    short = worker.submit(documents("short"), {})
    recorder.go_on.release(2)
    assert [document.text for document in short.result(20)] == ["short"]
    assert [[text[:5] for text in batch] for batch in recorder.batches[:2]] == [["xxxxx"], ["short"]]
    recorder.free()
    assert worker.close(20)


def test_a_long_text_is_passed_only_for_as_long_as_it_takes():
    now, rate = 1000.0, 10_000.0
    (document,), (short,) = documents("x" * 200_000), documents("short")  # of 20 seconds, and of none
    waiting, fresh = _Job([document], {}, since=now - 21.0), _Job([short], {}, since=now)
    assert waiting.urgency(now, rate) < fresh.urgency(now, rate) < _Job([document], {}, now - 19.0).urgency(now, rate)


def test_questions_count_each_with_the_text():
    document = documents("x" * 100)[0]
    asked = replace(document, questions=tuple(Question(f"q{k}", "who?") for k in range(7)))
    assert (work(document), work(asked)) == (100, 700)


def test_more_than_may_wait_is_told_to_come_back():
    recorder = Recorder()
    worker = Worker(recorder, 10, 100)
    worker.submit(documents("first"), {})
    assert recorder.begun.acquire(timeout=20)
    worker.submit(documents("x" * 500), {})  # longer than all that may wait, but alone
    with pytest.raises(Busy) as busy:
        worker.submit(documents("y"), {})
    assert 0 < busy.value.seconds < 1
    recorder.free()
    assert worker.close(20)


def test_the_estimate_of_the_wait_does_not_fall_for_empty_texts():
    worker = Worker(lambda given, choices, check: list(given), 10, 10**6)
    for _ in range(300):
        worker.submit(documents(""), {}).result(20)
    assert worker._rate > 1000
    assert worker.close(20)


def test_requests_are_counted_as_well_as_characters():
    recorder = Recorder()
    worker = Worker(recorder, 2, 10**6)
    worker.submit(documents("first"), {})
    assert recorder.begun.acquire(timeout=20)
    second, _ = worker.submit(documents("second"), {}), worker.submit(documents("third"), {})
    with pytest.raises(Busy):
        worker.submit(documents("fourth"), {})
    second.cancel()
    worker.submit(documents("fourth"), {})
    recorder.free()
    assert worker.close(20)
    assert [sorted(batch) for batch in recorder.batches] == [["first"], ["fourth", "third"]]


def test_what_nobody_waits_for_is_dropped_even_half_done():
    recorder = Recorder()
    worker = Worker(recorder, 10, 10**7)
    whole = "x" * BATCH_WORK
    left = worker.submit(documents(whole, whole, whole), {})
    assert recorder.begun.acquire(timeout=20)
    left.cancel()
    last = worker.submit(documents("last"), {})
    recorder.free()
    assert len(last.result(20)) == 1
    assert [batch[0][:4] for batch in recorder.batches] == ["xxxx", "last"]
    assert worker.close(20)


def test_a_text_is_given_up_half_way():
    begun, steps = threading.Event(), []

    def predict(given: Sequence[Document], choices: object, check: Callable[[], None]) -> list[Document]:
        if given[0].text == "endless":
            begun.set()
            while True:
                check()
                steps.append(1)
                time.sleep(0.01)
        return list(given)

    worker = Worker(predict, 10, 10**6)
    endless = worker.submit(documents("endless"), {})
    assert begun.wait(20)
    endless.cancel()
    assert len(worker.submit(documents("next"), {}).result(20)) == 1
    assert steps
    assert worker.close(20)


def test_one_bad_text_is_nobody_elses_fault():
    go_on = threading.Event()

    def predict(given: Sequence[Document], choices: object, check: object) -> list[Document]:
        assert go_on.wait(20)
        if any("bad" in document.text for document in given):
            raise RuntimeError("bad text")
        return list(given)

    worker = Worker(predict, 10, 10**6)
    worker.submit(documents("first"), {})
    good, bad, both = (worker.submit(documents(*t), {}) for t in (("good",), ("bad",), ("fine", "bad", "after")))
    go_on.set()
    assert len(good.result(20)) == 1
    for told in (bad, both):
        with pytest.raises(RuntimeError, match="bad text"):
            told.result(20)
    assert len(worker.submit(documents("next"), {}).result(20)) == 1
    assert worker.close(20)


def test_closing_tells_what_waits(slow: tuple[Predict, threading.Event]):
    predict, go_on = slow
    worker = Worker(predict, 10, 10**6)
    told = [worker.submit(documents("a", "b"), {}), worker.submit(documents("c"), {"threshold": 0.5})]
    assert not worker.close(0.1)
    with pytest.raises(Stopping):
        worker.submit(documents("d"), {})
    go_on.set()
    assert worker.close(20)
    assert [len(each.result(0)) for each in told] == [2, 1]


def test_abandoned_requests_end_at_once(slow: tuple[Predict, threading.Event]):
    predict, go_on = slow
    worker = Worker(predict, 10, 10**6)
    told = [worker.submit(documents("a"), {}), worker.submit(documents("b"), {"threshold": 0.5})]
    worker.abandon()
    for each in told:
        with pytest.raises(Stopping):
            each.result(5)
    assert not worker.ready
    go_on.set()
    assert worker.close(20)
