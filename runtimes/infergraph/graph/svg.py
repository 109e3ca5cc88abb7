"""`to_svg`: a drawing as a stand-alone SVG image, dark on light, without scripts or web fonts."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from .drawing import Drawing
from .layout import LINE, MARGIN, Box, Layout, Route, arrange_boxes

_STYLE = (
    "text{font-family:'Helvetica Neue',Arial,'DejaVu Sans',sans-serif;fill:#111827}"
    ".title{font-size:16px;font-weight:600}"
    ".name{font-size:13px;font-weight:600;text-anchor:middle}"
    ".note{font-size:11px;text-anchor:middle;fill:#4b5563}"
    ".label,.legend{font-size:11px}.legend{fill:#4b5563}"
    ".step{fill:#eef2ff;stroke:#4338ca}.inputs,.output{fill:#ecfdf5;stroke:#047857}"
    ".arrow{fill:none;stroke:#374151;stroke-width:1.4;stroke-linejoin:round}"
    ".trigger{stroke:#b45309;stroke-dasharray:5 4}.when{fill:#92400e}"
)
_HEAD = (
    '<marker id="{0}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0.8 L8 4 L0 7.2 z" fill="{1}"/></marker>'
)


def to_svg(drawing: Drawing) -> str:
    """The drawing as the text of an SVG file."""
    layout = arrange_boxes(drawing, top=MARGIN + 40)
    feedback = [route for route in layout.routes if route.arrow.feeds_back]
    legend = layout.bottom + 22 + 12 * len(feedback) + 16
    title = drawing.title + "".join(f" ({note})" for note in drawing.notes)
    caption = _legend(drawing)
    width = max(layout.width, 2 * MARGIN + 9.5 * len(title), 2 * MARGIN + 6.2 * len(caption))
    height = legend + MARGIN if caption else layout.bottom + MARGIN + 12 * len(feedback)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f"aria-label={quoteattr('pipeline ' + drawing.title)}>",
        f"<title>{escape('pipeline ' + title)}</title>",
        f"<style>{_STYLE}</style>",
        f"<defs>{_HEAD.format('head', '#374151')}{_HEAD.format('trigger-head', '#b45309')}</defs>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        f'<text class="title" x="{MARGIN:.0f}" y="{MARGIN + 14:.0f}">{escape(title)}</text>',
    ]
    for route in layout.routes:
        number = feedback.index(route) if route.arrow.feeds_back else 0
        parts += _arrow(route, layout, number)
    for box in layout.boxes:
        parts += _box(box, layout)
    if caption:
        parts.append(
            f'<text class="legend" x="{MARGIN:.0f}" y="{legend:.1f}">{escape(caption)}</text>'
        )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _legend(drawing: Drawing) -> str:
    parts = []
    if any(arrow.is_trigger for arrow in drawing.arrows):
        parts.append("dashed: must be there, is not passed on")
    if any("?" in tensor for arrow in drawing.arrows for tensor in arrow.tensors):
        parts.append("? there only sometimes")
    return " · ".join(parts)


def _box(box: Box, layout: Layout) -> list[str]:
    if box.node is None:
        return []
    left, width = layout.lefts[box.layer], layout.widths[box.layer]
    top, middle = box.y - box.height / 2, left + width / 2
    radius = 6 if box.node.kind == "step" else 16
    y = box.y + 4.5 - LINE * len(box.node.notes) / 2
    parts = [
        f'<rect class="{box.node.kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{box.height:.1f}" rx="{radius}"/>',
        f'<text class="name" x="{middle:.1f}" y="{y:.1f}">{escape(box.node.title)}</text>',
    ]
    for number, note in enumerate(box.node.notes, start=1):
        parts.append(
            f'<text class="note" x="{middle:.1f}" y="{y + LINE * number:.1f}">{escape(note)}</text>'
        )
    return parts


def _arrow(route: Route, layout: Layout, number: int) -> list[str]:
    source, target = route.boxes[0], route.boxes[-1]
    start = layout.lefts[source.layer] + layout.widths[source.layer]
    end = layout.lefts[target.layer]
    run = end - layout.runs[target.layer]
    path = f"M{start:.1f} {route.start:.1f}"
    if route.arrow.feeds_back:
        below = layout.bottom + 16 + 12 * number
        path += f" h{12 + 5 * number} V{below:.1f} H{run - 8 - 5 * number:.1f}"
        path += f" V{route.end:.1f} H{end:.1f}"
    else:
        x, y = start, route.start
        for box in route.boxes[1:]:
            left = layout.lefts[box.layer]
            # Arrows bend before the zone of the labels, whether they end there or pass.
            to_x = left - layout.runs[box.layer]
            to_y = box.y if box.node is None else route.end
            bend = (to_x - x) / 2
            path += f" C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
            x, y = (left + layout.widths[box.layer] if box.node is None else end), to_y
            path += f" H{x:.1f}"
    kind = " trigger" if route.arrow.is_trigger else ""
    head = "trigger-head" if route.arrow.is_trigger else "head"
    parts = [f'<path class="arrow{kind}" d="{path}" marker-end="url(#{head})"/>']
    when = " when" if route.arrow.is_trigger else ""
    for line, text in enumerate(reversed(route.label)):
        y = route.end - 4 - LINE * line
        parts.append(
            f'<text class="label{when}" x="{run + 4:.1f}" y="{y:.1f}">{escape(text)}</text>'
        )
    return parts
