"""Spans that are given to a model which finds spans and relations in one pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spanbert import Document, SpanModel, TrainConfig, train
from spanbert.calibration.curve import Calibration
from spanbert.calibration.decision import Decision
from spanbert.calibration.requirements import OperatingPoint
from spanbert.documents import Relation, Span
from spanbert.errors import UsageError
from spanbert.evaluation.calibrate import calibrate, summary
from spanbert.evaluation.outcomes import outcomes
from spanbert.heads import joint

JOINT = "joint-extraction"
TEXT = "the house of Anna was big and Acme Corp met with Dora . " * 6
NAMES = {"Anna": "PERSON", "Acme Corp": "ORG", "Dora": "PERSON"}


def model_of(encoder: Path, *tasks: str) -> SpanModel:
    """Untrained, and sure that everything is related."""
    labels = ["ORG", "PERSON", "relation:works"]
    settings = {"types": ("PERSON>ORG",), "several": False, "window": 32}
    made = SpanModel.create(encoder, task=JOINT, labels=labels, settings=settings)
    made.bundle.network.heads[JOINT].distance.data[:, 1] += 3.0
    for task in tasks:
        made = made.adding(task, settings={"window": 32})
    return made


def document_of(text: str = TEXT) -> Document:
    found = [
        Span(at, at + len(name), label)
        for name, label in NAMES.items()
        for at in range(len(text))
        if text.startswith(name, at)
    ]
    return Document("d", text, tuple(sorted(found, key=lambda span: span.start)))


def test_they_stay_and_are_related_among_themselves(tiny_encoder: Path):
    model, document = model_of(tiny_encoder), document_of()
    found = model.predict(document, given_spans=True)
    assert found.spans == document.spans and len(found.relations) > 10
    assert all(r.head.label == "PERSON" and r.tail.label == "ORG" for r in found.relations)
    assert len({(r.head, r.tail) for r in found.relations}) == len(found.relations)
    doubled = replace(
        document, spans=(*document.spans, *(replace(s, parts=((s.start, s.end),)) for s in document.spans))
    )
    assert len(model.predict(doubled, given_spans=True).relations) == len(found.relations)


def test_what_was_fitted_for_found_spans_says_nothing_of_them(tiny_encoder: Path):
    model, document = model_of(tiny_encoder), document_of()
    told = model.predict(document, given_spans=True).relations
    model.bundle.decisions[JOINT] = replace(model.bundle.decisions[JOINT], threshold=1.0)
    assert model.predict(document, given_spans=True).relations == told != ()
    model.bundle.operating_points["strict"] = OperatingPoint("precision>=0.9", {JOINT: {"relation:works": 0.1}})
    with pytest.raises(UsageError, match="given spans"):
        model.predict(document, given_spans=True, operating_point="strict")


def test_calibration_fits_a_curve_of_their_own(tiny_encoder: Path, tmp_path: Path):
    """A model that is sure of all relations, of which half are right: 0.5 is what it comes to say of them. The curve is
    kept with the model."""
    model = model_of(tiny_encoder)
    gold = []
    for number in range(12):
        document = replace(document_of(TEXT[:110]), id=str(number))
        pairs = model.predict(document, given_spans=True, threshold=0.0).relations
        gold.append(replace(document, relations=tuple(replace(pair, score=None) for pair in pairs[number % 2 :: 2])))
    calibrated, done = calibrate(model, gold)
    assert done[JOINT].given is not None and done[JOINT].given.after.count == 12 * len(pairs)
    told = "\n".join(summary(done)).partition("joint-extraction, given spans: ")[2]
    assert f"({12 * len(pairs):,} relations, cross-validated)" in told
    calibrated.save_pretrained(tmp_path)
    for each in (calibrated, SpanModel.from_pretrained(tmp_path)):
        scores = [r.score for r in each.predict(gold[0], given_spans=True, threshold=0.0).relations]
        assert len(scores) == len(pairs) and sum(scores) / len(scores) == pytest.approx(0.5, abs=0.1)
        given = done[JOINT].given
        assert each.bundle.decisions[JOINT].given == Decision(given.threshold, given.fit.calibration)
    assert min(r.score for r in model.predict(gold[0], given_spans=True, threshold=0.0).relations) > 0.8


def test_of_a_document_without_spans_they_are_found_as_ever(tiny_encoder: Path):
    """The curve for given spans is of relations alone: it says nothing of spans, nor of what is found with them."""
    made = model_of(tiny_encoder)
    made.bundle.network.heads[JOINT].spans.width_bias.data += 6.0
    never = Decision(0.99, Calibration(offset=-9.0))
    model = SpanModel(replace(made.bundle, decisions={JOINT: Decision(0.05, given=never)}))
    bare = Document("d", TEXT)
    found = model.predict(bare)
    assert found.spans and found.relations
    assert model.predict(bare, given_spans=True) == found
    assert not model.predict(document_of(), given_spans=True).relations
    both = model.predict([bare, document_of()], given_spans=True)
    assert both[0] == found and not both[1].relations


def test_given_spans_that_no_window_holds_are_not_missed_gold(tiny_encoder: Path):
    long = Span(0, 200, "PERSON")
    lost = Document("d", TEXT, (long,))
    found = outcomes(model_of(tiny_encoder).predictor(given_spans=True), [lost])[JOINT]
    assert not len(found.right) and not sum(int(counts.sum()) for counts in found.gold.values())


def test_further_training_keeps_what_was_fitted(tiny_encoder: Path):
    """Where what is held out is too little to fit anew, curve and threshold of both kinds stay."""
    curve = Calibration(offset=-1.0)
    decision = Decision(0.37, curve, given=Decision(0.4, curve))
    model = SpanModel(replace(model_of(tiny_encoder).bundle, decisions={JOINT: decision}), "cpu")
    text = TEXT[:60]
    person, org = document_of(text).spans[:2]
    gold = [Document(str(n), text, (person, org), (Relation(person, org, "works"),)) for n in range(3)]
    config = TrainConfig(epochs=1, device="cpu")
    kept = train(model, gold, gold[:1], config, [lambda event: None]).bundle
    assert kept.decisions == {JOINT: decision}


def test_tasks_that_share_windows_still_read_them_once(tiny_encoder: Path):
    document = document_of()
    alone = model_of(tiny_encoder).predict(document, given_spans=True)
    model = model_of(tiny_encoder, "coreference")
    for tasks in (model.bundle.tasks, dict(reversed(model.bundle.tasks.items()))):
        both = SpanModel(replace(model.bundle, tasks=tasks)).predict(document, given_spans=True)
        assert both.coverage == alone.coverage
        assert {(r.head, r.tail) for r in both.relations} == {(r.head, r.tail) for r in alone.relations}


def test_of_very_many_the_nearest_pairs_are_looked_at(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch):
    model, document = model_of(tiny_encoder), document_of(TEXT[:100])
    every = model.predict(document, given_spans=True, threshold=0.0).relations
    monkeypatch.setattr(joint, "MOST", 2)
    few = model.predict(document, given_spans=True, threshold=0.0).relations
    assert len(few) == 4 < len(every) + 1

    def gap(relation: object) -> int:
        return abs(relation.head.start - relation.tail.start)  # type: ignore[attr-defined]

    assert max(map(gap, few)) <= min(gap(r) for r in every if (r.head, r.tail) not in {(f.head, f.tail) for f in few})


def test_a_model_that_relates_nothing_refuses_them(tiny_encoder: Path):
    model = SpanModel.create(tiny_encoder, task="span-classification", labels=["PERSON"])
    with pytest.raises(UsageError, match="given spans"):
        model.predict(document_of(), given_spans=True)
