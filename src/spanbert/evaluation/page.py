"""The record of a full report as one HTML page: no scripts, nothing from elsewhere, and no text of data is markup.

It is made from the JSON values alone, so a page can be made again from `report.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from . import charts
from .markup import NOTHING, html, safe, shortened, shown_count, shown_interval, shown_rate, table

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


def page(record: Mapping[str, Any]) -> str:
    """The whole page."""
    sections = {
        "Labels": rates_table(record["per_label"], "label"),
        "Worst documents": "".join(_worst(record["worst_documents"])),
        "Errors": _errors(record["errors"]) + _confusion(record["confusion"]),
        "Groups": _groups(record),
        "Probabilities": probabilities(record["calibration"]),
        "Scorers": _scorers(record),
        "Out of reach": out_of_reach(record["unreachable"]),
    }
    return framed(record, _head(record), sections)


def framed(record: Mapping[str, Any], head: str, sections: Mapping[str, str]) -> str:
    """A page of sections, each of markup under its name, with links to them."""
    title = f"Evaluation of {safe(record['about'].get('model', 'a model'))}"
    names = {name: name.lower().replace(" ", "-") for name in sections}
    body = [f'<h2 id="{names[name]}">{name}</h2>\n{content}' for name, content in sections.items()]
    links = "".join(f'<a href="#{anchor}">{name}</a>' for name, anchor in names.items())
    footer = f"<footer>spanbert {safe(record['version'])}; {safe(record['signature'])}</footer>\n"
    return html(title, f"{head}<nav>{links}</nav>\n{''.join(body)}{footer}")


def tile(name: str, rate: Mapping[str, Any] | None) -> str:
    """A number in a frame, with its interval in figures and drawn."""
    return (
        f'<div class="tile">{name}<b>{shown_rate(rate)}</b><small>{shown_interval(rate) or "no interval"}</small>'
        f"<br>{charts.strip(rate)}</div>"
    )


def said_about(record: Mapping[str, Any]) -> str:
    """What was evaluated on what."""
    about = record["about"]
    said = [f"{name.replace('_', ' ')}: {value}" for name, value in about.items() if isinstance(value, str)]
    said.append(f"threshold: {about['threshold']:.3g}")
    return f'<p class="soft">{safe(" · ".join(said))}</p>\n'


def _head(record: Mapping[str, Any]) -> str:
    """What was evaluated on what, and the three numbers."""
    overall, how = record["overall"], record["bootstrap"]
    tiles = [tile(name, overall[key]) for name, key in (("F1", "f1"), ("Precision", "precision"), ("Recall", "recall"))]
    others = [
        f'<p>What it says of {safe(kind)} is on <a href="{safe(kind)}.html">a page of its own</a>.</p>\n'
        for kind in record.get("pages", ())
    ]
    counts = (
        f'<div class="tile">Gold spans<b>{shown_count(overall["gold"])}</b><small>'
        f"{shown_count(overall['predicted'])} predicted, {shown_count(overall['correct'])} of them right<br>"
        f"in {record['documents']:,} documents with {record['characters']:,} characters</small></div>"
    )
    return (
        f'{said_about(record)}{_plainly(overall)}<div class="tiles">{"".join(tiles)}{counts}</div>\n{"".join(others)}'
        f'<p class="note">A span is right if its boundaries and its label are those of a gold span. '
        f"Macro F1, the mean over labels: {shown_rate(record['macro_f1'])}. Intervals hold "
        f"{how['level']:.0%} of {how['samples']:,} draws of whole documents with replacement (percentile bootstrap); "
        "a draw in which a rate is 0/0 is left out, and there is none for a group in fewer than two documents. "
        f"{NOTHING} stands for 0/0.</p>\n"
    )


def _plainly(overall: Mapping[str, Any]) -> str:
    """The two rates in words."""
    precision, recall = overall["precision"], overall["recall"]
    if precision is None or recall is None:
        return ""
    right, found = (round(100 * rate["value"]) for rate in (precision, recall))
    return f"<p>Of 100 spans that it tells, {right} are right; of 100 that are there, it finds {found}.</p>\n"


def rates_table(rows: Sequence[Mapping[str, Any]], heading: str, plotted: str = "f1") -> str:
    """A table with a row for each group."""
    heads = ("precision", "recall", "F1")
    columns = "".join(f"<th>{name}</th>" for name in (*heads, "right", "predicted", "gold", "documents"))
    plot = {"f1": "F1", "recall": "recall"}[plotted]
    lines = []
    for row in rows:
        rates = "".join(
            f"<td>{shown_rate(row[key])}<small>{shown_interval(row[key])}</small></td>"
            for key in ("precision", "recall", "f1")
        )
        counts = "".join(f"<td>{shown_count(row[key])}</td>" for key in ("correct", "predicted", "gold", "documents"))
        drawn = f'<td class="plot">{charts.strip(row[plotted])}</td>'
        lines.append(f'<tr><td class="t">{safe(row["name"])}</td>{rates}{counts}{drawn}</tr>\n')
    return table(f'<th class="t">{safe(heading)}</th>{columns}<th class="plot">{plot}, 0 to 1</th>', lines)


def _scorers(record: Mapping[str, Any]) -> str:
    """One line each; those that do not apply say why."""
    applicable = [row for row in record["scorers"] if "reason" not in row]
    reasons: dict[str, list[str]] = {}
    for row in record["scorers"]:
        if "reason" in row:
            reasons.setdefault(row["reason"], []).append(row["name"])
    refused = [f"<p>{safe('; '.join(names))}: {safe(reason)}.</p>\n" for reason, names in reasons.items()]
    notes = [f'<p class="note">{safe(note)}</p>\n' for note in record["scorer_notes"]]
    return rates_table(applicable, "scorer") + "".join(refused + notes)


def _groups(record: Mapping[str, Any]) -> str:
    parts = [
        "<h3>Words in the span</h3>\n" + rates_table(record["by_length"], "length"),
        "<h3>Where in the document the span starts</h3>\n" + rates_table(record["by_position"], "part of the text"),
        "<h3>Length of the document, in quarters of the documents</h3>\n"
        + rates_table(record["by_document_length"], "length"),
    ]
    if any(row["documents"] for row in (record["by_window_position"] or [])[1:]):  # else no document is cut
        parts.append(
            "<h3>How far the span is from a cut between windows</h3>\n"
            '<p class="note">Pieces to the nearer end of the window that tells it, where text goes on beyond. '
            "Neighbouring windows overlap, so none should be near.</p>\n"
            + rates_table(record["by_window_position"], "distance")
        )
    if record["by_mention"] is not None:
        parts.append(
            "<h3>Whether training has seen the very text of the span</h3>\n"
            f'<p class="note">As an annotated span in the {record["train_documents"]:,} documents that were given for '
            "this; a predicted span belongs to the group of its own text and label.</p>\n"
            + rates_table(record["by_mention"], "mention", "recall")
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
        + table(head, lines)
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
        lines.append(f'<tr><td class="t">{safe(gold or "none (spurious)")}</td>{cells}</tr>\n')
    heads = "".join(f'<th class="c">{safe(label or "none")}</th>' for label in labels)
    left = f" The {len(shown)} labels with most spans of {len(sizes)} are shown." if len(shown) < len(sizes) else ""
    return (
        "<h3>Which label is taken for which</h3>\n<p>Gold labels (rows) and predicted labels (columns) of spans with "
        f"equal boundaries; none: the other side has no span there.{left}</p>\n"
        + table(f'<th class="t">gold ↓ predicted →</th>{heads}', lines, "matrix")
    )


def _cell(count: int, total: int, gold: str | None, found: str | None) -> str:
    """Darker where more of the gold label goes there."""
    if not count:
        return "<td></td>"
    shade = "right" if gold == found else f"h{min(4, 1 + 8 * count // total)}" if gold is not None else ""
    return f'<td class="{shade}">{count:,}</td>'


def probabilities(said: Mapping[str, Any]) -> str:
    """How true the probabilities of what was decoded are, in numbers and drawn."""
    if not said["count"]:
        return "<p>Nothing was decoded, so there is no probability to judge.</p>\n"
    parts = [f"<p>Of everything that was decoded, whatever the threshold: {said['count']:,}.</p>\n", _figures(said)]
    if whole := said.get("documents"):
        share, expected = (sum(row[k] * row[2] for row in whole["reliability"]) / whole["count"] for k in (1, 0))
        parts.append(
            f"<h3>Whole documents</h3>\n<p>In {share:.1%} of {whole['count']:,} documents all that is told is right "
            f"and nothing is missed; expected were {expected:.1%}, as if the parts of a document were independent. "
            "The curve shows how many documents need no second look, taken in the order of this probability.</p>\n"
            + _figures(whole)
        )
    return "".join(parts)


def _figures(said: Mapping[str, Any]) -> str:
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
        table('<th class="t">measure</th><th>value</th><th class="t"></th>', lines)
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
        yield f"<h3>{safe(document['id'])}</h3>\n"
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
        text = safe(excerpt["text"][a - start : b - start])
        classes = " ".join(side for side in _SIGNS if any(span["side"] == side for span in over))
        yield f'<span class="{classes}">{text}</span>' if classes else text
        yield from (_chip(span) for span in over if span["end"] == b)


def _chip(span: Mapping[str, Any]) -> str:
    side = span["side"]
    score = f" {span['score']:.2f}" if "score" in span else ""
    kind = f' title="{_KINDS[span["kind"]][0]}"' if span["kind"] in _KINDS else ""
    return f'<span class="chip {side}"{kind}>{_SIGNS[side]}{safe(span["label"])}{score}</span>'


def out_of_reach(spans: Sequence[Mapping[str, Any]]) -> str:
    """Reasons with their counts, and the first spans."""
    if not spans:
        return "<p>This configuration can predict every gold span.</p>\n"
    reasons = Counter(span["reason"] for span in spans).most_common()
    counted = [f'<tr><td class="t">{safe(reason)}</td><td>{count:,}</td></tr>\n' for reason, count in reasons]
    listed = [
        f'<tr><td class="t">{safe(span["document"])}</td><td>{span["start"]}–{span["end"]}</td>'
        f'<td class="t">{safe(span["label"])}</td><td class="t">{safe(span["reason"])}</td>'
        f'<td class="t">{safe(shortened(span["text"] or ""))}</td></tr>\n'
        for span in spans[:LISTED]
    ]
    more = f"<p>… and {len(spans) - LISTED:,} more in report.json</p>\n" if len(spans) > LISTED else ""
    heads = '<th class="t">document</th><th>characters</th><th class="t">label</th><th class="t">reason</th>'
    return (
        "<p>Gold spans that this configuration cannot predict whatever it learns; they count as missed.</p>\n"
        + table('<th class="t">reason</th><th>spans</th>', counted)
        + table(heads + '<th class="t">text</th>', listed)
        + more
    )


def _share(count: int | None, total: int) -> str:
    if count is None:
        return "<td></td>"
    return f"<td>{count:,}<small>{f'{count / total:.0%}' if total else NOTHING}</small></td>"
