"""A comparison as one HTML page for people: no scripts, nothing from elsewhere, and no text of a document is markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..documents import Span
from .compare import LISTED, Change, Comparison
from .kinds import Error
from .markup import html, safe, table

AROUND = 80
"""Characters of text that are shown before and after what changed."""
PASSAGES = 50
"""Shown of one document."""
_SIGNS = ("✗", "only A", "only B", "✓")


def page(comparison: Comparison) -> str:
    """The whole page: the table, the verdict, and the LISTED documents that changed most."""
    head, *rows = comparison.rows()
    shown = comparison.changed[:LISTED]
    parts = [
        *(f"<p>{side}: {safe(name)}</p>\n" for side, name in zip("AB", comparison.names, strict=True)),
        f"<p><strong>{safe(comparison.verdict)}</strong></p>\n",
        table(_cells("th", head), (f"<tr>{_cells('td', row)}</tr>\n" for row in rows)),
        "<p>Fixed: errors of A that B does not make. Broken: errors of B that A does not make.</p>\n",
        f"<h2>Documents that changed: {len(comparison.changed)} of {comparison.a.documents}</h2>\n",
        '<p class="note">In the rows of A and B: ✓ right, ✗ wrong. In the gold row: ✓ found by both, ✗ by neither, '
        "only A or only B by that one.</p>\n",
        *(text for change in shown for text in _document(change)),
    ]
    if len(shown) < len(comparison.changed):
        parts.append(f"<p>… and {len(comparison.changed) - len(shown)} more</p>\n")
    return html("Is B better than A?", "".join(parts) + f"<footer>{safe(comparison.signature)}</footer>\n")


def _document(change: Change) -> Iterator[str]:
    """Its name, and each passage that changed three times: gold, A, B; what is no span is listed."""
    marked = {*change.document.spans, *change.a, *change.b}
    yield f"<h3>{safe(change.document.id)}</h3>\n"
    yield f"<p>{len(change.fixed)} fixed, {len(change.broken)} broken</p>\n<table>\n"
    if any(error.key not in marked for error in (*change.fixed, *change.broken)):
        for name, errors in (("fixed", change.fixed), ("broken", change.broken)):
            for error in errors[:PASSAGES]:
                yield f"<tr><td>{name}</td><td>{error.error}</td><td>{safe(error.label)}</td>"
                yield f'<td class="text"><bdi>{safe(error.text)}</bdi></td></tr>\n'
            if len(errors) > PASSAGES:
                yield f'<tr><td>{name}</td><td colspan="3">… and {len(errors) - PASSAGES} more</td></tr>\n'
        yield "</table>\n"
        return
    gold, a, b = set(change.document.spans), set(change.a), set(change.b)
    found = {span: _SIGNS[(span in a) + 2 * (span in b)] for span in gold}
    places = passages((*change.fixed, *change.broken), len(change.document.text))
    for start, end in places[:PASSAGES]:
        for name, spans in (("gold", change.document.spans), ("A", change.a), ("B", change.b)):
            signs = found if name == "gold" else {span: "✓" if span in gold else "✗" for span in spans}
            text = "".join(_marked(change.document.text, start, end, spans, signs))
            yield f'<tr><td>{name}</td><td class="text"><bdi>{text}</bdi></td></tr>\n'
    yield "</table>\n"
    if len(places) > PASSAGES:
        yield f"<p>… and {len(places) - PASSAGES} more passages of this document</p>\n"


def passages(spans: Iterable[Span | Error], length: int) -> list[tuple[int, int]]:
    """Stretches [start, end) of a text of `length` characters that hold the spans and AROUND more on each side."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted((max(0, s.start - AROUND), min(length, s.end + AROUND)) for s in spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _marked(text: str, start: int, end: int, spans: Sequence[Span], signs: dict[Span, str]) -> Iterator[str]:
    """A passage cut at the edges of spans, so that spans may nest and cross; a label stands where its span ends."""
    inside = [span for span in spans if span.start < end and span.end > start]
    edges = {start, end} | {edge for span in inside for edge in (span.start, span.end) if start < edge < end}
    cuts = sorted(edges)
    yield "… " if start else ""
    for begin, stop in zip(cuts, cuts[1:], strict=False):
        over = [span for span in inside if span.start <= begin and span.end >= stop]
        if not over:
            yield safe(text[begin:stop])
            continue
        kind = {"✓": "right", "✗": "wrong"}.get(min((signs[span] for span in over), key=_SIGNS.index), "one")
        ends = "".join(f"<b>{safe(span.label)} {signs[span]}</b>" for span in over if span.end == stop)
        yield f'<mark class="{kind}">{safe(text[begin:stop])}{ends}</mark>'
    yield " …" if end < len(text) else ""


def _cells(cell: str, row: Sequence[str]) -> str:
    """The first of them to the left."""
    first, *rest = (safe(text) for text in row)
    return f'<{cell} class="t">{first}</{cell}>' + "".join(f"<{cell}>{text}</{cell}>" for text in rest)
