"""`run(metric, input, options)`: our scorers in the schema of `expected` in the shared golden vectors.

Nothing is computed here beyond renaming: every number comes from `spanbert.metrics` or `spanbert.tokenization`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from spanbert.metrics.spans import Rate, count_items, f1, macro, precision, recall, weighted
from spanbert.metrics.tags import score_tags
from spanbert.tokenization import Tokenizer

from .answers import mrqa, squad_v1, squad_v2
from .coreference import coref
from .partial_matches import nervaluate
from .relations import semeval2010_task8, tacred
from .span_masking import span_masking

Case = dict[str, Any]

SHARED = Path(__file__).resolve().parents[3] / "shared"
VOCABULARY = SHARED / "golden" / "tokenizer_alignment" / "vocab.txt"


def run(metric: str, input: Case, options: Case | None = None) -> Case:
    """The result for one case; raises where the official scorer refuses the input."""
    return METRICS[metric](input, options or {})


def conlleval(case: Case) -> Case:
    scores = score_tags(case["gold"], case["pred"], "conlleval")

    def chunks(counts: np.ndarray) -> Case:
        correct, found, gold = counts.tolist()
        return {"gold": gold, "found": found, "correct": correct, **rates(counts, "f1")}

    by_label = scores.spans.by_label.sum(axis=0)
    return {
        "tokens": scores.tokens,
        "correct_tags": scores.correct_tags,
        "accuracy": scores.accuracy,
        **chunks(by_label.sum(axis=0)),
        "per_type": {label: chunks(by_label[i]) for i, label in enumerate(scores.spans.labels)},
    }


def seqeval(case: Case, scorer: str) -> Case:
    scores = score_tags(case["gold"], case["pred"], scorer)
    by_label = scores.spans.by_label.sum(axis=0)
    total = by_label.sum(axis=0)
    support = int(total[2])
    micro = rates(total, "f1-score")
    averages = {
        name: {**rates(by_label, "f1-score", mean), "support": support}
        for name, mean in (("macro", macro), ("weighted", weighted))
    }
    if not scores.spans.labels:  # seqeval takes the mean of nothing here
        averages["macro"] |= dict.fromkeys(micro, "NaN")
    return {
        "per_type": {
            label: {**rates(by_label[i], "f1-score"), "support": int(by_label[i, 2])}
            for i, label in enumerate(scores.spans.labels)
        },
        "micro": {**micro, "support": support},
        **averages,
        **{f"{name.removesuffix('-score')}_score_default_call": value for name, value in micro.items()},
        "accuracy": scores.accuracy,
        "entities_gold": [[[label, start, end] for start, end, label in spans] for spans in scores.gold],
        "entities_pred": [[[label, start, end] for start, end, label in spans] for spans in scores.predicted],
    }


def nested_ner(case: Case) -> Case:
    gold, predicted = (
        [[((start, end), label) for start, end, label in spans] for spans in case[side]] for side in ("gold", "pred")
    )
    counts = count_items(gold, predicted)
    by_label = counts.by_label.sum(axis=0)

    def score(counts: np.ndarray) -> Case:
        correct, found, right = counts.tolist()
        return {"correct": correct, "pred": found, "gold": right, **rates(counts, "f1")}

    micro = score(by_label.sum(axis=0))
    return {
        "micro": micro,
        "macro": rates(by_label, "f1", macro),
        "per_type": {label: score(by_label[i]) for i, label in enumerate(counts.labels)},
        "unlabeled": score(counts.boundaries.sum(axis=0)),
        "duplicate_predictions": sum(map(len, predicted)) - micro["pred"],
    }


def tokenizer_alignment(case: Case) -> Case:
    tokenizer = vocabulary_tokenizer()
    pieces = tokenizer.encode(case["text"])
    return {
        "tokens": [tokenizer.token(id) for id in pieces.ids.tolist()],
        "ids": pieces.ids.tolist(),
        "offsets": [list(pair) for pair in zip(pieces.starts.tolist(), pieces.ends.tolist(), strict=True)],
        "word_ids": [None if word < 0 else word for word in pieces.words.tolist()],
        "n_codepoints": len(case["text"]),
    }


@cache
def vocabulary_tokenizer() -> Tokenizer:
    return Tokenizer.from_vocabulary(VOCABULARY, lowercase=False)


def rates(counts: np.ndarray, f1_name: str, mean: Callable[[np.ndarray, Rate], np.ndarray] | None = None) -> Case:
    named = {"precision": precision, "recall": recall, f1_name: f1}
    return {name: float(mean(counts, rate) if mean else rate(counts)) for name, rate in named.items()}


def plain(scorer: Callable[[Case], Case]) -> Callable[[Case, Case], Case]:
    """A scorer without options."""
    return lambda case, options: scorer(case)


METRICS: dict[str, Callable[[Case, Case], Case]] = {
    "conlleval": plain(conlleval),
    "seqeval_default": plain(partial(seqeval, scorer="seqeval_default")),
    "seqeval_strict_iob2": plain(partial(seqeval, scorer="seqeval_strict_iob2")),
    "seqeval_strict_iobes": plain(partial(seqeval, scorer="seqeval_strict_iobes")),
    "nested_ner": plain(nested_ner),
    "tokenizer_alignment": plain(tokenizer_alignment),
    "span_masking": plain(span_masking),
    "squad_v1": squad_v1,
    "squad_v2": squad_v2,
    "mrqa": mrqa,
    "tacred": tacred,
    "semeval2010_task8": semeval2010_task8,
    "nervaluate": nervaluate,
    "coref": coref,
}
