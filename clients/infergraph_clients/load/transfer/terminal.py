"""A result as tables for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .advice import reign_text
from .result import Group, Result
from .texts import advice_line, differences, refusals, table

LEGEND = (
    "Of one request: bytes of TCP up and down; ms of CPU to encode, of the client for all else, "
    "and of the server; then, by bandwidth, the p50 in ms from the content to the decoded answer "
    "(* is the fastest, ~ computed rather than sent). When what pays follows from bytes and CPU."
)
_LEAST_WIDTH = 100


def print_result(console: Console, result: Result) -> None:
    """Prints a table for each stage and content, and when what pays."""
    for group in result.groups:
        _print(console, Text(f"\n{group.title}", style="bold"))
        _print_table(console, group)
        for line in (*refusals(group), *differences(group)):
            _print(console, Text(f"  {line}", style="yellow"))
        for label, lossless in (("", False), (" that loses nothing", True)):
            reigns = group.fastest(lossless=lossless)
            if reigns and (not lossless or reigns != group.fastest(lossless=False)):
                texts = "; ".join(reign_text(each) for each in reversed(reigns))
                _print(console, Text(f"  fastest{label}: {texts}"))
    for stage, changes in result.advice_by_stage.items():
        _print(console, Text(f"\npays when ({stage})", style="bold"))
        for change, lossy, several in changes:
            _print(console, Text(f"  {advice_line(change, lossy, several)}"))
    _print(console, Text(f"\n{LEGEND}"))
    for note in result.notes:
        _print(console, Text(f"note: {note}"))


def _print_table(console: Console, group: Group) -> None:
    head, rows = table(group)
    if not rows:
        return
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, name in enumerate(head):
        drawn.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*(Text(cell, style="bold" if cell.endswith("*") else "") for cell in row))
    # A narrow terminal or a pipe would cut columns off.
    wide = Console(file=console.file, width=max(console.width, _LEAST_WIDTH))
    wide.print(drawn)


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)
