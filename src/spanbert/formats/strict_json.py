"""JSON that means one thing: no duplicate keys, NaN, half surrogate pairs, or depth without end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping

import orjson

from ..errors import DataError, nearest


def parse(text: str) -> object:
    """The value of `text`. Raises DataError with line and column of the fault."""
    try:
        orjson.loads(text)  # only to refuse: it rounds long numbers, and of equal keys the last one wins
        value: object = json.loads(text, object_pairs_hook=_distinct_keys)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise DataError(
            f"invalid JSON at {where}: {error.msg}",
            "one complete JSON value in UTF-8, without NaN, half surrogate pairs or deep nesting",
            "check whether it was cut off, edited by hand or broken over several lines",
        ) from None
    except (RecursionError, ValueError):
        raise DataError(
            "JSON nested too deeply or with a number of thousands of digits", "plain records", "write it anew"
        ) from None
    return value


def dump(value: object) -> bytes:
    """One line of JSON without its line end. Raises DataError for what JSON cannot hold, NaN and infinity included."""
    try:
        line = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        if "64-bit" in str(error):  # whole numbers beyond that it does not have
            return _exact(value)
        raise DataError(f"`meta` cannot be written: {error}", "JSON values", "convert them to strings") from None
    return _exact(value) if b"null" in line else line  # what it makes of NaN


def _exact(value: object) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"`meta` cannot be written: {error}", "JSON values", "convert them to strings") from None


def mapping(value: object, what: str) -> dict[str, object]:
    """`value` if it is a JSON object. Raises DataError."""
    if not isinstance(value, dict):
        raise DataError(f"{what} is {_kind(value)}", "a JSON object", "see the format's description")
    return value


def known_keys(value: object, what: str, keys: Collection[str], instead: str) -> dict[str, object]:
    """`value` if it is a JSON object with no keys but `keys`. Raises DataError that suggests the nearest key."""
    record = mapping(value, what)
    for key in record:
        if key not in keys:
            raise DataError(f"unknown key {key!r} in {what}", f"one of {', '.join(keys)}", nearest(key, keys, instead))
    return record


def items(record: Mapping[str, object], key: str) -> list[object]:
    """The list at `key`, empty where there is none. Raises DataError."""
    value = record.get(key)
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise DataError(f"{key!r} is {_kind(value)}", "a list", f"write {key!r} as a list, or leave it out")
    return list(value)


def string(record: Mapping[str, object], key: str, what: str) -> str:
    """The string at `key`. Raises DataError where it is absent or something else."""
    value = record.get(key)
    if not isinstance(value, str):
        found = f"{what} without {key!r}" if value is None else f"{key!r} of {what} is {_kind(value)}"
        raise DataError(found, f"a string under {key!r}", "see the format's description")
    return value


def strings(record: Mapping[str, object], key: str) -> tuple[str, ...]:
    """The strings in the list at `key`, none where there is no list. Raises DataError."""
    return tuple(string({key: value}, key, "a list") for value in items(record, key))


def _distinct_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) != len(pairs):
        double, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise DataError(f"key {double!r} stands twice in one object", "each key once", "remove one of them")
    return record


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, dict) else repr(type(value).__name__))
