"""Pre-training as a task: what is hidden, how it is shown, and what is to be predicted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from spanbert.documents import Document
from spanbert.errors import UsageError
from spanbert.tasks import settings_from, task_class
from spanbert.tasks.span_masking import SpanMasking
from spanbert.tokenization import Pieces, Tokenizer

LONG = " ".join(["the house of Anna was unable to met with Acme Corp on the big river day ."] * 60)


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


def task_of(tokenizer: Tokenizer, **settings: object) -> SpanMasking:
    return task_class("span-masking")(settings_from("span-masking", {"window": 64, **settings}), tokenizer)


def examples_of(task: SpanMasking, seed: int = 0, text: str = LONG) -> tuple[Pieces, list]:
    pieces = task.tokenizer.pieces([text])[0]
    return pieces, list(task.examples(Document("d", text), pieces, np.random.default_rng(seed)))


@pytest.mark.parametrize("masking", ["span", "whole-word", "token"])
def test_targets_say_what_stood_where(tokenizer: Tokenizer, masking: str):
    pieces, examples = examples_of(task_of(tokenizer, masking=masking))
    assert len(examples) > 5
    for example in examples:
        (window,), (at, *_, ids) = example.windows, example.targets.columns
        real = np.flatnonzero(window.pieces >= 0)
        truth = np.full(len(window.ids), -1)
        truth[real] = pieces.ids[window.pieces[real]]
        assert (truth[at] == ids).all()  # and so no special piece is hidden
        untouched = np.setdiff1d(real, at)
        assert (window.ids[untouched] == truth[untouched]).all()
        assert window.ids[0] == tokenizer.cls and window.ids[-1] == tokenizer.sep
        assert example.counts == {"masked": len(at), "boundary": len(at)}
        assert 0 < len(at) <= np.ceil(0.15 * len(real))


def test_borders_are_right_outside_the_hidden_run(tokenizer: Tokenizer):
    """Position 0 of the window is [CLS], so a run that begins with the first piece has it as its left border."""
    edges = set()
    for seed in range(30):
        for example in examples_of(task_of(tokenizer), seed)[1]:
            columns = example.targets.columns.tolist()
            hidden = set(columns[0])
            for at, left, right, offset, _ in zip(*columns, strict=True):
                assert left not in hidden and right not in hidden
                assert all(position in hidden for position in range(left + 1, right))
                assert at == left + 1 + offset
                edges |= {"left"} if left == 0 else set()
                edges |= {"right"} if right == len(example.windows[0].ids) - 1 else set()
    assert edges == {"left", "right"}


def test_a_span_has_one_fate_and_fates_are_eighty_ten_ten(tokenizer: Tokenizer):
    fates: Counter[str] = Counter()
    mask = tokenizer.ids["mask"]
    for seed in range(60):
        for example in examples_of(task_of(tokenizer), seed)[1]:
            (at, lefts, _, _, truth), ids = example.targets.columns, example.windows[0].ids
            for left in np.unique(lefts):
                mine = lefts == left
                seen, gold = ids[at[mine]], truth[mine]
                if (seen == mask).all():
                    fates["mask"] += 1
                else:
                    assert not (seen == mask).any()
                    fates["kept" if (seen == gold).all() else "random"] += 1
    total = sum(fates.values())
    assert total > 1000
    # a random piece is now and then the right one: those spans are counted as kept
    assert fates["mask"] / total == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / total))
    assert fates["random"] / total == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / total) + 0.01)


def test_random_pieces_are_ordinary_ones_or_from_the_corpus(tokenizer: Tokenizer):
    special = {number for number in range(tokenizer.size) if number not in tokenizer.ordinary.tolist()}
    assert special == set(tokenizer.ids.values())
    task = task_of(tokenizer)
    assert set(task._random(np.random.default_rng(0), 2000).tolist()) == set(tokenizer.ordinary.tolist())
    from dataclasses import replace

    noisy = replace(task, noise=lambda draw, size: np.full(size, 7))
    assert noisy._random(np.random.default_rng(0), 3).tolist() == [7, 7, 7]


def test_masks_are_drawn_anew_by_every_draw(tokenizer: Tokenizer):
    task = task_of(tokenizer)
    first, again, other = (examples_of(task, seed)[1][0].targets.columns[0].tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_without_a_draw_nothing_is_hidden(tokenizer: Tokenizer):
    task = task_of(tokenizer)
    pieces = tokenizer.pieces([LONG])[0]
    windows = [e.windows[0] for e in task.examples(Document("d", LONG), pieces, None)]
    shown = np.concatenate([w.ids[w.pieces >= 0] for w in windows])
    assert (shown == pieces.ids).all()  # blocks do not overlap


def test_the_boundary_objective_can_be_left_out(tokenizer: Tokenizer):
    task = task_of(tokenizer, boundary_weight=0.0)
    assert task.outputs == ("masked",)
    assert examples_of(task)[1][0].counts.keys() == {"masked"}


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"masking": "spans"}, "masking 'spans'"),
        ({"masking_rate": 0.0}, "masking_rate = 0.0"),
        ({"masking_rate": 0.9}, "masking_rate = 0.9"),
        ({"masking_rate": np.float32(0.2)}, "masking_rate = np.float32"),
        ({"boundary_weight": True}, "boundary_weight = True"),
        ({"boundary_weight": "1"}, "boundary_weight = '1'"),
        ({"lengths": "poisson"}, "lengths 'poisson'"),
        ({"longest_masked": 0}, "longest_masked = 0"),
        ({"word_borders": "loose"}, "word_borders 'loose'"),
        ({"window": 12}, "spans of up to 10 words in blocks of 10 pieces"),
        ({"boundary_weight": -1.0}, "boundary_weight = -1.0"),
        ({"boundary_weight": float("nan")}, "boundary_weight = nan"),
    ],
)
def test_settings_that_cannot_be(settings: dict, found: str):
    with pytest.raises(UsageError, match=found):
        settings_from("span-masking", settings)


def test_such_a_model_has_nothing_to_report(tokenizer: Tokenizer):
    with pytest.raises(UsageError, match="only pre-trained"):
        task_of(tokenizer).report([], [])


@pytest.mark.parametrize("masking", ["token", "whole-word"])
def test_blocks_are_as_short_as_one_likes_where_no_spans_are_drawn(masking: str):
    assert settings_from("span-masking", {"window": 12, "masking": masking}).window == 12
