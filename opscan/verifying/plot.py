"""Curves as SVG, drawn here: no library is needed to look at them, and nothing is loaded from anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 12, 26, 34
_COLOURS = ("#1f6feb", "#d1242f", "#57606a")

Curve = tuple[str, Sequence[tuple[float, float]]]


def plot(title: str, unit: str, curves: Sequence[Curve], logarithmic: bool = False) -> str:
    """A chart of curves, each a name and its points; on a logarithmic scale a zero leaves a gap. "" without points."""
    kept = [(name, [point for point in points if _fits(point[1], logarithmic)]) for name, points in curves]
    every = [point for _, points in kept for point in points]
    if not every:
        return ""
    scale = (lambda y: math.log10(y)) if logarithmic else (lambda y: y)
    (x0, x1), (y0, y1) = _range([x for x, _ in every], 0), _range([scale(y) for _, y in every], 0.05)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across = _LEFT + (point[0] - x0) / (x1 - x0) * (_WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT - _BOTTOM - (scale(point[1]) - y0) / (y1 - y0) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<text x="{_LEFT}" y="15" font-weight="bold">{escape(title)}</text>']
    parts += _axes(unit, (x0, x1), (y0, y1), logarithmic)
    for number, (name, points) in enumerate(kept):
        parts += _curve(number, name, [place(point) for point in points])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="#24292f" role="img" style="max-width:100%;height:auto">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _fits(y: float, logarithmic: bool) -> bool:
    return math.isfinite(y) and (not logarithmic or y > 0)


def _range(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    wide = (high - low) * margin
    return (low - wide, high + wide) if high > low else (low - 0.5, high + 0.5)


def _axes(unit: str, xs: tuple[float, float], ys: tuple[float, float], logarithmic: bool) -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#8c959f"/>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * (bottom - _TOP)
        value = ys[0] + share * (ys[1] - ys[0])
        text = f"{10**value:.1e}" if logarithmic else f"{value:.4g}"
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#d0d7de" stroke-width="0.5"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for x, share in ((_LEFT, 0.0), ((_LEFT + right) / 2, 0.5), (right, 1.0)):
        text = f"{xs[0] + share * (xs[1] - xs[0]):g}"
        parts.append(f'<text x="{x:.0f}" y="{bottom + 15}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="{right}" y="{_HEIGHT - 4}" text-anchor="end">{escape(unit)}</text>')
    return parts


def _curve(number: int, name: str, places: Sequence[tuple[float, float]]) -> list[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    dashes = ' stroke-dasharray="5 3"' if number == 1 else ""  # where two curves agree, both are seen
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes}/>']
    if len(places) <= 30:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.2" fill="{colour}"/>' for x, y in places]
    at = _WIDTH - _RIGHT - 110 * (3 - number)
    parts.append(f'<path d="M{at} 12h16" stroke="{colour}" stroke-width="1.5"{dashes}/>')
    parts.append(f'<text x="{at + 20}" y="15">{escape(name[:15])}</text>')
    return parts
