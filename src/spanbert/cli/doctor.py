"""`spanbert doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import orjson
import typer

from .. import __version__
from ..errors import CheckFailed

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "numpy", "typer", "rich")
LOWEST = {"torch": (2, 10), "transformers": (5, 10)}


class Check(NamedTuple):
    """One line of the answer."""

    name: str
    ok: bool
    found: str
    fix: str = ""


def command(*, json: Annotated[bool, typer.Option("--json", help="Print as JSON, for a bug report.")] = False) -> None:
    """Example: spanbert doctor"""
    checks = [*_machine(), *_packages(), _self_test()]
    failed = [check for check in checks if not check.ok]
    if json:
        record = {"ok": not failed, "version": __version__, "checks": [check._asdict() for check in checks]}
        typer.echo(orjson.dumps(record).decode())
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<18} {check.found}")
    if failed:
        raise CheckFailed(f"{failed[0].name}: {failed[0].found}", "a sound installation", failed[0].fix)


def _machine() -> list[Check]:
    import torch

    from ..encoder.precision import native_bf16

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    return [
        Check("spanbert", True, __version__),
        Check("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check("processor", True, f"{cores} cores, {torch.get_num_threads()} threads, load {busy:.1f}"),
        Check("bfloat16", True, "native" if native_bf16() else "not native here: fp32 is used"),
        Check("gpu", True, gpu),
        Check("free disk", free > 2.0, f"{free:.1f} GB for temporary files", "free some space"),
        Check("hub", True, "offline by HF_HUB_OFFLINE" if offline else "used only for models named by their hub name"),
    ]


def _packages() -> list[Check]:
    checks = []
    for name in PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            checks.append(Check(name, False, "not installed", f"pip install {name}"))
            continue
        numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2] if part.isdigit())
        lowest = LOWEST.get(name, (0, 0))
        wanted = ".".join(map(str, lowest))
        checks.append(Check(name, numbers >= lowest, version, f"pip install '{name}>={wanted}'"))
    return checks


def _self_test() -> Check:
    """Build a tiny model, save it, load it, predict: everything between text and spans runs once."""
    import torch

    from ..bundle import Bundle
    from ..encoder.packed import EncoderConfig, PackedBert
    from ..inference.span_model import SpanModel
    from ..tasks import settings_from, task_class
    from ..tokenization import Tokenizer

    began = time.monotonic()
    try:
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
            name = "span-classification"
            task = task_class(name)(settings_from(name, {"labels": ("span",)}), tokenizer)
            saved = SpanModel(Bundle.build(PackedBert(shape), tokenizer, {name: task}, {}), "cpu", "float32")
            saved.save_pretrained(Path(folder) / "model")
            again = SpanModel.from_pretrained(Path(folder) / "model", "cpu", "float32")
            text = "a b " * 600
            same = saved.predict(text, threshold=0.0) == again.predict(text, threshold=0.0)
    except Exception as error:  # whatever goes wrong here is the finding
        return Check("self-test", False, f"{type(error).__name__}: {error}", "reinstall spanbert")
    took = f"build, save, load, predict in {time.monotonic() - began:.1f} s"
    return Check("self-test", same, took if same else "a saved model predicts differently", "reinstall spanbert")
