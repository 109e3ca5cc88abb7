"""Pages of plots and tables: one file each, its scripts inside, that needs no network.

They follow the browser's choice of light or dark, and narrow windows.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from .text import Kind

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --text: #1f2430; --faint: #667; --line: #e4e7ee; --box: #f6f7fa; --page: #fff; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --text: #dfe3ec; --faint: #98a0b3; --line: #343a48; --box: #222733; --page: #161a22; }}
}}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
       padding: 0 1rem; color: var(--text); background: var(--page); overflow-wrap: break-word; }}
h1 {{ font-size: 1.5rem; margin-bottom: 0; }}
h2 {{ font-size: 1.2rem; margin: 2.2rem 0 .3rem; }}
h3 {{ font-size: 1rem; margin: 1.4rem 0 .2rem; }}
p.sub {{ color: var(--faint); margin-top: .2rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: .8rem 0; }}
th, td {{ padding: .25rem .8rem; text-align: right; border-bottom: 1px solid var(--line);
         white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
tr.headline td {{ font-weight: 600; }}
.verdict {{ padding: .5rem .8rem; border-left: 4px solid; margin: .4rem 0;
           background: var(--box); }}
.good {{ border-color: #2e9e5b; }} .bad {{ border-color: #d33f49; }}
.invalid {{ border-color: #d33f49; font-weight: 600; }} .note {{ border-color: #8a93a6; }}
pre {{ background: var(--box); padding: .8rem; overflow-x: auto; font-size: 13px; }}
</style>
<script>{script}</script>
</head>
<body>
<h1>{title}</h1>
<p class="sub">{subtitle}</p>
{body}
<script>
function colourPlots(dark) {{
  const line = dark ? "#343a48" : "#e4e7ee", axis = {{gridcolor: line, zerolinecolor: line}};
  const changes = {{"font.color": dark ? "#dfe3ec" : "#1f2430"}};
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {{
    for (const name of Object.keys(plot.layout).filter(name => /^[xy]axis/.test(name)))
      for (const [key, value] of Object.entries(axis)) changes[name + "." + key] = value;
    Plotly.relayout(plot, changes);
  }}
}}
const dark = window.matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", () => colourPlots(dark.matches));
if (dark.matches) colourPlots(true);
</script>
</body>
</html>
"""
_PLOT = {
    "displaylogo": False,
    "responsive": True,
    # The others would cover the legend in a narrow window; dragging zooms, a double click resets.
    "modeBarButtons": [["toImage", "resetScale2d"]],
}


def write_page(file: Path, *, title: str, subtitle: str, parts: Iterable[str]) -> None:
    """Writes a page; `parts` are HTML, `title` and `subtitle` text."""
    file.write_text(
        _PAGE.format(
            title=html.escape(title),
            subtitle=html.escape(subtitle),
            script=get_plotlyjs(),
            body="\n".join(part for part in parts if part),
        ),
        encoding="utf-8",
    )


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{html.escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(text)}</p>"


def preformatted(text: str) -> str:
    """Text as it is."""
    return f"<pre>{html.escape(text)}</pre>"


def verdict(kind: Kind, text: str) -> str:
    """A line with a mark that says whether it is good news."""
    return f'<div class="verdict {kind}">{html.escape(text)}</div>'


def figure_html(figure: go.Figure) -> str:
    """A plot."""
    found: str = plotly.io.to_html(figure, include_plotlyjs=False, full_html=False, config=_PLOT)
    return found


def picture_html(svg: str) -> str:
    """A picture; a window narrower than its least width scrolls it."""
    return f'<div class="wide">{svg}</div>'


def table_html(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, headline: int | None = None
) -> str:
    """A table of texts; the row `headline` is bold."""
    lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    styles = ["", *(' class="headline"' if i == headline else "" for i in range(len(rows)))]
    body = "\n".join(f"<tr{style}>{row}</tr>" for style, row in zip(styles, lines, strict=True))
    return f'<div class="wide"><table>\n{body}\n</table></div>'
