"""The page of a full report on what is no span: answers, relations, clusters. Rules as in `page.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..metrics.report import group_rows
from .markup import NOTHING, safe, table
from .page import framed, out_of_reach, probabilities, rates_table, said_about, tile

_SAME = 1e-9  # the number in the first tile is not shown twice


def score_page(record: Mapping[str, Any]) -> str:
    """The whole page."""
    sections = {
        "Scorers": _scores(record["scores"]),
        "Labels": rates_table(record["rates"], "label") if record["rates"] else "",
        "Groups": "".join(_groups(record["groups"])),
        "Probabilities": probabilities(record["calibration"]),
        "Worst documents": "".join(_worst(record["worst_documents"])),
        "Out of reach": out_of_reach(record["unreachable"]),
    }
    return framed(record, _head(record), {name: content for name, content in sections.items() if content})


def _head(record: Mapping[str, Any]) -> str:
    overall, how, errors = record["overall"], record["bootstrap"], record["errors"]
    said = [
        f'<div class="tile">{safe(name.partition("/")[2])}<b>{value:.1f}</b><small>of 100</small></div>'
        for name, value in record["headline"].items()
        if value is not None and abs(value / 100 - overall["value"]) > _SAME
    ]
    counts = (
        f'<div class="tile">Errors<b>{sum(errors.values()):,}</b><small>{errors.get("wrong", 0):,} wrong, '
        f"{errors.get('missed', 0):,} missed<br>in {record['documents']:,} documents with "
        f"{record['characters']:,} characters</small></div>"
    )
    return (
        f'{said_about(record)}<div class="tiles">{tile(safe(overall["name"]), overall)}{"".join(said)}{counts}</div>\n'
        f'<p class="note">Intervals hold {how["level"]:.0%} of {how["samples"]:,} draws of whole documents with '
        "replacement (percentile bootstrap); there is none for fewer than two documents.</p>\n"
    )


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each number; rates under a metric's name side by side."""
    lines = []
    for scorer, numbers in scores.items():
        for number, (name, value) in enumerate(numbers.items()):
            whose = "" if number else safe(scorer)
            lines.append(f'<tr><td class="t">{whose}</td><td class="t">{safe(name)}</td><td>{_said(value)}</td></tr>\n')
    if not lines:
        return ""
    return table('<th class="t">scorer</th><th class="t">number</th><th>value</th>', lines)


def _said(value: Any) -> str:
    """A number, the ends of an interval, or rates by their names."""
    if isinstance(value, dict):
        return ", ".join(f"{safe(name)} {each:.4g}" for name, each in value.items())
    if isinstance(value, list):
        return " to ".join(f"{each:.4g}" for each in value)
    return NOTHING if value is None else f"{value:.4g}"


def _groups(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    for name, parts in groups.items():
        heads, *rows = ([safe(cell) for cell in row] for row in group_rows(name, parts))
        lines = [
            f'<tr><td class="t">{group}</td>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
            for group, *cells in rows
        ]
        shown = "".join(f"<th>{cell}</th>" for cell in heads[1:])
        yield f"<h3>By {heads[0]}</h3>\n" + table(f'<th class="t">{heads[0]}</th>{shown}', lines)


def _worst(documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not documents:
        yield "<p>No document has an error.</p>\n"
        return
    yield "<p>Those with most errors, each with the text that it is about.</p>\n"
    for document in documents:
        yield f"<h3>{safe(document['id'])}</h3>\n"
        yield f'<p class="note">{document["wrong"]:,} wrong, {document["missed"]:,} missed; '
        yield f"{document['characters']:,} characters</p>\n"
        for error in document["errors"]:
            side = "wrong" if error["error"] == "wrong" else "missed"
            yield f'<p><span class="chip {side}">{side} {safe(error["label"])}</span> '
            yield f"<bdi>{safe(error['text'])}</bdi></p>\n"
            before, inside, after = (error[part] for part in ("before", "inside", "after"))
            cut = "… " if error["start"] > len(before) else ""
            more = " …" if error["start"] + len(inside) + len(after) < document["characters"] else ""
            yield f'<div class="text" dir="auto">{cut}{safe(before)}<span class="{side}">{safe(inside)}</span>'
            yield f"{safe(after)}{more}</div>\n"
        if document["more_errors"]:
            yield f'<p class="note">… and {document["more_errors"]:,} more errors in this document</p>\n'
