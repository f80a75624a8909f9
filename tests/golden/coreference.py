"""`coref(case, options)`: our coreference scores in the schema of `expected`; every number comes from the metric."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from spanbert.metrics.coreference import METRICS, Chains, count_chains

Case = dict[str, Any]

HALVES = ("recall_num", "recall_den", "precision_num", "precision_den")


def coref(case: Case, options: Case | None = None) -> Case:
    """The scores of one case; raises where the official scorer refuses the input."""
    documents = case["documents"]
    key, response = ([chains(document, side) for document in documents] for side in ("key", "response"))
    counts = count_chains(key, response, [document["doc"] for document in documents])
    scores = {name: asdict(score) for name, score in counts.scores.items()}
    total, links = counts.ratios.sum(axis=0).tolist(), counts.links.sum(axis=0).tolist()
    result: Case = {
        name: {**dict(zip(HALVES, map(number, row), strict=True)), **scores[name]}
        for name, row in zip(METRICS, total, strict=True)
    }
    result["blanc"] = {"coref_links": links[0], "noncoref_links": links[1], **scores["blanc"]}
    return {**result, "conll_f1": counts.conll_f1}


def chains(document: Case, side: str) -> Chains:
    """What the official reader makes of the file: the same as `side`, except where the format cannot express it."""
    read = document.get(f"{side}_as_parsed_from_conll", document[side])
    return [[tuple(mention) for mention in chain] for chain in read]


def number(value: float) -> int | float:
    """Whole numbers stand there without a point."""
    return int(value) if value.is_integer() else value
