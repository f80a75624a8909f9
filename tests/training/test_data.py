"""Documents to steps: what is refused, and that an epoch is a pure function of seed and number."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spanbert.documents import Cluster, Document, Question, Relation, Span
from spanbert.errors import DataError
from spanbert.tasks import settings_from, task_class
from spanbert.tokenization import Tokenizer
from spanbert.training.data import Corpus, check, doubts, generator, hold_out, plan

TASKS = ("span-classification", "token-classification")


def spans_of(document: Document) -> tuple[Span, ...]:
    return document.spans


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


@pytest.fixture(scope="module")
def corpus(tokenizer: Tokenizer, toy_documents: Callable) -> Corpus:
    return Corpus.read(toy_documents(30, 5), tokenizer)


def tasks(tokenizer: Tokenizer, *names: str) -> dict:
    values = {"labels": ("ORG", "PERSON"), "window": 20, "overlap": 4}
    return {name: task_class(name)(settings_from(name, values), tokenizer) for name in names}


def content(steps: list) -> list:
    return [
        (step.task, [[window.ids.tolist() for window in example.windows] for example in step.examples])
        for step in steps
    ]


def test_the_fingerprint_changes_with_every_kind_of_annotation(tokenizer: Tokenizer):
    a, b = Span(0, 4, "X"), Span(9, 13, "X")
    bare = Document("d", "Anna met Bert", (a, b))
    kinds = [
        bare,
        replace(bare, relations=(Relation(a, b, "met"),)),
        replace(bare, relations=(Relation(a, b, "left"),)),
        replace(bare, clusters=(Cluster((a, b)),)),
        replace(bare, questions=(Question("q", "Who?", (a,)),)),
    ]
    assert len({Corpus.read([document], tokenizer).fingerprint for document in kinds}) == len(kinds)


@pytest.mark.parametrize("names", [TASKS[:1], TASKS])
def test_plan_depends_on_seed_and_epoch_alone(tokenizer: Tokenizer, corpus: Corpus, names: tuple):
    made = tasks(tokenizer, *names)
    first = content(plan(made, corpus, 1, 0, 100))
    np.random.seed(99)  # whatever was drawn before
    assert content(plan(made, corpus, 1, 0, 100)) == first
    assert content(plan(made, corpus, 1, 1, 100)) != first
    assert content(plan(made, corpus, 2, 0, 100)) != first


def test_plan_has_every_window_once_within_the_budget(tokenizer: Tokenizer, corpus: Corpus):
    made = tasks(tokenizer, *TASKS)
    steps = plan(made, corpus, 0, 0, 100)
    for name, task in made.items():
        wanted = sorted(
            window.ids.tolist()
            for document, pieces in zip(corpus.documents, corpus.pieces, strict=True)
            for example in task.examples(document, pieces, None)
            for window in example.windows
        )
        groups = [[w for example in step.examples for w in example.windows] for step in steps if step.task == name]
        assert sorted(window.ids.tolist() for group in groups for window in group) == wanted
        assert all(sum(len(window.ids) for window in group) <= 100 for group in groups)
    order = [step.task for step in steps]
    assert order != sorted(order) and order != sorted(order, reverse=True)  # tasks are mixed


def test_parts_hold_all_windows_and_their_own_targets(tokenizer: Tokenizer, corpus: Corpus):
    step = plan(tasks(tokenizer, TASKS[1]), corpus, 0, 0, 200)[0]
    assert step.counts == {"tags": float(sum((w.pieces >= 0).sum() for e in step.examples for w in e.windows))}
    parts = list(step.parts(50))
    assert len(parts) > 2
    assert all(len(batch.ids) <= 50 for batch, _ in parts)
    assert sum(len(batch.ids) for batch, _ in parts) == sum(len(w.ids) for e in step.examples for w in e.windows)
    for batch, targets in parts:
        for group, member in enumerate(batch.members.tolist()):
            assert targets[group] is step.examples[member].targets


def test_every_document_has_a_generator_of_its_own(tokenizer: Tokenizer, corpus: Corpus):
    """What a task draws (masks, negatives) depends on seed, epoch and document, not on its neighbours."""

    class Drawing:
        def __init__(self) -> None:
            self.drawn: dict[str, int] = {}

        def examples(self, document, pieces, draw):
            self.drawn[document.id] = int(draw.integers(2**40))
            return iter(())

    def drawn(documents: slice, seed: int, epoch: int) -> dict[str, int]:
        task = Drawing()
        plan({"drawing": task}, Corpus(corpus.documents[documents], corpus.pieces[documents]), seed, epoch, 100)
        return task.drawn

    whole = drawn(slice(None), 1, 2)
    assert len(set(whole.values())) == len(corpus.documents)
    part = drawn(slice(7, 3, -1), 1, 2)
    assert part == {key: whole[key] for key in part}
    assert drawn(slice(None), 1, 3) != whole != drawn(slice(None), 2, 2)


def test_generator_is_a_value():
    def draw(*key) -> int:
        return int(generator(*key).integers(2**40))

    assert draw(1, 2, "a") == draw(1, 2, "a")
    assert len({draw(1, 2, "a"), draw(2, 2, "a"), draw(1, 3, "a"), draw(1, 2, "b")}) == 4


def test_corpus(tokenizer: Tokenizer):
    """`undo` is un + ##do, so the second span has 3 pieces; the span of white space has none."""
    documents = [Document("a", "Anna undo the", (Span(0, 4, "X"), Span(0, 9, "X"), Span(4, 5, "X")))]
    assert Corpus.read(documents, tokenizer).longest_span(spans_of) == 3
    assert Corpus.read([Document("a", "")], tokenizer).longest_span(spans_of) == 1


def test_fingerprint(tokenizer: Tokenizer):
    first = Document("a", "Anna met Bert", (Span(0, 4, "X"),))
    others = [
        replace(first, id="b"),
        replace(first, text="Anna met Bert."),
        replace(first, spans=(Span(0, 4, "Y"),)),
        replace(first, annotated=frozenset({"X"})),
    ]
    prints = {Corpus.read([document], tokenizer).fingerprint for document in (first, *others)}
    assert len(prints) == 5
    assert Corpus.read([replace(first)], tokenizer).fingerprint in prints


def test_hold_out_is_a_tenth_by_id(toy_documents: Callable):
    documents = toy_documents(50, 3)
    train, dev = hold_out(documents, spans_of)
    assert (len(train), len(dev)) == (45, 5)
    assert {d.id for d in train} | {d.id for d in dev} == {d.id for d in documents}
    assert train == [d for d in documents if d not in dev]  # order is kept
    assert {d.id for d in hold_out(documents[::-1], spans_of)[1]} == {d.id for d in dev}
    assert [len(part) for part in hold_out(documents[:3], spans_of)] == [2, 1]


GOOD = Document("good", "Anna met Bert", (Span(0, 4, "PERSON"),))


def test_refused():
    for train, dev, which in (([], [GOOD], "training"), ([GOOD], [], "held-out")):
        with pytest.raises(DataError, match=f"no {which} documents"):
            check(train, dev, (), spans_of)
    with pytest.raises(DataError, match="none of the 1 held-out documents has a span"):
        check([GOOD], [Document("c", "house")], (), spans_of)
    with pytest.raises(DataError, match="none of the 2 training documents has a span"):
        check([Document("a", "Anna"), Document("b", "")], [GOOD], (), spans_of)
    with pytest.raises(DataError, match="without any text"):
        check([Document("a", " \n", (Span(0, 1, "PERSON"),))], [GOOD], (), spans_of)


def test_unknown_labels_are_named_with_document_and_suggestion():
    wrong = Document("dev-7", "Anna met Bert", (Span(0, 4, "PERSON"), Span(9, 13, "PRESON")))
    with pytest.raises(DataError) as error:
        check([GOOD], [GOOD, wrong], (), spans_of)
    for part in ("document 'dev-7'", "label 'PRESON' in the held-out data", "did you mean 'PERSON'", "labels of the"):
        assert part in str(error.value)
    with pytest.raises(DataError, match="label 'PRESON' in the training data") as error:
        check([wrong], [GOOD], ("PERSON", "ORG"), spans_of)
    assert "one of ORG, PERSON" in str(error.value)
    far = Document("dev-8", "Anna", (Span(0, 4, "DATE"),))
    with pytest.raises(DataError, match="add training examples"):
        check([GOOD], [far], (), spans_of)


def test_accepted():
    check([GOOD, Document("a", ""), Document("b", "no span")], [GOOD], (), spans_of)
    check([GOOD], [Document("c", "Acme", (Span(0, 4, "ORG"),))], ("PERSON", "ORG"), spans_of)


def test_hold_out_keeps_rare_labels_for_training():
    """Only one document has RARE, so it stays in training, wherever its id falls."""
    common = [Document(f"c{n}", "Anna", (Span(0, 4, "PERSON"),)) for n in range(20)]
    for name in map(str, range(30)):
        train, dev = hold_out([*common, Document(name, "Anna", (Span(0, 4, "RARE"),))], spans_of)
        assert (len(train), len(dev)) == (19, 2)
        assert name in {document.id for document in train}


def test_one_document_cannot_be_held_out_from():
    with pytest.raises(DataError, match="fewer than two training documents"):
        hold_out([GOOD], spans_of)


def test_what_is_held_out_is_like_the_rest():
    """Where four documents of five have no span, probabilities are fitted on such ones too."""
    documents = [Document(f"d{n}", "Anna", (Span(0, 4, "PERSON"),) if n % 5 == 0 else ()) for n in range(200)]
    train, dev = hold_out(documents, spans_of)
    assert (len(train), len(dev)) == (180, 20)
    assert sum(bool(document.spans) for document in dev) == 4
    assert {d.id for d in hold_out(documents[::-1], spans_of)[1]} == {d.id for d in dev}


def test_something_of_each_task_is_held_out():
    """Of twenty documents with spans and three with questions, by ids that would hold out the former only."""
    spans = [Document(f"c{n}", "Anna", (Span(0, 4, "PERSON"),)) for n in range(20)]
    asked = [Document(f"q{n}", "Anna", questions=(Question("q", "who", (Span(0, 4, "answer"),)),)) for n in range(3)]

    def answers_of(document: Document) -> list[Span]:
        return [span for question in document.questions for span in question.answers or ()]

    train, dev = hold_out([*spans, *asked], spans_of, answers_of)
    for part in (train, dev):
        assert any(map(spans_of, part)) and any(map(answers_of, part))
    with pytest.raises(DataError, match="two of the 1 documents that a task learns from"):
        hold_out([*spans, asked[0]], spans_of, answers_of)


def test_something_that_is_held_out_has_spans():
    """As in the sample of `spanbert init`: the document without a span would tell nothing about the weights."""
    spans = (Span(0, 4, "PERSON"),)
    for name in map(str, range(20)):
        _, dev = hold_out(
            [Document("a", "Anna", spans), Document("b", "Anna", spans), Document(name, "house")], spans_of
        )
        assert all(document.spans for document in dev)


def test_the_fingerprint_is_the_same_in_every_process():
    """The order of a frozenset is not: it changes with the seed of the hashes."""
    code = (
        "from spanbert.documents import Document\nfrom spanbert.training.data import Corpus\n"
        "print(Corpus((Document('d', 't', annotated=frozenset('ABCDEFGH')),), ()).fingerprint)"
    )
    prints = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(prints) == 1


def test_labels_that_differ_in_case_are_refused_unless_listed():
    document = Document("a", "Anna met Bert", (Span(0, 4, "PER"), Span(9, 13, "per")))
    with pytest.raises(DataError) as caught:
        check([document], [document], (), spans_of)
    assert caught.value.found == "labels 'PER' and 'per', which differ in case only"
    check([document], [document], ("PER", "per"), spans_of)


def test_a_vocabulary_of_labels_is_refused():
    documents = [Document(f"d{n}", "Anna", (Span(0, 4, f"L{n}"),)) for n in range(1001)]
    with pytest.raises(DataError, match="1,001 different labels"):
        check(documents, documents, (), spans_of)
    check(documents[:1000], documents[:1000], (), spans_of)


def test_nearly_equal_texts_are_told(tokenizer: Tokenizer):
    """One word of twenty differs: 15 of 21 shingles shared is too few, one at the end 17 of 19 is enough."""
    words = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"]
    train = Corpus.read([Document("a", " ".join(words))], tokenizer)
    last = Corpus.read([Document("b", " ".join([*words[:-1], "x"]))], tokenizer)
    middle = Corpus.read([Document("c", " ".join([*words[:9], "x", *words[10:]]))], tokenizer)
    near = "1 held-out documents are nearly the same as a training document: the figures will be too good"
    assert near in list(doubts(train, last, tokenizer))
    assert near not in list(doubts(train, middle, tokenizer))


def test_doubts(tokenizer: Tokenizer):
    """A held-out text that differs in case and spaces only; PER and per; 3 of 7 pieces unknown, one of 101 letters."""
    known = Document("a", "Anna met Bert", (Span(0, 4, "PER"), Span(9, 13, "per")))
    train = Corpus.read([known, Document("b", "xyzzy " + "q" * 101)], tokenizer)
    clean = Corpus.read([Document("c", "the house")], tokenizer)
    assert list(doubts(clean, clean, tokenizer)) == [
        "1 held-out documents have the text of a training document: the figures will be too good"
    ]
    assert list(doubts(train, Corpus.read([Document("d", "anna  MET bert")], tokenizer), tokenizer)) == [
        "1 held-out documents have the text of a training document: the figures will be too good",
        "62% of the pieces are unknown to the vocabulary: is this the language and case of the encoder?",
        "1 words of more than 100 characters are read as one unknown piece each",
    ]
    assert list(doubts(clean, Corpus.read([Document("e", "a river")], tokenizer), tokenizer)) == []
