"""What a model decodes in gold documents, and whether it is right: what calibration and its figures are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..calibration.curve import Calibration
from ..calibration.fitting import Outcomes
from ..documents import Document, Judged
from ..inference.predictor import Predictor
from ..metrics.probabilities import BoolArray, FloatArray

_LEAST = 1e-12


def outcomes(predictor: Predictor, documents: Sequence[Document]) -> dict[str, Outcomes]:
    """What each task decodes in gold documents, and whether it is right; between their spans, if these are given."""
    judged: dict[str, list[Judged]] = {}
    for name, task in predictor.tasks.items():  # each sees what it may of the documents
        seen = documents if predictor.given_spans else map(task.visible, documents)
        readings = replace(predictor, tasks={name: task}).decoded(seen)
        judged[name] = [
            task.judged(document, decoded[name]) for document, (_, decoded) in zip(documents, readings, strict=True)
        ]
    return {name: collected(each, predictor.tasks[name].settings.labels) for name, each in judged.items()}


class Whole(NamedTuple):
    """Documents in which all that is told is right and nothing is missed."""

    probabilities: FloatArray
    """How probable that is for each document, were its parts independent: the product of how `sure` each is. What was
    never decoded has no part in it."""
    right: BoolArray
    """Whether it is so."""


def sure(found: Outcomes, told: BoolArray, probabilities: FloatArray, calibration: Calibration) -> FloatArray:
    """How probable it is that what is said of each is right, given those that each is right itself: where it is not
    told, that it is wrong; and of the best answer to a question that there is none, as was fitted, or else its share
    as decoded."""
    unsaid = 1.0 - probabilities
    if found.quiet is not None:
        shares = unsaid * np.exp(np.minimum(found.logits + found.quiet, 0.0))
        fitted = map(calibration.silent, unsaid.tolist(), found.quiet.tolist())
        unsaid = np.array([share if p is None else p for p, share in zip(fitted, shares.tolist(), strict=True)])
    return np.where(told, probabilities, unsaid)


def whole(judged: Sequence[Judged], found: Outcomes, probabilities: FloatArray, told: BoolArray) -> Whole:
    """Of the documents that were judged, given what was `collected` of them, which of that is told, and how probable it
    is that this is right."""
    number = len(judged)
    parts = np.log(np.maximum(probabilities, _LEAST))
    wrong = np.bincount(found.documents, weights=found.right != told, minlength=number)
    reached = np.bincount(found.documents, weights=found.right & told, minlength=number)
    gold = np.array([sum(each.gold.values()) for each in judged])
    return Whole(
        np.exp(np.bincount(found.documents, weights=parts, minlength=number)), (wrong == 0) & (reached == gold)
    )


def collected(judged: Sequence[Judged], labels: Sequence[str]) -> Outcomes:
    """The outcomes of several documents side by side, with logits as exact as a bundle keeps them."""
    sizes = [len(each.labels) for each in judged]
    silence = [right for each in judged for right in each.silence]
    quiet = [round(logit, 4) for each in judged for logit in each.quiet]
    return Outcomes(
        logits=np.array([round(logit, 4) for each in judged for logit in each.logits], dtype=np.float64),
        right=np.array([right for each in judged for right in each.right], dtype=np.bool_),
        labels=tuple(label for each in judged for label in each.labels),
        documents=np.repeat(np.arange(len(judged)), sizes),
        gold={label: np.array([each.gold.get(label, 0) for each in judged], dtype=np.int64) for label in labels},
        silence=np.array(silence, dtype=np.bool_) if silence else None,
        quiet=np.array(quiet, dtype=np.float64) if quiet else None,
    )
