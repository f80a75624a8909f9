"""From text to an encoder: it learns, resumes bit for bit, and loads elsewhere."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spanbert import PretrainConfig, SpanModel, TrainConfig, continued, new_model, pretrain, train
from spanbert.documents import Document
from spanbert.errors import DataError, MachineError, SpanbertError, UsageError
from spanbert.heads.head import Network
from spanbert.pretraining import material
from spanbert.pretraining import pretrain as module
from spanbert.pretraining.curves import draw_curves, read_log
from spanbert.training import loop
from spanbert.training.tracking import Evaluated, Event, Finished, Started, Stepped, Warned

PHRASES = ("Anna met Acme Corp", "the big house on the river", "Bert went from the day", "Dora said of Core Ltd")
SETTINGS = {"window": 32, "masking_rate": 0.2}
CONFIG = PretrainConfig(steps=24, max_tokens=256, evaluations=4, learning_rate=3e-3, held_out=10, device="cpu")


def texts(number: int = 60) -> list[Document]:
    """Phrases that always go on in the same way, so that what is hidden can be learnt."""
    draw = np.random.default_rng(0)
    return [
        Document(str(n), " . ".join(draw.choice(PHRASES, size=int(draw.integers(4, 12))).tolist()))
        for n in range(number)
    ]


def run(encoder: Path, config: PretrainConfig = CONFIG, **settings: object) -> tuple[SpanModel, list[Event]]:
    events: list[Event] = []
    model = continued(encoder, settings={**SETTINGS, **settings}, seed=1)
    return pretrain(model, texts(), config, [events.append]), events


@pytest.fixture(scope="module")
def learnt(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    output = tmp_path_factory.mktemp("encoder") / "out"
    _, events = run(tiny_encoder, replaced(CONFIG, output=str(output), steps=300, learning_rate=1e-2))
    return output, events


def replaced(config: PretrainConfig, **values: object) -> PretrainConfig:
    import dataclasses

    return dataclasses.replace(config, **values)


def weights(model: SpanModel) -> dict[str, torch.Tensor]:
    return dict(model.bundle.network.state_dict())


def same(one: SpanModel, other: SpanModel) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_it_learns_what_is_hidden(learnt: tuple):
    _, events = learnt
    reports = [event.report.losses for event in events if isinstance(event, Evaluated)]
    assert len(reports) == 4
    assert reports[-1]["masked"] < 0.75 * reports[0]["masked"]
    assert reports[-1]["boundary"] < 0.85 * reports[0]["boundary"]
    started = events[0]
    assert isinstance(started, Started) and started.facts["documents"] == 54 and started.facts["steps"] == 300
    assert isinstance(events[-1], Finished) and events[-1].steps == 300
    assert not [event for event in events if isinstance(event, Warned)]


def test_the_folder_holds_the_encoder_and_nothing_of_the_run(learnt: tuple):
    output, _ = learnt
    names = {"README.md", "checksums.json", "config.json", "curves.svg", "model.safetensors", "spanbert.json"}
    names |= {"tokenizer.json", "tokenizer_config.json", "train.jsonl"}
    assert {path.name for path in output.iterdir()} == names
    assert "Perplexity of hidden pieces" in (output / "README.md").read_text()
    assert (output / "curves.svg").read_text().startswith("<?xml")


def test_stock_classes_load_it(learnt: tuple):
    """The encoder whole, the head for hidden pieces with our logits; only what is ours alone is left over."""
    import transformers

    output, _ = learnt
    ours = SpanModel.from_pretrained(output, "cpu", "float32").bundle
    plain, said = transformers.AutoModel.from_pretrained(output, output_loading_info=True)
    assert {key.split(".")[0] for key in said["missing_keys"]} <= {"pooler"}
    assert {key.split(".")[0] for key in said["unexpected_keys"]} <= {"cls", "heads"}
    stock, said = transformers.AutoModelForMaskedLM.from_pretrained(output, output_loading_info=True)
    assert not said["missing_keys"]
    assert {key.split(".")[0] for key in said["unexpected_keys"]} == {"heads"}
    assert stock.cls.predictions.decoder.weight is stock.bert.embeddings.word_embeddings.weight
    (example,) = ours.tasks["span-masking"].examples(
        Document("d", PHRASES[0]), ours.tokenizer.pieces([PHRASES[0]])[0], None
    )
    from spanbert.packing import lay_out

    batch = lay_out([example.windows], [0])
    with torch.no_grad():
        vectors = ours.network.eval().encoder(batch)
        head = ours.network.head("span-masking")
        scores = head.scores(vectors, ours.network.encoder.words.weight)
        torch.testing.assert_close(stock.eval()(torch.from_numpy(batch.ids)[None]).logits[0], scores, atol=1e-4, rtol=0)
        hidden = plain.eval()(torch.from_numpy(batch.ids)[None]).last_hidden_state[0]
    torch.testing.assert_close(hidden, vectors, atol=1e-4, rtol=0)


def test_fill_mask_finds_the_word(learnt: tuple):
    import transformers

    fill = transformers.pipeline("fill-mask", model=str(learnt[0]), device="cpu")
    assert "Corp" in [found["token_str"] for found in fill("Anna met Acme [MASK] . the big house", top_k=3)]


def test_what_was_pretrained_is_a_base_model(learnt: tuple, toy_documents: Callable):
    model = SpanModel.create(learnt[0], task="span-classification", seed=0)
    trained = train(model, toy_documents(40, 1), toy_documents(10, 2), TrainConfig(epochs=1, device="cpu"))
    assert trained.labels == ("ORG", "PERSON")


def test_going_on_keeps_the_heads(learnt: tuple):
    again = continued(learnt[0], settings=SETTINGS)
    assert same(again, SpanModel.from_pretrained(learnt[0], "cpu", "float32"))
    fewer = continued(learnt[0], settings={**SETTINGS, "boundary_weight": 0.0})
    assert not [name for name in weights(fewer) if "boundary" in name]


def test_it_has_nothing_to_predict_yet(learnt: tuple):
    with pytest.raises(UsageError, match="an encoder, which finds nothing"):
        SpanModel.from_pretrained(learnt[0], "cpu").predict("Anna")


class Stop(Exception):
    """Thrown by an observer, like a kill: nothing is saved on the way out."""


@pytest.mark.parametrize("stop", [3, 7, 13, 22])
def test_resumed_bit_for_bit(tiny_encoder: Path, tmp_path: Path, stop: int):
    whole, _ = run(tiny_encoder, replaced(CONFIG, output=str(tmp_path / "whole")))
    config = replaced(CONFIG, output=str(tmp_path / "cut"), checkpoint_minutes=1e-9, resume="auto")

    def cut(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == stop:
            raise Stop

    with pytest.raises(Stop):
        pretrain(continued(tiny_encoder, settings=SETTINGS, seed=1), texts(), config, [cut])
    assert (tmp_path / "cut" / "corpus" / "train" / "corpus.json").exists()

    def unread():
        raise AssertionError("the corpus lies in the output folder")
        yield

    events: list[Event] = []
    model = continued(tiny_encoder, settings=SETTINGS, seed=1)
    resumed = pretrain(model, unread(), replaced(config, workers=1), [events.append])
    assert isinstance(events[0], Started) and events[0].resumed_at == stop - 1
    assert same(resumed, whole)
    assert same(SpanModel.from_pretrained(tmp_path / "cut", "cpu", "float32"), whole)
    events.clear()
    finished = pretrain(continued(tiny_encoder, settings=SETTINGS, seed=1), unread(), config, [events.append])
    assert same(finished, whole) and "had come to its end" in events[0].message
    (tmp_path / "cut" / "curves.svg").unlink()  # as where it was killed at the very end
    pretrain(continued(tiny_encoder, settings=SETTINGS, seed=1), unread(), config)
    assert (tmp_path / "cut" / "curves.svg").exists()
    for other in ({"steps": 25}, {"dropout": 0.1}, {"seed": 5}):
        with pytest.raises(UsageError, match="other data or settings"):
            pretrain(continued(tiny_encoder, settings=SETTINGS, seed=1), unread(), replaced(config, **other))
    with pytest.raises(UsageError, match="other data or settings"):
        pretrain(continued(tiny_encoder, settings=SETTINGS, seed=2), unread(), config, source="another")


def test_another_corpus_is_another_run(tiny_encoder: Path, tmp_path: Path):
    config = replaced(CONFIG, output=str(tmp_path / "out"), resume="auto")

    def cut(event: Event) -> None:
        raise Stop

    def started(source: str, **settings: object) -> None:
        model = continued(tiny_encoder, settings={**SETTINGS, **settings}, seed=1)
        pretrain(model, texts(), config, [cut], source=source)

    with pytest.raises(Stop):
        started("a.txt")
    with pytest.raises(Stop):
        started("a.txt")
    for source, settings in (("b.txt", {}), ("a.txt", {"window": 24})):
        with pytest.raises(UsageError, match="other data or settings"):
            started(source, **settings)


def test_asked_to_stop_while_the_corpus_is_written(tiny_encoder: Path, tmp_path: Path):
    """It may take hours: the run ends, with nothing half-written, and begins with it again."""
    read = []

    def asked() -> Iterator[Document]:
        for document in texts():
            read.append(document)
            if len(read) == 10:
                os.kill(os.getpid(), signal.SIGTERM)
            yield document

    config = replaced(CONFIG, steps=2, output=str(tmp_path / "out"), resume="auto")
    with pytest.raises(SystemExit) as left:
        pretrain(continued(tiny_encoder, settings=SETTINGS, seed=1), asked(), config)
    assert left.value.code == 143 and len(read) == 10
    assert not list((tmp_path / "out").iterdir())
    run(tiny_encoder, config)


def test_a_damaged_corpus_is_written_anew(tiny_encoder: Path, tmp_path: Path):
    """One changed piece would be learnt without a word."""
    whole, _ = run(tiny_encoder, CONFIG)
    config = replaced(CONFIG, output=str(tmp_path / "cut"), checkpoint_minutes=1e-9, resume="auto")

    def cut(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 7:
            raise Stop

    with pytest.raises(Stop):
        pretrain(continued(tiny_encoder, settings=SETTINGS, seed=1), texts(), config, [cut])
    path = tmp_path / "cut" / "corpus" / "train" / "pieces.bin"
    content = bytearray(path.read_bytes())
    content[20:30] = content[40:50]
    path.write_bytes(content)
    resumed, events = run(tiny_encoder, config)
    assert events[0].resumed_at == 6 and same(resumed, whole)


def test_dropout_makes_another_run(tiny_encoder: Path, tmp_path: Path):
    config = replaced(CONFIG, output=str(tmp_path / "cut"), checkpoint_minutes=1e-9, resume="auto")

    def cut(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 3:
            raise Stop

    with pytest.raises(Stop):
        pretrain(continued(tiny_encoder, settings=SETTINGS, seed=1), texts(), config, [cut])
    with pytest.raises(UsageError, match="other data or settings"):
        pretrain(continued(tiny_encoder, settings=SETTINGS, seed=1), texts(), replaced(config, dropout=0.1))


def test_killed_while_the_corpus_is_written(tiny_encoder: Path, tmp_path: Path):
    output = tmp_path / "out"
    (output / ".tmp-corpus-1").mkdir(parents=True)
    run(tiny_encoder, replaced(CONFIG, steps=2, output=str(output), resume="auto"))
    assert not list(output.glob(".tmp-*"))


def test_the_same_seed_gives_the_same_encoder(tiny_encoder: Path):
    config = replaced(CONFIG, steps=4)
    one, _ = run(tiny_encoder, config)
    assert same(one, run(tiny_encoder, config)[0])
    assert not same(one, run(tiny_encoder, replaced(config, seed=2))[0])


def test_masking_and_objective_are_separate_settings(tiny_encoder: Path):
    config = replaced(CONFIG, steps=2)
    for masking in ("token", "whole-word", "span"):
        for weight, names in ((1.0, {"masked", "boundary"}), (0.0, {"masked"})):
            _, events = run(tiny_encoder, config, masking=masking, boundary_weight=weight)
            assert {name for e in events if isinstance(e, Stepped) for name in e.losses} == names


def test_an_encoder_that_has_learnt_nothing_is_not_passed_over_in_silence(
    tiny_encoder: Path, tmp_path: Path, monkeypatch
):
    """After two steps it knows less than the frequencies do, after many it knows what follows what. The log says it
    too; nothing is said where too little is held out to tell."""
    for steps, fewest, warned in ((2, 100, 1), (100, 100, 0), (2, 10_000, 0)):
        monkeypatch.setattr(material, "FEWEST_HELD_OUT", fewest)
        output = tmp_path / f"{steps}-{fewest}"
        _, events = run(tiny_encoder, replaced(CONFIG, steps=steps, held_out=5, output=str(output)))
        told = [event.message for event in events if isinstance(event, Warned)]
        assert len(told) == warned and all("learnt nothing" in message for message in told)
        assert (output / "train.jsonl").read_text().count("learnt nothing") == warned
        report = next(event.report for event in reversed(events) if isinstance(event, Evaluated))
        assert (min(report.losses.values()) >= report.frequencies) == (steps == 2)
        assert f"(of frequencies alone {math.exp(report.frequencies):.0f})" in report.summary


@pytest.mark.parametrize(("cores", "gpu", "asked", "expected"), [
    (16, False, None, 0), (16, True, None, 3), (2, True, None, 1), (1, True, None, 0), (16, True, 0, 0),
    (1, False, 5, 5),
])  # fmt: skip
def test_processes_that_prepare_steps(monkeypatch, cores: int, gpu: bool, asked: int | None, expected: int):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    assert replaced(CONFIG, workers=asked).readers(gpu) == expected


def test_dropout_is_off_while_pretraining_and_back_afterwards(tiny_encoder: Path, monkeypatch):
    seen = []

    def dropout(encoder: torch.nn.Module) -> tuple[float, ...]:
        return (encoder.dropout, *(layer.dropout for layer in encoder.layers))

    def take_step(network: torch.nn.Module, *rest: object) -> dict[str, float]:
        seen.append(dropout(network.encoder))
        return loop.take_step_(network, *rest)

    monkeypatch.setattr(loop, "take_step_", loop.take_step, raising=False)
    monkeypatch.setattr(loop, "take_step", take_step)
    trained, _ = run(tiny_encoder, replaced(CONFIG, steps=2))
    assert seen == [(0.0, 0.0, 0.0)] * 2
    assert dropout(trained.bundle.network.encoder) == (0.1, 0.1, 0.1)


def test_the_model_that_was_given_stays_as_it_was(tiny_encoder: Path):
    model = continued(tiny_encoder, settings=SETTINGS, seed=1)
    before, facts = {key: weight.clone() for key, weight in weights(model).items()}, dict(model.bundle.facts)
    trained = pretrain(model, texts(), replaced(CONFIG, steps=2))
    assert not same(trained, model)
    assert all(torch.equal(weight, before[key]) for key, weight in weights(model).items())
    assert model.bundle.facts == facts and model.bundle.network.encoder.dropout == 0.1


@contextmanager
def reading_ahead(encoder: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run with two processes that read ahead, past its fifth step, in the folder `out` of this one."""
    corpus, out = folder / "corpus.jsonl", folder / "out"
    corpus.write_text("".join(json.dumps({"text": document.text}) + "\n" for document in texts()))
    program = [str(Path(sys.executable).parent / "spanbert"), "pretrain", "--corpus", str(corpus), "--workers", "2"]
    form = ["--base-model", str(encoder), "--output", str(out), "--steps", "100000", "--window", "32"]
    with subprocess.Popen([*program, *form], stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not (out / "train.jsonl").exists() or (out / "train.jsonl").read_text().count('"stepped"') < 5:
            assert process.poll() is None
            time.sleep(0.05)
        yield process


@pytest.mark.parametrize("asked", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_of_a_run_is_one_to_the_run(tiny_encoder: Path, tmp_path: Path, asked: int):
    """As service managers and a terminal send it: those that read ahead do not die of it and take the run with them."""
    with reading_ahead(tiny_encoder, tmp_path) as process:
        os.killpg(process.pid, asked)
        talk = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + asked, talk
    assert "all saved; go on with --resume auto" in talk
    assert list((tmp_path / "out" / "checkpoints").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends them")
def test_processes_that_read_ahead_end_with_a_run_that_is_killed(tiny_encoder: Path, tmp_path: Path):
    """They wait to hand steps over, and would for ever."""
    with reading_ahead(tiny_encoder, tmp_path) as process:
        ahead = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(process.pid, signal.SIGKILL)
    assert len(ahead) >= 2
    until = time.monotonic() + 20
    while any(map(running, ahead)):
        assert time.monotonic() < until
        time.sleep(0.05)


def running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_process_that_reads_ahead_is_killed(tiny_encoder: Path, tmp_path: Path):
    """As the system does where memory is short: the run says so, and goes on with fewer of them."""

    def kill(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == 5:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)

    config = replaced(CONFIG, output=str(tmp_path), resume="auto", workers=1, steps=100_000)
    with pytest.raises(MachineError, match="a process that prepares steps was killed") as caught:
        pretrain(continued(tiny_encoder, settings=SETTINGS), texts(), config, [kill])
    assert "--resume auto" in caught.value.fix


def test_a_new_encoder_has_the_shape_of_its_size(tiny_encoder: Path):
    mini = new_model("mini", tiny_encoder, settings={"window": 600})
    config = mini.bundle.network.encoder.config
    shape = (config.hidden_size, config.num_hidden_layers, config.num_attention_heads, config.intermediate_size)
    assert shape == (256, 4, 4, 1024)
    assert config.vocab_size == 64 and config.max_position_embeddings == 600
    assert same(mini, new_model("mini", tiny_encoder, settings={"window": 600}))
    assert not same(mini, new_model("mini", tiny_encoder, settings={"window": 600}, seed=1))
    with pytest.raises(UsageError, match="size 'medium'"):
        new_model("medium", tiny_encoder)


def test_a_new_encoder_may_have_the_shape_of_a_folder(tiny_encoder: Path, tmp_path: Path):
    """All but the number of pieces and of positions is as its config.json says; of its weights nothing is read."""
    config = json.loads((tiny_encoder / "config.json").read_text())
    config |= {"vocab_size": 1000, "num_hidden_layers": 3, "intermediate_size": 48, "hidden_act": "relu"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    made = new_model(tmp_path, tiny_encoder, settings={"window": 40}).bundle.network.encoder
    wanted = {**config, "vocab_size": 64, "max_position_embeddings": 40}
    assert {name: getattr(made.config, name) for name in wanted if hasattr(made.config, name)} == {
        name: value for name, value in wanted.items() if hasattr(made.config, name)
    }
    assert len(made.layers) == 3 and made.config.hidden_size == 32
    model = pretrain(new_model(str(tmp_path), tiny_encoder, settings=SETTINGS), texts(), CONFIG)
    assert model.bundle.facts["base_model"] == {"name": tmp_path.name, "new_weights": True}


def test_a_shape_is_named_as_a_folder_a_file_or_a_model_of_the_package(tiny_encoder: Path, tmp_path: Path):
    shutil.copyfile(tiny_encoder / "config.json", tmp_path / "config.json")
    by_file = new_model(tmp_path / "config.json", tiny_encoder, settings=SETTINGS)
    assert same(by_file, new_model(tmp_path, tiny_encoder, settings=SETTINGS))
    config = new_model("spanbert-mini", tiny_encoder, settings=SETTINGS).bundle.network.encoder.config
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (384, 4, 64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "roberta"}, "type roberta"),
        ({"model_type": "gpt2"}, "gpt2"),
        ({"hidden_size": 33}, "33 with 4 attention heads"),
    ],
)
def test_shapes_that_are_no_berts_are_refused(change: dict[str, Any], said: str, tiny_encoder: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(json.loads((tiny_encoder / "config.json").read_text()) | change))
    with pytest.raises(DataError, match=said):
        new_model(tmp_path, tiny_encoder)


@pytest.mark.parametrize("heads", [1, 32])
def test_the_start_needs_columns_for_places(heads: int, tiny_encoder: Path, tmp_path: Path):
    """Of one head no column is left for words, and waves come in pairs: with random weights such a shape learns too."""
    config = json.loads((tiny_encoder / "config.json").read_text()) | {"num_attention_heads": heads}
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = new_model(tmp_path, tiny_encoder, settings=SETTINGS)
    with pytest.raises(UsageError, match="attention heads") as caught:
        pretrain(model, texts(), CONFIG)
    assert "--start random" in caught.value.fix
    assert pretrain(model, texts(), replaced(CONFIG, start="random")).bundle.facts["training"]["steps"]


def test_only_positions_that_learn_are_there(tiny_encoder: Path):
    """A longer window of fine-tuning would read with vectors that no step of pre-training has touched."""
    made = new_model("mini", tiny_encoder, settings={"window": 64})
    assert made.bundle.network.encoder.longest == 64


def test_a_vocabulary_that_is_the_checkpoints_own_changes_nothing(tiny_encoder: Path, learnt: tuple):
    output, _ = learnt
    alone, given = (continued(output, vocabulary=v, settings=SETTINGS) for v in (None, tiny_encoder))
    assert same(alone, given) and "transplanted" not in given.bundle.facts["base_model"]


def test_rates_by_width_and_origin():
    assert module.default_rates(384, scratch=True) == pytest.approx((5e-4, 5e-4))
    assert module.default_rates(768, scratch=True) == pytest.approx((2.5e-4, 2.5e-4))
    assert module.default_rates(768, scratch=False) == pytest.approx((5e-5, 5e-4))
    assert module.default_rates(32, scratch=True) == module.default_rates(256, scratch=True)


@pytest.mark.parametrize(
    ("settings", "plan"),
    [
        ({"steps": 100}, (10, 100)),
        ({"steps": 101}, (10, 101)),
        ({"steps": 3}, (3, 3)),
        ({"tokens": 25_000}, (10, 25)),  # two and a half times the corpus
        ({"tokens": 1_000}, (1, 1)),
        ({}, (10, 100)),  # ten passes
    ],
)
def test_plan(settings: dict, plan: tuple[int, int]):
    """Of a corpus of 10,000 positions that is read once in 10 steps, whether these are full or not."""
    assert PretrainConfig(**settings).plan(10_000, 10) == plan


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"tokens": -1},
        {"steps": 1, "tokens": 1},
        {"evaluations": 0},
        {"held_out": 1},
        {"held_out": None},
        {"evaluations": None},
        {"tokens": 1.5},
        {"workers": -1},
        {"dropout": 1.0},
        {"learning_rate": 0.0},
        {"max_tokens": 0},
        {"schedule": "steps"},
        {"resume": "yes"},
    ],
)
def test_settings_that_cannot_be(settings: dict):
    with pytest.raises(SpanbertError):
        PretrainConfig(**settings)


def test_a_loss_that_is_not_a_number_ends_the_run_resumable(tiny_encoder: Path, tmp_path: Path):
    model = continued(tiny_encoder, settings=SETTINGS)
    with torch.no_grad():
        model.bundle.network.encoder.words.weight[7] = float("nan")
    with pytest.raises(MachineError, match="not a number"):
        pretrain(model, texts(), replaced(CONFIG, output=str(tmp_path / "out")))
    assert (tmp_path / "out" / "corpus").is_dir()


def test_the_best_until_a_loss_was_no_number_can_be_gone_on_from(tiny_encoder: Path, tmp_path: Path, monkeypatch):
    """It is the model in the folder; and the run has not come to its end: gone on with, it comes to the same point."""
    out, forward = tmp_path / "out", Network.forward

    def poisoned(self: Network, *arguments: Any) -> Any:
        bad = self.training and (out / "checkpoints").exists() and any((out / "checkpoints").glob("best-*"))
        return {name: loss * (math.nan if bad else 1.0) for name, loss in forward(self, *arguments).items()}

    config = replaced(CONFIG, output=str(out), resume="auto", steps=40, evaluations=4)
    with monkeypatch.context() as patch:
        patch.setattr(Network, "forward", poisoned)
        for _ in range(2):
            with pytest.raises(MachineError, match=r"not a number for .* that of step 10, the best until then"):
                pretrain(continued(tiny_encoder, settings=SETTINGS), texts(), config)
    best = continued(out, settings=SETTINGS)
    assert all(bool(tensor.isfinite().all()) for tensor in best.bundle.network.state_dict().values())
    trained = pretrain(continued(tiny_encoder, settings=SETTINGS), texts(), config)  # it was the machine
    assert trained.bundle.facts["training"]["steps"] == 40 and "failed" not in trained.bundle.facts["training"]
    assert not (out / "checkpoints").exists()


def test_a_vocabulary_that_is_too_large_for_the_checkpoint(tiny_encoder: Path, tmp_path: Path):
    folder = shutil.copytree(tiny_encoder, tmp_path / "e")
    with (folder / "vocab.txt").open("a", encoding="utf-8") as file:
        file.write("more\n")
    with pytest.raises(SpanbertError, match="pieces"):
        continued(folder)


def test_another_task_is_refused(tiny_encoder: Path):
    with pytest.raises(UsageError, match="another task"):
        pretrain(SpanModel.create(tiny_encoder, task="span-classification"), texts())


def test_no_matplotlib_is_a_warning(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    _, events = run(tiny_encoder, replaced(CONFIG, steps=1, output=str(tmp_path / "out")))
    assert isinstance(events[-1], Warned) and "matplotlib" in events[-1].message
    assert (tmp_path / "out" / "checksums.json").exists()


def test_curves_take_the_later_of_repeated_steps(tmp_path: Path):
    def step(number: int, loss: float, *, skipped: bool = False) -> dict:
        return {
            "event": "stepped",
            "step": number,
            "losses": {"masked": loss},
            "rate": 0.1 * number,
            "skipped": skipped,
        }

    records = [
        {"event": "started"},
        *(step(n, 9.0 - n) for n in (1, 2, 3)),
        step(4, None, skipped=True),  # type: ignore[arg-type]
        {"event": "evaluated", "step": 2, "report": {"losses": {"masked": 7.5}}},
        step(3, 1.0),
    ]
    log = tmp_path / "train.jsonl"
    half = '{"event": "stepped", "st\n'  # a run was killed as it wrote
    log.write_text(half + "".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    steps, rates, losses, points = read_log(log)
    assert steps == [1, 2, 3] and losses == {"masked": [8.0, 7.0, 1.0]}
    assert rates == pytest.approx([0.1, 0.2, 0.3]) and points == [(2, {"masked": 7.5})]
    draw_curves(log, tmp_path / "curves.svg")
    assert "held out" in (tmp_path / "curves.svg").read_text() or (tmp_path / "curves.svg").stat().st_size > 5000
