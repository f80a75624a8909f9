"""Small drawings of numbers from 0 to 1, as SVG inside a page: no text of a document ever stands in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SIDE, _LEFT, _TOP, _BOTTOM = 300, 44, 10, 44  # the square, and room around it
_STRIP = 120  # width of a strip


def strip(rate: Mapping[str, Any] | None) -> str:
    """A rate and its interval on a line from 0 to 1."""
    if rate is None:
        return ""
    middle = f'<circle cx="{_along(rate["value"])}" cy="8" r="2.5" class="dot"/>'
    if rate["low"] is not None:
        low, high = _along(rate["low"]), _along(rate["high"])
        middle = f'<line x1="{low}" y1="8" x2="{high}" y2="8" class="reach"/>{middle}'
    ticks = "".join(f'<line x1="{_along(x)}" y1="3" x2="{_along(x)}" y2="13" class="grid"/>' for x in (0, 0.5, 1))
    return f'<svg class="strip" viewBox="0 0 {_STRIP} 16" width="{_STRIP}" height="16" aria-hidden="true">{ticks}' + (
        f'<line x1="{_along(0)}" y1="8" x2="{_along(1)}" y2="8" class="grid"/>{middle}</svg>'
    )


def reliability(bins: Sequence[Sequence[float]]) -> str:
    """Bins of (mean probability, share that was right, items) against the diagonal of probabilities that are true."""
    points = [(_x(said), _y(so), _y(said)) for said, so, _ in bins]
    drawn = [f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" class="ideal"/>']
    drawn += [f'<line x1="{x}" y1="{y}" x2="{x}" y2="{true}" class="gap"/>' for x, y, true in points]
    drawn.append(f'<polyline points="{" ".join(f"{x},{y}" for x, y, _ in points)}" class="curve"/>')
    drawn += [f'<circle cx="{x}" cy="{y}" r="4" class="dot"/>' for x, y, _ in points]
    return _square("".join(drawn), "Reliability diagram", "probability that was said", "share that was right", 1.0)


def risk_coverage(curve: Sequence[Sequence[float]]) -> str:
    """Points of (share of spans that are kept, most probable first; share of these that is wrong)."""
    top = next(limit for limit in (0.1, 0.2, 0.5, 1.0) if max(risk for _, risk in curve) <= limit)
    points = " ".join(f"{_x(kept)},{_y(risk / top)}" for kept, risk in curve)
    area = f'<polygon points="{_x(curve[0][0])},{_y(0)} {points} {_x(curve[-1][0])},{_y(0)}" class="area"/>'
    drawn = f'{area}<polyline points="{points}" class="curve"/>'
    return _square(drawn, "Risk-coverage curve", "share kept, most probable first", "share that is wrong", top)


def _along(value: float) -> str:
    return f"{5 + value * (_STRIP - 10):.1f}"


def _x(value: float) -> str:
    return f"{_LEFT + value * _SIDE:.1f}"


def _y(value: float) -> str:
    return f"{_TOP + (1 - value) * _SIDE:.1f}"


def _square(drawn: str, title: str, below: str, beside: str, top: float) -> str:
    """A frame with an axis from 0 to 1 below and one from 0 to `top` on the left."""
    width, height = _LEFT + _SIDE + 12, _TOP + _SIDE + _BOTTOM
    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">']
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [
            f'<line x1="{_x(0)}" y1="{_y(tick)}" x2="{_x(1)}" y2="{_y(tick)}" class="grid"/>',
            f'<line x1="{_x(tick)}" y1="{_y(0)}" x2="{_x(tick)}" y2="{_y(1)}" class="grid"/>',
            f'<text x="{_LEFT - 6}" y="{_y(tick)}" dy="4" text-anchor="end">{tick * top:.3g}</text>',
            f'<text x="{_x(tick)}" y="{_TOP + _SIDE + 17}" text-anchor="middle">{tick:.3g}</text>',
        ]
    middle = _TOP + _SIDE / 2
    parts += [
        drawn,
        f'<text x="{_x(0.5)}" y="{height - 6}" text-anchor="middle">{below}</text>',
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{beside}</text>',
        "</svg>",
    ]
    return "".join(parts)
