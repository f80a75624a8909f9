"""A `tokenizer.json`, read with care: whoever made it chose what is done to the text, in code that is not ours.

The file may name any regular expression, and the engine that runs it backtracks; it may replace anything by anything,
again and again; its tables are read by code that trusts them. So the record is checked before that code sees it, and
what is not known to be bounded is refused.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from .errors import DataError, at

MOST_RULES = 64
MOST_GROWTH = 1_000
"""Characters that one character may become, were each rule to make the most of it: ALBERT's make 972 by this count."""
LONGEST_WORD = 1_000
"""Characters of a word that WordPiece looks up: its time grows with their square."""
LONGEST_PIECE, MOST_LETTERS = 256, 16_000_000
"""Characters of a piece, and of all pieces, of a Unigram vocabulary: their tree takes 300 bytes for each."""
LONGEST_PATTERN, LONGEST_MARK, LONGEST_TOKEN, LONGEST_TEMPLATE = 1_000, 16, 1_000, 8

# one character, class or escape, repeated or not: with nothing behind it there is nothing to go back for
_ESCAPE = r"\\[sSwWdDnrt]|\\[pP]\{\w+\}"
_CLASS = rf"\[\^?(?:{_ESCAPE}|[^\[\]\\&^])+\]"
_ATOM = rf"(?:{_ESCAPE}|{_CLASS}|[^\\\[\](){{}}|*+?.^$])(?:\+|\{{[1-9]\d{{0,2}}(?:,(?:\d{{1,3}})?)?\}})?"
_ATOMS = re.compile(rf"{_ATOM}(?:\|{_ATOM}){{0,7}}")
_RANGE = re.compile(r"\{(\d+),(\d+)\}")
_CONTRACTIONS = r"'s|'t|'re|'ve|'m|'ll|'d"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_PUBLISHED = (  # how GPT-2, Llama 3 and Qwen 2 part words: linear, branch by branch
    rf"{_CONTRACTIONS}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+",
    rf"(?i:{_CONTRACTIONS})|{_WORDS}|\p{{N}}{{1,3}}|{_REST}",
    rf"(?i:{_CONTRACTIONS})|{_WORDS}|\p{{N}}|{_REST}",
)
_GROWS = {  # characters of one, at most
    "NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 3, "BertNormalizer": 9, "ByteLevel": 4, "Metaspace": 2,
}  # fmt: skip
_OWN = "use the checkpoint's own tokenizer"
_REPEATED = ("Replace", "Split", "Punctuation", "Digits", "Strip", "StripAccents")  # the only rules that may be
_OF_MODELS = ("continuing_subword_prefix", "end_of_word_suffix")
Record = Mapping[str, Any]


def read_tokenizer(path: Path) -> Backend:
    """The tokenizer of a file. Raises DataError for what is none, and for rules that are not known to be bounded."""
    try:
        record = json.loads(path.read_bytes())
        with at(file=path):
            check(record)
        return Backend.from_str(json.dumps(record))  # not the file, in which a key may stand twice
    except BaseException as error:  # bare Exception for what it cannot read, and its panics are none
        if isinstance(error, DataError | OSError) or not failed(error):
            raise
        shown = f"no {error}" if isinstance(error, KeyError) else str(error)[:200] or type(error).__name__
        raise DataError(
            f"{path} is not a tokenizer ({shown})", "the tokenizer files of a checkpoint", "copy it again"
        ) from None


def failed(error: BaseException) -> bool:
    """Whether this came out of the library's own code, and no one pressed a key."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def check(record: Record) -> None:
    """Raises DataError for what is not known to be bounded; other faults are left to the reader."""
    _check_model(record["model"])
    for token in record.get("added_tokens") or ():
        _check_length("an added token", token["content"], LONGEST_TOKEN)
    normalizers, pre_tokenizers = ([*_rules(record.get(part))] for part in ("normalizer", "pre_tokenizer"))
    for rule in (*normalizers, *pre_tokenizers):
        _check_pattern(rule)
        if rule["type"] == "FixedLength" and not rule["length"]:
            raise DataError("pieces of no length", "at least one character", "leave the rule out")
    for rules in (normalizers, pre_tokenizers):
        _check_growth(rules)
    _check_frame(record.get("post_processor"))


def _check_model(model: Record) -> None:
    longest = model.get("max_input_chars_per_word", 0)
    if longest > LONGEST_WORD:
        raise DataError(f"words of {longest:,} characters", f"at most {LONGEST_WORD:,}", "100 is what BERT looks up")
    for name in _OF_MODELS:
        _check_length(name, model.get(name) or "", LONGEST_MARK)
    if model.get("dropout"):
        raise DataError("pieces dropped at random", "the same pieces every time", "set its dropout to null")
    if isinstance(model["vocab"], list):  # of Unigram, with scores
        pieces = [str(piece) for piece, _ in model["vocab"]]
        _check_length("a piece", max(pieces, key=len, default=""), LONGEST_PIECE)
        if (letters := sum(map(len, pieces))) > MOST_LETTERS:
            raise DataError(f"pieces of {letters:,} characters", f"at most {MOST_LETTERS:,}", _OWN)


def _check_length(what: str, text: str, most: int) -> None:
    if len(text) > most:
        raise DataError(f"{what} of {len(text):,} characters", f"at most {most:,}", _OWN)


def _rules(part: Record | None) -> Iterator[Record]:
    """Normalizers or pre-tokenizers, whatever sequences they stand in, in their order."""
    waiting = [part] if part is not None else []
    seen = 0
    while waiting:
        rule = waiting.pop()
        if (seen := seen + 1) > 2 * MOST_RULES:
            raise DataError("too many rules for text", f"at most {MOST_RULES}", "leave out those that do nothing")
        if rule["type"] == "Sequence":
            waiting += reversed(rule.get("normalizers") or rule.get("pretokenizers") or [])
        else:
            yield rule


def _check_pattern(rule: Record) -> None:
    pattern = rule.get("pattern") or {}
    expression, text = pattern.get("Regex"), pattern.get("String")
    _check_length("a pattern", expression or text or "", LONGEST_PATTERN)
    if text == "" and rule["type"] == "Replace":
        raise DataError("a replacement of nothing", "text to replace", "leave the rule out")
    if expression is None or expression in _PUBLISHED:
        return
    if _ATOMS.fullmatch(expression) and all(int(low) <= int(high) for low, high in _RANGE.findall(expression)):
        return
    raise DataError(
        f"the regular expression {expression[:100]!r} for text",
        "characters or classes, with + or {n,} behind and | between them, or how GPT-2, Llama 3 or Qwen 2 part words",
        "use the checkpoint's own tokenizer; of its rules only these are known to end soon on any text",
    )


def _check_growth(rules: Sequence[Record]) -> None:
    again = [kind for kind, times in Counter(rule["type"] for rule in rules).items() if times > 1]
    if others := [kind for kind in again if kind not in _REPEATED]:
        raise DataError(f"{others[0]} more than once", "once", "leave out the second, which does nothing")
    if len(rules) > MOST_RULES:
        raise DataError(f"{len(rules):,} rules for text", f"at most {MOST_RULES}", "leave out those that do nothing")
    growth = 1.0
    for rule in rules:
        growth *= max(1.0, _growth(rule))
    if growth > MOST_GROWTH:
        raise DataError(
            f"rules that may make {growth:,.0f} characters of one",
            f"at most {MOST_GROWTH:,}",
            "use a tokenizer that replaces characters by few others",
        )


def _growth(rule: Record) -> float:
    """Characters that one character may become."""
    match rule["type"]:
        case "Replace":
            return len(rule["content"]) / len(rule["pattern"].get("String", " "))
        case "Prepend":
            return 1.0 + len(rule["prepend"])
        case "Precompiled":
            return _longest_replacement(rule["precompiled_charsmap"])
        case kind:
            return float(_GROWS.get(kind, 1)) * (2 if rule.get("add_prefix_space") else 1)


def _longest_replacement(coded: str) -> float:
    """Of a table of characters: the bytes of a tree, counted by four bytes, then texts, each with a zero at its end."""
    try:
        table = base64.b64decode(coded, validate=True)
    except binascii.Error as error:
        raise DataError(f"a table of characters that is not base64 ({error})", "one", "copy it again") from None
    size = int.from_bytes(table[:4], "little")
    if not 0 < size <= len(table) - 4 or size % 4:
        raise DataError("a table of characters that is not whole", "a tree and its texts", "copy it again")
    return float(max(len(text.decode(errors="replace")) for text in table[4 + size :].split(b"\0")))


def _check_frame(part: Record | None) -> None:
    """What stands around text and between two: special pieces that can be counted, each text once."""
    processors = [] if part is None else part["processors"] if part["type"] == "Sequence" else [part]
    if Counter(each["type"] for each in processors)["TemplateProcessing"] > 1 or len(processors) > LONGEST_TEMPLATE:
        raise DataError("several templates around a text", "one", _OWN)
    for each in processors:
        if each["type"] == "Sequence":
            raise DataError("templates inside each other", "one template", _OWN)
        if each["type"] != "TemplateProcessing":
            continue
        for name, texts in (("single", ["A"]), ("pair", ["A", "B"])):
            items = each[name]
            found = [item["Sequence"]["id"] for item in items if "Sequence" in item]
            if sorted(found) != texts or len(items) > LONGEST_TEMPLATE:
                raise DataError(
                    f"a template of {len(items):,} parts with the texts {', '.join(found[:4])}",
                    f"{' and '.join(texts)} once, among at most {LONGEST_TEMPLATE} parts",
                    _OWN,
                )
        if any(len(token["ids"]) > 1 for token in each["special_tokens"].values()):
            raise DataError("a special piece of several ids", "one id", _OWN)
