"""Model folders: weights come back as they were, and nothing in a folder can run code or take memory unchecked."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from spanbert.bundle import load_base
from spanbert.encoder import files
from spanbert.encoder.files import locate, read_json, read_tensors
from spanbert.encoder.loading import encoder_from, read_config, read_weights, to_stock
from spanbert.encoder.packed import EncoderConfig, PackedBert
from spanbert.errors import DataError, MachineError, UsageError
from spanbert.packing import lay_out
from spanbert.windows import Window

SHAPE: dict[str, object] = {
    "vocab_size": 12,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 10,
}
CONFIG = EncoderConfig(**SHAPE)  # type: ignore[arg-type]


@pytest.fixture
def stock() -> dict[str, Tensor]:
    """Every weight under its stock name, each different, made without our code."""
    h, i = 8, 16
    shapes = {f"embeddings.{name}_embeddings.weight": (n, h) for name, n in (("word", 12), ("position", 10))}
    shapes |= {"embeddings.token_type_embeddings.weight": (2, h)}
    shapes |= {f"embeddings.LayerNorm.{kind}": (h,) for kind in ("weight", "bias")}
    for layer in range(2):
        dense = {f"attention.self.{name}": (h, h) for name in ("query", "key", "value")}
        dense |= {"attention.output.dense": (h, h), "intermediate.dense": (i, h), "output.dense": (h, i)}
        for name, (rows, columns) in dense.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (rows, columns)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (rows,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"encoder.layer.{layer}.{name}.{kind}": (h,) for kind in ("weight", "bias")}
    draw = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}


def put(folder: Path, weights: dict[str, Tensor] | None = None, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    record = {"model_type": "bert", **SHAPE, **changes}
    (folder / "config.json").write_text(json.dumps({k: v for k, v in record.items() if v != "absent"}))
    if weights is not None:
        save_file(weights, folder / "model.safetensors")
    return folder


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def fault(action: object, *arguments: object) -> DataError:
    with pytest.raises(DataError) as caught:
        action(*arguments)
    return caught.value


# The table of names


def test_stock_weights_come_back(stock: dict[str, Tensor]):
    assert same(to_stock(encoder_from(CONFIG, stock)), stock)


def test_our_weights_come_back():
    with torch.random.fork_rng():
        encoder = PackedBert(CONFIG)
    again = encoder_from(CONFIG, to_stock(encoder))
    assert same(again.state_dict(), encoder.state_dict())
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_the_fused_matrix_is_query_key_value(stock: dict[str, Tensor]):
    fused = encoder_from(CONFIG, stock).layers[1].qkv.weight
    for k, name in enumerate(("query", "key", "value")):
        assert torch.equal(fused[8 * k : 8 * k + 8], stock[f"encoder.layer.1.attention.self.{name}.weight"])


@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_files_of_every_age_are_read(tmp_path: Path, stock: dict[str, Tensor], file: str, old: bool, prefix: str):
    """With and without the prefix, LayerNorm.gamma/beta or weight/bias, either kind of file."""

    def name_in_file(name: str) -> str:
        if old:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        return prefix + name

    written = {name_in_file(name): tensor for name, tensor in stock.items()}
    assert len(written) == len(stock)
    written |= {"cls.predictions.bias": torch.zeros(12), f"{prefix}pooler.dense.bias": torch.zeros(8)}
    folder = put(tmp_path)
    (save_file if file.endswith("safetensors") else torch.save)(written, folder / file)
    weights = read_weights(folder, CONFIG)
    assert same(to_stock(encoder_from(read_config(folder), weights)), stock)


def test_safetensors_come_first(tmp_path: Path, stock: dict[str, Tensor]):
    folder = put(tmp_path, stock)
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    assert same(read_weights(folder, CONFIG), stock)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_all_precisions_become_fp32(tmp_path: Path, stock: dict[str, Tensor], file: str, dtype: torch.dtype):
    narrow = {name: tensor.to(dtype) for name, tensor in stock.items()}
    folder = put(tmp_path)
    (save_file if file.endswith("safetensors") else torch.save)(narrow, folder / file)
    encoder = encoder_from(CONFIG, read_weights(folder, CONFIG))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert same(to_stock(encoder), {name: tensor.float() for name, tensor in narrow.items()})


def test_a_release_folder_loads(tmp_path: Path, stock: dict[str, Tensor]):
    """SpanBERT's release: no model_type, .bin with the prefix, a cased vocab.txt and no tokenizer configuration."""
    folder = put(tmp_path, model_type="absent", directionality="bidi", pooler_num_fc_layers=3)
    torch.save({f"bert.{name}": tensor for name, tensor in stock.items()}, folder / "pytorch_model.bin")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Barack", "barack", "a", "b", "c", "d", "e"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    encoder, tokenizer = load_base(folder)
    assert same(to_stock(encoder), stock)
    assert tokenizer.encode("Barack barack").ids.tolist() == [5, 6]


def test_a_vocabulary_larger_than_the_embedding_is_refused(tmp_path: Path, stock: dict[str, Tensor]):
    """13 words for 12 rows; 12 words fit. An id above the rows counts, however few words there are."""
    folder = put(tmp_path, stock)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"ABCDEFG"]
    (folder / "vocab.txt").write_text("\n".join(words))
    assert load_base(folder)[1].size == 12
    (folder / "vocab.txt").write_text("\n".join([*words, "H"]))
    assert fault(load_base, folder).found == f"the tokenizer of {folder} has 13 pieces, the encoder 12"
    (folder / "vocab.txt").write_text("\n".join([*words[:5], "", "", "", *"ABCDE"]))
    assert "has 13 pieces, the encoder 12" in fault(load_base, folder).found


# Weights that must be refused


class Evil:
    """Unpickling it makes a folder."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, stock: dict[str, Tensor], zipped: bool):
    folder, canary = put(tmp_path / "model"), tmp_path / "canary"
    evil = {**stock, "evil": Evil(canary)}
    torch.save(evil, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    error = fault(read_tensors, folder)
    assert error.found.startswith("weights that cannot be loaded safely (")
    assert error.place == str(folder / "pytorch_model.bin")
    assert not canary.exists()
    torch.load(folder / "pytorch_model.bin", weights_only=False)  # the bait works where the door is open
    assert canary.exists()


@pytest.mark.parametrize(
    "value",
    [[torch.zeros(1)], {"a": 1}, {"a": torch.zeros(1), "b": "x"}, {1: torch.zeros(1)}, torch.zeros(1), None],
    ids=["list", "number", "string", "numbered", "tensor", "none"],
)
def test_a_bin_file_is_a_table_of_tensors(tmp_path: Path, value: object):
    torch.save(value, put(tmp_path) / "pytorch_model.bin")
    assert fault(read_tensors, tmp_path).found == "an object that is not a table of tensors"


def test_a_view_that_claims_more_numbers_than_the_file_holds(tmp_path: Path):
    """Two bytes that claim to be 10^12 half-precision numbers: converting them would take 4 TB."""
    torch.save({"a": torch.zeros(1, dtype=torch.half).expand(10**12)}, put(tmp_path) / "pytorch_model.bin")
    assert fault(read_tensors, tmp_path).found == "an object that is not a table of tensors"
    torch.save({"a": torch.arange(6.0).view(2, 3).T, "b": torch.arange(9.0)[3:]}, tmp_path / "pytorch_model.bin")
    assert read_tensors(tmp_path)["a"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_bin_files_are_refused(tmp_path: Path, stock: dict[str, Tensor]):
    """Cut anywhere, or with bytes changed: a DataError or sound tensors, never another exception."""
    path = put(tmp_path) / "pytorch_model.bin"
    draw = np.random.default_rng(0)
    for zipped in (True, False):
        torch.save({"a": stock["embeddings.LayerNorm.bias"]}, path, _use_new_zipfile_serialization=zipped)
        sound = path.read_bytes()
        for cut in (0, 1, 10, 100, len(sound) // 2, len(sound) - 40):
            path.write_bytes(sound[:cut])
            assert fault(read_tensors, tmp_path).place == str(path)
        for _ in range(60):
            damaged = bytearray(sound)
            for place in draw.integers(0, len(sound), 3):
                damaged[place] = draw.integers(256)
            path.write_bytes(damaged)
            try:
                read_tensors(tmp_path)
            except DataError as error:
                assert error.place == str(path)


def test_truncated_safetensors(tmp_path: Path, stock: dict[str, Tensor]):
    path = put(tmp_path, stock) / "model.safetensors"
    sound = path.read_bytes()
    for length in (0, 7, 8, 100, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:length])
        error = fault(read_tensors, tmp_path)
        assert error.found.startswith("damaged weights (")
        assert error.place == str(path)


@pytest.mark.parametrize("claimed", [10**12, 2**64 - 1, 10_000_001])
def test_a_header_bomb_is_refused(tmp_path: Path, claimed: int):
    (put(tmp_path) / "model.safetensors").write_bytes(claimed.to_bytes(8, "little") + b"{}")
    assert fault(read_tensors, tmp_path).found == f"a header of {claimed} bytes"


def test_a_header_that_lies_about_its_tensors(tmp_path: Path):
    """The header says a tensor of 4 TB; the file has 8 bytes of data."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}}).encode()
    (put(tmp_path) / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    assert fault(read_tensors, tmp_path).found.startswith("damaged weights (")


def test_no_weights(tmp_path: Path):
    assert fault(read_tensors, put(tmp_path)).found == f"{tmp_path} has no weights"


@pytest.mark.parametrize(
    "name",
    [
        "embeddings.word_embeddings.weight",
        "embeddings.LayerNorm.bias",
        "encoder.layer.0.attention.self.key.weight",
        "encoder.layer.1.output.dense.bias",
    ],
)
def test_missing_misshapen_and_quantised_weights_are_named(stock: dict[str, Tensor], name: str):
    sound = stock[name]
    assert (
        fault(encoder_from, CONFIG, {k: v for k, v in stock.items() if k != name}).found == f"the weights lack {name}"
    )
    for wrong in (torch.zeros(3, 5), torch.zeros(()), torch.cat([sound, sound]), sound[..., :-1], sound[None]):
        error = fault(encoder_from, CONFIG, {**stock, name: wrong})
        assert error.found == f"{name} has shape {tuple(wrong.shape)}"
        assert error.expected == f"{tuple(sound.shape)}, as config.json says"
    error = fault(encoder_from, CONFIG, {**stock, name: sound.to(torch.int8)})
    assert error.found == f"{name} holds torch.int8"


def test_parts_of_the_fused_matrix_are_checked_one_by_one(stock: dict[str, Tensor]):
    """12 + 4 + 8 rows are as many as 8 + 8 + 8, but they are not a query, a key and a value."""
    name = "encoder.layer.0.attention.self."
    wrong = {f"{name}query.weight": torch.zeros(12, 8), f"{name}key.weight": torch.zeros(4, 8)}
    assert fault(encoder_from, CONFIG, {**stock, **wrong}).found == f"{name}query.weight has shape (12, 8)"


# config.json


def test_a_configuration_by_hand(tmp_path: Path):
    folder = put(tmp_path, hidden_act="relu", type_vocab_size=3, hidden_dropout_prob=0, layer_norm_eps=1e-5)
    expected = {**SHAPE, "hidden_act": "relu", "type_vocab_size": 3, "hidden_dropout_prob": 0, "layer_norm_eps": 1e-5}
    assert read_config(folder) == EncoderConfig(**expected)  # type: ignore[arg-type]


def test_keys_that_name_code_are_ignored(tmp_path: Path):
    evil = {
        "auto_map": {"AutoModel": "evil.Model"},
        "_attn_implementation": "someone/evil-kernel",
        "_attn_implementation_internal": "someone/evil-kernel",
        "experts_implementation": "x",
        "quantization_config": {"quant_method": "x"},
        "trust_remote_code": True,
        "torch_dtype": "float16",
        "transformers_version": "99",
        "__class__": "x",
    }
    assert read_config(put(tmp_path, **evil)) == CONFIG


@pytest.mark.parametrize("kind", ["llama", "", None, 1, ["bert"], "BERT"])
def test_other_model_types_are_refused(tmp_path: Path, kind: object):
    error = fault(read_config, put(tmp_path, model_type=kind))
    assert error.found == f"model_type {kind!r}"
    assert error.place == str(tmp_path / "config.json")


@pytest.mark.parametrize("name", SHAPE)
@pytest.mark.parametrize(
    "value", [0, -1, 10**9, 10**400, 8.0, "8", None, True, [8], {"a": 1}], ids=lambda v: str(v)[:8]
)
def test_sizes_are_sensible_whole_numbers(tmp_path: Path, name: str, value: object):
    error = fault(read_config, put(tmp_path, **{name: value}))
    assert error.found == f"{name} = {value!r}"
    assert error.expected.startswith("a whole number from 1 to ")


def test_the_largest_sizes_are_read_but_take_no_memory(tmp_path: Path):
    """1,000,000 x 8192 x 4 bytes would be 33 GB; the refusal names the first weight that is not there."""
    folder = put(tmp_path, vocab_size=1_000_000, hidden_size=8192, num_hidden_layers=64)
    assert fault(encoder_from, read_config(folder), {}).found == "the weights lack embeddings.word_embeddings.weight"
    assert fault(read_config, put(tmp_path, vocab_size=1_000_001)).expected == "a whole number from 1 to 1000000"


@pytest.mark.parametrize("name", ["vocab_size", "hidden_size", "num_attention_heads"])
def test_a_size_that_is_missing(tmp_path: Path, name: str):
    assert fault(read_config, put(tmp_path, **{name: "absent"})).found == f"{name} is missing"


def test_the_width_is_a_multiple_of_the_heads(tmp_path: Path):
    assert fault(read_config, put(tmp_path, num_attention_heads=3)).found == "hidden_size 8 with 3 attention heads"


@pytest.mark.parametrize("value", ["tanh", "", None, ["gelu"], {"a": 1}, 3])
def test_unknown_activations(tmp_path: Path, value: object):
    assert fault(read_config, put(tmp_path, hidden_act=value)).found == f"hidden_act {value!r}"


@pytest.mark.parametrize(
    "name", ["hidden_dropout_prob", "attention_probs_dropout_prob", "layer_norm_eps", "initializer_range"]
)
@pytest.mark.parametrize("value", [-0.1, 1.0, 2, math.inf, math.nan, "0.1", None, [0.1]])
def test_numbers_below_one(tmp_path: Path, name: str, value: object):
    assert fault(read_config, put(tmp_path, **{name: value})).found == f"{name} = {value!r}"


def test_relative_positions_are_refused(tmp_path: Path):
    error = fault(read_config, put(tmp_path, position_embedding_type="relative_key"))
    assert error.found == "position_embedding_type 'relative_key'"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "not JSON ("),
        (b"{", "not JSON ("),
        (b"\xff\xfe", "not JSON ("),
        (b"[" * 100_000, "not JSON ("),
        (b"[]", "a JSON list"),
        (b"null", "a JSON NoneType"),
        (b" " * 1_000_001, "1000001 bytes of JSON"),
    ],
    ids=["empty", "cut", "bytes", "deep", "list", "null", "long"],
)
def test_json_that_is_no_object(tmp_path: Path, content: bytes, found: str):
    (tmp_path / "config.json").write_bytes(content)
    error = fault(read_json, tmp_path / "config.json")
    assert error.found.startswith(found)
    assert error.place == str(tmp_path / "config.json")


def test_json_that_is_missing(tmp_path: Path):
    assert fault(read_config, tmp_path).found == "config.json is missing"


# Where a model is


def test_a_folder_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert locate(tmp_path) == tmp_path
    assert locate(str(tmp_path)) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert locate(f"~/{tmp_path.name}") == tmp_path


@pytest.mark.parametrize(
    "name", ["/no/such/folder", "model", "a/b/c", "../model", "./model", "a b/c", "-a/b", "a/b.git"]
)
def test_a_path_that_is_not_there(name: str):
    with pytest.raises(UsageError) as caught:
        locate(name)
    assert caught.value.found == f"{name} is not a folder"


def test_a_file_is_not_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").write_text("")
    monkeypatch.chdir(tmp_path)
    for name in ("owner/name", tmp_path / "owner" / "name"):
        with pytest.raises(UsageError, match="is not a folder"):
            locate(name)


def test_a_hub_name_without_a_network_fails_quickly():
    begin = time.monotonic()
    with pytest.raises(MachineError) as caught:
        locate("no-such-owner/no-such-model")
    assert time.monotonic() - begin < 5
    assert caught.value.found.startswith("there is no folder no-such-owner/no-such-model, and the hub model")
    assert caught.value.fix == "download no-such-owner/no-such-model on a machine with a network and pass its folder"


def test_the_fixture_loads_and_runs(tiny_encoder: Path, tmp_path: Path):
    encoder, tokenizer = load_base(tiny_encoder)
    pieces = tokenizer.encode("Anna undo Corp")
    window = Window(pieces.ids, np.zeros_like(pieces.ids), np.arange(len(pieces)), -1, 99)
    with torch.no_grad():
        vectors = encoder.eval()(lay_out([(window,)], [0]))
        shutil.copytree(tiny_encoder, tmp_path / "copy")
        weights = load_file(tmp_path / "copy" / "model.safetensors")
        (tmp_path / "copy" / "model.safetensors").unlink()
        torch.save(weights, tmp_path / "copy" / files.WEIGHT_FILES[1])
        again = load_base(tmp_path / "copy")[0].eval()(lay_out([(window,)], [0]))
    assert vectors.shape == (4, 32)
    assert torch.equal(vectors, again)
