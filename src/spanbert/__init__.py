"""Find spans in text, and say how sure it is.

    from spanbert import SpanModel, TrainConfig, evaluate, train

Names are imported when they are first used: importing the package costs nothing, and torch stays out until a model
is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .documents import Document, Relation, Span
    from .errors import SpanbertError
    from .evaluation.evaluate import evaluate
    from .formats import read_documents, write_documents
    from .inference.span_model import SpanModel
    from .training.config import TrainConfig
    from .training.loop import train

__version__ = "0.1.0"

_HOMES = {
    "Document": "documents",
    "Relation": "documents",
    "Span": "documents",
    "SpanModel": "inference.span_model",
    "SpanbertError": "errors",
    "TrainConfig": "training.config",
    "evaluate": "evaluation.evaluate",
    "read_documents": "formats",
    "train": "training.loop",
    "write_documents": "formats",
}
__all__ = [
    "Document",
    "Relation",
    "Span",
    "SpanModel",
    "SpanbertError",
    "TrainConfig",
    "evaluate",
    "read_documents",
    "train",
    "write_documents",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spanbert' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
