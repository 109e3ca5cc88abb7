"""`Layout`: where the boxes and arrows of a drawing stand, layer by layer from left to right.

The classic steps of layered drawing: layers by the longest path, way points where an arrow crosses
a layer, an order within each layer that follows the neighbours' mean position, and then heights as
close to the neighbours' as the distances allow. All lengths are pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .drawing import Arrow, Drawing, Node

TITLE_CHAR, SMALL_CHAR = 7.8, 6.5
"""Mean widths of a character of a title and of small print, rounded up."""

LINE = 14.0
MARGIN = 24.0
_GAP = 26.0
_CURVE = 56.0
_ARROW = 18.0
_LABEL_CHARS = 30
_SWEEPS = 12


@dataclass(slots=True, eq=False)
class Box:
    """A node's place, or a way point when `node` is None. `y` is its middle."""

    node: Node | None
    layer: int
    height: float
    y: float = 0.0
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Route:
    """An arrow's way: the boxes it passes, its height at each end, and its label's lines."""

    arrow: Arrow
    boxes: list[Box]
    label: list[str]
    start: float = 0.0
    end: float = 0.0

    @property
    def height(self) -> float:
        return LINE * max(len(self.label), 0.5) + 8


@dataclass(frozen=True, slots=True)
class Layout:
    """A finished layout.

    Attributes:
        boxes: One per node of the drawing, in its order.
        routes: One per arrow, in the drawing's order.
        lefts: The left edge of each layer.
        widths: The width of the boxes of each layer.
        runs: How long arrows run straight before they enter a box of each layer.
        width: Of the whole.
        bottom: The lower edge of the lowest box.
    """

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    lefts: tuple[float, ...]
    widths: tuple[float, ...]
    runs: tuple[float, ...]
    width: float
    bottom: float


def arrange_boxes(drawing: Drawing, top: float) -> Layout:
    """Lays a drawing out below `top`."""
    layers_of = _layers(drawing)
    boxes = [Box(node, layer, 0.0) for node, layer in zip(drawing.nodes, layers_of, strict=True)]
    layers: list[list[Box]] = [[] for _ in range(max(layers_of) + 1)]
    for box in boxes:
        layers[box.layer].append(box)
    routes = [_route(arrow, boxes, layers) for arrow in drawing.arrows]
    for box in boxes:
        box.height = _height(box, routes)
    for number in range(_SWEEPS):
        _sweep(layers, forwards=number % 2 == 0)
    lowest = min(box.y - box.height / 2 for layer in layers for box in layer)
    for layer in layers:
        for box in layer:
            box.y += top - lowest
    _place_ends(boxes, routes)
    widths = [max([_width(box) for box in layer], default=0.0) for layer in layers]
    runs = [
        max([_run(route) for route in routes if route.boxes[-1].layer == number], default=0.0)
        for number in range(len(layers))
    ]
    lefts, x = [], MARGIN
    for number, width in enumerate(widths):
        x += runs[number] + _CURVE if number else 0.0
        lefts.append(x)
        x += width
    bottom = max(box.y + box.height / 2 for layer in layers for box in layer)
    return Layout(
        tuple(boxes), tuple(routes), tuple(lefts), tuple(widths), tuple(runs), x + MARGIN, bottom
    )


def _layers(drawing: Drawing) -> list[int]:
    layers = [0] * len(drawing.nodes)
    output = [len(drawing.nodes) - 1] if drawing.nodes[-1].kind == "output" else []
    for node in (*drawing.order, *output):
        into = [a for a in drawing.arrows if a.target == node and not a.feeds_back]
        layers[node] = 1 + max([layers[arrow.source] for arrow in into], default=0)
    if output:
        layers[-1] = 1 + max(layers[:-1])
    return layers


def _route(arrow: Arrow, boxes: Sequence[Box], layers: Sequence[list[Box]]) -> Route:
    source, target = boxes[arrow.source], boxes[arrow.target]
    passed = [source]
    if not arrow.feeds_back:
        for layer in range(source.layer + 1, target.layer):
            point = Box(None, layer, 2.0)
            layers[layer].append(point)
            passed.append(point)
    passed.append(target)
    if not arrow.feeds_back:
        for one, other in pairwise(passed):
            one.below.append(other)
            other.above.append(one)
    return Route(arrow, passed, _lines(arrow.parts))


def _lines(parts: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 2 <= _LABEL_CHARS:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines


def _height(box: Box, routes: Sequence[Route]) -> float:
    notes = len(box.node.notes) if box.node is not None else 0
    into = sum(route.height for route in routes if route.boxes[-1] is box)
    out_of = LINE * sum(route.boxes[0] is box for route in routes)
    return max(36 + LINE * notes, into + 10, out_of + 10)


def _width(box: Box) -> float:
    if box.node is None:
        return 0.0
    notes = [len(note) * SMALL_CHAR for note in box.node.notes]
    return max(72.0, 28 + max([len(box.node.title) * TITLE_CHAR, *notes]))


def _run(route: Route) -> float:
    return _ARROW + SMALL_CHAR * max(map(len, route.label), default=0)


def _sweep(layers: Sequence[list[Box]], forwards: bool) -> None:
    for layer in layers if forwards else reversed(layers):
        wanted = {}
        for box in layer:
            near = (box.above if forwards else box.below) or (box.below if forwards else box.above)
            wanted[id(box)] = sum(one.y for one in near) / len(near) if near else box.y
        layer.sort(key=lambda box: wanted[id(box)])
        _spread(layer, [wanted[id(box)] for box in layer])


def _spread(layer: Sequence[Box], wanted: Sequence[float]) -> None:
    """Puts boxes as close to their wanted heights as possible without overlap (least squares)."""
    offsets, offset = [], 0.0
    for before, box in zip([None, *layer], layer, strict=False):
        if before is not None:
            offset += (before.height + box.height) / 2 + _GAP
        offsets.append(offset)
    blocks: list[list[float]] = []
    for position, height in enumerate(wanted):
        blocks.append([height - offsets[position]])
        while len(blocks) > 1 and _mean(blocks[-2]) > _mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    settled = [_mean(block) for block in blocks for _ in block]
    for box, base, offset in zip(layer, settled, offsets, strict=True):
        box.y = base + offset


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _place_ends(boxes: Sequence[Box], routes: Sequence[Route]) -> None:
    for box in boxes:
        into = [route for route in routes if route.boxes[-1] is box]
        into.sort(key=lambda route: (route.arrow.feeds_back, route.boxes[-2].y))
        y = box.y - sum(route.height for route in into) / 2
        for route in into:
            y += route.height
            route.end = y - 4
        out_of = [route for route in routes if route.boxes[0] is box]
        out_of.sort(key=lambda route: (route.arrow.feeds_back, route.boxes[1].y))
        for number, route in enumerate(out_of):
            route.start = box.y + LINE * (number - (len(out_of) - 1) / 2)
