"""All shared golden vectors of the scorers that exist, under the comparison rule of the vectors' README."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from .adapter import METRICS, run, vocabulary_tokenizer

LITERAL = "special_token_literal_in_text"
NOT_OURS = ("printed", "other", "repeated_mentions_reported", "scorer_pl_all_exit")
"""What an official program prints or how it ends, and what further programs say; not the score."""
SPECIAL = re.compile(r"\[(?:PAD|UNK|CLS|SEP|MASK)\]")


def cases(shared: Path, metric: str) -> list[dict[str, Any]]:
    lines = (shared / "golden" / metric / "cases.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines
    return [json.loads(line) for line in lines]


def differences(found: Any, expected: Any, place: str = "") -> list[str]:
    """Where `found` is not what is expected: floats to 1e-9, everything else exactly."""
    if isinstance(expected, dict):
        keys = {key for key in expected if not key.startswith(NOT_OURS)}
        extra = {key for key in found if not key.startswith(NOT_OURS)} - keys
        missing = keys - set(found)
        strange = [f"{place}: {'no' if key in missing else 'extra'} {key}" for key in sorted(extra | missing)]
        return strange + [d for key in keys - missing for d in differences(found[key], expected[key], f"{place}/{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [d for n, (one, other) in pairs for d in differences(one, other, f"{place}[{n}]")]
    if isinstance(expected, float) and not isinstance(found, str):
        close = math.isclose(found, expected, rel_tol=0, abs_tol=1e-9 * max(1.0, abs(expected)))
        return [] if close else [f"{place}: {found!r} is not {expected!r}"]
    return [] if found == expected and type(found) is type(expected) else [f"{place}: {found!r} is not {expected!r}"]


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_golden(shared: Path, metric: str):
    wrong = {}
    for case in cases(shared, metric):
        if LITERAL in case["tags"]:
            continue
        expected = case["expected"]
        if "monte_carlo_reference" in case["tags"]:
            continue
        if "error" in expected:
            with pytest.raises(Exception, match="."):
                run(metric, case["input"], case.get("options"))
            continue
        if found := differences(run(metric, case["input"], case.get("options")), expected):
            wrong[case["id"]] = found
    assert wrong == {}


def test_masks_look_like_the_reference_to_an_observer(shared: Path):
    """Within 5 sigma of both errors together; runs of one block are not independent, so 1.5 times that."""
    seen = [case for case in cases(shared, "span_masking") if "monte_carlo_reference" in case["tags"]]
    assert len(seen) == 2
    for case in seen:
        found, expected = run("span_masking", case["input"]), case["expected"]
        assert found["masked_fraction_exact"] == expected["masked_fraction_exact"]
        for name in ("merged_runs_per_sequence", "merged_run_length_tokens_mean"):
            assert close(found[name], expected[name]), (case["id"], name)
        for name in ("merged_run_length_tokens_hist_prob_se", "unmerged_span_length_words_hist_prob_se"):
            for length, value in expected[name].items():
                assert close(found[name][length], value), (case["id"], name, length)


def close(one: list[float], other: list[float]) -> bool:
    return abs(one[0] - other[0]) <= 7.5 * math.hypot(one[1], other[1]) + 1e-3


def test_special_tokens_in_text_are_plain_text(shared: Path):
    """The oracle reads them as special; we never do. Around them every piece is as expected, they are split exactly."""
    for case in (case for case in cases(shared, "tokenizer_alignment") if LITERAL in case["tags"]):
        text = case["input"]["text"]
        found = run("tokenizer_alignment", case["input"], case.get("options"))
        pieces = list(zip(found["tokens"], map(tuple, found["offsets"]), strict=True))
        expected = list(zip(case["expected"]["tokens"], map(tuple, case["expected"]["offsets"]), strict=True))
        literals = [match.span() for match in SPECIAL.finditer(text)]
        assert literals
        assert not {"[PAD]", "[CLS]", "[SEP]", "[MASK]"} & set(found["tokens"])
        for start, end in literals:
            inside = [piece for piece in pieces if start <= piece[1][0] < end]
            assert inside[0] == ("[", (start, start + 1))
            assert inside[-1] == ("]", (end - 1, end))
            assert [piece[1][0] for piece in inside[1:]] == [piece[1][1] for piece in inside[:-1]]

        def outside(all_pieces: list[Any], literals: list[tuple[int, int]] = literals) -> list[Any]:
            return [p for p in all_pieces if not any(start <= p[1][0] < end for start, end in literals)]

        assert outside(pieces) == outside(expected)


def test_a_literal_has_no_special_id(shared: Path):
    """[MASK] is id 4 in the vocabulary; as text it is '[', pieces of 'MASK', ']'."""
    assert vocabulary_tokenizer().token(4) == "[MASK]"
    found = run("tokenizer_alignment", {"text": "[MASK]"}, None)
    assert 4 not in found["ids"]
    assert found["offsets"][0] == [0, 1]


def test_refused_inputs():
    with pytest.raises(Exception, match="S-X"):
        run("seqeval_strict_iob2", {"gold": [["S-X"]], "pred": [["O"]]}, None)
    with pytest.raises(Exception, match="lengths"):
        run("conlleval", {"gold": [["B-X", "O"]], "pred": [["O"]]}, None)


def test_differences_sees_differences():
    expected = {"a": 1, "b": [0.5], "c": 0.5, "printed": "x"}
    assert differences({"a": 1, "b": [0.5], "c": 0.5 + 1e-10}, expected) == []
    assert len(differences({"a": 2, "b": [0.5], "c": 0.5 + 1e-8, "d": 0}, expected)) == 3
    assert len(differences({"a": 1.0, "c": "NaN"}, expected)) == 3
