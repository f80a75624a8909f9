"""`spanbert info`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import orjson
import typer

from ..errors import plain


def command(
    *,
    model: Annotated[str, typer.Option(help="Folder of a trained model, or a hub name.")],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Example: spanbert info --model my-model"""
    from ..inference.span_model import SpanModel
    from ..model_card import model_card

    bundle = SpanModel.from_pretrained(model, "cpu", "float32").bundle
    if not json:
        typer.echo(plain(model_card(bundle)))
        return
    encoder = bundle.network.encoder
    record = {
        "parameters": sum(parameter.numel() for parameter in bundle.network.parameters()),
        "encoder": vars(encoder.config),
        "tasks": {
            name: {"settings": vars(task.settings), "threshold": bundle.decisions[name].threshold}
            for name, task in bundle.tasks.items()
        },
        "calibrated_on": {name: {"spans": len(each), "documents": each.texts} for name, each in bundle.fitted.items()},
        "operating_points": {name: dataclasses.asdict(point) for name, point in bundle.operating_points.items()},
        **{name: facts for name, facts in bundle.facts.items() if name != "learnt"},
    }
    typer.echo(orjson.dumps(record))
