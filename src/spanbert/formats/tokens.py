"""Texts made of tokens, as the JSON formats of relations have them: joined by spaces, sentences by line breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..documents import Span
from ..errors import DataError
from .repair import RawSpan, clean, whole_number
from .report import ReadReport

_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}


@dataclass(frozen=True, slots=True)
class Joined:
    """A text and where its tokens stand in it."""

    text: str
    places: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, sentences: Sequence[object], report: ReadReport) -> Joined:
        """From lists of tokens; the bracket tokens of treebanks become brackets. Raises DataError."""
        parts: list[str] = []
        places: list[tuple[int, int]] = []
        at = 0
        for number, sentence in enumerate(sentences):
            if not isinstance(sentence, list) or not all(isinstance(token, str) for token in sentence):
                raise DataError(
                    "tokens that are no list of strings", "a list of tokens", "see the format's description"
                )
            for index, token in enumerate(sentence):
                if token in _BRACKETS:
                    report.repair("tokens standing for brackets (written as such)", token)
                written = _BRACKETS.get(token, token)
                between = " " if index else "\n" if number and parts else ""
                parts += [between, written]
                at += len(between)
                places.append((at, at + len(written)))
                at += len(written)
        return cls("".join(parts), tuple(places))

    def span(self, first: object, last: object, label: object, report: ReadReport) -> Span:
        """The span of the tokens first..last (inclusive). Raises DataError where they are not in the text."""
        a, b = whole_number(first, "first token", report), whole_number(last, "last token", report)
        if not 0 <= a <= b < len(self.places):
            raise DataError(
                f"tokens {a} to {b} of {len(self.places)}",
                "the first and last token of a span",
                "check whether the end is inclusive in this format",
            )
        place = (self.places[a][0], self.places[b][1])
        return clean(self.text, [RawSpan(*place, label)], [(place,)], report)[0]
