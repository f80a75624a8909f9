"""The record of a full report as one HTML page: no scripts, nothing from elsewhere, and no text of data is markup.

It is made from the JSON values alone, so a page can be made again from `report.json`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from ..errors import plain
from . import charts

NOTHING = "–"
"""Stands for 0/0."""
CONFUSED = 20
"""Labels in the table of confusions: those with most spans."""
LISTED = 100
"""Unreachable spans on the page."""
_KINDS = {
    "label": ("wrong label", "the boundaries of a span of the other side, with another label"),
    "boundary": ("wrong boundaries", "overlaps a span of the other side with the same label"),
    "both": ("both wrong", "overlaps only spans of the other side with other labels"),
    "spurious": ("spurious", "overlaps no gold span that was missed"),
    "missed": ("missed", "overlaps no wrong prediction"),
}
_SIGNS = {"right": "", "wrong": "+", "missed": "−"}
_JOINERS = re.compile("([\u200c\u200d])")  # letters and emoji are made with them: they stay
_STYLE = """
:root { --ink: #1f2933; --soft: #616e7c; --line: #d9dee4; --blue: #2f5d8a; --red: #b3382c; --amber: #8a5a00; }
* { box-sizing: border-box; }
body { font: 15px/1.55 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; color: var(--ink);
  max-width: 1120px; margin: 0 auto; padding: 28px 24px 60px; background: #fff; overflow-wrap: break-word; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; }
h2 { font-size: 19px; margin: 44px 0 8px; padding-top: 14px; border-top: 2px solid var(--ink); }
h3 { font-size: 15px; margin: 26px 0 4px; }
p { margin: 6px 0; max-width: 80ch; }
p.note, small, caption, .soft { color: var(--soft); }
p.note { font-size: 13px; max-width: 100ch; }
nav { margin: 14px 0 0; font-size: 13px; }
nav a { color: var(--blue); margin-right: 14px; white-space: nowrap; }
.tiles { display: flex; flex-wrap: wrap; gap: 14px; margin: 22px 0 6px; }
.tile { flex: 1 1 150px; border: 1px solid var(--line); border-radius: 6px; padding: 10px 14px; }
.tile b { display: block; font-size: 30px; line-height: 1.25; font-weight: 600; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; margin: 10px 0 4px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px; }
th { font-weight: 600; font-size: 12.5px; color: var(--soft); text-align: right; vertical-align: bottom;
  border-bottom: 1px solid var(--ink); padding: 4px 12px; white-space: nowrap; }
td { text-align: right; padding: 5px 12px; border-bottom: 1px solid var(--line); vertical-align: baseline;
  white-space: nowrap; }
th.t, td.t { text-align: left; white-space: normal; padding-left: 2px; min-width: 8em; max-width: 34em; }
td small { display: block; font-size: 11.5px; }
td.plot { vertical-align: middle; padding: 0 12px; line-height: 0; }
table.matrix th.c { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: 8px 4px; }
table.matrix td { padding: 4px 9px; min-width: 34px; }
table.matrix td.right { background: #dcebdd; }
.h1 { background: #fbf0ee; } .h2 { background: #f6dcd8; } .h3 { background: #efc1ba; } .h4 { background: #e5a298; }
.charts { display: flex; flex-wrap: wrap; gap: 28px; }
figure { margin: 8px 0; flex: 1 1 320px; max-width: 460px; }
figcaption { font-weight: 600; font-size: 14px; margin-bottom: 4px; }
svg.chart { width: 100%; height: auto; }
svg text { font-size: 11.5px; fill: #616e7c; }
.grid { stroke: #e1e5ea; } .ideal { stroke: #9aa5b1; stroke-dasharray: 4 4; } .gap { stroke: #b3382c; opacity: .45; }
.curve { fill: none; stroke: #2f5d8a; stroke-width: 1.8; } .area { fill: #2f5d8a; opacity: .1; }
.dot { fill: #2f5d8a; } .reach { stroke: #9fbad6; stroke-width: 7; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; max-width: 90ch; margin: 6px 0;
  border-inline-start: 3px solid var(--line); padding-inline-start: 12px; }
.text .right { background: #e3efe4; }
.text .wrong { background: #f8d9d5; }
.text .missed { box-shadow: inset 0 -3px 0 #d99a2b; }
.chip, .text .chip { unicode-bidi: isolate; direction: ltr; background: #fff; box-shadow: none; font-size: 11px;
  font-weight: 600; padding: 0 4px; border-radius: 3px; margin: 0 1px; border: 1px solid; white-space: nowrap; }
.chip.right { color: #3d6b45; } .chip.wrong { color: var(--red); } .chip.missed { color: var(--amber); }
footer { margin-top: 44px; border-top: 1px solid var(--line); padding-top: 10px; font-size: 13px; color: var(--soft); }
@media (max-width: 700px) { body { padding: 16px 12px 40px; } td.plot, th.plot, td.soft { display: none; }
  td, th { padding-left: 7px; padding-right: 7px; } }
@media print { body { font-size: 10.5pt; max-width: none; padding: 0; } nav { display: none; }
  .wide { overflow: visible; } tr, figure, .tile, .text { break-inside: avoid; } h2, h3 { break-after: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""


def page(record: Mapping[str, Any]) -> str:
    """The whole page."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = f"Evaluation of {_safe(record['about'].get('model', 'a model'))}"
    sections = {
        "Scorers": _scorers(record),
        "Labels": _rates(record["per_label"], "label"),
        "Groups": _groups(record),
        "Errors": _errors(record["errors"]) + _confusion(record["confusion"]),
        "Probabilities": _probabilities(record["calibration"]),
        "Worst documents": "".join(_worst(record["worst_documents"])),
        "Out of reach": _unreachable(record["unreachable"]),
    }
    names = {name: name.lower().replace(" ", "-") for name in sections}
    body = [f'<h2 id="{names[name]}">{name}</h2>\n{content}' for name, content in sections.items()]
    links = "".join(f'<a href="#{anchor}">{name}</a>' for name, anchor in names.items())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{title}</h1>\n{_head(record)}<nav>{links}</nav>\n{''.join(body)}"
        f"<footer>spanbert {_safe(record['version'])}; {_safe(record['signature'])}</footer>\n</body></html>\n"
    )


def _head(record: Mapping[str, Any]) -> str:
    """What was evaluated on what, and the three numbers."""
    about, overall, how = record["about"], record["overall"], record["bootstrap"]
    said = [f"{name.replace('_', ' ')}: {value}" for name, value in about.items() if isinstance(value, str)]
    said.append(f"threshold: {about['threshold']:.3g}")
    tiles = [
        f'<div class="tile">{name}<b>{_rate(overall[key])}</b><small>{_interval(overall[key]) or "no interval"}</small>'
        f"<br>{charts.strip(overall[key])}</div>"
        for name, key in (("F1", "f1"), ("Precision", "precision"), ("Recall", "recall"))
    ]
    counts = (
        f'<div class="tile">Gold spans<b>{_count(overall["gold"])}</b><small>{_count(overall["predicted"])} predicted, '
        f"{_count(overall['correct'])} of them right<br>in {record['documents']:,} documents with "
        f"{record['characters']:,} characters</small></div>"
    )
    return (
        f'<p class="soft">{_safe(" · ".join(said))}</p>\n<div class="tiles">{"".join(tiles)}{counts}</div>\n'
        f'<p class="note">A span is right if its boundaries and its label are those of a gold span. '
        f"Macro F1, the mean over labels: {_rate(record['macro_f1'])}. Intervals hold "
        f"{how['level']:.0%} of {how['samples']:,} draws of whole documents with replacement (percentile bootstrap); "
        "a draw in which a rate is 0/0 is left out, and there is none for a group in fewer than two documents. "
        f"{NOTHING} stands for 0/0.</p>\n"
    )


def _rates(rows: Sequence[Mapping[str, Any]], heading: str, plotted: str = "f1") -> str:
    """A table with a row for each group."""
    heads = ("precision", "recall", "F1")
    columns = "".join(f"<th>{name}</th>" for name in (*heads, "right", "predicted", "gold", "documents"))
    plot = {"f1": "F1", "recall": "recall"}[plotted]
    lines = []
    for row in rows:
        rates = "".join(
            f"<td>{_rate(row[key])}<small>{_interval(row[key])}</small></td>" for key in ("precision", "recall", "f1")
        )
        counts = "".join(f"<td>{_count(row[key])}</td>" for key in ("correct", "predicted", "gold", "documents"))
        drawn = f'<td class="plot">{charts.strip(row[plotted])}</td>'
        lines.append(f'<tr><td class="t">{_safe(row["name"])}</td>{rates}{counts}{drawn}</tr>\n')
    return _table(f'<th class="t">{_safe(heading)}</th>{columns}<th class="plot">{plot}, 0 to 1</th>', lines)


def _scorers(record: Mapping[str, Any]) -> str:
    """One line each; those that do not apply say why."""
    applicable = [row for row in record["scorers"] if "reason" not in row]
    reasons: dict[str, list[str]] = {}
    for row in record["scorers"]:
        if "reason" in row:
            reasons.setdefault(row["reason"], []).append(row["name"])
    refused = [f"<p>{_safe('; '.join(names))}: {_safe(reason)}.</p>\n" for reason, names in reasons.items()]
    notes = [f'<p class="note">{_safe(note)}</p>\n' for note in record["scorer_notes"]]
    return _rates(applicable, "scorer") + "".join(refused + notes)


def _groups(record: Mapping[str, Any]) -> str:
    parts = [
        "<h3>Words in the span</h3>\n" + _rates(record["by_length"], "length"),
        "<h3>Where in the document the span starts</h3>\n" + _rates(record["by_position"], "part of the text"),
        "<h3>Length of the document, in quarters of the documents</h3>\n"
        + _rates(record["by_document_length"], "length"),
    ]
    if record["by_mention"] is not None:
        parts.append(
            "<h3>Whether training has seen the very text of the span</h3>\n"
            f'<p class="note">As an annotated span in the {record["train_documents"]:,} documents that were given for '
            "this; a predicted span belongs to the group of its own text and label.</p>\n"
            + _rates(record["by_mention"], "mention", "recall")
        )
    return "".join(parts)


def _errors(errors: Mapping[str, Mapping[str, int]]) -> str:
    lines = []
    totals = {side: sum(counts.values()) for side, counts in errors.items()}
    for kind, (name, meaning) in _KINDS.items():
        cells = "".join(_share(counts.get(kind), totals[side]) for side, counts in errors.items())
        lines.append(f'<tr><td class="t">{name}</td>{cells}<td class="t soft">{meaning}</td></tr>\n')
    sums = "".join(f"<td>{totals[side]:,}</td>" for side in errors)
    lines.append(f'<tr><td class="t">all</td>{sums}<td></td></tr>\n')
    head = '<th class="t">error</th><th>of predicted spans</th><th>of gold spans</th><th class="t plot">the span …</th>'
    return (
        "<p>Each wrong prediction is compared with the gold spans that were missed, and each missed gold span with the "
        "wrong predictions; the first kind that fits counts. One error can meet several of the other side.</p>\n"
        + _table(head, lines)
    )


def _confusion(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Gold labels down, predicted ones across; the last of both is none."""
    sizes: Counter[str] = Counter()
    counts: dict[tuple[str | None, str | None], int] = {}
    for pair in pairs:
        counts[pair["gold"], pair["predicted"]] = pair["count"]
        sizes.update({label: pair["count"] for label in {pair["gold"], pair["predicted"]} - {None}})
    if not counts:
        return ""
    shown = sorted(label for label, _ in sizes.most_common(CONFUSED))
    labels: list[str | None] = [*shown, None]
    totals = {label: sum(counts.get((label, other), 0) for other in (*sizes, None)) for label in labels}
    lines = []
    for gold in labels:
        cells = "".join(_cell(counts.get((gold, found), 0), totals[gold], gold, found) for found in labels)
        lines.append(f'<tr><td class="t">{_safe(gold or "none (spurious)")}</td>{cells}</tr>\n')
    heads = "".join(f'<th class="c">{_safe(label or "none")}</th>' for label in labels)
    left = f" The {len(shown)} labels with most spans of {len(sizes)} are shown." if len(shown) < len(sizes) else ""
    return (
        "<h3>Which label is taken for which</h3>\n<p>Gold labels (rows) and predicted labels (columns) of spans with "
        f"equal boundaries; none: the other side has no span there.{left}</p>\n"
        + _table(f'<th class="t">gold ↓ predicted →</th>{heads}', lines, "matrix")
    )


def _cell(count: int, total: int, gold: str | None, found: str | None) -> str:
    """Darker where more of the gold label goes there."""
    if not count:
        return "<td></td>"
    shade = "right" if gold == found else f"h{min(4, 1 + 8 * count // total)}" if gold is not None else ""
    return f'<td class="{shade}">{count:,}</td>'


def _probabilities(said: Mapping[str, Any]) -> str:
    if not said["count"]:
        return "<p>Nothing was decoded, so there is no probability to judge.</p>\n"
    numbers = {
        "calibration error (ECE)": ("ece", "mean distance of probability and share right, in bins of equal size"),
        "ECE less chance": ("ece_corrected", "less what perfect probabilities would show in so few spans"),
        "Brier score": ("brier", "mean squared distance of the probability from what was so; 0.25 is always a half"),
        "log loss": ("log_loss", "in nats"),
        "AURC": ("aurc", "area under the risk-coverage curve; lower: the probable ones are right"),
    }
    lines = [
        f'<tr><td class="t">{name}</td><td>{said[key]:.4f}</td><td class="t soft">{meaning}</td></tr>\n'
        for name, (key, meaning) in numbers.items()
    ]
    return (
        f"<p>Of all {said['count']:,} spans that were decoded, whatever the threshold.</p>\n"
        + _table('<th class="t">measure</th><th>value</th><th class="t"></th>', lines)
        + f'<div class="charts"><figure><figcaption>Reliability: {len(said["reliability"])} bins of equal size'
        f"</figcaption>{charts.reliability(said['reliability'])}</figure>"
        f"<figure><figcaption>Risk and coverage, AURC {said['aurc']:.4f}</figcaption>"
        f"{charts.risk_coverage(said['risk_coverage'])}</figure></div>\n"
    )


def _worst(documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not documents:
        yield "<p>No document has an error.</p>\n"
        return
    chips = " ".join(f'<span class="chip {side}">{_SIGNS[side]}{side}</span>' for side in _SIGNS)
    yield f"<p>Those with most errors. {chips} A sign stands where its span ends: + predicted, − gold.</p>\n"
    for document in documents:
        wrong, missed = document["wrong"], document["missed"]
        yield f"<h3>{_safe(document['id'])}</h3>\n"
        yield f'<p class="note">{wrong} wrong, {missed} missed, {document["right"]} right; '
        yield f"{document['characters']:,} characters</p>\n"
        for each in document["excerpts"]:
            before = "… " if each["start"] else ""
            after = " …" if each["end"] < document["characters"] else ""
            yield f'<div class="text" dir="auto">{before}{"".join(_marked(each))}{after}</div>\n'
        if document["more_excerpts"]:
            yield f'<p class="note">… and {document["more_excerpts"]} more places in this document</p>\n'


def _marked(excerpt: Mapping[str, Any]) -> Iterator[str]:
    """Text cut at the edges of spans, so that spans may nest and cross; a chip stands where its span ends."""
    start, end, spans = excerpt["start"], excerpt["end"], excerpt["spans"]
    edges = {start, end} | {edge for span in spans for edge in (span["start"], span["end"]) if start < edge < end}
    for a, b in pairwise(sorted(edges)):
        over = [span for span in spans if span["start"] <= a and span["end"] >= b]
        text = _safe(excerpt["text"][a - start : b - start])
        classes = " ".join(side for side in _SIGNS if any(span["side"] == side for span in over))
        yield f'<span class="{classes}">{text}</span>' if classes else text
        yield from (_chip(span) for span in over if span["end"] == b)


def _chip(span: Mapping[str, Any]) -> str:
    side = span["side"]
    score = f" {span['score']:.2f}" if "score" in span else ""
    kind = f' title="{_KINDS[span["kind"]][0]}"' if span["kind"] in _KINDS else ""
    return f'<span class="chip {side}"{kind}>{_SIGNS[side]}{_safe(span["label"])}{score}</span>'


def _unreachable(spans: Sequence[Mapping[str, Any]]) -> str:
    if not spans:
        return "<p>This configuration can predict every gold span.</p>\n"
    reasons = Counter(span["reason"] for span in spans).most_common()
    counted = [f'<tr><td class="t">{_safe(reason)}</td><td>{count:,}</td></tr>\n' for reason, count in reasons]
    listed = [
        f'<tr><td class="t">{_safe(span["document"])}</td><td>{span["start"]}–{span["end"]}</td>'
        f'<td class="t">{_safe(span["label"])}</td><td class="t">{_safe(span["reason"])}</td>'
        f'<td class="t">{_safe(_short(span["text"] or ""))}</td></tr>\n'
        for span in spans[:LISTED]
    ]
    more = f"<p>… and {len(spans) - LISTED:,} more in report.json</p>\n" if len(spans) > LISTED else ""
    heads = '<th class="t">document</th><th>characters</th><th class="t">label</th><th class="t">reason</th>'
    return (
        "<p>Gold spans that this configuration cannot predict whatever it learns; they count as missed.</p>\n"
        + _table('<th class="t">reason</th><th>spans</th>', counted)
        + _table(heads + '<th class="t">text</th>', listed)
        + more
    )


def _table(head: str, lines: Iterable[str], kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    body = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(lines)}</tbody>"
    return f'<div class="wide"><table{named}>{body}</table></div>\n'


def _share(count: int | None, total: int) -> str:
    if count is None:
        return "<td></td>"
    return f"<td>{count:,}<small>{f'{count / total:.0%}' if total else NOTHING}</small></td>"


def _rate(rate: Mapping[str, float] | float | None) -> str:
    if rate is None:
        return NOTHING
    return f"{rate['value'] if isinstance(rate, Mapping) else rate:.3f}"


def _interval(rate: Mapping[str, Any] | None) -> str:
    return "" if rate is None or rate["low"] is None else f"{rate['low']:.3f} to {rate['high']:.3f}"


def _count(value: float) -> str:
    """Halves only where there are some."""
    return f"{value:,.1f}".removesuffix(".0")


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:100]} … {text[-15:]}"


def _safe(text: str) -> str:
    """Text that is no markup; controls, and marks that turn the direction of writing, are shown as their codes."""
    return escape("".join(part if _JOINERS.fullmatch(part) else plain(part) for part in _JOINERS.split(text)))
