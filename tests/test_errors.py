"""Errors say what was found, what was expected and what to do, and learn their place on the way up."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanbert.errors import CheckFailed, DataError, MachineError, SpanbertError, UsageError, at, check_among, nearest


def fail(**inner: object) -> None:
    with at(**inner):
        raise DataError("3 apples", "4 apples", "buy one")


def test_the_three_parts():
    error = DataError("3 apples", "4 apples", "buy one")
    assert str(error) == "3 apples\n  expected: 4 apples\n  do this:  buy one"
    assert error.place == ""


@pytest.mark.parametrize(("kind", "code"), [(CheckFailed, 1), (UsageError, 2), (DataError, 3), (MachineError, 4)])
def test_exit_codes(kind: type[SpanbertError], code: int):
    assert kind("a", "b", "c").exit_code == code
    assert issubclass(kind, SpanbertError)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"file": Path("a.txt")}, "a.txt"),
        ({"file": "a.txt", "line": 7}, "a.txt:7"),
        ({"document": "d'1"}, 'document "d\'1"'),
        ({"file": "a.txt", "line": 7, "document": "d"}, "a.txt:7, document 'd'"),
        ({"document": ""}, "document ''"),
        ({}, ""),
    ],
)
def test_at_fills_the_place(place: dict[str, object], words: str):
    with pytest.raises(DataError) as caught:
        fail(**place)
    assert caught.value.place == words
    assert str(caught.value).startswith(f"{words}: 3 apples\n" if words else "3 apples\n")


def test_the_innermost_place_is_kept_and_the_rest_is_filled_in():
    """Inside: document. In the middle: another document, and file and line. Outside: another file."""
    with pytest.raises(DataError) as caught, at(file="outer", line=1), at(file="inner", line=2, document="outer"):
        fail(document="inner")
    assert caught.value.place == "inner:2, document 'inner'"


def test_a_line_does_not_leak_into_another_file():
    """The file was known without a line: the line of an outer file says nothing about it."""
    with pytest.raises(DataError) as caught, at(file="outer", line=9):
        fail(file="inner")
    assert caught.value.place == "inner"


def test_other_errors_pass_untouched():
    with pytest.raises(KeyError) as caught, at(file="a", line=1):
        raise KeyError("x")
    assert caught.value.args == ("x",)


@pytest.mark.parametrize(
    ("value", "choices", "answer"),
    [
        ("flt", ("flat", "nested"), "did you mean 'flat'?"),
        ("FLAT", ("Flat",), "did you mean 'Flat'?"),
        ("conl", iter(["conll", "brat"]), "did you mean 'conll'?"),
        ("zebra", ("flat", "nested"), "leave it out"),
        ("flat", (), "leave it out"),
        (None, ("none", "all"), "did you mean 'none'?"),
        (7, ("flat", "nested"), "leave it out"),
    ],
)
def test_nearest(value: object, choices: tuple[str, ...], answer: str):
    assert nearest(value, choices, "leave it out") == answer


@pytest.mark.parametrize(("value", "fix"), [("nestd", "did you mean 'nested'?"), (None, "name one of these")])
def test_a_value_that_is_no_choice(value: object, fix: str):
    with pytest.raises(UsageError) as caught:
        check_among("policy", value, ["flat", "nested"], where="of spans")
    error = caught.value
    assert (error.found, error.expected, error.fix) == (f"policy {value!r} of spans", "one of flat, nested", fix)


def test_a_value_that_cannot_be_hashed_is_no_choice():
    with pytest.raises(UsageError, match="policy"):
        check_among("policy", ["flat"], {"flat": 1})


def test_a_value_that_is_a_choice():
    check_among("policy", "flat", {"flat": 1, "nested": 2})
