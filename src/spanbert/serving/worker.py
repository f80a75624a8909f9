"""One thread that predicts for all requests.

There is no timer: while it computes, requests gather, and when it is free it takes what is there, as much as makes a
good batch. First comes what has waited longest beyond the time that it takes itself: so a short text passes long ones,
but each of them only for as long as that one would take. What nobody waits for any more is dropped, also half way.

Work is counted in characters that are read: those of a document, once for each of its questions.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from ..documents import Document
from ..inference.span_model import Choices

Check = Callable[[], None]
"""Called between batches of the encoder; raises where there is no use in going on."""
Predict = Callable[[Sequence[Document], Choices, Check], Sequence[Document]]
BATCH_WORK = 20_000
"""Characters that are predicted together: some 5,000 pieces, from which on larger batches are no faster."""
FIRST_GUESS = 20_000.0
"""Characters a second, before anything was measured."""
_TELLING = 500  # characters from which on a batch says how fast it goes
_MEMORY = 0.9  # what is measured counts this much less with every later batch


class Busy(Exception):
    """Too much waits already; `seconds`: after which it may be worth another try."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Stopping(Exception):
    """The server is about to end."""


class _Abandoned(Exception):
    """Nobody waits for this batch any more."""


def work(document: Document) -> int:
    """Characters that are read of it."""
    return len(document.text) * max(1, len(document.questions))


@dataclass(eq=False, slots=True)
class _Job:
    """A request: its documents, those of them that are still to be taken, and what was made of the others."""

    documents: Sequence[Document]
    choices: Choices
    since: float
    """When it came, or was last served."""
    told: Future[list[Document]] = field(default_factory=Future)
    taken: int = 0
    found: dict[int, Document] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        return sum(work(document) for document in self.documents[self.taken :])

    def urgency(self, now: float, rate: float) -> float:
        """Least first: seconds that its next document takes, less those that it has waited."""
        return work(self.documents[self.taken]) / rate - (now - self.since)


_Batch = list[tuple[_Job, int]]


class Worker:
    """The queue and its thread. Whoever made it calls `close`."""

    def __init__(self, predict: Predict, max_requests: int, max_work: int) -> None:
        self._predict, self._max_requests, self._max_work = predict, max_requests, max_work
        self._jobs: list[_Job] = []
        self._under_way: _Batch = []
        self._changed = threading.Condition()
        self._closing = False
        self.draining = False
        """Nothing new is taken on."""
        self._done, self._seconds = FIRST_GUESS, 1.0
        self._thread = threading.Thread(target=self._run, name="predicting", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether it takes requests on."""
        return self._thread.is_alive() and not self.draining

    def check_room(self, more: int = 0) -> None:
        """Raises Busy where so many characters more cannot wait, Stopping where nothing can."""
        with self._changed:
            if not self.ready:
                raise Stopping
            self._drop_cancelled()
            waiting = sum(job.waiting for job in self._jobs)
            if self._jobs and (len(self._jobs) >= self._max_requests or waiting + more > self._max_work):
                raise Busy(waiting / self._rate)

    def submit(self, documents: Sequence[Document], choices: Choices) -> Future[list[Document]]:
        """Predictions in the order of the documents; whoever loses interest cancels the future.

        Raises Busy, Stopping; the future fails with Stopping where the end came first.
        """
        job = _Job(documents, choices, time.monotonic())
        with self._changed:
            self.check_room(job.waiting)
            self._jobs.append(job)
            self._changed.notify()
        return job.told

    def abandon(self) -> None:
        """All that waits or is under way fails with Stopping."""
        self.draining = True
        with self._changed:
            for job in [*self._jobs, *(job for job, _ in self._under_way)]:
                with suppress(InvalidStateError):
                    job.told.set_exception(Stopping())

    def close(self, seconds: float | None = None) -> bool:
        """Tell what still waits, then end. False where that has not come after so many seconds."""
        with self._changed:
            self.draining = self._closing = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def _rate(self) -> float:
        return self._done / self._seconds

    def _run(self) -> None:
        while batch := self._take():
            start = time.perf_counter()
            self._tell(batch)
            done = sum(work(job.documents[number]) for job, number in batch)
            if done >= _TELLING:
                self._done = _MEMORY * self._done + done
                self._seconds = _MEMORY * self._seconds + time.perf_counter() - start
            self._under_way = []

    def _take(self) -> _Batch:
        """Documents to predict together, under the same choices; none when there is nothing left to do."""
        with self._changed:
            while True:
                self._drop_cancelled()
                if self._jobs or self._closing:
                    break
                self._changed.wait()
            now, rate = time.monotonic(), self._rate
            turns = [(job.urgency(now, rate), number, job) for number, job in enumerate(self._jobs)]
            heapq.heapify(turns)
            batch: _Batch = []
            room = BATCH_WORK
            while turns:
                _, number, job = heapq.heappop(turns)
                if batch and job.choices != batch[0][0].choices:
                    continue
                room -= work(job.documents[job.taken])
                if batch and room < 0:
                    break
                batch.append((job, job.taken))
                job.taken, job.since = job.taken + 1, now
                if job.taken < len(job.documents):
                    heapq.heappush(turns, (job.urgency(now, rate), number, job))
            self._jobs = [job for job in self._jobs if job.taken < len(job.documents)]
            self._under_way = batch
            return batch

    def _tell(self, batch: _Batch) -> None:
        """Predict; where that fails, each document alone, so that one bad text is nobody else's fault."""

        def check() -> None:
            if all(job.told.done() for job, _ in batch):
                raise _Abandoned

        try:
            check()
            found = self._predict([job.documents[number] for job, number in batch], batch[0][0].choices, check)
        except _Abandoned:
            return
        except Exception as error:
            if len(batch) > 1:
                for each in batch:
                    self._tell([each])
            else:
                with suppress(InvalidStateError):
                    batch[0][0].told.set_exception(error)
            return
        for (job, number), document in zip(batch, found, strict=True):
            job.found[number] = document
            if len(job.found) == len(job.documents):
                with suppress(InvalidStateError):  # cancelled meanwhile
                    job.told.set_result([job.found[k] for k in range(len(job.documents))])

    def _drop_cancelled(self) -> None:
        self._jobs = [job for job in self._jobs if not job.told.done()]
