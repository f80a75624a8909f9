"""What the pages for people are written with: their style, tables and numbers, and text that is never markup."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ..errors import plain

NOTHING = "–"
"""Stands for 0/0."""
_JOINERS = re.compile("([\u200c\u200d])")  # letters and emoji are made with them: they stay
STYLE = """
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
td.text { text-align: start; min-width: 20em; }
mark { background: #e9edf1; color: inherit; }
mark b { font-size: 70%; padding: 0 .3em; }
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


def html(title: str, body: str) -> str:
    """A whole page, given in markup; its policy allows this style and nothing else."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{body}</body></html>\n"
    )


def table(head: str, lines: Iterable[str], kind: str = "") -> str:
    """Of the cells of its head and of whole rows, all of them markup; kind: its class."""
    named = f' class="{kind}"' if kind else ""
    body = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(lines)}</tbody>"
    return f'<div class="wide"><table{named}>{body}</table></div>\n'


def shown_rate(rate: Mapping[str, float] | float | None) -> str:
    """Three digits, of a number or of its `value`."""
    if rate is None:
        return NOTHING
    return f"{rate['value'] if isinstance(rate, Mapping) else rate:.3f}"


def shown_interval(rate: Mapping[str, Any] | None) -> str:
    """Its `low` and `high`; empty where there are none."""
    return "" if rate is None or rate["low"] is None else f"{rate['low']:.3f} to {rate['high']:.3f}"


def shown_count(value: float) -> str:
    """Halves only where there are some."""
    return f"{value:,.1f}".removesuffix(".0")


def shortened(text: str) -> str:
    """The beginning and the end of a long text."""
    return text if len(text) <= 120 else f"{text[:100]} … {text[-15:]}"


def safe(text: str) -> str:
    """Text that is no markup; controls, and marks that turn the direction of writing, are shown as their codes."""
    return escape("".join(part if _JOINERS.fullmatch(part) else plain(part) for part in _JOINERS.split(text)))
