"""Checkpoints are complete or absent, damage is seen, and an output folder belongs to one run."""

from __future__ import annotations

import dataclasses
import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spanbert import SpanModel, TrainConfig, durable, train
from spanbert.errors import DataError, MachineError, UsageError
from spanbert.heads.head import Network
from spanbert.training import checkpoint as module
from spanbert.training.checkpoint import Checkpoints, State, output_folder, require_room
from spanbert.training.optimizer import make_optimizer, set_rates


@pytest.fixture
def fresh(tiny_encoder: Path) -> Callable[[], tuple[Network, torch.optim.AdamW]]:
    def make() -> tuple[Network, torch.optim.AdamW]:
        network = SpanModel.create(tiny_encoder, task="token-classification", labels=["X"]).bundle.network
        return network, make_optimizer(network, 1e-2, 1e-2, 0.1)

    return make


def move(network: Network, optimizer: torch.optim.AdamW, seed: int) -> None:
    """A step with random gradients."""
    set_rates(optimizer, 0.5, 0.1, "linear")
    draw = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=draw)
    optimizer.step()


RUN = {"seed": "0", "data": "print"}


def equal(one: Network, other: Network) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def three(fresh: Callable, tmp_path: Path) -> tuple[Checkpoints, list[Network]]:
    """Checkpoints of the steps 1 to 3, and the network as it was at each."""
    checkpoints, (network, optimizer), seen = Checkpoints(tmp_path), fresh(), []
    for step in (1, 2, 3):
        move(network, optimizer, step)
        checkpoints.save(network, optimizer, State(epoch=step, steps=step), RUN)
        seen.append(fresh()[0])
        seen[-1].load_state_dict(network.state_dict())
    return checkpoints, seen


def test_everything_comes_back(fresh: Callable, tmp_path: Path):
    """Weights, moments, generator and state: the next step from the checkpoint is the next step without it."""
    network, optimizer = fresh()
    move(network, optimizer, 1)
    torch.manual_seed(5)
    torch.rand(3)
    state = State(2, 3, 40, 1.5, 0.75, 31, {"micro": {"f1": 0.75}}, 1)
    Checkpoints(tmp_path).save_best(network, 31)
    Checkpoints(tmp_path).save(network, optimizer, state, RUN)
    drawn = torch.rand(4)
    move(network, optimizer, 2)

    other, other_optimizer = fresh()
    torch.manual_seed(77)
    assert Checkpoints(tmp_path).resume(other, other_optimizer, RUN) == (state, [])
    assert torch.equal(torch.rand(4), drawn)
    move(other, other_optimizer, 2)
    assert equal(network, other)


@pytest.mark.parametrize("used", [False, True])
def test_a_gpu_is_asked_only_by_a_run_that_uses_it(used: bool, monkeypatch: pytest.MonkeyPatch):
    """To ask takes some of its memory, and fails in a fork."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [torch.zeros(1)])
    assert list(module._generators()) == ["cpu", *["cuda0"] * used]


def test_two_newest_are_kept(three: tuple, fresh: Callable):
    checkpoints, seen = three
    assert names(checkpoints.folder) == ["step-00000002", "step-00000003"]
    network, optimizer = fresh()
    state, skipped = checkpoints.resume(network, optimizer, RUN)
    assert (state.steps, skipped) == (3, [])
    assert equal(network, seen[2])


def test_best_weights_without_a_checkpoint_are_of_nobody(tiny_encoder: Path, tmp_path: Path, toy_documents: Callable):
    """A run that died after its first best weights and before its first checkpoint must not give them to the next."""
    train_on, dev = toy_documents(8, 1), toy_documents(4, 2)
    model = SpanModel.create(tiny_encoder, task="token-classification")
    config = TrainConfig(epochs=1, max_tokens=200, dtype="float32", device="cpu", learning_rate=1e-3, seed=5)
    alone = train(model, train_on, dev, config)
    strange = SpanModel.create(tiny_encoder, task="token-classification", labels=["ORG", "PERSON"], seed=9)
    for step in range(1, 10):
        Checkpoints(tmp_path).save_best(strange.bundle.network, step)
        (tmp_path / "checkpoints" / f"best-{step:08d}").rename(tmp_path / f"kept-{step:08d}")
    for step in range(1, 10):
        (tmp_path / f"kept-{step:08d}").rename(tmp_path / "checkpoints" / f"best-{step:08d}")
    after = train(model, train_on, dev, dataclasses.replace(config, output=str(tmp_path), resume="auto"))
    assert equal(alone.bundle.network, after.bundle.network)


def test_nothing_to_resume(fresh: Callable, tmp_path: Path):
    assert Checkpoints(tmp_path).resume(*fresh(), RUN) == (None, [])


def files_of_a_checkpoint() -> list[str]:
    return ["manifest.json", "model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"]


@pytest.mark.parametrize("name", files_of_a_checkpoint())
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_damage_is_seen_and_the_older_one_taken(three: tuple, fresh: Callable, name: str, damage: str):
    checkpoints, seen = three
    path = checkpoints.folder / "step-00000003" / name
    assert names(path.parent) == files_of_a_checkpoint()
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    network, optimizer = fresh()
    state, skipped = checkpoints.resume(network, optimizer, RUN)
    assert state.steps == 2
    assert equal(network, seen[1])
    assert len(skipped) == 1 and skipped[0].startswith("step-00000003: ")
    if name != "manifest.json" and damage != "remove":
        assert skipped == [f"step-00000003: {name} is damaged"]


def test_all_damaged(three: tuple, fresh: Callable):
    checkpoints, _ = three
    for folder in checkpoints.folder.iterdir():
        (folder / "manifest.json").write_text("{")
    state, skipped = checkpoints.resume(*fresh(), RUN)
    assert state is None
    assert [line.partition(":")[0] for line in skipped] == ["step-00000003", "step-00000002"]


def test_another_run_is_refused(three: tuple, fresh: Callable):
    with pytest.raises(UsageError, match=r"step-00000003 was made with other data or settings \(data\)"):
        three[0].resume(*fresh(), {**RUN, "data": "other"})


def test_another_model_is_refused(three: tuple, fresh: Callable):
    checkpoints, _ = three
    network, optimizer = fresh()
    network.heads["other"] = network.heads.pop("token-classification")
    with pytest.raises((DataError, RuntimeError)):
        checkpoints.resume(network, optimizer, RUN)


def test_damaged_best_weights(fresh: Callable, tmp_path: Path):
    """The newest names best weights that are damaged: the older one with sound best weights is taken, and the best
    weights are written anew when the run comes by their step again."""
    checkpoints, (network, optimizer) = Checkpoints(tmp_path), fresh()
    for step in (1, 2):
        move(network, optimizer, step)
        checkpoints.save_best(network, step)
        checkpoints.save(network, optimizer, State(steps=step, best_step=step), RUN)
    (checkpoints.folder / "best-00000002" / "model.safetensors").write_bytes(b"no")
    other, other_optimizer = fresh()
    state, skipped = checkpoints.resume(other, other_optimizer, RUN)
    assert state.steps == 1
    assert skipped == ["step-00000002: its best weights: model.safetensors is damaged"]
    move(other, other_optimizer, 2)
    checkpoints.save_best(other, 2)
    last = fresh()[0]
    checkpoints.load_best(last, 2)
    assert equal(last, network)


def test_best_weights_that_the_newest_checkpoint_names_stay(fresh: Callable, tmp_path: Path):
    checkpoints, (network, optimizer) = Checkpoints(tmp_path), fresh()
    checkpoints.save_best(network, 1)
    checkpoints.save(network, optimizer, State(steps=1, best_step=1), RUN)
    checkpoints.save_best(network, 2)  # a crash here leaves step 1 the newest
    assert checkpoints.resume(*fresh(), RUN)[0].steps == 1
    checkpoints.save_best(network, 3)
    assert names(checkpoints.folder) == ["best-00000002", "best-00000003", "step-00000001"]


def test_what_was_passed_over_makes_way(three: tuple, fresh: Callable):
    """Both newer checkpoints are damaged: the run goes on from the first, and what it saves is older than they are."""
    checkpoints, _ = three
    network, optimizer = fresh()
    checkpoints.save(network, optimizer, State(steps=4, best_step=4), RUN)
    checkpoints.save_best(network, 4)
    for step in (3, 4):
        (checkpoints.folder / f"step-{step:08d}" / "model.safetensors").write_bytes(b"")
    checkpoints.save_best(network, 2)
    checkpoints.save(network, optimizer, State(steps=2, best_step=2), RUN)
    assert names(checkpoints.folder) == ["best-00000002", "step-00000002"]
    assert checkpoints.resume(*fresh(), RUN)[0].steps == 2


def test_a_step_may_be_saved_twice(fresh: Callable, tmp_path: Path):
    """After its last step, and again after the evaluation that ends the epoch."""
    checkpoints, (network, optimizer) = Checkpoints(tmp_path), fresh()
    checkpoints.save(network, optimizer, State(epoch=0, position=4, steps=4), RUN)
    checkpoints.save(network, optimizer, State(epoch=1, position=0, steps=4), RUN)
    assert names(checkpoints.folder) == ["step-00000004"]
    assert checkpoints.resume(network, optimizer, RUN)[0].epoch == 1


@pytest.mark.parametrize("fails_at", range(1, 8))
def test_a_failed_write_leaves_the_older_checkpoint(
    fresh: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
):
    """A checkpoint is synced seven times: five files, their folder, and the folder it is renamed in."""
    checkpoints, (network, optimizer), calls = Checkpoints(tmp_path), fresh(), []
    checkpoints.save(network, optimizer, State(steps=1), RUN)
    sync = durable.sync

    def fail(path: Path) -> None:
        calls.append(path)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(path)

    monkeypatch.setattr(durable, "sync", fail)
    with pytest.raises(MachineError, match="No space left on device"):
        checkpoints.save(network, optimizer, State(steps=2), RUN)
    assert len(calls) == fails_at
    renamed = ["step-00000002"] if fails_at == 7 else []  # the last sync comes after the rename: complete
    assert names(checkpoints.folder) == ["step-00000001", *renamed]
    state, skipped = checkpoints.resume(*fresh(), RUN)
    assert (state.steps, skipped) == (2 if renamed else 1, [])


def test_a_full_disk_is_an_error_with_advice(fresh: Callable, tmp_path: Path, tiny_encoder: Path):
    """The system lets no file grow above 20 kB: in a process of its own, since the limit stays."""
    script = f"""
import resource, signal, sys
from pathlib import Path
from spanbert import SpanModel
from spanbert.errors import MachineError
from spanbert.training.checkpoint import Checkpoints, State
from spanbert.training.optimizer import make_optimizer
network = SpanModel.create({str(tiny_encoder)!r}, task="token-classification", labels=["X"]).bundle.network
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    Checkpoints(Path({str(tmp_path)!r})).save(network, make_optimizer(network, 1.0, 1.0, 0.0), State(), {RUN!r})
except MachineError as error:
    sys.exit(0 if "File too large" in str(error) else str(error))
sys.exit("no error")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "checkpoints") == []


def test_manifest_lists_every_other_file(three: tuple):
    folder = three[0].folder / "step-00000003"
    sums = json.loads((folder / "manifest.json").read_text())
    assert sorted([*sums, "manifest.json"]) == names(folder)
    assert sums["state.json"] == durable.digest(folder / "state.json")


def test_output_folder_must_be_empty(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    for resume in (False, True):
        with pytest.raises(UsageError, match=r"thesis\.txt"), output_folder(tmp_path, resume=resume):
            pytest.fail("entered")
        assert names(tmp_path) == ["thesis.txt"]
        assert (tmp_path / "thesis.txt").read_text() == "three years of work"


def test_output_is_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"), output_folder(tmp_path / "file", resume=False):
        pytest.fail("entered")
    with pytest.raises(MachineError, match="cannot write"), output_folder(tmp_path / "file" / "out", resume=False):
        pytest.fail("entered")


def test_output_folder_is_made_and_left_clean(tmp_path: Path):
    with output_folder(tmp_path / "a" / "b", resume=False):
        assert names(tmp_path / "a" / "b") == [".lock"]
    assert names(tmp_path / "a" / "b") == []
    with output_folder(tmp_path / "a" / "b", resume=True):
        pass


def test_output_folder_in_use_by_another_process(tmp_path: Path):
    script = f"""
from pathlib import Path
from spanbert.training.checkpoint import output_folder
with output_folder(Path({str(tmp_path)!r}), resume=False):
    print("held", flush=True)
    input()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another run is writing"), output_folder(tmp_path, resume=True):
            pytest.fail("entered")
        assert names(tmp_path) == [".lock"]  # it is the other's: still there
        holder.communicate("\n", timeout=30)
    with output_folder(tmp_path, resume=False):
        pass


def test_litter_of_a_killed_run_goes(tmp_path: Path):
    for name in ("checkpoints/.tmp-step-00000001-77", "checkpoints/step-00000001", ".tmp-bundle-x"):
        (tmp_path / name).mkdir(parents=True)
    with output_folder(tmp_path, resume=True):
        assert names(tmp_path / "checkpoints") == ["step-00000001"]
    assert names(tmp_path) == ["checkpoints"]


def test_a_disk_without_room_is_refused(fresh: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network = fresh()[0]
    weights = sum(parameter.numel() * 4 for parameter in network.parameters())
    for free, enough in ((12 * weights, True), (5 * weights, False)):
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=free: type("Usage", (), {"free": free}))
        if enough:
            require_room(tmp_path, network)
        else:
            with pytest.raises(MachineError, match="GB for checkpoints"):
                require_room(tmp_path, network)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "model.safetensors").write_bytes(bytes(7 * weights))
    require_room(tmp_path, network)  # what is there makes way
