"""A picture of where the time goes: one bar for each load, its parts the stages, as SVG.

Each stage has a colour: its queue is pale, its compute full, its hop in between. What is outside of
the stages is grey. The parts of a bar add up to the mean latency of its load, of which the share
that no clock measured (network, router, hops) is said.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..statistics.stages import DISPATCH, NETWORK, ROUTER, is_measured
from .text import milliseconds

_COLOURS = ("#3f74d1", "#e0862b", "#2e9e5b", "#a05bc4", "#d33f49", "#1f9aa8", "#b58a1b", "#d060a0")
_GREYS = {DISPATCH: "#5f6675", NETWORK: "#8a93a6", ROUTER: "#b4bac7"}
_OPACITY = {"queue": 0.35, "hop": 0.65, "compute": 1.0}
_LEAST = 0.005
"""Of the longest bar: what is thinner in all bars is not in the legend."""
_WIDTH, _ROW, _BAR, _LINE = 900, 34, 22, 20
_CHARACTER = 7.2
_TOP = 6


@dataclass(frozen=True)
class Bar:
    """One load.

    Attributes:
        label: What it is.
        mean_ms: Part -> mean milliseconds, as `Stages.mean_ms`.
    """

    label: str
    mean_ms: Mapping[str, float]

    @property
    def total_ms(self) -> float:
        return sum(self.mean_ms.values())

    @property
    def sum(self) -> str:
        """What is written at its end."""
        total = self.total_ms
        rest = sum(value for name, value in self.mean_ms.items() if not is_measured(name))
        share = f" ({rest / total:.0%} unexplained)" if rest else ""
        return f"{milliseconds(total)} ms{share}"


def stage_bars(bars: Sequence[Bar]) -> str:
    """The picture, in the colour of the text around it, so that it can stand on a page as it is."""
    longest = max((bar.total_ms for bar in bars), default=0.0) or 1.0
    names = _names(bars)
    colours = dict(zip(_stages(names), _cycled(), strict=False))
    left = max((len(bar.label) for bar in bars), default=0) * _CHARACTER + 12
    ends = max((len(bar.sum) for bar in bars), default=0) * _CHARACTER + 12
    scale = (_WIDTH - left - ends) / longest
    shapes: list[str] = []
    y = float(_TOP)
    for bar in bars:
        shapes.append(_text(left - 8, y + _BAR - 6, bar.label, "end"))
        x = left
        for name in names:
            value = bar.mean_ms.get(name, 0.0)
            width = value * scale
            if width > 0:
                title = f"{bar.label}, {name}: {milliseconds(value)} ms"
                shapes.append(_box(x, y, width, _BAR, *_style(name, colours), title))
            x += width
        shapes.append(_text(x + 6, y + _BAR - 6, bar.sum, "start"))
        y += _ROW
    shown = [
        name
        for name in names
        if any(bar.mean_ms.get(name, 0.0) >= _LEAST * longest for bar in bars)
    ]
    y += 4
    x = left
    for name in shown:
        width = 20 + len(name) * _CHARACTER + 16
        if x > left and x + width > _WIDTH:
            x, y = left, y + _LINE
        shapes.append(_box(x, y, 12, 12, *_style(name, colours), name))
        shapes.append(_text(x + 18, y + 11, name, "start"))
        x += width
    height = y + _LINE
    body = "\n".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" '
        f'width="100%" style="max-width:{_WIDTH}px;min-width:640px" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13">\n'
        f"<title>Mean latency by stage</title>\n{body}\n</svg>"
    )


def standalone(picture: str) -> str:
    """The picture as a file of its own, on white."""
    return picture.replace("<svg ", '<svg color="#1f2430" ', 1).replace(
        "<title>", '<rect width="100%" height="100%" fill="#fff"/>\n<title>', 1
    )


def _names(bars: Iterable[Bar]) -> list[str]:
    """All parts, in the order in which a request meets them."""
    found = dict.fromkeys(name for bar in bars for name in bar.mean_ms)
    outside = [name for name in (DISPATCH, NETWORK, ROUTER) if name in found]
    return outside + [name for name in found if name not in outside]


def _stages(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.rpartition(": ")[0] for name in names if name not in _GREYS))


def _cycled() -> Iterable[str]:
    while True:
        yield from _COLOURS


def _style(name: str, colours: Mapping[str, str]) -> tuple[str, float]:
    if name in _GREYS:
        return _GREYS[name], 1.0
    stage, _, kind = name.rpartition(": ")
    return colours[stage], _OPACITY.get(kind, 1.0)


def _box(
    x: float, y: float, width: float, height: float, colour: str, opacity: float, title: str
) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:g}" width="{width:.2f}" height="{height:g}" fill="{colour}" '
        f'fill-opacity="{opacity:g}"><title>{html.escape(title)}</title></rect>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:g}" text-anchor="{anchor}" fill="currentColor">'
        f"{html.escape(text)}</text>"
    )
