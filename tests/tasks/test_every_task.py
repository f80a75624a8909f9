"""What holds for every task that finds labelled spans; questions, pairs and clusters have files of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spanbert.documents import Document, Span
from spanbert.errors import UsageError
from spanbert.packing import lay_out
from spanbert.tasks import ANNOTATED, settings_class, settings_from, task_class
from spanbert.tasks.task import Task
from spanbert.tokenization import Pieces, Tokenizer
from spanbert.training.data import Corpus

LABELS = ("ORG", "PERSON")


def pair_rows(targets: Any, low: int, high: int, number: int) -> dict[str, list]:
    """Gold pairs with log-odds of 20, and a rival with -20."""
    spans = [row for row in targets.spans.tolist() if low < row[0] + row[1] <= high]
    return {
        "first": [row[0] for row in spans],
        "last": [row[1] for row in spans],
        "label": [row[2] for row in spans],
        "logit": [20.0] * len(spans),
    }


def tag_rows(targets: Any, low: int, high: int, number: int) -> dict[str, list]:
    """Every piece once, 20 for its gold tag."""
    pieces = [piece for piece in range(number) if low < 2 * piece <= high]
    eye = 20.0 * np.eye(len(targets.taught))
    return {"piece": pieces, "emission": [eye[targets.tags[piece]] for piece in pieces]}


ROWS: dict[str, Callable] = {"span-classification": pair_rows, "token-classification": tag_rows}
"""What a perfect head would say of the pieces that a window owns: a new task brings its line."""


def table(name: str, examples: list, number: int) -> dict[str, np.ndarray]:
    columns: dict[str, list] = {}
    for place, example in enumerate(examples):
        for window in example.windows:
            rows = ROWS[name](example.targets, window.low, window.high, number)
            rows["window"] = [place] * len(next(iter(rows.values())))
            for column, values in rows.items():
                columns.setdefault(column, []).extend(values)
    made = {column: np.array(values) for column, values in columns.items()}
    return made if len(made.get("window", ())) else {}


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


@pytest.fixture(params=ROWS)
def name(request) -> str:
    return request.param


@pytest.fixture
def task(name: str, tokenizer: Tokenizer) -> Task:
    return task_class(name)(settings_from(name, {"labels": LABELS, "window": 20, "overlap": 6}), tokenizer)


@pytest.fixture(scope="module")
def read(tokenizer: Tokenizer, toy_documents: Callable) -> list[tuple[Document, Pieces]]:
    """Toy documents, four of them in one long one, and one without text."""
    documents = toy_documents(20, 6)
    text, spans = "", []
    for document in documents[:4]:
        spans += [Span(s.start + len(text), s.end + len(text), s.label) for s in document.spans]
        text += document.text + " "
    corpus = Corpus.read([*documents, Document("long", text, tuple(spans)), Document("empty", "")], tokenizer)
    return list(zip(corpus.documents, corpus.pieces, strict=True))


def encoder() -> Any:
    """Any of width 32."""
    from spanbert.encoder.packed import EncoderConfig, PackedBert

    shape = EncoderConfig(
        vocab_size=50, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    return PackedBert(shape)


def draw() -> np.random.Generator:
    return np.random.default_rng(0)


def test_this_file_knows_every_task():
    others = {"question-answering", "relation-extraction", "joint-extraction", "coreference"}
    assert {*ROWS, *others} == set(ANNOTATED)


def test_gold_decodes_to_gold(name: str, task: Task, read: list):
    windows = 0
    for document, pieces in read:
        examples = list(task.examples(document, pieces, draw()))
        windows = max(windows, len(examples))
        decoded = task.decode(document, pieces, table(name, examples, len(pieces)))
        found = [Span(span.start, span.end, span.label) for span in decoded.spans if span.logit > 5]
        assert found == list(document.spans)
        assert task.unreachable(document, pieces) == ()
    assert windows > 3


def test_examples_cover_every_piece_and_count_it(task: Task, read: list):
    """Pieces in the overlap count in each of their windows."""
    for document, pieces in read:
        examples = list(task.examples(document, pieces, draw()))
        seen = [window.pieces[window.pieces >= 0] for example in examples for window in example.windows]
        assert np.array_equal(np.unique(np.concatenate([*seen, []])), np.arange(len(pieces)))
        assert all(len(window.ids) <= 20 for example in examples for window in example.windows)
        assert sum(sum(example.counts.values()) for example in examples) == sum(map(len, seen))


def test_prediction_reads_the_same_windows_without_targets(task: Task, read: list):
    for document, pieces in read:
        taught, asked = (list(task.examples(document, pieces, how)) for how in (draw(), None))
        assert all(example.targets is None for example in asked)
        assert all(example.targets is not None for example in taught)
        windows = [
            [(w.ids.tolist(), w.low, w.high) for example in examples for w in example.windows]
            for examples in (taught, asked)
        ]
        assert windows[0] == windows[1]


def test_counts_and_losses_have_the_same_names_and_weights(task: Task, read: list):
    head = task.head(encoder())
    document, pieces = read[0]
    (first, *_) = task.examples(document, pieces, draw())
    import torch

    batch = lay_out([first.windows], [0])
    losses = head.loss(torch.zeros(len(batch.ids), 32), batch, [first.targets])
    assert losses.keys() == first.counts.keys() == head.weights.keys()


def test_partial_annotation_teaches_nothing_of_the_rest(task: Task, tokenizer: Tokenizer):
    """Where only ORG was looked for, the gradient of the loss knows nothing of PERSON, present or not."""
    import torch

    text = "Anna met Acme Corp"
    pieces = tokenizer.pieces([text])[0]
    vectors = torch.ones(len(pieces) + 2, 32)
    head = task.head(encoder()).eval()
    losses = []
    for spans in ((Span(9, 18, "ORG"),), (Span(0, 4, "PERSON"), Span(9, 18, "ORG"))):
        for annotated in (None, frozenset({"ORG"})):
            document = Document("d", text, spans, annotated=annotated)
            (example,) = task.examples(document, pieces, draw())
            batch = lay_out([example.windows], [0])
            losses.append(sum(loss.item() for loss in head.loss(vectors, batch, [example.targets]).values()))
    absent, without, present, still_without = losses
    assert without == still_without
    assert len({absent, without, present}) == 3


def test_visible_is_no_gold(task: Task, read: list):
    for document, _ in read:
        seen = task.visible(document)
        assert (seen.id, seen.text, seen.spans) == (document.id, document.text, ())


def test_adapted_fills_in_what_was_left_open(name: str, tokenizer: Tokenizer, toy_documents: Callable):
    task = task_class(name)(settings_from(name, {}), tokenizer)
    made = task.adapted(toy_documents(20, 1), 5)
    assert made.settings.labels == LABELS and made.settings.overlap == 37
    assert type(made) is type(task) and task.settings.labels == ()
    assert made.adapted([], 99).settings == made.settings


def test_report_knows_its_own_selection(task: Task, toy_documents: Callable):
    documents = toy_documents(5, 1)
    assert task.report(documents, documents).value(task.selection) == 1.0


def test_a_border_inside_a_piece_is_out_of_reach(task: Task, tokenizer: Tokenizer):
    """`undo` is un + ##do: a border between the two is one of pieces."""
    text = "Anna undo"
    document = Document("d", text, (Span(5, 7, "ORG"), Span(0, 3, "PERSON")))
    assert task.unreachable(document, tokenizer.pieces([text])[0]) == (
        (Span(0, 3, "PERSON"), "a border inside a piece"),
    )


def test_settings_of_every_task(name: str):
    for key, hint in (("polcy", "did you mean 'policy'"), ("windw", "did you mean 'window'"), ("zzz", "leave it out")):
        with pytest.raises(UsageError, match=rf"setting '{key}' of {name}(.|\n)*{hint}"):
            settings_from(name, {key: 1})
    assert settings_from(name, {"labels": ["A", "B"]}) == settings_class(name)(labels=("A", "B"))
    for wrong in ({"window": 2}, {"window": "64"}, {"window": True}, {"overlap": -1}, {"overlap": 0.5}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            settings_from(name, wrong)


def test_unknown_task():
    for call in (task_class, settings_class, lambda name: settings_from(name, {})):
        with pytest.raises(UsageError, match="did you mean 'token-classification'"):
            call("token-clasification")


def test_tasks_need_no_torch():
    script = "import sys; from spanbert.tasks import TASKS, task_class; [task_class(n) for n in TASKS]; "
    done = subprocess.run([sys.executable, "-c", script + "sys.exit('torch' in sys.modules)"], timeout=60)
    assert done.returncode == 0
