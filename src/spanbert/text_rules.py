"""The rules that a `tokenizer.json` may bring along for text: none that could take time or memory without end.

A file may name any regular expression, and the engine that runs it backtracks; it may replace anything by anything,
again and again. Refused is what is not known to be bounded, whoever made it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tokenizers import Tokenizer as Backend

from .errors import DataError

MOST_RULES = 64
MOST_GROWTH = 64
"""Characters that one character of text may become; compatibility forms alone make 18 of one (U+FDFA)."""
LONGEST_WORD = 1_000
"""Characters of a word that WordPiece looks up: its time grows with their square."""

# one character, class or escape, repeated or not: with nothing behind it there is nothing to go back for
_ESCAPE = r"\\[sSwWdDnrt]|\\[pP]\{\w+\}"
_CLASS = rf"\[\^?(?:{_ESCAPE}|[^\[\]\\&^])+\]"
_ONE_ATOM = re.compile(rf"(?:{_ESCAPE}|{_CLASS}|[^\\\[\](){{}}|*+?.^$])(?:\+|\{{[1-9]\d{{0,2}}(?:,\d{{0,3}})?\}})?")
_CONTRACTIONS = r"'s|'t|'re|'ve|'m|'ll|'d"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_PUBLISHED = (  # how GPT-2, Llama 3 and Qwen 2 part words: linear, branch by branch
    rf"{_CONTRACTIONS}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+",
    rf"(?i:{_CONTRACTIONS})|{_WORDS}|\p{{N}}{{1,3}}|{_REST}",
    rf"(?i:{_CONTRACTIONS})|{_WORDS}|\p{{N}}|{_REST}",
)


def check_rules(backend: Backend) -> None:
    """Raises DataError for a rule that is not known to be bounded."""
    longest = getattr(backend.model, "max_input_chars_per_word", 0)
    if longest > LONGEST_WORD:
        raise DataError(f"words of {longest:,} characters", f"at most {LONGEST_WORD:,}", "100 is what BERT looks up")
    rules = [*_rules(backend.normalizer), *_rules(backend.pre_tokenizer)]
    if len(rules) > MOST_RULES:
        raise DataError(f"{len(rules):,} rules for text", f"at most {MOST_RULES}", "leave out those that do nothing")
    growth = 1.0
    for rule in rules:
        _check_pattern(rule.get("pattern"))
        if rule.get("type") == "FixedLength" and not rule.get("length"):
            raise DataError("pieces of no length", "at least one character", "leave the rule out")
        growth *= max(1.0, _growth(rule))
    if growth > MOST_GROWTH:
        raise DataError(
            f"rules that may make {growth:,.0f} characters of one",
            f"at most {MOST_GROWTH}",
            "use a tokenizer that replaces characters by few others",
        )


def _rules(part: Any) -> Iterator[Mapping[str, Any]]:
    """Normalizers or pre-tokenizers, whatever sequences they stand in."""
    waiting = [json.loads(part.__getstate__())] if part is not None else []
    while waiting:
        rule = waiting.pop()
        waiting += rule.get("normalizers") or rule.get("pretokenizers") or []
        yield rule


def _check_pattern(pattern: object) -> None:
    expression = pattern.get("Regex") if isinstance(pattern, Mapping) else None
    if expression is None or expression in _PUBLISHED or _ONE_ATOM.fullmatch(expression):
        return
    raise DataError(
        f"the regular expression {expression[:100]!r} for text",
        "one character or class with + or {n,} behind it, or how GPT-2, Llama 3 or Qwen 2 part words",
        "use the checkpoint's own tokenizer; of its rules only these are known to end soon on any text",
    )


def _growth(rule: Mapping[str, Any]) -> float:
    """Characters that one character may become."""
    match rule.get("type"):
        case "Replace":
            replaced = rule["pattern"].get("String", " ")
            return len(rule["content"]) / max(1, len(replaced))
        case "Prepend":
            return 1.0 + len(rule["prepend"])
        case "Precompiled":
            table = base64.b64decode(rule["precompiled_charsmap"])
            texts = table[4 + int.from_bytes(table[:4], "little") :]  # behind the trie, each with a zero at its end
            return max(len(text.decode(errors="replace")) for text in texts.split(b"\0"))
    return 1.0
