"""A summary as tables for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..configuration import RunConfiguration
from ..statistics.stages import is_measured
from ..statistics.summary import Summary
from .text import (
    PERCENTILES,
    cells,
    head_line,
    interval_line,
    latency_rows,
    milliseconds,
    requests_line,
    verdicts,
)

_STYLES = {"good": "green", "bad": "red", "invalid": "red", "note": ""}


def print_summary(console: Console, configuration: RunConfiguration, summary: Summary) -> None:
    """Prints the latencies, what became of the requests, the stages and the verdicts."""
    target = configuration.target
    head = f"{target.model} at {target.url}: {configuration.arrivals.kind}, {head_line(summary)}"
    _print(console, Text("\n") + Text(head, style="bold"))
    # Narrow enough for 80 columns, as in the log of a CI job.
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("ms", no_wrap=True)
    for name in PERCENTILES:
        table.add_column(name, justify="right", no_wrap=True)
    for place, (label, times) in enumerate(latency_rows(summary, target.timeout_s)):
        table.add_row(label, *cells(times), style="" if place else "bold")
    console.print(table)
    for line in (interval_line(summary), requests_line(summary)):
        if line is not None:
            _print(console, Text(line))
    for outcome, texts in summary.errors.items():
        commonest, count = max(texts.items(), key=lambda item: item[1])
        more = f" (and {len(texts) - 1} other texts)" if len(texts) > 1 else ""
        _print(console, Text(f"  {outcome}: {count} x {commonest}{more}", style="red"))
    if summary.stages.traced:
        console.print(_stage_table(summary))
    for verdict in verdicts(summary):
        text = verdict.text.upper() if verdict.kind == "invalid" else verdict.text
        word = len(text.partition(":")[0])
        text = text[:word] + verdict.text[word:]
        _print(console, Text(text[:word], style=_STYLES[verdict.kind]) + Text(text[word:]))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _stage_table(summary: Summary) -> Table:
    stages = summary.stages
    table = Table(
        box=box.SIMPLE_HEAD, title=f"Where the time went ({stages.traced} traced)", expand=False
    )
    table.add_column("part")
    for name in ("mean ms", "share", "p50", "p99"):
        table.add_column(name, justify="right")
    total = sum(stages.mean_ms.values())

    def rows(measured: bool, indent: str) -> None:
        for name, mean in stages.mean_ms.items():
            if is_measured(name) == measured:
                p50, p99 = (milliseconds(each[name]) for each in (stages.p50_ms, stages.p99_ms))
                table.add_row(indent + name, milliseconds(mean), f"{mean / total:.0%}", p50, p99)

    rows(True, "")
    share = stages.unexplained or 0.0
    table.add_row("unexplained", milliseconds(share * total), f"{share:.0%}", "", "", style="bold")
    rows(False, "  ")
    sizes = ", ".join(f"{step} {size:.1f}" for step, size in stages.batch_size.items())
    contradicted = (
        f"{stages.contradicted:.1%} of the traces claim more time than there was; "
        if stages.contradicted
        else ""
    )
    table.caption = f"{contradicted}mean batch: {sizes or '-'}"
    return table
