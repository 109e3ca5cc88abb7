"""`render`: a picture of a pipeline as text, as a Mermaid flowchart, or as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..declaration import ModelDeclaration
from .drawing import Arrow, Drawing, draw
from .plan import Plan
from .svg import to_svg


def render(plan: Plan, form: str, catalog: Mapping[str, ModelDeclaration] | None = None) -> str:
    """Draws a plan.

    Args:
        plan: A compiled pipeline, such as `GraphExecutor.plan`.
        form: A key of `FORMS`: ``text``, ``mermaid`` or ``svg``.
        catalog: The models by name; with it the tensors of plain references are shown, and the
            conditional ones marked.

    Raises:
        ValueError: there is no such form.
    """
    if form not in FORMS:
        raise ValueError(f"{form!r} is no form of a drawing; accepted: {', '.join(FORMS)}")
    return FORMS[form](draw(plan, catalog))


def to_text(drawing: Drawing) -> str:
    """One line per step, in an order in which they can run."""
    lines = [" ".join([f"pipeline {drawing.title}", *(f"({note})" for note in drawing.notes)])]
    has_output = drawing.nodes[-1].kind == "output"
    shown = (*drawing.order, len(drawing.nodes) - 1) if has_output else drawing.order
    width = max(len(drawing.nodes[node].title) for node in shown)
    for number, node in enumerate(shown, start=1):
        label = f"{number}." if drawing.nodes[node].kind == "step" else ""
        sources = [_sentence(drawing, a) for a in drawing.arrows if a.target == node]
        notes = "".join(f" [{note}]" for note in drawing.nodes[node].notes)
        title = drawing.nodes[node].title
        lines.append(f"  {label:<3} {title:<{width}}  <- {'; '.join(sources)}{notes}")
    return "\n".join(lines) + "\n"


def _sentence(drawing: Drawing, arrow: Arrow) -> str:
    source = drawing.nodes[arrow.source].title
    when = "when " if arrow.is_trigger else ""
    again = " (again)" if arrow.feeds_back else ""
    what = ", ".join(arrow.tensors)
    return f"{when}{source}{': ' if what else ''}{what}{again}"


def to_mermaid(drawing: Drawing) -> str:
    """A flowchart from left to right; triggers are dotted, feedback is thick."""
    lines = ["flowchart LR"]
    for number, node in enumerate(drawing.nodes):
        text = "<br/>".join(_quoted(part) for part in (node.title, *node.notes))
        shape = f'n{number}["{text}"]' if node.kind == "step" else f'n{number}(["{text}"])'
        lines.append(f"    {shape}")
    for arrow in drawing.arrows:
        line = "-.->" if arrow.is_trigger else "==>" if arrow.feeds_back else "-->"
        label = f'|"{_quoted(arrow.label)}"|' if arrow.label else ""
        lines.append(f"    n{arrow.source} {line}{label} n{arrow.target}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    for character, entity in (("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, entity)
    return text


FORMS: dict[str, Callable[[Drawing], str]] = {
    "text": to_text,
    "mermaid": to_mermaid,
    "svg": to_svg,
}
"""The forms of a drawing."""

__all__ = ["FORMS", "render", "to_mermaid", "to_svg", "to_text"]
