"""Find spans in text, and say how sure it is.

    from spanbert import SpanModel, TrainConfig, evaluate, train

Names are imported when they are first used: importing the package costs nothing, and torch stays out until a model
is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .documents import Cluster, Document, Question, Relation, Span
    from .errors import SpanbertError, SpanbertWarning
    from .evaluation.calibrate import calibrate, require
    from .evaluation.compare import compare, predicted_by
    from .evaluation.evaluate import evaluate
    from .formats import read_documents, write_documents
    from .formats.corpora import read_texts
    from .inference.span_model import SpanModel
    from .pretraining.config import PretrainConfig
    from .pretraining.pretrain import continued, new_model, pretrain
    from .pretraining.vocabulary import train_vocabulary
    from .selection import select
    from .training.config import TrainConfig
    from .training.loop import train

__version__ = "0.1.0"

_HOMES = {
    "Cluster": "documents",
    "Document": "documents",
    "PretrainConfig": "pretraining.config",
    "Question": "documents",
    "Relation": "documents",
    "Span": "documents",
    "SpanModel": "inference.span_model",
    "SpanbertError": "errors",
    "SpanbertWarning": "errors",
    "TrainConfig": "training.config",
    "calibrate": "evaluation.calibrate",
    "compare": "evaluation.compare",
    "continued": "pretraining.pretrain",
    "evaluate": "evaluation.evaluate",
    "new_model": "pretraining.pretrain",
    "predicted_by": "evaluation.compare",
    "pretrain": "pretraining.pretrain",
    "read_documents": "formats",
    "read_texts": "formats.corpora",
    "require": "evaluation.calibrate",
    "select": "selection",
    "train": "training.loop",
    "train_vocabulary": "pretraining.vocabulary",
    "write_documents": "formats",
}
__all__ = [
    "Cluster",
    "Document",
    "PretrainConfig",
    "Question",
    "Relation",
    "Span",
    "SpanModel",
    "SpanbertError",
    "SpanbertWarning",
    "TrainConfig",
    "calibrate",
    "compare",
    "continued",
    "evaluate",
    "new_model",
    "predicted_by",
    "pretrain",
    "read_documents",
    "read_texts",
    "require",
    "select",
    "train",
    "train_vocabulary",
    "write_documents",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spanbert' has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
