"""The model as its users hold it, with trained weights."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from spanbert import SpanModel, TrainConfig, train
from spanbert.calibration.decision import Decision
from spanbert.documents import Document, Span
from spanbert.errors import DataError, UsageError
from spanbert.inference import predictor

SPANS, TAGS = TASKS = ("span-classification", "token-classification")
TEXT = "Anna met Bert of Acme Corp in the big house ."
FILLING = "the a met with in of from went said then and house river day on . , was big"
FILL = FILLING.split()


@pytest.fixture(scope="module")
def long_toy(toy_documents: Callable) -> Callable[[int, int], list[Document]]:
    """Two toy documents in one, so that windows of 64 positions are full."""

    def join(number: int, seed: int) -> list[Document]:
        made = iter(toy_documents(2 * number, seed))
        documents = []
        for one, other in zip(made, made, strict=True):
            shift = len(one.text) + 1
            moved = tuple(Span(s.start + shift, s.end + shift, s.label) for s in other.spans)
            documents.append(Document(one.id, f"{one.text} {other.text}", one.spans + moved))
        return documents

    return join


@pytest.fixture(scope="module", params=TASKS)
def model(request, tiny_encoder: Path, long_toy: Callable) -> SpanModel:
    config = TrainConfig(
        epochs=10, learning_rate=4e-3, head_learning_rate=1e-2, max_tokens=256, dtype="float32", device="cpu"
    )
    return train(SpanModel.create(tiny_encoder, task=request.param), long_toy(60, 1), long_toy(10, 2), config)


@pytest.fixture(scope="module")
def untrained(tiny_encoder: Path) -> SpanModel:
    """With its prior lifted: spans of one piece have even odds or better, longer ones less."""
    bundle = SpanModel.create(tiny_encoder, task=SPANS, labels=["X", "Y"]).bundle
    with torch.no_grad():
        bundle.network.heads[SPANS].width_bias += 6
    return SpanModel(bundle, "cpu", "float32")


def found(document: Document) -> list[tuple[int, int, str]]:
    return [(span.start, span.end, span.label) for span in document.spans]


def agree(one: Document, other: Document) -> bool:
    return found(one) == found(other) and all(
        a.score == pytest.approx(b.score, abs=1e-4) for a, b in zip(one.spans, other.spans, strict=True)
    )


def test_alone_in_a_batch_in_any_order_and_streamed(model: SpanModel, toy_documents: Callable):
    texts = [document.text for document in toy_documents(25, 9)] + ["", TEXT * 12, " ", "a"]
    alone = [model.predict(text) for text in texts]
    assert sum(len(document.spans) for document in alone) > 50
    order = random.Random(1).sample(range(len(texts)), len(texts))
    shuffled = model.predict([texts[k] for k in order])
    for given in (model.predict(texts), list(model.predict_stream(iter(texts)))):
        assert [document.id for document in given] == [f"text-{n}" for n in range(len(texts))]
        assert all(map(agree, given, alone))
    assert all(agree(shuffled[place], alone[k]) for place, k in enumerate(order))


@pytest.fixture(scope="module")
def planted() -> tuple[str, list[Span]]:
    """2,000 words of filling, in each stretch of 40 a name at another place: 50 names."""
    draw, words, spans = random.Random(3), [], []
    names = {40 * k + draw.randrange(40): draw.choice(["Anna", "Bert", "Carl", "Dora"]) for k in range(50)}
    length = 0
    for n in range(2000):
        words.append(names.get(n) or draw.choice(FILL))
        if n in names:
            spans.append(Span(length, length + 4, "PERSON"))
        length += len(words[-1]) + 1
    return " ".join(words), spans


def test_long_documents(model: SpanModel, planted: tuple):
    """Nothing is lost: neither in the middle of 2,000 words nor at the borders of windows of 64 positions."""
    text, spans = planted
    document = model.predict(text)
    assert document.coverage.complete and document.coverage.windows >= 2000 / 62
    assert {(span.start, span.end, span.label) for span in spans} == set(found(document))


def test_a_name_at_every_position(model: SpanModel):
    """One name in 150 words, at 50 places three words apart: each is found where it stands."""
    texts = [" ".join([*FILL * 9][:n] + ["Dora"] + [*FILL * 9][n:150]) for n in range(0, 150, 3)]
    for text, document in zip(texts, model.predict(texts), strict=True):
        start = text.index("Dora")
        assert (start, start + 4, "PERSON") in found(document), start
        assert document.coverage.complete


@pytest.mark.parametrize(("text", "pieces"), [("", 0), (" ", 0), ("\n \t", 0), ("a", 1), ("é", 1), ("👩‍👩‍👧", 1)])
def test_tiny_texts(model: SpanModel, text: str, pieces: int):
    for threshold in (None, 0.0):
        document = model.predict(text, threshold=threshold)
        assert document.text == text and document.coverage.complete
        assert document.coverage.windows == pieces
        assert all(0 <= span.start < span.end <= len(text) for span in document.spans)


def test_half_a_surrogate_pair(model: SpanModel):
    for call in (lambda: model.predict("a \ud800 b"), lambda: list(model.predict_stream(["fine", "a \ud800 b"]))):
        with pytest.raises(DataError, match=r"U\+D800\) at character 2"):
            call()


def test_predict_gives_what_it_was_given(model: SpanModel):
    """One text or document: a document; a list: a list; a document keeps its id and meta and loses its gold."""
    one = model.predict(TEXT)
    assert isinstance(one, Document) and (one.id, one.text) == ("text-0", TEXT)
    own = Document("mine", TEXT, (Span(5, 8, "GOLD"),), meta={"k": 1})
    given = model.predict(own)
    assert (given.id, given.meta, found(given)) == ("mine", {"k": 1}, found(one))
    both = model.predict([TEXT, own])
    assert isinstance(both, list) and [document.id for document in both] == ["text-0", "mine"]
    assert model.predict([]) == [] and model.predict((TEXT,)) == [one]
    assert inspect.isgenerator(iter(model.predict_stream([TEXT])))


def test_the_stream_is_lazy(model: SpanModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(predictor, "CHUNK_DOCUMENTS", 4)
    pulled = []

    def endless() -> Iterator[str]:
        while True:
            pulled.append(TEXT)
            yield TEXT

    stream = model.predict_stream(endless())
    assert next(stream).id == "text-0" and len(pulled) <= 5
    for number in range(1, 9):
        assert next(stream).id == f"text-{number}"
    assert len(pulled) <= 13


def test_threshold(model: SpanModel):
    sets = [set(model.predict(TEXT * 3, threshold=t).spans) for t in (0.0, 0.2, 0.5, 0.9, 0.999)]
    assert all(higher <= lower for lower, higher in zip(sets, sets[1:], strict=False))
    for wrong in (-0.1, 1.1, float("nan"), "0.5", {"PERSON": 0.5}, True):
        with pytest.raises(UsageError, match="a probability from 0 to 1"):
            model.predict(TEXT, threshold=wrong)


def test_the_models_own_threshold(model: SpanModel):
    bundle = model.bundle
    name = next(iter(bundle.tasks))
    strict = dataclasses.replace(bundle, decisions={name: bundle.decisions[name].at(1.0)})
    assert SpanModel(strict, "cpu", "float32").predict(TEXT).spans == ()
    if name == SPANS:  # under another policy than its own it says nothing
        assert SpanModel(strict, "cpu", "float32").predict(TEXT, policy=bundle.tasks[name].settings.policy).spans == ()
        assert len(SpanModel(strict, "cpu", "float32").predict(TEXT, policy="arg-max").spans) == 1
    assert (
        SpanModel(strict, "cpu", "float32").predict(TEXT, threshold=0.5).spans
        == model.predict(TEXT, threshold=0.5).spans
    )


def test_other_policies(untrained: SpanModel):
    """Flat: no two overlap; nested: none cross; overlapping: every span for itself; arg-max: one span."""
    spans = {
        policy: untrained.predict(TEXT, policy=policy, threshold=0.0).spans
        for policy in ("flat", "nested", "overlapping", "arg-max")
    }
    pairs = [(a, b) for policy in ("flat", "nested") for a in spans[policy] for b in spans[policy]]
    assert not any(a.start < b.start < a.end < b.end for a, b in pairs)
    assert not any(a != b and a.start < b.end and b.start < a.end for a in spans["flat"] for b in spans["flat"])
    assert len(spans["flat"]) >= 11 and len(spans["overlapping"]) > 2 * 11 and len(spans["nested"]) >= 2 * 11
    assert any(a.start < b.start < a.end < b.end for a in spans["overlapping"] for b in spans["overlapping"])
    assert len(spans["arg-max"]) == 1
    (best,) = untrained.span_scores(TEXT, top=1)
    assert (best.start, best.end, best.label) == (lambda s: (s.start, s.end, s.label))(spans["arg-max"][0])
    assert len(untrained.predict(TEXT * 30, policy="arg-max").spans) == 1
    long = found(untrained.predict(TEXT * 30, policy="overlapping", threshold=0.5))
    assert len(long) == len(set(long)) > 600  # windows overlap, what they own does not
    assert untrained.predict("", policy="arg-max").spans == ()


def test_nested_and_overlapping_have_more_room(tiny_encoder: Path):
    """With every width bias lifted by 20 all logits are positive: flat takes disjoint spans, overlapping all."""
    model = SpanModel.create(tiny_encoder, task=SPANS, labels=["X", "Y"])
    with torch.no_grad():
        model.bundle.network.heads[SPANS].width_bias += 20
    sizes = [len(model.predict("Anna met Bert", policy=p).spans) for p in ("flat", "nested", "overlapping", "arg-max")]
    assert sizes == [3, 2 * 5, 2 * 6, 1]  # of 6 pairs, nested has 3 + 1 + 1 on 3 pieces, and 2 labels on each


def test_unknown_policy(model: SpanModel):
    with pytest.raises(UsageError, match="policy"):
        model.predict(TEXT, policy="nestd")


def test_tags_have_one_policy(tiny_encoder: Path):
    tags = SpanModel.create(tiny_encoder, task=TAGS, labels=["X"])
    with pytest.raises(UsageError, match="policy 'nested' for token classification"):
        tags.predict(TEXT, policy="nested")


def test_span_scores(untrained: SpanModel):
    """10 words and so 11 pieces: 66 pairs, two labels."""
    for top in (1, 20, 40):
        scores = untrained.span_scores(TEXT, top=top)
        assert len(scores) == top
        values = [span.score for span in scores]
        assert values == sorted(values, reverse=True) and 0.0 <= values[-1] <= values[0] <= 1.0
        assert all(TEXT[s.start : s.end].strip() == TEXT[s.start : s.end] and s.label in "XY" for s in scores)
        assert len({(s.start, s.end, s.label) for s in scores}) == top
    assert len(untrained.span_scores(TEXT)) == 20
    assert len(untrained.span_scores("Anna")) == 2 and untrained.span_scores("") == []


def test_span_scores_find_the_names(model: SpanModel):
    scores = model.span_scores(TEXT)
    assert {(0, 4, "PERSON"), (9, 13, "PERSON"), (17, 26, "ORG")} == {(s.start, s.end, s.label) for s in scores[:3]}


def test_span_sets(untrained: SpanModel, tiny_encoder: Path):
    """The best set is what is predicted; shares fall and sum to one at most; a score is a share of all sets too."""
    sets = untrained.span_sets(TEXT, top=4)
    best = untrained.predict(TEXT, threshold=0.5)
    assert [(s.start, s.end, s.label) for s in sets[0].spans] == [(s.start, s.end, s.label) for s in best.spans]
    shares = [each.probability for each in sets]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1 + 1e-9 and len(shares) == 4
    for spans, _ in untrained.span_sets(TEXT, top=20):
        assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
        assert all(0.0 <= span.score <= 1.0 for span in spans)
    (empty,) = untrained.span_sets("")
    assert empty == ((), 1.0)
    for task, settings in ((TAGS, {}), (SPANS, {"policy": "nested"})):
        other = SpanModel.create(tiny_encoder, task=task, labels=["X"], settings=settings)
        with pytest.raises(UsageError, match="sets of spans of a"):
            other.span_sets(TEXT)


def test_bfloat16_probabilities(model: SpanModel, toy_documents: Callable):
    raw = dict.fromkeys(model.bundle.decisions, Decision(0.5))  # a fitted curve may be level where all is sure
    model = SpanModel(dataclasses.replace(model.bundle, decisions=raw), "cpu", "float32")
    half = SpanModel(model.bundle, "cpu", "bfloat16")
    for document in toy_documents(10, 11):
        exact = {(s.start, s.end, s.label): s.score for s in model.predict(document.text, threshold=0.0).spans}
        near = {(s.start, s.end, s.label): s.score for s in half.predict(document.text, threshold=0.0).spans}
        for key in exact.keys() | near.keys():
            assert near.get(key, 0.0) == pytest.approx(exact.get(key, 0.0), abs=0.02)
    assert exact != near  # it was computed in another precision


def test_without_labels_nothing_can_be_predicted(tiny_encoder: Path):
    for task in TASKS:
        model = SpanModel.create(tiny_encoder, task=task)
        for call in (lambda model=model: model.predict(TEXT), lambda model=model: model.span_scores(TEXT)):
            with pytest.raises(UsageError, match=f"the {task} of this model has no labels yet"):
                call()


def test_create(tiny_encoder: Path):
    """The window is what the encoder can read; the head depends on the seed alone."""
    model = SpanModel.create(tiny_encoder, task=SPANS, labels=["B", "A"], settings={"policy": "nested"})
    settings = model.bundle.tasks[SPANS].settings
    assert (settings.window, settings.policy, model.labels) == (64, "nested", ("B", "A"))
    heads = [
        SpanModel.create(tiny_encoder, task=SPANS, labels=["A"], seed=seed).bundle.network.heads[SPANS].bilinear
        for seed in (0, 0, 1)
    ]
    assert (heads[0] == heads[1]).all() and not (heads[0] == heads[2]).all()
    for wrong, hint in (({"polcy": "flat"}, "did you mean 'policy'"), ({"policy": "nestd"}, "did you mean 'nested'")):
        with pytest.raises(UsageError, match=hint):
            SpanModel.create(tiny_encoder, task=SPANS, labels=["A"], settings=wrong)
    with pytest.raises(UsageError, match="did you mean 'span-classification'"):
        SpanModel.create(tiny_encoder, task="span-clasification")


def test_what_is_no_text_is_refused(tiny_encoder: Path):
    model = SpanModel.create(tiny_encoder, task="span-classification", labels=["X"])
    with pytest.raises(UsageError, match="a int to predict on"):
        model.predict([1])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="one text"):
        next(model.predict_stream("the house"))


@pytest.mark.parametrize("given", [{"id": "7", "text": TEXT}, b"text", None, 7])
def test_what_is_neither_text_nor_documents_is_refused(model: SpanModel, given: object):
    with pytest.raises(UsageError, match="a text, a Document, or a list or stream of these"):
        model.predict(given)


def test_a_policy_is_one_of_those_there_are(model: SpanModel):
    with pytest.raises(UsageError, match="policy 'nestd'"):
        model.predict(TEXT, policy="nestd")


def test_a_model_that_knows_nothing_yet_is_not_saved(tiny_encoder: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="no labels yet"):
        SpanModel.create(tiny_encoder, task=SPANS).save_pretrained(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_an_encoder_says_that_it_is_one():
    with pytest.raises(UsageError, match="an encoder, which finds nothing by itself"):
        SpanModel.from_pretrained("spanbert-mini", "cpu", "float32").predict(TEXT)


def test_the_home_folder_has_its_short_name(model: SpanModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model.save_pretrained("~/saved")
    assert (tmp_path / "saved" / "spanbert.json").is_file()
    assert SpanModel.from_pretrained("~/saved", "cpu", "float32").labels == model.labels
