"""Whatever a text and whatever the scores: what holds of every prediction. `make soak` tries many more."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from spanbert.calibration.curve import Calibration
from spanbert.calibration.decision import Decision
from spanbert.documents import Document, Span
from spanbert.inference.predictor import Predictor
from spanbert.packing import Batch
from spanbert.tasks import settings_from, task_class
from spanbert.tokenization import Tokenizer
from spanbert.windows import Table

from .texts import texts

SPANS, TAGS = "span-classification", "token-classification"
LABELS = ("ORG", "PERSON")
POLICIES = ("flat", "nested", "overlapping", "arg-max")


@dataclass(frozen=True)
class AnyModel:
    """Scores that depend on the seed and on the pieces at the two ends of a span, and on nothing else."""

    seed: int
    spread: float
    room: int = 2048

    def run(self, batch: Batch, floors: Mapping[str, float]) -> Mapping[str, Table]:
        made = {SPANS: self._pairs, TAGS: self._tags}
        return {name: made[name](batch, floor) for name, floor in floors.items()}

    def _pairs(self, batch: Batch, floor: float) -> Table:
        columns = [np.zeros((5, 0))]
        for window, (begin, end) in enumerate(itertools.pairwise(batch.cu_seqlens)):
            at = begin + np.flatnonzero(batch.pieces[begin:end] >= 0)
            first, last, label = (x.ravel() for x in np.meshgrid(at, at, range(len(LABELS)), indexing="ij"))
            middle = batch.pieces[first] + batch.pieces[last]
            owned = (first <= last) & (batch.low[window] < middle) & (middle <= batch.high[window])
            first, last, label = first[owned], last[owned], label[owned]
            logit = self._numbers(batch.ids[first], batch.ids[last], last - first, label)
            rows = np.stack([np.full(len(first), window), batch.pieces[first], batch.pieces[last], label, logit])
            columns.append(rows[:, logit > floor])
        window, first, last, label, logit = np.concatenate(columns, axis=1)
        whole = {"window": window, "first": first, "last": last, "label": label}
        return {**{name: column.astype(np.int64) for name, column in whole.items()}, "logit": logit}

    def _tags(self, batch: Batch, floor: float) -> Table:
        owners, twice = batch.windows, 2 * batch.pieces
        rows = np.flatnonzero((batch.pieces >= 0) & (batch.low[owners] < twice) & (twice <= batch.high[owners]))
        emission = np.stack([self._numbers(batch.ids[rows], batch.pieces[rows], 0, tag) for tag in range(5)], axis=1)
        return {"window": owners[rows], "piece": batch.pieces[rows], "emission": emission}

    def _numbers(self, *keys: object) -> np.ndarray:
        mixed = np.uint64(self.seed)
        with np.errstate(over="ignore"):
            for key in keys:
                mixed = (mixed ^ np.asarray(key).astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
                mixed = mixed ^ (mixed >> np.uint64(29))
        return self.spread * ((mixed >> np.uint64(40)).astype(np.float64) / 2**24 - 0.6)


@pytest.fixture(scope="module")
def tokenizers(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Tokenizer]:
    """Cased and uncased."""
    path = tmp_path_factory.mktemp("uncased") / "vocab.txt"
    words = [word.lower() if word[0] != "[" else word for word in (tiny_encoder / "vocab.txt").read_text().split()]
    path.write_text("\n".join(words), encoding="utf-8")
    return Tokenizer.from_folder(tiny_encoder), Tokenizer.from_vocabulary(path)


@dataclass(frozen=True)
class Case:
    """One way to predict."""

    task: str
    policy: str
    window: int
    uncased: bool
    model: AnyModel
    calibration: Calibration
    threshold: float

    def predictor(self, tokenizers: tuple[Tokenizer, Tokenizer], threshold: float | None = None) -> Predictor:
        values: dict[str, object] = {"labels": LABELS, "window": self.window}
        values |= {"policy": self.policy} if self.task == SPANS else {}
        tokenizer = tokenizers[self.uncased]
        tasks = {self.task: task_class(self.task)(settings_from(self.task, values), tokenizer)}
        wanted = self.threshold if threshold is None else threshold
        return Predictor(tokenizer, tasks, self.model, {self.task: Decision(wanted, self.calibration)})


CASES = st.builds(
    Case,
    st.sampled_from([SPANS, SPANS, TAGS]),
    st.sampled_from(POLICIES),
    st.integers(3, 24),
    st.booleans(),
    st.builds(AnyModel, st.integers(0, 2**32), st.sampled_from([1.0, 10.0, 1000.0])),
    st.builds(Calibration, st.sampled_from([1.0, 0.3, 5.0]), st.sampled_from([0.0, -1.0, 2.0])),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
)
DOCUMENTS = st.lists(texts(), min_size=1, max_size=4).map(
    lambda found: [Document(f"d{number}", text) for number, text in enumerate(found)]
)


def overlapping(spans: tuple[Span, ...]) -> Iterator[tuple[Span, Span]]:
    for one, other in itertools.combinations(spans, 2):
        if one.start < other.end and other.start < one.end:
            yield one, other


@pytest.mark.parametrize("policy", [*POLICIES, "tags"])
@given(CASES, DOCUMENTS)
def test_spans_are_sound(tokenizers, policy: str, case: Case, documents: list[Document]):
    """In the text, on borders of graphemes, together as the policy wants, with probabilities that suffice."""
    case = replace(case, task=TAGS, policy="flat") if policy == "tags" else replace(case, task=SPANS, policy=policy)
    for given_, found in zip(documents, case.predictor(tokenizers)(documents), strict=True):
        text = given_.text
        assert (found.id, found.text) == (given_.id, text)
        assert found.coverage is not None and found.coverage.complete and found.coverage.characters == len(text)
        borders = {0, *itertools.accumulate(len(grapheme) for grapheme in regex.findall(r"\X", text))}
        for span in found.spans:
            assert 0 <= span.start < span.end <= len(text)
            assert {span.start, span.end} <= borders
            assert text[span.start : span.end].strip()
            assert span.label in LABELS
            assert span.score is not None and math.isfinite(span.score) and case.threshold <= span.score <= 1.0
        assert len({(span.start, span.end, span.label) for span in found.spans}) == len(found.spans)
        pairs = list(overlapping(found.spans))
        if case.policy == "flat":
            assert not pairs
        if case.policy == "nested":
            for one, other in pairs:
                inner, outer = sorted((one, other), key=lambda span: span.end - span.start)
                assert outer.start <= inner.start and inner.end <= outer.end
        if case.policy == "arg-max":
            assert len(found.spans) <= 1


@given(CASES, DOCUMENTS, st.randoms(use_true_random=False))
def test_company_and_order_make_no_difference(tokenizers, case: Case, documents: list[Document], draw):
    predictor = case.predictor(tokenizers)
    alone = {document.id: next(predictor([document])) for document in documents}
    shuffled = draw.sample(documents, len(documents))
    assert list(predictor(shuffled)) == [alone[document.id] for document in shuffled]


@given(CASES, DOCUMENTS, st.floats(0, 1))
def test_a_threshold_only_takes_away(tokenizers, case: Case, documents: list[Document], threshold: float):
    everything = case.predictor(tokenizers, 0.0)(documents)
    for found, all_of_it in zip(case.predictor(tokenizers, threshold)(documents), everything, strict=True):
        assert list(found.spans) == [span for span in all_of_it.spans if (span.score or 0.0) >= threshold]
