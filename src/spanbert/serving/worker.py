"""One thread that predicts for all requests.

There is no timer: while it computes, requests gather, and when it is free it takes what is there: a document of each
request in turn, up to `BATCH_CHARACTERS`. So many short requests share a batch, and a request of many documents holds
up another by the document under way and one more. What nobody waits for any more is dropped before it costs anything.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from ..documents import Document
from ..inference.span_model import Choices

Predict = Callable[[Sequence[Document], Choices], Sequence[Document]]
BATCH_CHARACTERS = 20_000
"""Of documents that are predicted together: some 5,000 pieces, from which on larger batches are no faster."""
FIRST_GUESS = 20_000.0
"""Characters a second, before anything was measured."""


class Busy(Exception):
    """Too much waits already; `seconds`: after which it may be worth another try."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(eq=False, slots=True)
class _Job:
    """A request: its documents, those of them that are still to be taken, and what was made of the others."""

    documents: Sequence[Document]
    choices: Choices
    told: Future[list[Document]] = field(default_factory=Future)
    taken: int = 0
    found: dict[int, Document] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        return sum(len(document.text) for document in self.documents[self.taken :])


class Worker:
    """The queue and its thread. `close` ends it when all is told."""

    def __init__(self, predict: Predict, max_requests: int, max_characters: int) -> None:
        self._predict, self._max_requests, self._max_characters = predict, max_requests, max_characters
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._rate = FIRST_GUESS
        self._thread = threading.Thread(target=self._run, name="predicting", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def submit(self, documents: Sequence[Document], choices: Choices) -> Future[list[Document]]:
        """Predictions in the order of the documents. Raises Busy; whoever loses interest cancels the future."""
        job = _Job(documents, choices)
        with self._changed:
            self._drop_cancelled()
            waiting = sum(other.waiting for other in self._jobs)
            full = len(self._jobs) >= self._max_requests or waiting + job.waiting > self._max_characters
            if self._jobs and full:
                raise Busy(waiting / self._rate)
            self._jobs.append(job)
            self._changed.notify()
        return job.told

    def close(self) -> None:
        """Tell what still waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._take():
            start = time.perf_counter()
            self._tell(batch)
            characters = sum(len(job.documents[number].text) for job, number in batch)
            self._rate = 0.8 * self._rate + 0.2 * max(1, characters) / max(1e-6, time.perf_counter() - start)

    def _take(self) -> list[tuple[_Job, int]]:
        """Documents to predict together; none when there is nothing left to do."""
        with self._changed:
            while True:
                self._drop_cancelled()
                if self._jobs or self._closing:
                    break
                self._changed.wait()
            if not self._jobs:
                return []
            turn = deque(job for job in self._jobs if job.choices == self._jobs[0].choices)
            batch: list[tuple[_Job, int]] = []
            room = BATCH_CHARACTERS
            while turn:
                job = turn.popleft()
                room -= len(job.documents[job.taken].text)
                if batch and room < 0:
                    break
                batch.append((job, job.taken))
                job.taken += 1
                if job.taken < len(job.documents):
                    turn.append(job)
            served = {id(job) for job, _ in batch}
            self._jobs = deque(
                [job for job in self._jobs if id(job) not in served]
                + [job for job in self._jobs if id(job) in served and job.taken < len(job.documents)]
            )
            return batch

    def _tell(self, batch: Sequence[tuple[_Job, int]]) -> None:
        """Predict; where that fails, each document alone, so that one bad text is nobody else's fault."""
        try:
            found = self._predict([job.documents[number] for job, number in batch], batch[0][0].choices)
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
        self._jobs = deque(job for job in self._jobs if not job.told.done())
