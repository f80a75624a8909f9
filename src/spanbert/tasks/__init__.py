"""The tasks: a row here and a file beside it make a new one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ..errors import UsageError, nearest

TASKS: dict[str, tuple[str, str, str]] = {
    "span-classification": ("span_classification", "SpanClassification", "SpanSettings"),
    "token-classification": ("token_classification", "TokenClassification", "TagSettings"),
    "question-answering": ("question_answering", "QuestionAnswering", "AnswerSettings"),
    "relation-extraction": ("relation_extraction", "RelationExtraction", "RelationSettings"),
    "span-masking": ("span_masking", "SpanMasking", "MaskingSettings"),
}
LEARNS_FROM_TEXT = ("span-masking",)
"""Tasks whose training needs no annotations."""
ANNOTATED = tuple(name for name in TASKS if name not in LEARNS_FROM_TEXT)


def task_class(name: str) -> Any:
    """The class of a task: `task_class(name)(settings, tokenizer)` is a `Task`."""
    return getattr(import_module(f"{__name__}.{_row(name)[0]}"), _row(name)[1])


def settings_class(name: str) -> Any:
    """The dataclass of its settings."""
    return getattr(import_module(f"{__name__}.{_row(name)[0]}"), _row(name)[2])


def settings_from(name: str, values: Mapping[str, Any]) -> Any:
    """The settings of a task from names and values, as flags, callers and bundles give them."""
    known = [field.name for field in dataclasses.fields(settings_class(name))]
    for key in values:
        if key not in known:
            hint = nearest(key, known) or "leave it out"
            raise UsageError(f"setting {key!r} of {name}", f"one of {', '.join(known)}", hint)
    return settings_class(name)(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def _row(name: str) -> tuple[str, str, str]:
    if name not in TASKS:
        raise UsageError(f"task {name!r}", f"one of {', '.join(TASKS)}", nearest(name, TASKS) or "pick one of these")
    return TASKS[name]
