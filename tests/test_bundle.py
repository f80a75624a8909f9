"""The model folder: what is saved is what is loaded, by us and by stock classes; anything else is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spanbert import SpanModel, TrainConfig, durable, train
from spanbert.bundle import Bundle
from spanbert.calibration.curve import Calibration
from spanbert.calibration.decision import Decision
from spanbert.calibration.fitting import Outcomes
from spanbert.calibration.requirements import OperatingPoint
from spanbert.encoder import files
from spanbert.errors import DataError, MachineError, SpanbertError, UsageError
from spanbert.packing import lay_out
from spanbert.training.tracking import Event

SPANS, TAGS = TASKS = ("span-classification", "token-classification")
TEXT = "Anna met Bert of Acme Corp in the big house ."
TEXTS = [TEXT, "", TEXT * 20, "undo the Ltd"]
FILES = [
    "README.md",
    "checksums.json",
    "config.json",
    "model.safetensors",
    "outcomes.json",
    "spanbert.json",
    "tokenizer.json",
    "tokenizer_config.json",
]


@pytest.fixture(scope="module", params=[*TASKS, "both"])
def saved(request, tiny_encoder: Path, toy_documents: Callable, tmp_path_factory) -> tuple[SpanModel, Path]:
    """A model that was trained a little, with a calibration and thresholds of its own, and its folder."""
    names = TASKS if request.param == "both" else (request.param,)
    parts = [SpanModel.create(tiny_encoder, task=name).bundle for name in names]
    tasks = {name: task for part in parts for name, task in part.tasks.items()}
    bundle = Bundle.build(parts[0].network.encoder, parts[0].tokenizer, tasks, parts[0].facts)
    config = TrainConfig(epochs=10, learning_rate=3e-3, head_learning_rate=1e-2, max_tokens=256, dtype="float32")
    model = train(SpanModel(bundle, "cpu"), toy_documents(20, 1), toy_documents(10, 2), config)
    curve = {"knots": ((-1.0, -2.0), (0.5, 1.0)), "labels": {"ORG": 0.5}, "silence": (0.5, 0.25)}
    point = OperatingPoint("precision>=0.9 with confidence 0.95", {names[0]: {"ORG": 0.75, "PERSON": 2.0}})
    model.bundle.operating_points = {"strict": point}
    given = Decision(0.75, Calibration(0.5, 0.25, 0.125, **curve, quiet=-0.5))
    model.bundle.decisions = {
        name: Decision(0.01 * (n + 1), Calibration(0.5 + n, 0.25, 0.125, **curve), outcomes(), None if n else given)
        for n, name in enumerate(names)
    }
    folder = tmp_path_factory.mktemp("bundle") / request.param
    model.save_pretrained(folder)
    return model, folder


def outcomes() -> Outcomes:
    gold = {"ORG": np.array([1, 0]), "PERSON": np.array([0, 2])}
    right, labels = np.array([True, False, True]), ("ORG", "ORG", "PERSON")
    silence, quiet = ~right, np.array([0.25, 1.5, -3.0])
    return Outcomes(np.array([0.5, -1.25, 2.0]), right, labels, np.array([0, 0, 1]), gold, silence, quiet)


@pytest.fixture
def folder(saved: tuple, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(saved[1], tmp_path / "copy"))


def reseal(folder: Path) -> None:
    """As if the folder had been saved like this."""
    names = [path for path in folder.iterdir() if path.name != "checksums.json"]
    (folder / "checksums.json").write_text(json.dumps({path.name: durable.digest(path) for path in names}))


def edit(path: Path, change: Callable[[dict], object]) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")
    reseal(path.parent)


def test_outcomes_of_an_older_model_are_not_those_of_the_new_one(folder: Path):
    """Thresholds would be promised by what another model decoded."""
    model = SpanModel.from_pretrained(folder, "cpu", "float32")
    kept = (folder / "outcomes.json").read_bytes()
    model.bundle.decisions = {name: replace(each, outcomes=None) for name, each in model.bundle.decisions.items()}
    model.save_pretrained(folder)
    assert not (folder / "outcomes.json").exists()
    (folder / "outcomes.json").write_bytes(kept)  # put there by hand: no checksum says that it belongs here
    assert SpanModel.from_pretrained(folder, "cpu", "float32").bundle.fitted == {}


def test_all_that_is_checked_is_fetched_from_a_hub(saved: tuple):
    """A folder that lacks a file which its checksums name is refused."""
    _, folder = saved
    named = set(json.loads((folder / "checksums.json").read_text()))
    assert "outcomes.json" in named
    assert named <= {*files._WANTED, *files.WEIGHT_FILES}


def test_what_is_loaded_is_what_was_saved(saved: tuple):
    model, folder = saved
    loaded = SpanModel.from_pretrained(folder, "cpu", "float32")
    assert loaded.bundle.tasks.keys() == model.bundle.tasks.keys() and loaded.labels == ("ORG", "PERSON")
    for name, task in model.bundle.tasks.items():
        assert loaded.bundle.tasks[name].settings == task.settings
    assert loaded.bundle.decisions.keys() == model.bundle.decisions.keys()
    for name, kept in model.bundle.decisions.items():
        found = loaded.bundle.decisions[name]
        assert found.outcomes.to_json() == kept.outcomes.to_json()
        assert replace(found, outcomes=None) == replace(kept, outcomes=None)
    for fact in ("facts", "operating_points"):
        assert getattr(loaded.bundle, fact) == json_like(getattr(model.bundle, fact))
    state = loaded.bundle.network.state_dict()
    for name, tensor in model.bundle.network.state_dict().items():
        assert torch.equal(state[name], tensor)
    for threshold in (None, 0.0):
        predicted = model.predict(TEXTS, threshold=threshold)
        assert loaded.predict(TEXTS, threshold=threshold) == predicted
    assert any(document.spans for document in predicted)


def json_like(value):
    """Facts go through JSON, where a tuple is a list."""
    if isinstance(value, dict) and value and not isinstance(next(iter(value.values())), Calibration | OperatingPoint):
        return json.loads(json.dumps(value))
    return value


def test_every_file_has_its_checksum(saved: tuple):
    folder = saved[1]
    assert sorted(path.name for path in folder.iterdir()) == FILES
    sums = json.loads((folder / "checksums.json").read_text())
    assert sorted([*sums, "checksums.json"]) == FILES
    assert all(durable.digest(folder / name) == expected for name, expected in sums.items())
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.iterdir())  # others may read it


def test_no_path_of_this_machine(saved: tuple, tiny_encoder: Path):
    for path in saved[1].iterdir():
        content = path.read_bytes()
        for word in (str(tiny_encoder.parent), str(Path.cwd()), str(Path.home()) + "/", "/tmp/"):
            assert word.encode() not in content, (path.name, word)
    facts = json.loads((saved[1] / "spanbert.json").read_text())["facts"]
    assert facts["base_model"] == {"name": tiny_encoder.name}


def test_model_card(saved: tuple):
    model, folder = saved
    card = (folder / "README.md").read_text(encoding="utf-8")
    report = model.bundle.facts["report"]
    assert "labels: ORG, PERSON." in card
    for name, decision in model.bundle.decisions.items():
        assert f"Task **{name}**" in card and f"at least {decision.threshold:g} unless" in card
    chosen = "that also chose the checkpoint, the threshold and the probabilities"
    assert f"On {report['documents']} held-out documents {chosen if model.bundle.fitted else chosen[:28]}" in card
    for row, numbers in {"**all**": report["micro"], **report["per_label"]}.items():
        measured = " | ".join(f"{numbers[key]:.3f}" for key in ("precision", "recall", "f1"))
        low, high = numbers["f1_interval"]
        assert f"| {row} | {measured} | {low:.3f} – {high:.3f} | {numbers['support']} |" in card
    assert "- learning_rate: 0.003" in card
    assert card.startswith("---\nlibrary_name: spanbert\n")


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte(folder: Path, name: str):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        SpanModel.from_pretrained(folder)
    assert name == "checksums.json" or f"{name} was changed after the model was saved" in str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        SpanModel.from_pretrained(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "sub/file", "..", ""])
def test_checksums_of_files_elsewhere(folder: Path, name: str):
    (folder.parent / "outside").write_text("x")
    record = json.loads((folder / "checksums.json").read_text())
    record[name] = durable.digest(folder.parent / "outside")
    (folder / "checksums.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="checksums.json of .* names .*\n.*by its name alone|is missing"):
        SpanModel.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "spanbert.json", "tokenizer.json"])
def test_a_file_that_checksums_do_not_list(folder: Path, name: str):
    record = json.loads((folder / "checksums.json").read_text())
    del record[name]
    (folder / "checksums.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=f"lacks {name}"):
        SpanModel.from_pretrained(folder)


def test_unknown_format(folder: Path):
    edit(folder / "spanbert.json", lambda record: record.update(format=2))
    with pytest.raises(DataError, match=r"format 2(.|\n)*update spanbert") as error:
        SpanModel.from_pretrained(folder)
    assert "spanbert.json" in error.value.place


def first_task(record: dict) -> dict:
    return next(iter(record["tasks"].values()))


def test_unknown_setting(folder: Path):
    edit(folder / "spanbert.json", lambda record: first_task(record)["settings"].update(overlapp=3))
    with pytest.raises(SpanbertError, match=r"setting 'overlapp'(.|\n)*did you mean 'overlap'") as error:
        SpanModel.from_pretrained(folder)
    assert "spanbert.json" in error.value.place


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("tasks"),
        lambda record: record.update(tasks=[]),
        lambda record: first_task(record).pop("settings"),
        lambda record: first_task(record).pop("threshold"),
        lambda record: first_task(record).update(threshold="high"),
        lambda record: first_task(record)["calibration"].update(slop=1.0),
        lambda record: first_task(record).update(given=[]),
        lambda record: first_task(record)["given"].update(threshold="high"),
        lambda record: first_task(record)["given"]["calibration"].update(slope=None),
        lambda record: first_task(record)["settings"].update(window="wide"),
        lambda record: record["tasks"].update(unheard={}),
    ],
)
def test_a_record_that_does_not_fit(folder: Path, change: Callable):
    edit(folder / "spanbert.json", change)
    with pytest.raises(SpanbertError):
        SpanModel.from_pretrained(folder)


def test_labels_and_weights_that_do_not_fit(folder: Path):
    def more(record: dict) -> None:
        for task in record["tasks"].values():
            task["settings"]["labels"] = ["ORG", "PERSON", "PLACE"]

    edit(folder / "spanbert.json", more)
    with pytest.raises(DataError, match="as the labels say"):
        SpanModel.from_pretrained(folder)


def test_saving_keeps_foreign_files_and_replaces_the_old_model(saved: tuple, folder: Path):
    (folder / "notes.txt").write_text("mine")
    (folder / "data").mkdir()
    (folder / "config.json").write_text("old")
    saved[0].save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "data", "notes.txt"])
    assert (folder / "notes.txt").read_text() == "mine"
    assert "notes.txt" not in json.loads((folder / "checksums.json").read_text())
    assert SpanModel.from_pretrained(folder, "cpu", "float32").predict(TEXT) == saved[0].predict(TEXT)


def test_a_save_that_fails_leaves_no_bundle_that_could_be_taken_for_one(
    saved: tuple, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """The old checksums go before the first file is replaced."""
    calls = []

    def fail(path: Path) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "sync", fail)
    with pytest.raises(MachineError, match="No space left on device"):
        saved[0].save_pretrained(folder)
    assert not [path for path in folder.iterdir() if path.name.startswith(".tmp")]
    with pytest.raises(DataError, match=r"checksums\.json is missing"):
        SpanModel.from_pretrained(folder)


def test_places_that_cannot_be_written(saved: tuple, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "model"):
        with pytest.raises(MachineError, match="cannot write"):
            saved[0].save_pretrained(path)
    assert (tmp_path / "file").read_text() == "x"


def test_an_encoder_alone_is_no_model(tiny_encoder: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"an encoder and no spanbert\.json(.|\n)*--base-model"):
        SpanModel.from_pretrained(tiny_encoder)
    with pytest.raises(UsageError, match="is not a folder"):
        SpanModel.from_pretrained(tmp_path / "nothing")


def test_a_path_under_home_stays_private(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tiny_encoder.parent))
    model = SpanModel.create(f"~/{tiny_encoder.name}", task=TAGS, labels=["X"])
    assert model.bundle.facts["base_model"] == {"name": tiny_encoder.name}


# stock classes


def one_window(model: SpanModel, text: str):
    """The batch of a short text, and its ids as stock classes want them."""
    task = next(iter(model.bundle.tasks.values()))
    pieces = model.bundle.tokenizer.pieces([text])[0]
    (example,) = task.examples(model.predict(text), pieces, None)
    return lay_out([example.windows], [0]), torch.from_numpy(example.windows[0].ids)[None]


def emissions(model: SpanModel, batch) -> np.ndarray:
    return model.backend.run(batch, {TAGS: -np.inf})[TAGS]["emission"]


def test_stock_token_classification_reads_ours(saved: tuple):
    model, folder = saved
    if TAGS not in model.bundle.tasks:
        pytest.skip("no tags in this bundle")
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    stock = AutoModelForTokenClassification.from_pretrained(folder).eval()
    assert list(stock.config.id2label.values()) == ["O", "B-ORG", "I-ORG", "B-PERSON", "I-PERSON"]
    batch, ids = one_window(model, TEXT)
    assert AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"] == ids[0].tolist()
    with torch.inference_mode():
        logits = stock(ids).logits[0, 1:-1].numpy()
    np.testing.assert_allclose(emissions(model, batch), logits, atol=1e-5)


def test_stock_encoder_reads_ours(saved: tuple):
    from transformers import AutoModel

    model, folder = saved
    stock = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    batch, ids = one_window(model, TEXT)
    with torch.inference_mode():
        ours = model.bundle.network.eval().encoder(batch)
        theirs = stock(ids).last_hidden_state[0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def foreign(tiny_encoder: Path, tmp_path_factory) -> Path:
    """A stock token-classification checkpoint of 64 positions, random weights."""
    from transformers import BertConfig, BertForTokenClassification

    words = (tiny_encoder / "vocab.txt").read_text().split()
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    tags = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG"]
    config = BertConfig(
        vocab_size=len(words),
        **shape,
        max_position_embeddings=64,
        id2label=dict(enumerate(tags)),
        label2id={tag: n for n, tag in enumerate(tags)},
        initializer_range=0.5,
    )
    folder = tmp_path_factory.mktemp("foreign")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertForTokenClassification(config).save_pretrained(folder)
    shutil.copy(tiny_encoder / "vocab.txt", folder / "vocab.txt")
    return folder


def test_a_stock_checkpoint_loads(foreign: Path):
    from transformers import BertForTokenClassification

    model = SpanModel.from_pretrained(foreign, "cpu", "float32")
    assert model.labels == ("PER", "ORG")
    batch, ids = one_window(model, TEXT)
    with torch.inference_mode():
        logits = BertForTokenClassification.from_pretrained(foreign).eval()(ids).logits[0, 1:-1].numpy()
    np.testing.assert_allclose(emissions(model, batch), logits, atol=1e-5)
    spans = model.predict(TEXT).spans
    assert spans and all(span.label in ("PER", "ORG") and 0.0 <= span.score <= 1.0 for span in spans)


def test_a_stock_checkpoint_reads_long_text_and_learns(foreign: Path, toy_documents: Callable, tmp_path: Path):
    """It has 64 positions, fewer than the usual window; and saved by us it stays the same model."""
    model = SpanModel.from_pretrained(foreign, "cpu", "float32")
    document = model.predict(TEXT * 30)
    assert document.coverage.complete and document.coverage.windows > 5
    model.save_pretrained(tmp_path)
    assert SpanModel.from_pretrained(tmp_path, "cpu", "float32").predict(TEXT * 30) == document
    documents = [
        type(d)(d.id, d.text, tuple(type(s)(s.start, s.end, s.label[:3]) for s in d.spans))
        for d in toy_documents(20, 1)
    ]
    events: list[Event] = []
    trained = train(model, documents, documents, TrainConfig(epochs=2, dtype="float32"), [events.append])
    assert trained.labels == ("PER", "ORG") and events[0].facts["unreachable"] == {}


def test_a_stock_checkpoint_without_tag_names_is_refused(foreign: Path, tmp_path: Path):
    shutil.copytree(foreign, tmp_path / "copy")
    path = tmp_path / "copy" / "config.json"
    record = json.loads(path.read_text())
    del record["id2label"]
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match="without id2label"):
        SpanModel.from_pretrained(tmp_path / "copy")


def test_a_damaged_bundle_is_no_base_model_either(folder: Path):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="was changed after the model was saved"):
        SpanModel.create(folder, task=next(iter(TASKS)), labels=["A"])
