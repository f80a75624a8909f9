"""`spanbert serve`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MachineError, plain
from ..models import EXTRACTOR
from ..serving.service import Service
from .flags import Device, Dtype, split, with_settings
from .show import talk
from .thresholds import Thresholds

if TYPE_CHECKING:
    from ..inference.span_model import Choices


@with_settings([Service, Thresholds], skip=())
def command(
    *,
    model: Annotated[
        str, typer.Option(help="Folder of a trained model, one inside the package, or a hub name.")
    ] = EXTRACTOR,
    device: Device = "auto",
    dtype: Dtype = "auto",
    settings: dict[str, Any],
) -> None:
    """Example: spanbert serve --model my-model --operating-point strict"""
    service, thresholds = Service(**split(Service, settings)), Thresholds(**split(Thresholds, settings))
    if missing := [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]:
        raise MachineError(f"no {' and no '.join(missing)}", "fastapi and uvicorn", "pip install fastapi uvicorn")
    service.keys()  # before the model is loaded

    from ..inference.span_model import SpanModel
    from ..serving.run import serve

    loaded = SpanModel.from_pretrained(model, device, dtype)
    chosen = thresholds.of(loaded)
    otherwise: Choices = {"threshold": chosen["threshold"], "operating_point": chosen["operating_point"]}
    points = ", ".join(loaded.bundle.operating_points) or "none"

    def ready(address: str) -> None:
        talk().print(plain(f"serving {model} at {address} (operating points: {points}); Ctrl-C ends it"), markup=False)

    name = Path(model).resolve().name if Path(model).exists() else model
    if not serve(loaded, name, service, otherwise, ready):
        os._exit(0)  # without waiting for a text that nobody waits for
