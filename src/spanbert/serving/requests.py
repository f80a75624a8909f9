"""What a request may ask and what it is told: the documents of the JSON lines, so that nothing need be learnt twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..documents import JSON, Document, check_text, to_json
from ..errors import SpanbertError, UsageError
from ..formats import Reading, ReadReport
from ..formats.jsonl import from_json
from ..inference.span_model import Choices
from .limits import Limits

Table = Sequence[int]


class Parameters(BaseModel):
    """How predictions are chosen; what is left out is as the server was started."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    threshold: Annotated[float, Field(ge=0.0, le=1.0, description="Least probability.")] | None = None
    operating_point: Annotated[str, Field(description="Thresholds stored under this name.")] | None = None
    policy: Annotated[str, Field(description="flat, nested, overlapping or arg-max.")] | None = None
    given_spans: Annotated[bool, Field(description="Take the spans of documents as they are, and relate them.")] = False
    offset_unit: Annotated[
        Literal["code-points", "utf-16", "utf-8"],
        Field(description="What offsets count, in both directions; JavaScript counts utf-16."),
    ] = "code-points"

    def choices(self, otherwise: Choices) -> Choices:
        """Those of the request, or, where it has none, those of the server."""
        chosen: Choices = {
            "threshold": self.threshold, "operating_point": self.operating_point, "policy": self.policy,
        }  # fmt: skip
        said = any(value is not None for value in chosen.values())
        return {**(chosen if said else otherwise), "given_spans": self.given_spans}


class PredictRequest(BaseModel):
    """Texts, or documents as in the JSON lines (with questions or given spans, say), alone or in a list."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    inputs: str | dict[str, object] | list[str | dict[str, object]]
    parameters: Parameters = Parameters()

    def documents(self, limits: Limits) -> list[Document]:
        """Raises UsageError for more than the limits allow, DataError for what is no document."""
        listed = self.inputs if isinstance(self.inputs, list) else [self.inputs]
        if not 0 < len(listed) <= limits.max_texts:
            raise UsageError(f"{len(listed)} texts in a request", f"1 to {limits.max_texts}", "send them in several")
        for each in listed:
            text = each if isinstance(each, str) else each.get("text")
            if isinstance(text, str) and len(text) > limits.max_characters:
                raise UsageError(
                    f"a text of {len(text):,} characters",
                    f"{limits.max_characters:,} at most",
                    "use spanbert predict for it, or start the server with a larger --max-characters",
                )
        report = ReadReport(Reading(offset_unit=self.parameters.offset_unit))
        return [
            _bare(f"text-{number}", each) if isinstance(each, str) else from_json(each, report)
            for number, each in enumerate(listed, start=1)
        ]


def result(document: Document, unit: str) -> dict[str, JSON]:
    """The document as in the JSON lines, without its text; offsets in the unit."""
    record = {key: value for key, value in to_json(document).items() if key not in ("text", "meta")}
    if unit == "code-points":
        return record
    table = TABLES[unit](document.text)
    return {key: _counted(value, table) for key, value in record.items()}


def told(error: SpanbertError) -> dict[str, JSON]:
    """The three parts of a message of ours."""
    where = {"document": error.document} if error.document is not None else {}
    return {"error": error.found, "expected": error.expected, "do_this": error.fix, **where}


def _bare(name: str, text: str) -> Document:
    check_text(text)
    return Document(name, text)


def _counted(value: JSON, table: Table) -> JSON:
    """All offsets in it, looked up in the table."""
    if isinstance(value, Mapping):
        return {
            key: _offsets(each, table) if key in ("start", "end", "parts") else _counted(each, table)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_counted(each, table) for each in value]
    return value


def _offsets(value: JSON, table: Table) -> JSON:
    if isinstance(value, list):
        return [_offsets(each, table) for each in value]
    return table[value] if isinstance(value, int) else value


def _sums(widths: Sequence[int]) -> Table:
    sums = [0]
    for width in widths:
        sums.append(sums[-1] + width)
    return sums


# Code point -> offset in the unit.
TABLES: dict[str, Callable[[str], Table]] = {
    "utf-16": lambda text: _sums([1 + (ord(character) > 0xFFFF) for character in text]),
    "utf-8": lambda text: _sums([len(character.encode()) for character in text]),
}
