"""Whether this installation works: everything between text and spans runs once on a tiny model."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from ..bundle import Bundle
from ..encoder.packed import EncoderConfig, PackedBert
from ..tasks import TASKS, settings_from, task_class
from ..tokenization import Tokenizer
from .span_model import SpanModel


def self_test() -> bool:
    """Build, save, load, predict: True where the loaded model predicts what the built one did."""
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        vocabulary = Path(folder) / "vocab.txt"
        vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n", encoding="utf-8")
        tokenizer = Tokenizer.from_vocabulary(vocabulary)
        shape = EncoderConfig(
            vocab_size=tokenizer.size,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
        )
        name = next(iter(TASKS))
        task = task_class(name)(settings_from(name, {"labels": ("span",)}), tokenizer)
        built = SpanModel(Bundle.build(PackedBert(shape), tokenizer, {name: task}, {}), "cpu", "float32")
        built.save_pretrained(Path(folder) / "model")
        loaded = SpanModel.from_pretrained(Path(folder) / "model", "cpu", "float32")
        text = "a b " * 600
        return built.predict(text, threshold=0.0) == loaded.predict(text, threshold=0.0)
