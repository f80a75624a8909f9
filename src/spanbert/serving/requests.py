"""What a request may ask and what it is told: the documents of the JSON lines, so that nothing need be learnt twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..documents import JSON, Document, Question, check_text
from ..errors import UsageError, at
from ..formats import Reading, ReadReport
from ..formats.jsonl import from_json, to_json
from ..inference.span_model import Choices, SpanModel
from .service import Service

Table = Sequence[int]
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_TOLD = ("clusters", "coverage", "annotated")
"""Keys of a document that say what a system found: nothing that a model could need."""
_RELATED = ("spans", "relations")
"""Keys that only a model needs that relates spans."""


class Parameters(BaseModel):
    """How predictions are chosen; what is left out is as the server was started."""

    model_config = _STRICT

    threshold: Annotated[float, Field(ge=0.0, le=1.0, description="Least probability.")] | None = None
    operating_point: Annotated[
        str, Field(max_length=100, description="Thresholds stored under this name.")
    ] | None = None  # fmt: skip
    policy: Annotated[
        str, Field(max_length=100, description="flat, nested, overlapping or arg-max.")
    ] | None = None  # fmt: skip
    given_spans: Annotated[bool, Field(description="Take the spans of documents as they are, and relate them.")] = False
    offset_unit: Annotated[
        Literal["code-points", "utf-16", "utf-8"],
        Field(description="What the offsets of spans count, in both directions; JavaScript counts utf-16."),
    ] = "code-points"

    def choices(self, otherwise: Choices) -> Choices:
        """Those of the request, and where it has none those of the server."""
        chosen: Choices = {**otherwise, "given_spans": self.given_spans}
        if self.threshold is not None or self.operating_point is not None:  # one takes the other's place
            chosen["threshold"], chosen["operating_point"] = self.threshold, self.operating_point
        if self.policy is not None:
            chosen["policy"] = self.policy
        return chosen


class PredictRequest(BaseModel):
    """Texts, or documents as in the JSON lines (with questions or given spans, say), alone or in a list."""

    model_config = _STRICT

    inputs: str | dict[str, object] | list[str | dict[str, object]]
    parameters: Parameters = Parameters()

    def documents(self, model: SpanModel, service: Service) -> list[Document]:
        """What the model needs of the inputs.

        Raises UsageError for more than the limits allow, DataError for what is no document; its place is in `file`.
        """
        listed = self.inputs if isinstance(self.inputs, list) else [self.inputs]
        if not 0 < len(listed) <= service.max_texts:
            raise UsageError(f"{len(listed)} texts in a request", f"1 to {service.max_texts}", "send them in several")
        found = []
        for number, each in enumerate(listed):
            with at(file=f"/inputs/{number}" if isinstance(self.inputs, list) else "/inputs"):
                found.append(self._document(each, f"text-{number + 1}", model, service))
        return found

    def _document(self, each: str | dict[str, object], name: str, model: SpanModel, service: Service) -> Document:
        text = each if isinstance(each, str) else each.get("text")
        if isinstance(text, str) and len(text) > service.max_characters:
            raise UsageError(
                f"a text of {len(text):,} characters",
                f"{service.max_characters:,} at most",
                "use spanbert predict for it, or start the server with a larger --max-characters",
            )
        if isinstance(each, str):
            check_text(each)
            return Document(name, each)
        relates = any("relations" in task.tells for task in model.bundle.tasks.values())
        ignored = _TOLD if relates else (*_TOLD, *_RELATED)
        record = {key: value for key, value in each.items() if key not in ignored}
        for key in ("spans", "relations", "questions"):
            items = record.get(key)
            if isinstance(items, list) and len(items) > service.max_annotations:
                raise UsageError(
                    f"{len(items):,} {key} of a document", f"{service.max_annotations:,} at most", "send fewer at once"
                )
        if isinstance(questions := record.get("questions"), list):
            record["questions"] = [_asked(question) for question in questions]
        record.setdefault("id", name)
        document = from_json(record, ReadReport(Reading(offset_unit=self.parameters.offset_unit)))
        if sum(span.end - span.start for span in document.spans) > service.max_body:
            raise UsageError("spans longer than a request", f"{service.max_body:,} characters in all", "send fewer")
        asked = tuple(Question(question.id, question.text) for question in document.questions)
        return Document(document.id, document.text, document.spans, document.relations, questions=asked)


def result(document: Document, unit: str) -> dict[str, JSON]:
    """The document as in the JSON lines, without its text; offsets of spans in the unit."""
    record = {key: value for key, value in to_json(document).items() if key != "text"}
    if unit == "code-points":
        return record
    table = TABLES[unit](document.text)
    return {key: _counted(value, table) for key, value in record.items()}


def _asked(question: object) -> object:
    """Without the answers that it may have."""
    if not isinstance(question, dict):
        return question
    return {key: value for key, value in question.items() if key not in ("answers", "n_best", "no_answer", "texts")}


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
