"""The answer heads against plain loops: which rows they give, and what they are taught."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from spanbert.heads import answers
from spanbert.heads.answer_pairs import AnswerPairs
from spanbert.heads.answers import KEPT, AnswerHead
from spanbert.packing import Batch, lay_out
from spanbert.targets import AnswerTargets
from spanbert.tokenization import Frame, Pieces
from spanbert.windows import Window, cut

WIDTH = 8
QUESTION = Frame(np.array([1, 7, 8, 2]), np.array([2]), np.zeros(4, dtype=np.int64), 1)


def windows(total: int, size: int, overlap: int, unit: int = 0) -> list[Window]:
    places = np.arange(total)
    starts, ends = 2 * places, 2 * places + 1
    ends = np.where(places == 3, starts, ends)  # a piece of white space
    return cut(Pieces(places + 10, starts, ends, places), size, overlap, QUESTION, unit)


def batch_of(*groups: list[Window]) -> Batch:
    singles = [[window] for group in groups for window in group]
    return lay_out(singles, range(len(singles)))


def vectors(batch: Batch) -> torch.Tensor:
    return torch.randn(len(batch.ids), WIDTH, generator=torch.Generator().manual_seed(0))


def head(longest: int = 5, *, several: bool = False) -> AnswerHead:
    torch.manual_seed(1)
    made = AnswerHead(WIDTH, longest, several=several).eval()
    torch.nn.init.normal_(made.qa_outputs.weight)
    return made


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("cells", [4_000_000, 40])
@pytest.mark.parametrize(("longest", "overlap"), [(5, 2), (1, 2), (3, 4), (6, 5), (40, 3)])
def test_rows_are_those_of_a_plain_loop(
    cells: int, several: bool, longest: int, overlap: int, monkeypatch: pytest.MonkeyPatch
):
    """Two questions on 12 pieces in windows of 11, one on 4 pieces: the best owned pairs and the sum of all. With
    several answers, the best of each of the best starts, here of three."""
    monkeypatch.setattr(answers, "CELLS", cells)
    monkeypatch.setattr(answers, "MANY", 3)
    batch = batch_of(windows(12, 11, overlap, 0), windows(12, 11, overlap, 1), windows(4, 11, overlap, 2))
    made, x = head(longest, several=several), vectors(batch)
    scores = made.qa_outputs(x).detach()
    table = made(x, batch, -math.inf)
    found: dict[int, dict[tuple[int, int], float]] = {}
    for window, unit, first, last, logit in zip(
        *(table[name].tolist() for name in ("window", "unit", "first", "last", "logit")), strict=True
    ):
        assert unit == batch.unit[window]
        found.setdefault(window, {})[first, last] = logit
    assert len(found) == len(batch.groups)
    for window, rows in found.items():
        begin, end = batch.cu_seqlens[window : window + 2]
        none = float(scores[begin].sum())
        expected = {}
        for i in range(begin, end):
            for j in range(i, min(end, i + longest)):
                a, b = batch.pieces[i], batch.pieces[j]
                if a >= 0 and b >= 0 and batch.low[window] < a + b <= batch.high[window]:
                    expected[a, b] = float(scores[i, 0] + scores[j, 1]) - none
        total = rows.pop((-1, -1))
        assert total == pytest.approx(np.logaddexp.reduce(list(expected.values())), abs=1e-4)
        best = sorted(expected, key=expected.__getitem__, reverse=True)
        if several:
            of_start = {first: (first, last) for first, last in reversed(best)}
            best = sorted(of_start.values(), key=expected.__getitem__, reverse=True)[:3]
        best = best[:KEPT]
        assert set(rows) == set(best)
        assert rows == pytest.approx({pair: expected[pair] for pair in best}, abs=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", [0, 1])
def test_scores_that_are_no_numbers_leave_the_others_in_order(value: float, column: int):
    """A piece without a score is in no pair but improbable ones; the other pairs are as before."""
    batch = batch_of(windows(8, 20, 2))
    made, x = head(), vectors(batch)
    scores = made.qa_outputs(x).detach()
    broken = scores.clone()
    broken[len(QUESTION.before) + 2, column] = value
    made.qa_outputs.forward = lambda _: broken  # type: ignore[method-assign]
    table = made(x, batch, -math.inf)

    def best(rows: Mapping[str, torch.Tensor]) -> list[tuple[int, int]]:
        order = rows["logit"].argsort(descending=True)
        pairs = zip(rows["first"][order].tolist(), rows["last"][order].tolist(), strict=True)
        return [pair for pair in pairs if pair[0] >= 0 and pair[column] != 2][:5]

    assert table["logit"].isfinite().all()
    if value < 0 or math.isnan(value):
        made.qa_outputs.forward = lambda _: scores  # type: ignore[method-assign]
        assert best(table) == best(made(x, batch, -math.inf))


def test_the_sum_is_exact_where_the_best_end_has_no_start():
    """The first piece is the best end by 200, and no start but an improbable one stands before it."""
    batch = batch_of(windows(8, 20, 2))
    scores = torch.zeros(len(batch.ids), 2)
    begin = len(QUESTION.before)
    scores[begin, 0] = -300.0
    scores[begin + 1 : begin + 8, 1] = -200.0
    made = head()
    made.qa_outputs.forward = lambda _: scores  # type: ignore[method-assign]
    table = made(vectors(batch), batch, -math.inf)
    pairs = sum(min(5, 8 - first) - sum(last == 3 for last in range(first, first + 5)) for first in (1, 2, 4, 5, 6, 7))
    assert table["logit"][table["first"] < 0].item() == pytest.approx(math.log(pairs) - 200.0, abs=1e-4)


def test_nothing_is_found_where_no_score_is_a_number():
    """Such a window tells no pair, and that "no answer" is certain."""
    batch = batch_of(windows(8, 20, 2))
    made, x = head(), vectors(batch)
    broken = torch.full_like(made.qa_outputs(x).detach(), math.nan)
    made.qa_outputs.forward = lambda _: broken  # type: ignore[method-assign]
    table = made(x, batch, -math.inf)
    assert (table["first"] == -1).all() and table["logit"].max() < -50


def test_every_pair_belongs_to_one_window():
    batch = batch_of(windows(30, 11, 3))
    made = head(3)
    table = made(vectors(batch), batch, -math.inf)
    pairs = [pair for pair in zip(table["first"].tolist(), table["last"].tolist(), strict=True) if pair[0] >= 0]
    assert len(pairs) == len(set(pairs))


@pytest.mark.parametrize("several", [False, True])
def test_loss_by_hand(several: bool):
    """One window with two answers, one where none stands whole, of three such: it points at its first position. Of two
    answers any will do, or, where there may be several, both must be told."""
    batch = batch_of(windows(12, 11, 2))
    assert len(batch.groups) > 1
    made, x = head(several=several), vectors(batch)
    answered, silent = (AnswerTargets(np.array(gold).reshape(-1, 2), 3.0) for gold in ([[0, 1], [4, 4]], []))
    targets = [answered if group == 0 else silent for group in range(len(batch.members))]
    expected = 0.0
    for window, group in enumerate(batch.groups):
        begin, end = batch.cu_seqlens[window : window + 2]
        allowed = [i for i in range(begin, end) if batch.pieces[i] >= 0 or i == begin]
        scores = made.qa_outputs(x).detach()[allowed]
        scores[0] -= math.log(3.0)
        start, last = scores.log_softmax(0).unbind(1)
        place = {int(batch.pieces[i]): k for k, i in enumerate(allowed)}
        gold = [(place[0], place[1]), (place[4], place[4])] if group == 0 else [(0, 0)]
        told = [float(start[a] + last[b]) for a, b in gold]
        expected -= sum(told) / len(told) if several else math.log(sum(map(math.exp, told)))
    assert made.loss(x, batch, targets)["answers"].item() == pytest.approx(expected, rel=1e-5)


def test_an_answer_that_a_window_cuts_is_none_there():
    batch = batch_of(windows(12, 11, 2))
    made, x = head(), vectors(batch)
    low = int(batch.pieces[batch.pieces >= 0].max())
    beyond = AnswerTargets(np.array([[low, low + 1]]))
    none = AnswerTargets(np.zeros((0, 2), dtype=np.int64))
    number = len(batch.members)
    assert (
        made.loss(x, batch, [beyond] * number)["answers"].item()
        == made.loss(x, batch, [none] * number)["answers"].item()
    )


def test_packed_is_the_sum_of_each_alone():
    groups = windows(12, 11, 2, 0) + windows(5, 11, 2, 1)
    targets = [AnswerTargets(np.array([[1, 2]])) for _ in groups]
    whole = batch_of(groups)
    made, x = head(), vectors(batch_of(groups))
    alone = 0.0
    for window, group in enumerate(whole.groups.tolist()):
        begin, end = whole.cu_seqlens[window : window + 2]
        single = lay_out([[groups[group]]], [0])
        alone += made.loss(x[begin:end], single, [targets[group]])["answers"].item()
    assert made.loss(x, whole, targets)["answers"].item() == pytest.approx(alone, rel=1e-5)


def test_pairs_give_the_rows_of_the_span_scorer_with_their_unit():
    batch = batch_of(windows(12, 11, 2, 0), windows(12, 11, 2, 1))
    torch.manual_seed(0)
    made = AnswerPairs(WIDTH, 30).eval()
    x = vectors(batch)
    table = made(x, batch, -math.inf)
    rows = made.pairs(x, batch, -math.inf)
    assert table.keys() == {"window", "unit", "first", "last", "logit"}
    assert torch.equal(table["logit"], rows["logit"])
    assert table["unit"].tolist() == batch.unit[table["window"]].tolist()
    target = AnswerTargets(np.array([[1, 2]]))
    assert made.loss(x, batch, [target] * len(batch.members))["answers"].item() > 0
    short = AnswerPairs(WIDTH, 2).eval()
    short.load_state_dict(made.state_dict())
    few, wanted = short(x, batch, -math.inf), table["last"] - table["first"] < 2
    assert 0 < len(few["logit"]) < len(table["logit"])
    assert torch.equal(few["logit"], table["logit"][wanted])  # no long pair takes the place of a short one


@pytest.mark.parametrize("drawn_of", [1.0, 16.0])
def test_none_is_as_probable_as_among_all_windows_whatever_was_drawn(drawn_of: float):
    """Two windows of the same vectors, one with an answer, the other drawn out of so many without: at the optimum both
    sides of the answer are 1 to so many against "none"."""
    groups = windows(4, 11, 2, 0) + windows(4, 11, 2, 1)
    batch = batch_of(groups)
    made, x = head(), vectors(batch)[: len(groups[0].ids)].requires_grad_()
    targets = [AnswerTargets(np.array(gold).reshape(-1, 2), drawn_of) for gold in ([[1, 1]], [])]
    optimizer = torch.optim.LBFGS([x], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = made.loss(torch.cat([x, x]), batch, targets)["answers"]
        value.backward()
        return value

    optimizer.step(loss)
    scores = made.qa_outputs(x).detach()
    at = batch.pieces[: len(x)].tolist().index(1)
    assert (scores[at] - scores[0]).tolist() == pytest.approx([-math.log(drawn_of)] * 2, abs=1e-2)


def test_many_cuts_of_one_answer_do_not_crowd_out_another(monkeypatch: pytest.MonkeyPatch):
    batch = batch_of(windows(40, 60, 2))
    cuts = [(first, last, 6.0 - 0.01 * last) for first in (5, 6) for last in range(8, 28)]
    first, last, logit = (torch.tensor(column) for column in zip(*cuts, (30, 31, 1.0), strict=True))
    rows = {"window": torch.zeros(len(first), dtype=torch.int64), "first": first, "last": last, "logit": logit}
    for several, expected in ((False, {5, 6}), (True, {5, 6, 30})):
        made = AnswerPairs(WIDTH, 30, several=several).eval()
        monkeypatch.setattr(made.pairs, "forward", lambda *_: dict(rows))
        found = made(vectors(batch), batch, -math.inf)
        assert set(found["first"].tolist()) == expected
        if several:
            assert sorted(zip(found["first"].tolist(), found["last"].tolist(), strict=True)) == [
                (5, 8),
                (6, 8),
                (30, 31),
            ]
