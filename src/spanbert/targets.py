"""What a document teaches, as arrays: made by tasks, read by the losses of heads. C labels or tags, S spans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .tokenization import IntArray

BoolArray = npt.NDArray[np.bool_]
DISTANCES = (8, 16, 32, 64, 128, 256, 512)
"""Edges, in pieces between the beginnings of two mentions, of the eight distances for which a mention tells by itself
whether it goes back so far: fewer than 8, 8 to 15, ..., 512 and more."""


@dataclass(frozen=True, slots=True, eq=False)
class PairTargets:
    """Gold spans of a document."""

    spans: IntArray
    """S x 3: first piece, last piece, label."""
    taught: BoolArray
    """C, the labels that were annotated in this document; the others are not taught as absent."""


@dataclass(frozen=True, slots=True, eq=False)
class TagTargets:
    """Gold tags of a document."""

    tags: IntArray
    """T, the tag of each piece of the document."""
    taught: BoolArray
    """C, the tags that were annotated in this document; the others take no part in its softmax."""


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTargets:
    """Answers to the question that a window asks."""

    answers: IntArray
    """A x 2: first and last piece of the document; none: it has no answer."""
    thinned: float = 1.0
    """Windows without an answer to this question, for each of them that was drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class ClusterTargets:
    """Gold mentions of a document."""

    mentions: IntArray
    """M x 2: first and last piece."""
    clusters: IntArray
    """M: number of the cluster of each."""


@dataclass(frozen=True, slots=True, eq=False)
class RelationTargets:
    """Relations of a pair of spans."""

    holds: BoolArray
    """C, which labels are true of it."""
    taught: BoolArray
    """C, the labels that were annotated in its document; the others are not taught as absent."""
    weight: float = 1.0
    """For how many pairs this one stands."""


@dataclass(frozen=True, slots=True, eq=False)
class JointTargets:
    """Gold spans and relations of a document."""

    spans: PairTargets
    relations: IntArray
    """N x 7: first piece, last piece and label of the head, the same of the tail, relation."""
    taught: BoolArray
    """C, the relations that were annotated in this document; the others are not taught as absent."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskTargets:
    """The hidden pieces of one window, M of them; positions are those of the window."""

    columns: IntArray
    """5 x M: where each stood; the positions right before and right after its run of hidden pieces; its place inside
    that run, from 0; the piece to predict."""

    def __reduce__(self) -> tuple[type[MaskTargets], tuple[object, ...]]:
        """As of a window."""
        return MaskTargets, (self.columns,)
