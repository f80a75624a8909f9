"""How good a model is on annotated documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..documents import Document, only_documents
from ..errors import DataError, check_among
from ..inference.predictor import Predictor
from ..inference.span_model import SpanModel
from ..metrics.breakdown import Group
from ..metrics.probabilities import BoolArray, FloatArray, calibration_report
from ..metrics.report import Report, Unreachable
from ..tasks.task import Task
from ..tokenization import Pieces
from .borders import by_border
from .outcomes import Whole, collected, sure, whole


@dataclass(frozen=True, slots=True)
class Examined:
    """A report with what it was made from."""

    report: Report
    predicted: tuple[Document, ...]
    """In the order of the gold documents."""
    probabilities: FloatArray
    """Of everything that was decoded in all of them, whatever the threshold."""
    right: BoolArray
    """Which of it is so."""
    whole: Whole | None = None
    """The same of whole documents."""
    border: Group | None = None
    """Which spans stand near a cut between windows (`borders.py`)."""


def evaluate(
    model: SpanModel,
    documents: Iterable[Document],
    *,
    threshold: float | None = None,
    operating_point: str | None = None,
    task: str | None = None,
) -> Report:
    """The report of one of the model's tasks on gold documents; the model sees what its task says is visible.

    task: which one; None: the first. Relations are those between the gold spans. The figures of calibration are of
    everything that was decoded, whatever the threshold.
    """
    listed = list(only_documents(documents))
    predictor = model.predictor(threshold=threshold, operating_point=operating_point)
    return evaluate_with(predictor if task is None else alone(predictor, task), listed)


def alone(predictor: Predictor, task: str) -> Predictor:
    """The same with one of its tasks. Raises UsageError for one that it does not have."""
    check_among("task", task, predictor.tasks, "leave it out")
    return predictor if len(predictor.tasks) == 1 else replace(predictor, tasks={task: predictor.tasks[task]})


def evaluate_with(predictor: Predictor, documents: Sequence[Document]) -> Report:
    """Like `evaluate`, for a predictor that is at hand."""
    return examined(predictor, documents).report


def examined(predictor: Predictor, documents: Sequence[Document]) -> Examined:
    """Like `evaluate_with`, with the predictions."""
    if not documents:
        raise DataError("no documents", "at least one annotated document", "check the file that was given")
    name, task = next(iter(predictor.tasks.items()))
    predictor = alone(predictor, name)
    predicted, judged = [], []
    task.scored(documents, documents)  # gold that cannot be scored is refused before anything is read
    readings = predictor.decoded(task.visible(document) for document in documents)
    for document, (reading, decoded) in zip(documents, readings, strict=True):
        predicted.append(predictor.probable(reading, decoded))
        judged.append(task.judged(document, decoded[name]))
    found = collected(judged, task.settings.labels)
    decision = predictor.decisions[name]
    probabilities = found.probabilities(decision.calibration)
    pieces = predictor.tokenizer.pieces([document.text for document in documents])
    least = predictor.label_thresholds.get(name, {})
    told = probabilities >= [least.get(label, decision.threshold) for label in found.labels]
    documents_right = whole(judged, found, sure(found, told, probabilities, decision.calibration), told)
    report = replace(
        task.report(documents, predicted),
        unreachable=unreachable(task, documents, pieces),
        calibration=calibration_report(probabilities, found.right),
        whole_documents=calibration_report(*documents_right),
    )
    border = by_border(task, documents, pieces)
    return Examined(report, tuple(predicted), probabilities, found.right, documents_right, border)


def unreachable(task: Task, documents: Sequence[Document], pieces: Sequence[Pieces]) -> tuple[Unreachable, ...]:
    """Gold spans that this configuration cannot predict whatever it learns; they count as misses."""
    return tuple(
        Unreachable(document.id, span, reason)
        for document, found in zip(documents, pieces, strict=True)
        for span, reason in task.unreachable(document, found)
        if document.looked_for(span.label)
    )
