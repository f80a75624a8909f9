"""Clusters as targets, groups of windows, decoding and what is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spanbert.documents import Candidate, Cluster, Decoded, Document, LinkCandidate, Span
from spanbert.errors import SpanbertWarning, UsageError
from spanbert.metrics.coreference_report import coreference_report
from spanbert.targets import DISTANCES
from spanbert.tasks import settings_from, task_class
from spanbert.tokenization import Tokenizer

NAME = "coreference"
TEXT = "Anna met Bert in the house . Carl went in the day with Acme Corp and said a river was big . " * 4
ANNA, BERT, CARL = Span(0, 4, "mention"), Span(9, 13, "mention"), Span(29, 33, "mention")
ACME = Span(55, 64, "mention")
CLUSTERS = (Cluster((ANNA, CARL)), Cluster((BERT, ACME)), Cluster((Span(17, 26, "mention"),)))


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Tokenizer:
    return Tokenizer.from_folder(tiny_encoder)


def task_of(tokenizer: Tokenizer, **settings: Any) -> Any:
    values = {"window": 20, "overlap": 4, **settings}
    return task_class(NAME)(settings_from(NAME, values), tokenizer)


def document(*clusters: Cluster) -> Document:
    return Document("d", TEXT, clusters=clusters)


def test_groups_of_windows_cover_the_document_once(tokenizer: Tokenizer):
    pieces = tokenizer.pieces([TEXT])[0]
    task = task_of(tokenizer, windows_together=2)
    sizes = set()
    for seed in range(10):
        examples = list(task.examples(document(*CLUSTERS), pieces, np.random.default_rng(seed)))
        windows = [window for example in examples for window in example.windows]
        alone = [example.windows[0] for example in task.examples(document(), pieces, None)]
        assert [window.bounds for window in windows] == [window.bounds for window in alone]
        assert max(len(example.windows) for example in examples) == 2
        assert sum(example.counts["links"] for example in examples) >= 5
        sizes.add(len(examples[0].windows))
    assert sizes == {1, 2}


def test_targets(tokenizer: Tokenizer):
    pieces = tokenizer.pieces([TEXT])[0]
    example = next(iter(task_of(tokenizer).examples(document(*CLUSTERS), pieces, np.random.default_rng(0))))
    assert example.targets.mentions.tolist() == [[0, 0], [2, 2], [4, 5], [7, 7], [13, 14]]
    assert example.targets.clusters.tolist() == [0, 1, 2, 0, 1]
    without = task_of(tokenizer, singletons=False)
    same = next(iter(without.examples(document(*CLUSTERS), pieces, np.random.default_rng(0)))).targets
    assert same.clusters.tolist() == [0, 1, 2, 0, 1]  # a mention that does not count is one nevertheless


def test_rows_become_mentions_and_links(tokenizer: Tokenizer):
    """Mention 7 goes back to 0, 13-14 to 2; rows come in any order."""
    pieces = tokenizer.pieces([TEXT])[0]
    later = np.array([[0, 0, 9.0], [0, 0, 0], [0, 9.0, 0], [0, 0, 0]])
    earlier = np.array([[0, 0, 0], [0, 0, 1.0], [0, 0, 0], [0, 1.0, 0]])
    table = {
        "first": np.array([13, 2, 7, 0]), "last": np.array([14, 2, 7, 0]), "logit": np.array([1.0, 2, 3, 4]),
        "later": later, "earlier": earlier, "recency": np.zeros((4, len(DISTANCES) + 1)),
    }  # fmt: skip
    task = task_of(tokenizer, singletons=True)
    decoded = task.decode(document(), pieces, table)
    assert [(m.start, m.end, m.logit) for m in decoded.mentions] == [
        (0, 4, 4.0),
        (9, 13, 2.0),
        (29, 33, 3.0),
        (55, 64, 1.0),
    ]
    assert [(link.later, link.earlier) for link in decoded.links] == [(2, 0), (3, 1)] and decoded.singletons
    judged = task.judged(document(Cluster((ANNA, CARL)), Cluster((BERT,)), Cluster((ACME,))), decoded)
    assert judged.right == (True, False) and judged.gold == {"mention": 1}
    assert task.decode(document(), pieces, {}).mentions == ()


def test_adapted_to_the_data(tokenizer: Tokenizer):
    bare = task_class(NAME)(settings_from(NAME, {"window": 64}), tokenizer)
    assert bare.adapted([document(*CLUSTERS)], 3).settings.singletons is True
    made = bare.adapted([document(*CLUSTERS[:2])], 3).settings
    assert (made.singletons, made.overlap) == (False, 32)
    with pytest.warns(SpanbertWarning, match=r"one mention do not count: 1 of 3"):
        made = task_of(tokenizer, singletons=False).adapted([document(*CLUSTERS)], 3).settings
    assert made.singletons is False


def test_mentions_that_stand_alone_are_nothing_to_find_where_they_do_not_count(tokenizer: Tokenizer):
    """Else documents of these alone would be held out, and every report on them would be 0."""
    alone = document(Cluster((ANNA,)), Cluster((BERT,)))
    assert task_of(tokenizer, singletons=False).annotations(alone) == []
    assert [len(task_of(tokenizer, singletons=s).annotations(alone)) for s in (True, None)] == [2, 2]
    assert [s.start for s in task_of(tokenizer, singletons=False).annotations(document(*CLUSTERS))] == [0, 29, 9, 55]


@pytest.mark.parametrize("clusters", [((ANNA, CARL), (ANNA,)), ((ANNA,), (ANNA, CARL))])
def test_a_mention_that_is_in_a_chain_and_alone_too_is_of_the_chain(tokenizer: Tokenizer, clusters: tuple):
    """Where those that stand alone do not count, nothing refuses such gold."""
    pieces, gold = tokenizer.pieces([TEXT])[0], document(*map(Cluster, clusters))
    task = task_of(tokenizer, singletons=False)
    targets = next(iter(task.examples(gold, pieces, np.random.default_rng(0)))).targets
    assert targets.clusters.tolist() == [0, 0]
    found = Decoded(
        mentions=(Candidate(0, 4, "mention", 1.0), Candidate(29, 33, "mention", 1.0)), links=(LinkCandidate(1, 0, 1.0),)
    )
    assert task.judged(gold, found).right == (True,)


def test_out_of_reach(tokenizer: Tokenizer):
    pieces = tokenizer.pieces([TEXT])[0]
    found = dict(task_of(tokenizer).unreachable(document(Cluster((Span(0, 3, "x"), CARL))), pieces))
    assert found == {Span(0, 3, "mention"): "a border inside a piece"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"labels": ("X",)}, "labels X for coreference"), ({"windows_together": 0}, "windows_together = 0")],
)
def test_settings_that_cannot_be(tokenizer: Tokenizer, settings: dict, words: str):
    with pytest.raises(UsageError, match=words):
        task_of(tokenizer, **settings)


def test_the_report_by_hand():
    """Gold {a b c} {d}; found {a b} {c d}: MUC recall 1/2, precision 1/2; mentions all found."""
    a, b, c, d = (Span(k, k + 1, "mention") for k in range(4))
    gold, found = (
        [Document("x", "abcd", clusters=tuple(map(Cluster, each)))] for each in (((a, b, c), (d,)), ((a, b), (c, d)))
    )
    report = coreference_report(gold, found, singletons=True)
    scores = report.scores["coref"]
    assert scores["muc"] == pytest.approx({"recall": 50.0, "precision": 50.0, "f1": 50.0})
    assert scores["mentions"]["f1"] == 100.0 and report.micro.f1 == 1.0
    assert report.value("coref/conll_f1") == pytest.approx(
        np.mean([scores[name]["f1"] for name in ("muc", "bcub", "ceafe")])
    )
    dropped = coreference_report(gold, found, singletons=False)
    assert dropped.micro.support == 3 and "singletons:dropped" in dropped.signature
    assert "coref: conll_f1" in report.to_text() and report.to_json()["coref"]["lea"]["f1"] > 0
