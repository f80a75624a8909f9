"""Whatever happens to a run, what it had saved stays usable, and the resumed run ends with the same bits."""

from __future__ import annotations

import errno
import io
import itertools
import json
import math
import os
import random
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from spanbert import SpanModel, TrainConfig, train
from spanbert.documents import Document
from spanbert.errors import MachineError
from spanbert.heads.head import Network
from spanbert.tasks import task_class
from spanbert.training.checkpoint import Checkpoints, State
from spanbert.training.loop import MOST_SKIPPED
from spanbert.training.tracking import Event, Started, Stepped, Warned

TASK = "span-classification"
EACH_STEP = 1e-9  # minutes between two checkpoints
FAST = {"learning_rate": 3e-3, "dtype": "float32", "device": "cpu", "checkpoint_minutes": EACH_STEP}
WRITING, REMOVING = ("fsync", "rename", "replace", "mkdir"), ("unlink", "rmdir")
Start = Callable[..., list[Event]]


class Run(NamedTuple):
    """A training that can be begun and gone on with, and what it comes to when nothing happens to it."""

    start: Start
    """`start(output, *observers)`: trains to the end, resumes where there is something to resume; gives the events."""
    weights: bytes
    seconds: float
    operations: int
    """How often it asks something of the disk."""


@pytest.fixture(scope="module", autouse=True)
def last_is_best() -> Iterator[None]:
    """The held-out loss chooses the weights. It falls in every epoch, so that all steps leave their mark on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_class(TASK), "selection", "loss/spans")
        yield


@pytest.fixture(scope="module")
def run(last_is_best: None, tiny_encoder: Path, toy_documents: Callable, tmp_path_factory) -> Run:
    """Two epochs of five steps."""
    work = tmp_path_factory.mktemp("run")
    return measured(tiny_encoder, toy_documents(20, 3), toy_documents(4, 4), work, epochs=2, max_tokens=100)


@pytest.fixture(scope="module")
def short(last_is_best: None, tiny_encoder: Path, toy_documents: Callable, tmp_path_factory) -> Run:
    """One epoch of two steps."""
    work = tmp_path_factory.mktemp("short")
    return measured(tiny_encoder, toy_documents(4, 3), toy_documents(2, 4), work, epochs=1, max_tokens=60)


def measured(encoder: Path, documents: Sequence[Document], dev: Sequence[Document], work: Path, **settings: Any) -> Run:
    def start(output: Path, *observers: Callable[[Event], None]) -> list[Event]:
        events: list[Event] = []
        config = TrainConfig(**{**FAST, **settings}, output=str(output), resume="auto")
        train(SpanModel.create(encoder, task=TASK), documents, dev, config, [events.append, *observers])
        return events

    start(work / "first")  # torch sets itself up
    began = time.monotonic()
    start(work / "second")
    seconds = time.monotonic() - began
    with pytest.MonkeyPatch.context() as patch:
        count = watch_the_disk(patch, lambda number: None)
        start(work / "third")
    (weights,) = {path.read_bytes() for path in work.glob("*/model.safetensors")}
    return Run(start, weights, seconds, next(count) - 1)


class Watched:
    """A file whose writes are watched."""

    def __init__(self, stream: Any, write: Callable) -> None:
        self._stream, self.write = stream, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()


def watch_the_disk(
    patch: pytest.MonkeyPatch, before: Callable[[int], object], names: Sequence[str] = (*WRITING, *REMOVING)
) -> Iterator[int]:
    """Call `before(n)` ahead of the n-th open, write, sync, rename, removal or new folder; gives the next n.

    The syncs themselves are left out: nothing here would notice them but the clock.
    """
    count, plain_open = itertools.count(1), io.open

    def watched(real: Callable) -> Callable:
        def call(*arguments: Any, **named: Any) -> Any:
            before(next(count))
            return real(*arguments, **named)

        return call

    def opened(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if not set(mode) & set("wxa"):
            return plain_open(file, mode, *rest, **named)
        before(next(count))
        stream = plain_open(file, mode, *rest, **named)
        return Watched(stream, watched(stream.write))

    for name in names:
        patch.setattr(os, name, watched((lambda descriptor: None) if name == "fsync" else getattr(os, name)))
    if "fsync" not in names:
        return count
    patch.setattr(io, "open", opened)
    for module in map(import_module, ("spanbert.training.checkpoint", "safetensors.torch")):
        patch.setattr(module, "save_file", watched(module.save_file))
    return count


def go_on(start: Start, output: Path) -> None:
    """Start where the newest checkpoint is: all that got its name is whole, so none is passed over."""
    saved = sorted(path.name for path in output.glob("checkpoints/step-*"))
    finished = (output / "checksums.json").exists()

    def look(event: Event) -> None:
        if finished:
            return
        assert not isinstance(event, Warned) or "passed over" not in event.message, event
        if isinstance(event, Started):
            assert event.resumed_at == (int(saved[-1].removeprefix("step-")) if saved else 0)

    start(output, look)


def check(output: Path, run: Run) -> None:
    """The run has come to its end as if nothing had happened, and left nothing lying about."""
    assert (output / "model.safetensors").read_bytes() == run.weights
    left = [path.name for path in output.iterdir() if path.name.startswith(".") or path.is_dir()]
    assert [name for name in left if not name.startswith(".checksums")] == []  # these have a test of their own
    for log in output.glob("train.jsonl"):  # what cannot be logged is not logged
        for line in log.read_bytes().splitlines():
            json.loads(line)


# kill -9


def killed(start: Start, output: Path, *, after: float = math.inf, at: int = 0) -> bool:
    """Go on with the run in a process of its own and kill it: after some seconds, or at its n-th use of the disk.

    False where it came to its end before.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of any fork of a process with threads
        child = os.fork()
    if not child:
        code = 70
        try:
            if at:
                watch_the_disk(
                    pytest.MonkeyPatch(), lambda number: number == at and os.kill(os.getpid(), signal.SIGKILL)
                )
            go_on(start, output)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    began = time.monotonic()
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if (late := time.monotonic() - began > 120) or time.monotonic() - began > after:
            os.kill(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            assert not late, "the resumed run hangs"
            break
        time.sleep(0.001)
    code = os.waitstatus_to_exitcode(ended[1])
    assert code in (0, -signal.SIGKILL), f"the resumed run ended with {code}"
    return code != 0


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_again_and_again(run: Run, tmp_path: Path, kills: int):
    """Half of the kills come at a random moment, half at a random use of the disk: amid a checkpoint, that is."""
    draw, folders = random.Random(kills), (tmp_path / str(number) for number in itertools.count())
    output, amid, left = next(folders), 0, kills
    while left:
        when = {"at": draw.randint(1, 80)} if left % 2 else {"after": draw.uniform(0.0, run.seconds)}
        before = set(output.glob("checkpoints/step-*"))
        if killed(run.start, output, **when):
            left -= 1
            assert not before or set(output.glob("checkpoints/step-*")) or (output / "checksums.json").exists()
            amid += any(output.glob("checkpoints/.tmp-*"))
        else:
            check(output, run)
            output = next(folders)
    go_on(run.start, output)
    check(output, run)
    assert amid >= kills // 10


def test_killed_while_the_checksums_are_written(short: Run, tmp_path: Path):
    """Files are written beside their place: one of a run that was killed goes when it is gone on with."""
    with pytest.MonkeyPatch.context() as patch:
        seen: list[int] = []
        watch_the_disk(patch, lambda number: list(tmp_path.glob("whole/.checksums*")) and seen.append(number))
        short.start(tmp_path / "whole")
    assert killed(short.start, tmp_path / "out", at=seen[0])
    assert list((tmp_path / "out").glob(".checksums*"))
    short.start(tmp_path / "out")
    check(tmp_path / "out", short)
    assert not list((tmp_path / "out").glob(".checksums*"))


@pytest.mark.slow
def test_killed_at_each_use_of_the_disk(short: Run, tmp_path: Path):
    for number in range(1, short.operations + 1):
        output = tmp_path / str(number)
        assert killed(short.start, output, at=number)
        go_on(short.start, output)
        check(output, short)


def test_killed_while_the_checkpoints_are_removed(short: Run, tmp_path: Path):
    """The model is written and complete: nothing need be learnt again."""
    assert killed(short.start, tmp_path, at=short.operations - 4)
    assert (tmp_path / "checksums.json").exists() and (tmp_path / "checkpoints").exists()
    assert not any(isinstance(event, Stepped) for event in short.start(tmp_path))
    check(tmp_path, short)


# a disk that refuses

FAULTS = [(error, lasting) for error in (errno.ENOSPC, errno.EIO) for lasting in (False, True)]


def fails(start: Start, output: Path, number: int, error: int, names: Sequence[str], *, lasting: bool) -> bool:
    """Whether the run ends with an error when the n-th use of the disk fails, or all from there on."""

    def fail(now: int) -> None:
        if now == number or lasting and now > number:
            raise OSError(error, os.strerror(error))

    with pytest.MonkeyPatch.context() as patch:
        watch_the_disk(patch, fail, names)
        try:
            start(output)
        except MachineError as caught:
            assert os.strerror(error) in caught.found and caught.expected and caught.fix, number
            return True
    return False


@pytest.mark.parametrize("part", [pytest.param(1, marks=pytest.mark.slow), 25], ids=["each", "some"])
@pytest.mark.parametrize(("error", "lasting"), FAULTS, ids=["full", "full for good", "broken", "broken for good"])
def test_the_disk_refuses(short: Run, tmp_path: Path, error: int, lasting: bool, part: int):
    """An open, write, sync, rename or new folder fails: the run bears it, or ends with one message and can go on."""
    ended = 0
    for number in range(1 + FAULTS.index((error, lasting)), short.operations + 1, part):
        output = tmp_path / str(number)
        if fails(short.start, output, number, error, WRITING, lasting=lasting):
            ended += 1
            go_on(short.start, output)
        check(output, short)
    assert ended or not lasting


def test_a_disk_that_lets_nothing_be_removed(short: Run, tmp_path: Path):
    """As when the system makes it read-only amid a run."""
    fails(short.start, tmp_path, 1, errno.EROFS, ("unlink", "rmdir"), lasting=True)
    short.start(tmp_path)
    check(tmp_path, short)


def test_a_finished_run_without_its_log(short: Run, tmp_path: Path):
    """The log could not be written, or was taken away: the model is there."""
    short.start(tmp_path)
    (tmp_path / "train.jsonl").unlink()
    (event,) = short.start(tmp_path)
    assert isinstance(event, Warned) and "had come to its end" in event.message


@pytest.mark.parametrize("name", ["manifest.json", "state.json"])
def test_any_byte_of_the_newest_checkpoint(tmp_path: Path, name: str):
    """Changed or cut off there: it is passed over by name, and the one before is taken."""
    network = torch.nn.Linear(2, 2)
    optimizer, checkpoints = torch.optim.AdamW(network.parameters()), Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(network, optimizer, State(steps=step), {"data": "print"})
    path, draw = checkpoints.folder / "step-00000002" / name, random.Random(0)
    sound = path.read_bytes()
    for place in range(draw.randrange(3), len(sound), 3):
        changed = sound[:place] + bytes([sound[place] ^ 1 << draw.randrange(8)]) + sound[place + 1 :]
        for content in (changed, sound[:place]):
            path.write_bytes(content)
            state, passed_over = checkpoints.resume(network, optimizer, {"data": "print"})
            assert state is not None and state.steps == 1, content
            assert len(passed_over) == 1 and passed_over[0].startswith("step-00000002: "), content
    path.write_bytes(sound)
    assert checkpoints.resume(network, optimizer, {"data": "print"}) == (State(steps=2), [])


# company, and numbers that are none


def test_two_runs_in_one_folder(run: Run, tmp_path: Path, in_fork: Callable):
    """The second is told so at once, and the first takes no notice."""
    told = []

    def begin_another(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 3:
            told.append(in_fork(lambda: run.start(tmp_path), seconds=10))

    run.start(tmp_path, begin_another)
    ((how, said),) = told
    assert how == "UsageError" and said.startswith(f"another run is writing to {tmp_path}\n")
    check(tmp_path, run)


def test_a_loss_that_never_was_a_number_leaves_no_model(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """And nobody is sent to one."""
    forward = Network.forward

    def poisoned(self: Network, *arguments: Any) -> Any:
        return {name: math.nan * loss for name, loss in forward(self, *arguments).items()}

    monkeypatch.setattr(Network, "forward", poisoned)
    with pytest.raises(MachineError, match="not a number") as caught:
        run.start(tmp_path, lambda _: None)
    assert caught.value.fix.startswith("start anew with") and "the model in" not in caught.value.found
    assert not (tmp_path / "config.json").exists()


def test_a_loss_that_is_no_number_overwrites_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From the sixth step on: the weights of the fifth are kept, and the run can go on from there."""
    forward, calls = Network.forward, itertools.count(1)

    def poisoned(self: Network, *arguments: Any) -> Any:
        factor = math.nan if self.training and next(calls) > 5 else 1.0
        return {name: factor * loss for name, loss in forward(self, *arguments).items()}

    fifth: list[bytes] = []

    def keep(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 6:  # the checkpoint of the fifth step is written
            fifth.append((tmp_path / "checkpoints" / "step-00000005" / "model.safetensors").read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(Network, "forward", poisoned)
        with pytest.raises(MachineError, match=f"not a number for {MOST_SKIPPED + 1} steps in a row"):
            run.start(tmp_path, keep)
    *_, newest = sorted((tmp_path / "checkpoints").glob("step-*"))
    assert [(newest / "model.safetensors").read_bytes()] == fifth
    until_then = SpanModel.from_pretrained(tmp_path).bundle  # the best of the steps before
    assert "not a number" in until_then.facts["training"]["failed"] and until_then.facts["training"]["best_step"] <= 5
    run.start(tmp_path)
    assert "failed" not in SpanModel.from_pretrained(tmp_path).bundle.facts["training"]
    assert all(bool(t.isfinite().all()) for t in load_file(tmp_path / "model.safetensors").values())
