"""Which documents a model was made with, by hashes of their texts: figures on these are not those of new ones."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..documents import Document

MOST = 2000
"""Hashes that are kept of each kind: the smallest, so that of more documents a random part can still be told."""
TRAIN, HELD_OUT, CALIBRATED = "train", "held_out", "calibrated"


def marks(documents: Sequence[Document]) -> list[int]:
    """Hashes of the texts, of 48 bits: two in MOST are equal by chance once in a hundred million times."""
    return sorted({_mark(document) for document in documents})[:MOST]


def seen(facts: Mapping[str, Any], documents: Sequence[Document]) -> tuple[int, int]:
    """(learnt from, chosen by) of these documents: whose spans the model was taught, and by which its checkpoint,
    thresholds or probabilities were chosen. Of more than MOST that it was made with, those that are remembered.
    """
    kept = [facts.get("learnt", {}), *(added.get("learnt", {}) for added in facts.get("added", {}).values())]
    taught = {mark for each in kept for mark in each.get(TRAIN, ())}
    chosen = {mark for each in kept for name in (HELD_OUT, CALIBRATED) for mark in each.get(name, ())} - taught
    mine = [_mark(document) for document in documents if document.text.strip()]
    return sum(mark in taught for mark in mine), sum(mark in chosen for mark in mine)


def calibrated(facts: Mapping[str, Any], tasks: Collection[str], documents: Sequence[Document]) -> dict[str, Any]:
    """The facts of a model after these of its tasks were calibrated on these documents; an added one has its own."""
    told = {CALIBRATED: marks(documents)}
    owners = {"": facts, **facts.get("added", {})}
    for name in {name if name in owners else "" for name in tasks}:
        owners[name] = {**owners[name], "learnt": {**owners[name].get("learnt", {}), **told}}
    whole = dict(owners.pop(""))
    return whole | {"added": owners} if owners else whole


def _mark(document: Document) -> int:
    return int.from_bytes(hashlib.sha256(document.text.encode()).digest()[:6])
