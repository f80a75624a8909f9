"""The tasks: a row here and a file beside it make a new one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from ..errors import UsageError, check_among, nearest

TASKS: dict[str, tuple[str, str, str]] = {
    "span-classification": ("span_classification", "SpanClassification", "SpanSettings"),
    "token-classification": ("token_classification", "TokenClassification", "TagSettings"),
    "question-answering": ("question_answering", "QuestionAnswering", "AnswerSettings"),
    "relation-extraction": ("relation_extraction", "RelationExtraction", "RelationSettings"),
    "joint-extraction": ("joint_extraction", "JointExtraction", "JointSettings"),
    "coreference": ("coreference", "Coreference", "CoreferenceSettings"),
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
        check_among("setting", key, known, "leave it out", where=f"of {name}")
    return settings_class(name)(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def settings_of(names: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of several tasks: each value goes to those that have it, labels to the first. Raises UsageError."""
    if not names or len(set(names)) < len(names):
        raise UsageError(f"tasks {', '.join(names) or 'none'}", "one task, or several different ones", "name each once")
    if len(names) == 1:
        return {names[0]: settings_from(names[0], values)}
    known = {name: {field.name for field in dataclasses.fields(settings_class(name))} for name in names}
    for key in values:
        if not any(key in fields for fields in known.values()):
            hint = nearest(key, set().union(*known.values()), "leave it out")
            raise UsageError(f"setting {key!r} of {' and '.join(names)}", "a setting of one of them", hint)
    return {
        name: settings_from(
            name, {k: v for k, v in values.items() if k in known[name] and (k != "labels" or name == names[0])}
        )
        for name in names
    }


def _row(name: str) -> tuple[str, str, str]:
    check_among("task", name, TASKS)
    return TASKS[name]
