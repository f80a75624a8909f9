"""What was found in annotated documents, as records, as JSON and as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..documents import JSON, Document, Span

ERROR, WARNING, NOTE = "error", "warning", "note"
KINDS = ("spans", "questions", "relations", "clusters")
"""Of annotations."""
SHOWN = 5
"""Examples of a finding."""
_QUOTED = 60  # characters of the text that are quoted


@dataclass(frozen=True, slots=True)
class Place:
    """Characters [start, end) of a document."""

    document: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.document} [{self.start}, {self.end})"


@dataclass(frozen=True, slots=True)
class Example:
    """A case of a finding, and where it stands."""

    what: str
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing."""

    kind: str
    """A word for programs, such as `crossing`."""
    severity: str
    """error: training would fail or lose too many spans; warning: look at it; note: good to know."""
    count: int
    what: str
    """A sentence, with the count."""
    fix: str
    examples: tuple[Example, ...] = ()
    """The worst first, at most SHOWN."""


@dataclass(frozen=True, slots=True)
class Part:
    """Size of the training or of the held-out documents."""

    documents: int
    annotations: Mapping[str, int]
    """How many spans, questions, relations and clusters."""
    words: int
    """Runs of characters between white space."""

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Part:
        """Count them."""
        words = sum(len(document.text.split()) for document in documents)
        return cls(len(documents), {kind: sum(len(getattr(d, kind)) for d in documents) for kind in KINDS}, words)

    def __str__(self) -> str:
        """Without annotations that there are none of, unless there are none at all."""
        there = [several(count, kind.removesuffix("s")) for kind, count in self.annotations.items() if count]
        return ", ".join(
            [several(self.documents, "document"), *(there or ["no annotations"]), several(self.words, "word")]
        )


@dataclass(frozen=True, slots=True)
class Advice:
    """Everything that was found, and the settings to train with."""

    parts: Mapping[str, Part]
    """`train`, and `dev` where it was given."""
    labels: Mapping[str, tuple[int, int]]
    """Spans of each label in the training documents, and how many of these have one."""
    lost: Mapping[str, int]
    """Spans out of reach under the recommended settings (and the given window), by reason."""
    findings: tuple[Finding, ...]
    """Errors first, then warnings, then notes."""
    recommended: Mapping[str, str | int] = field(default_factory=dict)
    """Settings of training: `task`, `policy`, and `window` where there was a tokenizer."""
    base_model: str = ""
    """Whose tokenizer was asked; empty: none was at hand."""
    spans: int = 0
    """All that could be learnt to find: spans, answers and mentions."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Why training should not begin."""
        return tuple(finding for finding in self.findings if finding.severity == ERROR)

    @property
    def lost_share(self) -> float:
        """Of all that could be learnt."""
        return sum(self.lost.values()) / max(1, self.spans)

    def to_json(self) -> dict[str, JSON]:
        """A record for programs."""
        return {
            "ok": not self.errors,
            "parts": {
                name: {"documents": part.documents, **part.annotations, "words": part.words}
                for name, part in self.parts.items()
            },
            "labels": {label: {"spans": spans, "documents": there} for label, (spans, there) in self.labels.items()},
            "base_model": self.base_model or None,
            "unreachable": {"share": self.lost_share, "reasons": dict(self.lost)},
            "recommended": dict(self.recommended),
            "findings": [_record(finding) for finding in self.findings],
        }

    def to_text(self) -> str:
        """For people: sizes, labels, findings with what to do, and the command line that follows from them."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for name, part in self.parts.items():
            yield f"{name}: {part}"
        if self.labels:
            width = max(map(len, (*self.labels, "label")))
            yield f"\n{'label':<{width}}  {'spans':>9}  {'documents':>9}"
            for label, (spans, there) in self.labels.items():
                yield f"{label:<{width}}  {spans:>9,}  {there:>9,}"
        for finding in self.findings:
            yield f"\n{finding.severity}: {finding.what}"
            for example in finding.examples:
                where = "; ".join(map(str, example.places))
                yield f"    {example.what}" + (f"  ({where})" if where else "")
            yield f"  do this: {finding.fix}"
        if self.base_model:
            lost = f"{sum(self.lost.values()):,} of {self.spans:,}"
            yield f"\nout of reach of {self.base_model}: {lost} ({self.lost_share:.2%})"
        else:
            yield "\nno tokenizer at hand: spans inside word pieces and longer than a window were not looked for"
        yield "recommended: " + " ".join(f"--{name} {value}" for name, value in self.recommended.items())


def place(document: Document, start: int, end: int) -> Place:
    return Place(document.id, start, end)


def quoted(text: str) -> str:
    """A string of the text, on one line and not too long."""
    line = " ".join(text.split())
    return f"'{line}'" if len(line) <= _QUOTED else f"'{line[: _QUOTED - 20]} … {line[-15:]}'"


def spans_shown(rows: Sequence[tuple[Document, Span]]) -> tuple[Example, ...]:
    """The first of some spans as examples."""
    return tuple(
        Example(f"{quoted(d.text[s.start : s.end])} {s.label}", (place(d, s.start, s.end),)) for d, s in rows[:SHOWN]
    )


def tallied(counts: Mapping[str, int]) -> str:
    """`ORG 12, PERSON 1`, the most frequent first."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {times:,}" for name, times in order)


def several(count: int, noun: str) -> str:
    """`1 span`, `2 spans`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, each kind in its order."""
    return tuple(sorted(findings, key=lambda finding: (ERROR, WARNING, NOTE).index(finding.severity)))


def _record(finding: Finding) -> dict[str, JSON]:
    examples = [
        {
            "what": example.what,
            "places": [{"document": at.document, "start": at.start, "end": at.end} for at in example.places],
        }
        for example in finding.examples
    ]
    return {
        "kind": finding.kind,
        "severity": finding.severity,
        "count": finding.count,
        "what": finding.what,
        "fix": finding.fix,
        "examples": examples,
    }
