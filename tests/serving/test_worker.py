from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from spanbert import Document
from spanbert.serving.worker import BATCH_CHARACTERS, Busy, Predict, Worker


def documents(*texts: str) -> list[Document]:
    return [Document(f"{number}-{text[:8]}", text) for number, text in enumerate(texts)]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class Recorder:
    """Predicts nothing; remembers the batches, and waits before each until it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go_on = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def __call__(self, given: Sequence[Document], choices: object) -> list[Document]:
        self.batches.append([document.text for document in given])
        self.begun.release()
        assert self.go_on.acquire(timeout=20)
        return list(given)

    def free(self) -> None:
        self.go_on.release(1000)


def test_answers_come_in_the_order_of_the_documents():
    worker = Worker(lambda given, choices: list(given), 10, 10**6)
    several = documents("b", "a", "c" * 30_000, "d")
    assert worker.submit(several, {}).result(20) == several
    worker.close()
    assert not worker.alive


def test_what_waits_is_predicted_together_a_document_of_each_in_turn():
    recorder = Recorder()
    worker = Worker(recorder, 10, 10**6)
    worker.submit(documents("first"), {})
    assert recorder.begun.acquire(timeout=20)
    long = "x" * (BATCH_CHARACTERS // 2)
    told = [worker.submit(documents(*texts), {}) for texts in (("a1", long, "a3"), ("b1",), ("c1", "c2"))]
    other = worker.submit(documents("other"), {"threshold": 0.9})
    recorder.free()
    assert [len(each.result(20)) for each in (*told, other)] == [3, 1, 2, 1]
    assert recorder.batches == [["first"], ["a1", "b1", "c1", long, "c2", "a3"], ["other"]]
    worker.close()


def test_a_request_of_many_documents_holds_up_another_by_what_is_under_way_and_one_more():
    recorder = Recorder()
    worker = Worker(recorder, 10, 10**7)
    whole = "x" * BATCH_CHARACTERS
    worker.submit(documents(whole, whole, whole, whole), {})
    assert recorder.begun.acquire(timeout=20)
    short = worker.submit(documents("short"), {})
    recorder.go_on.release(3)
    assert [document.text for document in short.result(20)] == ["short"]
    assert [[text[:5] for text in batch] for batch in recorder.batches[:3]] == [["xxxxx"], ["xxxxx"], ["short"]]
    recorder.free()
    worker.close()


def test_more_than_may_wait_is_told_to_come_back():
    recorder = Recorder()
    worker = Worker(recorder, 2, 100)
    worker.submit(documents("first"), {})
    assert recorder.begun.acquire(timeout=20)
    worker.submit(documents("x" * 500), {})  # longer than all that may wait, but alone
    with pytest.raises(Busy) as busy:
        worker.submit(documents("y"), {})
    assert 0 < busy.value.seconds < 1
    recorder.free()
    worker.close()


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
    worker.close()
    assert recorder.batches == [["first"], ["third", "fourth"]]


def test_what_nobody_waits_for_is_dropped_even_half_done():
    recorder = Recorder()
    worker = Worker(recorder, 10, 10**7)
    whole = "x" * BATCH_CHARACTERS
    left = worker.submit(documents(whole, whole, whole), {})
    assert recorder.begun.acquire(timeout=20)
    left.cancel()
    last = worker.submit(documents("last"), {})
    recorder.free()
    assert len(last.result(20)) == 1
    assert [batch[0][:4] for batch in recorder.batches] == ["xxxx", "last"]
    worker.close()


def test_one_bad_text_is_nobody_elses_fault():
    go_on = threading.Event()

    def predict(given: Sequence[Document], choices: object) -> list[Document]:
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
    worker.close()


def test_closing_tells_what_waits(slow: tuple[Predict, threading.Event]):
    predict, go_on = slow
    worker = Worker(predict, 10, 10**6)
    told = [worker.submit(documents("a", "b"), {}), worker.submit(documents("c"), {"threshold": 0.5})]
    closing = threading.Thread(target=worker.close)
    closing.start()
    assert not told[0].done()
    go_on.set()
    closing.join(20)
    assert [len(each.result(0)) for each in told] == [2, 1]
    until(lambda: not worker.alive)
