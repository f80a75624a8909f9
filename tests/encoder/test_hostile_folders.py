"""Model folders made to do harm: nothing runs, nothing is written outside, and a clear error comes soon.

Every case is tried in a fork that may take little time and memory.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import os
import resource
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from spanbert import SpanModel, durable
from spanbert.errors import DataError, MachineError, UsageError

SPANS, TAGS = "span-classification", "token-classification"
TEXT = "Anna met Bert of Acme Corp in the big house . " * 20  # several windows
CLEAR = {kind.__name__ for kind in (DataError, MachineError, UsageError)}
SECONDS, MEMORY = 15, 500_000_000
FILES = ("checksums.json", "config.json", "model.safetensors", "spanbert.json", "tokenizer.json")
Damage = Callable[[Path], object]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def folders(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sound ones: ours for each task, a stock fine-tuned checkpoint, an encoder alone with `.bin` weights."""
    work = tmp_path_factory.mktemp("sound")
    made = {name: work / name for name in (SPANS, TAGS, "stock", "encoder")}
    for task in (SPANS, TAGS):
        SpanModel.create(tiny_encoder, task=task, labels=["ORG", "PERSON"]).save_pretrained(made[task])
    shutil.copytree(made[TAGS], made["stock"], ignore=shutil.ignore_patterns("spanbert.json", "checksums.json"))
    shutil.copytree(tiny_encoder, made["encoder"], ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(load_file(tiny_encoder / "model.safetensors"), made["encoder"] / "pytorch_model.bin")
    for folder in made.values():
        assert use(folder)  # and torch has set itself up before the forks
    return made


def use(folder: Path) -> str:
    """What users do with a folder."""
    if (folder / "pytorch_model.bin").exists():
        model = SpanModel.create(folder, task=SPANS, labels=["X"])
    else:
        model = SpanModel.from_pretrained(folder, "cpu", "float32")
    return f"read: {model.predict(TEXT, threshold=0.0).spans}"


@contextmanager
def nothing_outside(folder: Path) -> Iterator[None]:
    """All that lies around the folder stays as it is; the folder too, but for what the block itself does to it."""
    around = folder.parent
    before = {path: path.lstat().st_mtime_ns for path in around.rglob("*") if folder not in (path, *path.parents)}
    yield
    assert before == {
        path: path.lstat().st_mtime_ns for path in around.rglob("*") if folder not in (path, *path.parents)
    }


@pytest.fixture
def attempt(folders: dict[str, Path], tmp_path: Path, in_fork: Callable) -> Callable[[str, Damage], tuple[str, str]]:
    """Use a copy of a folder after the damage, its checksums made anew: how it ended and what was said."""

    def run(kind: str, damage: Damage) -> tuple[str, str]:
        folder = Path(shutil.copytree(folders[kind], tmp_path / "model"))
        damage(folder)
        with nothing_outside(folder):
            ended = in_fork(lambda: use(folder), seconds=SECONDS, memory=MEMORY)
        return ended.how, ended.said

    return run


def refused(ended: tuple[str, str]) -> None:
    how, said = ended
    assert how in CLEAR, ended
    assert "\n  expected: " in said and "\n  do this:  " in said


def reseal(folder: Path) -> None:
    if (folder / "checksums.json").exists():
        sums = {p.name: durable.digest(p) for p in folder.iterdir() if p.is_file() and p.name != "checksums.json"}
        (folder / "checksums.json").write_text(json.dumps(sums), encoding="utf-8")


def edited(name: str, change: Callable[[Json], object]) -> Damage:
    """The JSON of a file changed in place."""

    def damage(folder: Path) -> None:
        record = json.loads((folder / name).read_text(encoding="utf-8"))
        change(record)
        (folder / name).write_text(json.dumps(record), encoding="utf-8")
        reseal(folder)

    return damage


def put(name: str, content: bytes) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(content)
        if name != "checksums.json":
            reseal(folder)

    return damage


# whole files


JUNK = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "object": b"{}",
    "number": b"9" * 5000,
    "bytes": b'{"\xff": 1}',
    "zeros": bytes(100),
    "deep": b'{"a":' * 100_000,
    "long": b" " * 3_000_000,
}


@pytest.mark.parametrize("content", JUNK)
@pytest.mark.parametrize("name", FILES)
def test_junk_in_place_of_a_file(attempt: Callable, name: str, content: str):
    refused(attempt(SPANS, put(name, JUNK[content])))


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def link(target: str) -> Damage:
    def make(path: Path) -> None:
        path.symlink_to(target)

    return make


ODD: dict[str, Damage] = {
    "pipe": as_pipe,
    "folder": Path.mkdir,
    "link to a device": link("/dev/zero"),
    "link to nothing": link("nothing"),
    "link to a text": link("/etc/passwd"),
    "link to a folder": link("/etc"),
    "link to a program": link("/proc/self/exe"),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", FILES)
def test_something_else_in_place_of_a_file(attempt: Callable, name: str, kind: str):
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        ODD[kind](folder / name)

    refused(attempt(SPANS, damage))


def test_a_link_to_itself(attempt: Callable):
    def damage(folder: Path) -> None:
        (folder / "config.json").unlink()
        (folder / "config.json").symlink_to(folder / "config.json")

    refused(attempt(SPANS, damage))


def test_links_as_the_hub_makes_them_are_fine(attempt: Callable):
    def damage(folder: Path) -> None:
        for path in list(folder.iterdir()):
            path.rename(folder.parent / f"blob-{path.name}")
            path.symlink_to(folder.parent / f"blob-{path.name}")

    assert attempt(SPANS, damage)[0] == "returned"


@pytest.mark.parametrize("name", FILES)
def test_names_in_another_case_are_other_names(attempt: Callable, name: str):
    def damage(folder: Path) -> None:
        (folder / name).rename(folder / name.title())
        reseal(folder)

    how, said = attempt(SPANS, damage)
    refused((how, said))
    assert name in said


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../outside", "..", "a\x00b", "\ud800", ".", "\n"])
def test_checksums_name_files_of_the_folder_alone(attempt: Callable, name: str):
    """Even where they are right."""

    def damage(folder: Path) -> None:
        (folder / "a").mkdir()
        (folder.parent / "outside").write_text("x", encoding="utf-8")
        sums = json.loads((folder / "checksums.json").read_text(encoding="utf-8"))
        sums[name] = durable.digest(folder / name) if (folder / name).is_file() else "0" * 64
        (folder / "checksums.json").write_text(json.dumps(sums), encoding="utf-8")

    refused(attempt(SPANS, damage))


CODE = b"from pathlib import Path\nPath(__file__).with_name('canary').touch()\n"


def test_code_in_a_folder_is_never_run(attempt: Callable, folders: dict[str, Path], tmp_path: Path):
    """Pickles, modules and templates of all names that libraries have run: they are not even opened."""
    canary = tmp_path / "model" / "canary"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(canary),)

    def damage(folder: Path) -> None:
        for name in ("optimizer.pt", "rng_state.pth", "training_args.bin", "scheduler.pt", "pytorch_model.pkl"):
            torch.save(Evil(), folder / name)
        for name in ("modeling.py", "tokenization.py", "configuration.py", "__init__.py", "conftest.py"):
            (folder / name).write_bytes(CODE)
        (folder / "chat_template.jinja").write_text("{{ ''.__class__ }}", encoding="utf-8")
        maps = {"auto_map": {"AutoModel": "modeling.Model", "AutoTokenizer": ["tokenization.T", None]}}
        for file in ("config.json", "tokenizer_config.json"):
            edited(file, lambda record: record.update(maps, trust_remote_code=True, chat_template="x"))(folder)
        edited("config.json", lambda record: record.update(attn_implementation="evil/repo"))(folder)

    clean = use(folders[SPANS])
    assert attempt(SPANS, damage) == ("returned", clean)
    assert not canary.exists()
    model = SpanModel.from_pretrained(tmp_path / "model", "cpu")
    model.save_pretrained(tmp_path / "again")  # and nothing of it is passed on
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == sorted(
        [*FILES, "README.md", "tokenizer_config.json"]
    )
    for path in (tmp_path / "again").glob("*.json"):
        assert not {"auto_map", "attn_implementation", "chat_template"} & set(json.loads(path.read_text()))


# config.json


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 10**9},
        {"vocab_size": 10**9},
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": 64, "hidden_size": 8192, "vocab_size": 1_000_000},
        {"max_position_embeddings": 2},
        {"hidden_size": "32"},
        {"hidden_size": [[[32]]]},
        {"layer_norm_eps": float("nan")},
        {"model_type": "llama"},
        {"model_type": {"a": 1}},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_shapes_that_cannot_be(attempt: Callable, changes: Json):
    refused(attempt(SPANS, edited("config.json", lambda record: record.update(changes))))


@pytest.fixture(scope="module")
def stock_classes(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Imported before the forks."""
    for kind in ("modernbert", "deberta-v2"):
        folder = Path(shutil.copytree(folders["encoder"], tmp_path_factory.mktemp("warm") / kind))
        edited("config.json", lambda record, kind=kind: record.update(model_type=kind, pad_token_id=0))(folder)
        with pytest.raises(DataError):
            use(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "deberta-v2", "max_relative_positions": 10**12, "relative_attention": True},
        {"model_type": "deberta-v2", "conv_kernel_size": 10**9},
        {"model_type": "deberta-v2", "pos_att_type": ["x"] * 2000},
        {"model_type": "modernbert", "hidden_activation": "os.system"},
        {"model_type": "modernbert", "local_attention": float("inf")},
        {"model_type": "modernbert", "pad_token_id": 1000},
        {"model_type": "modernbert", "layer_types": ["x"] * 900},
        {"model_type": "modernbert", "rope_parameters": {"a": {"rope_type": "evil"}}},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_shapes_that_stock_classes_cannot_have(stock_classes: None, attempt: Callable, changes: Json):
    refused(attempt("encoder", edited("config.json", lambda record: record.update({"pad_token_id": 0, **changes}))))


def test_a_shape_takes_no_memory_before_its_weights_are_there(
    stock_classes: None, folders: dict[str, Path], tmp_path: Path, in_fork: Callable
):
    """400 bytes of configuration ask for 164 MB: refused, since no such weights lie beside it."""
    folder = Path(shutil.copytree(folders["encoder"], tmp_path / "model"))
    shape = {"model_type": "modernbert", "vocab_size": 40_000, "hidden_size": 1024, "num_hidden_layers": 1}
    edited("config.json", lambda record: record.update(shape, intermediate_size=64, pad_token_id=0))(folder)

    def kilobytes() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(DataError):
            use(folder)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    ended = in_fork(kilobytes)
    assert ended.how == "returned" and int(ended.said) < 60_000


# spanbert.json


def task(change: Callable[[Json], object]) -> Callable[[Json], object]:
    return lambda record: change(next(iter(record["tasks"].values())))


def settings(**changes: object) -> Callable[[Json], object]:
    return task(lambda state: state["settings"].update(changes))


def calibration(**changes: object) -> Callable[[Json], object]:
    return task(lambda state: state["calibration"].update(changes))


RECORDS: dict[str, Any] = {
    "facts a string": (SPANS, lambda record: record.update(facts="x")),
    "facts null": (SPANS, lambda record: record.update(facts=None)),
    "facts a list": (SPANS, lambda record: record.update(facts=[1])),
    "slope a string": (SPANS, calibration(slope="1")),
    "slope null": (SPANS, calibration(slope=None)),
    "slope a list": (SPANS, calibration(slope=[1, 2])),
    "offset an object": (TAGS, calibration(offset={})),
    "threshold a word": (SPANS, task(lambda state: state.update(threshold="high"))),
    "threshold a list": (SPANS, task(lambda state: state.update(threshold=[0.5]))),
    "window beyond the positions": (SPANS, settings(window=1000)),
    "window without end": (TAGS, settings(window=10**9)),
    "window a boolean": (SPANS, settings(window=True)),
    "window negative": (SPANS, settings(window=-5)),
    "no labels": (SPANS, settings(labels=[])),
    "labels an object": (SPANS, settings(labels={"ORG": 1, "PERSON": 2})),
    "labels numbers": (SPANS, settings(labels=[1, 2])),
    "labels null": (SPANS, settings(labels=None)),
    "labels without end": (
        SPANS,
        settings(labels=[f"label-{number}" for number in range(50_000)]),
    ),
    "tags numbers": (TAGS, settings(tags=[1, 2, 3, 4, 5])),
    "tags of no scheme": (TAGS, settings(tags=["a", "b", "c", "d", "e"])),
    "policy a list": (SPANS, settings(policy=["flat"])),
    "scheme unknown": (TAGS, settings(scheme="x")),
    "settings a list": (SPANS, task(lambda state: state.update(settings=[]))),
    "tasks a list": (SPANS, lambda record: record.update(tasks=[{}])),
    "a task elsewhere": (SPANS, lambda record: record["tasks"].update({"../x": {}})),
    "threshold no number": (SPANS, task(lambda state: state.update(threshold=float("nan")))),
    "threshold negative": (SPANS, task(lambda state: state.update(threshold=-5))),
    "knots without end": (SPANS, calibration(knots=[[-1e308, 0.0], [1e308, 1.0]])),
    "a knot that is no number": (SPANS, calibration(knots=[[float("nan"), 0.0], [1.0, 1.0]])),
    "a label without end": (SPANS, calibration(labels={"ORG": float("inf")})),
    "no tasks": (SPANS, lambda record: record.update(tasks={})),
    "learnt a number": (SPANS, lambda record: record["facts"].update(learnt={"train": 5})),
    "learnt lists": (SPANS, lambda record: record["facts"].update(learnt={"train": [[1]]})),
    "held out null": (SPANS, lambda record: record["facts"].update(learnt={"held_out": None})),
    "added a list": (SPANS, lambda record: record["facts"].update(added={"x": [1]})),
    "added learnt a list": (SPANS, lambda record: record["facts"].update(added={"x": {"learnt": [1]}})),
    "added training a list": (SPANS, lambda record: record["facts"].update(added={"x": {"training": [1]}})),
    "a report of a number": (SPANS, lambda record: record["facts"].update(report={"micro": 5})),
    "sections a list": (SPANS, lambda record: record["facts"].update(about={"sections": [1]})),
    "format of tomorrow": (SPANS, lambda record: record.update(format=10**9)),
}


@pytest.mark.parametrize(
    ("kind", "change"), [pytest.param(*row[:2], marks=row[2:], id=name) for name, row in RECORDS.items()]
)
def test_a_record_of_another_mind(attempt: Callable, kind: str, change: Callable[[Json], object]):
    refused(attempt(kind, edited("spanbert.json", change)))


NAMES: dict[str, Any] = {
    "keys that are no numbers": ({"a": "O", "b": "B-X"},),
    "keys without end": ({"9" * 5000: "O", "1": "B-X"},),
    "outside only": ({str(number): "O" for number in range(5)},),
    "a list": (["O", "B-X"],),
    "white space": ({"0": "O", "1": "B-a b"},),
    "no label": ({"0": "O", "1": "B-"},),
    "objects": ({"0": {"a": 1}, "1": []},),
    "another number": ({"0": "O", "1": "B-X", "2": "I-X"},),
}


@pytest.mark.parametrize("names", [pytest.param(row[0], marks=row[1:], id=name) for name, row in NAMES.items()])
def test_tag_names_of_a_stock_checkpoint(attempt: Callable, names: object):
    refused(attempt("stock", edited("config.json", lambda record: record.update(id2label=names))))


def test_tags_without_end(attempt: Callable):
    """20,000 tags: a lattice of 400 million transitions."""

    def damage(folder: Path) -> None:
        names = {str(number): f"B-{number}" for number in range(20_000)}
        edited("config.json", lambda record: record.update(id2label=names))(folder)
        weights = load_file(folder / "model.safetensors")
        weights |= {"classifier.weight": torch.randn(20_000, 32), "classifier.bias": torch.zeros(20_000)}
        save_file(weights, folder / "model.safetensors")

    refused(attempt("stock", damage))


# tokenizer.json


def pattern(regex: str) -> Json:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def replacing(old: Json, new: str, times: int) -> Json:
    return {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": old, "content": new}] * times}


def added(content: str, **flags: bool) -> Json:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": 999, "content": content, **plain, **flags}


def more_words(**words: int) -> Callable[[Json], object]:
    return lambda record: record["model"]["vocab"].update(words)


TOKENIZERS: dict[str, Any] = {
    "a regex that never ends": (lambda record: record.update(pre_tokenizer=pattern(r"(\w+\s?)+\d")),),
    "a replacement that grows": (lambda record: record.update(normalizer=replacing({"String": "a"}, "a" * 10, 9)),),
    "a replacement of nothing": (
        lambda record: record.update(normalizer=replacing({"Regex": "(?=.)"}, "a" * 1000, 3)),
    ),
    "pieces of no length": (lambda record: record.update(pre_tokenizer={"type": "FixedLength", "length": 0}),),
    "growth while it is loaded": (
        lambda record: record.update(
            normalizer=replacing({"String": "a"}, "a" * 10, 9),
            added_tokens=[*record["added_tokens"], added("a", normalized=True)],
        ),
    ),
    "growth by other means": (
        lambda record: record.update(normalizer={"type": "Sequence", "normalizers": [{"type": "ByteLevel"}] * 60}),
    ),
    "a regex that is long to compile": (
        lambda record: record.update(pre_tokenizer=pattern("(?i)" + "ffist" * 20_000)),
    ),
    "a table of characters that takes all memory": (
        lambda record: record.update(
            normalizer={"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\0\0\0\x80" * 9).decode()}
        ),
    ),
    "a text many times in a template": (
        lambda record: record.update(
            post_processor={
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 20_000,
                "pair": [],
                "special_tokens": {},
            }
        ),
    ),
    "a piece that is deep": (
        lambda record: record.update(
            model={"type": "Unigram", "unk_id": 0, "vocab": [["[UNK]", 0.0], ["q" * 200_000, -1.0]]}
        ),
    ),
    "a prefix without end": (lambda record: record["model"].update(continuing_subword_prefix="#" * 2_000_000),),
    "words without end": (lambda record: record["model"].update(max_input_chars_per_word=10**9),),
    "a broken regex": (lambda record: record.update(pre_tokenizer=pattern("(((")),),
    "a broken table of characters": (
        lambda record: record.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
    ),
    "deep": (
        lambda record: record.update(
            normalizer=functools.reduce(
                lambda inner, _: {"type": "Sequence", "normalizers": [inner]}, range(150), {"type": "Lowercase"}
            )
        ),
    ),
    "an id beyond the vectors": (more_words(house=10**6),),
    "an id beyond all": (more_words(house=2**32 - 1),),
    "a negative id": (more_words(house=-1),),
    "words a list": (lambda record: record["model"].update(vocab=["a"]),),
    "no model": (lambda record: record.update(model=None),),
    "another model": (lambda record: record["model"].update(type="Evil"),),
}


@pytest.mark.parametrize("change", [pytest.param(row[0], marks=row[1:], id=name) for name, row in TOKENIZERS.items()])
def test_tokenizers(attempt: Callable, change: Callable[[Json], object]):
    refused(attempt(SPANS, edited("tokenizer.json", change)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt"])
def test_a_vocabulary_without_end(attempt: Callable, folders: dict[str, Path], name: str):
    """Five million words, where the encoder has vectors for a few."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(5_000_000))]
    if name == "vocab.txt":
        return refused(attempt("encoder", put(name, "\n".join(words).encode())))
    vocabulary = {word: number for number, word in enumerate(words)}
    return refused(attempt(SPANS, edited(name, lambda record: record["model"].update(vocab=vocabulary))))


# weights


def safetensors(header: object, data: int = 0) -> Damage:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return put("model.safetensors", struct.pack("<Q", len(text)) + text + bytes(data))


def tensor(begin: int, end: int, shape: list[int] | None = None, dtype: str = "F32") -> Json:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


SAFETENSORS: dict[str, Any] = {
    "the same place twice": (safetensors({"a": tensor(0, 8), "b": tensor(0, 8)}, 8),),
    "overlapping": (safetensors({"a": tensor(0, 8), "b": tensor(4, 12)}, 12),),
    "a gap": (safetensors({"a": tensor(0, 8), "b": tensor(12, 20)}, 20),),
    "more than is told": (safetensors({"a": tensor(0, 8)}, 80),),
    "less than is told": (safetensors({"a": tensor(0, 80)}, 8),),
    "before the beginning": (safetensors({"a": tensor(-8, 0)}, 8),),
    "backwards": (safetensors({"a": tensor(8, 0)}, 8),),
    "a size beyond all": (safetensors({"a": tensor(0, 8, [2**32, 2**32])}, 8),),
    "nothing times a size beyond all": (safetensors({"a": tensor(0, 0, [0, 2**64 - 1])}),),
    "half a byte a number": (safetensors({"a": tensor(0, 4, [8], "F4")}, 4),),
    "an unknown type": (safetensors({"a": tensor(0, 8, dtype="X")}, 8),),
    "a header that is a list": (safetensors([1]),),
    "a header without end": (safetensors(b'{"__metadata__":' + b"[" * 1_000_000),),
    "the same name twice": (safetensors(b'{"a":' + json.dumps(tensor(0, 8)).encode() + b',"a":1}', 8),),
    "no tensors": (safetensors({}),),
    "other tensors": (safetensors({"../../a": tensor(0, 8), "": tensor(8, 16)}, 16),),
    "whole numbers": (safetensors({"bert.embeddings.word_embeddings.weight": tensor(0, 4096, [32, 32], "I32")}, 4096),),
}


@pytest.mark.parametrize("damage", [pytest.param(row[0], marks=row[1:], id=name) for name, row in SAFETENSORS.items()])
def test_safetensors(attempt: Callable, damage: Damage):
    refused(attempt(SPANS, damage))


@pytest.mark.parametrize(
    "changes",
    [
        {"gold": {}},
        {"gold": {"PERSON": [-1]}},
        {"gold": {"PERSON": [10**30]}},
        {"documents": [10**30]},
        {"labels": [10**30]},
        {"labels": [-1]},
        {"logits": ["x"]},
        {"logits": [float("nan")]},
    ],
    ids=str,
)
def test_outcomes_of_another_mind(attempt: Callable, changes: Json):
    sound = {"logits": [1.0], "right": [1], "labels": [0], "documents": [0], "gold": {"PERSON": [1], "ORG": [0]}}

    def damage(folder: Path) -> None:
        put("outcomes.json", json.dumps({SPANS: {**sound, **changes}}).encode())(folder)
        reseal(folder)

    refused(attempt(SPANS, damage))


@pytest.mark.parametrize("name", ["model.safetensors", "README.md"])
def test_a_hole_of_half_a_terabyte(attempt: Callable, name: str):
    def damage(folder: Path) -> None:
        with (folder / name).open("r+b") as file:
            file.truncate(500 * 10**9)

    refused(attempt(SPANS, damage))


def test_tensors_without_end(folders: dict[str, Path], tmp_path: Path, in_fork: Callable):
    folder = Path(shutil.copytree(folders[SPANS], tmp_path / "model"))
    safetensors({f"t{number}": tensor(0, 0, [0]) for number in range(140_000)})(folder)
    assert in_fork(lambda: use(folder), seconds=2).how in CLEAR


def saved(value: object, *, packed: bool = False, **how: bool) -> Damage:
    """`pytorch_model.bin` as torch writes it; `packed`: compressed, which torch never does and reads all the same."""

    def damage(folder: Path) -> None:
        path = folder / "pytorch_model.bin"
        buffer = io.BytesIO()
        torch.save(value(torch.load(path, weights_only=True)) if callable(value) else value, buffer, **how)
        path.write_bytes(buffer.getvalue())
        if packed:
            with zipfile.ZipFile(buffer) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
                for entry in plain.infolist():
                    made.writestr(entry.filename, plain.read(entry))

    return damage


class Calls:
    """Unpickling it calls a function."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable, tuple[object, ...]]:
        return self.call


def laughs() -> list[Any]:
    """Ten lists of ten lists of …: 10^30 items for whoever walks through them."""
    return functools.reduce(lambda inner, _: [inner] * 10, range(30), [0])


OLD = {"_use_new_zipfile_serialization": False}
BINS: dict[str, Any] = {
    "a program": (saved(Calls(os.system, "touch canary"), **OLD),),
    "a program among the weights": (saved(lambda weights: {**weights, "a": Calls(eval, "open('canary', 'w')")}),),
    "a program behind an attribute": (saved(Calls(getattr, "x", "upper"), **OLD),),
    "lists of lists": (saved(laughs()),),
    "lists of lists among the weights": (saved(lambda weights: {**weights, "a": laughs()}),),
    "weights that are nowhere": (saved(lambda weights: {name: weight.to("meta") for name, weight in weights.items()}),),
    "sparse": (saved({"a": torch.sparse_coo_tensor([[0]], [1.0], (10**9,), check_invariants=True)}),),
    "20 GB of bytes": (saved(Calls(bytearray, 20 * 10**9), **OLD),),
    "a bomb": (saved(lambda weights: {**weights, "a": torch.zeros(10_000_000)}, packed=True),),
    "a tar": (put("pytorch_model.bin", bytes(257) + b"ustar" + bytes(1000)),),
}


@pytest.mark.parametrize("damage", [pytest.param(row[0], marks=row[1:], id=name) for name, row in BINS.items()])
def test_bin_files(attempt: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: Damage):
    monkeypatch.chdir(tmp_path)
    refused(attempt("encoder", damage))
    assert not (tmp_path / "canary").exists()
