"""`spanbert doctor`."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from typing import Annotated, NamedTuple

import orjson
import typer

from .. import __version__
from ..errors import CheckFailed
from ..machine import cores

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

    from ..inference.precision import native_bf16

    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    return [
        Check("spanbert", True, __version__),
        Check("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check("processor", True, f"{cores()} cores, {torch.get_num_threads()} threads, load {busy:.1f}"),
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
    from ..inference.self_test import self_test

    began = time.monotonic()
    try:
        same = self_test()
    except Exception as error:  # whatever goes wrong here is the finding
        return Check("self-test", False, f"{type(error).__name__}: {error}", "reinstall spanbert")
    took = f"build, save, load, predict in {time.monotonic() - began:.1f} s"
    return Check("self-test", same, took if same else "a saved model predicts differently", "reinstall spanbert")
