"""`infergraph-load compare`: whether one run is worse than another."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from ..comparison import MEASURES, Row, compare
from ..errors import LoadError
from ..reports.folder import read_report
from ..reports.text import Kind, Line, write_junit

DESCRIPTION = """\
Compares report B with report A. A measure is worse if its interval excludes that nothing changed,
but not a change as large as the tolerance; it is the same if the interval excludes that. Otherwise
the runs are too short to tell, and how long they must be is printed.

  infergraph-load compare load-reports/before load-reports/after --tolerance 0.05

Exit status: 0 if nothing is worse; 1 if a measure is worse; 2 if a folder holds no report; 3 if the
runs are too short to tell, or one is invalid; 130 after Ctrl-C.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("a", type=Path, metavar="A", help="the folder of a report")
    parser.add_argument("b", type=Path, metavar="B", help="the folder of another report")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="smallest change of latency and throughput that matters (default 0.05)",
    )
    parser.add_argument(
        "--share-tolerance",
        type=float,
        default=0.01,
        metavar="SHARE",
        help="smallest change in the share of failed and late requests (default 0.01)",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, help="of all verdicts together (default 0.95)"
    )
    parser.add_argument(
        "--measures",
        metavar="NAME,...",
        help="only these: mean, p50, p90, p99, failed, slo, throughput (default: all)",
    )
    parser.add_argument(
        "--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Compares; see `main` for the status."""
    for flag in ("tolerance", "share_tolerance"):
        value = getattr(arguments, flag)
        if not value > 0:
            name = flag.replace("_", "-")
            raise LoadError(f"--{name} is {value:g}; accepted: above 0")
    if not 0 < arguments.confidence < 1:
        raise LoadError(f"--confidence is {arguments.confidence:g}; accepted: between 0 and 1")
    measures = MEASURES if arguments.measures is None else arguments.measures.split(",")
    for name in measures:
        if name not in MEASURES:
            raise LoadError(f"--measures has '{name}'; accepted: {', '.join(MEASURES)}")
    a, b = read_report(arguments.a), read_report(arguments.b)
    found = compare(
        a,
        b,
        tolerance=arguments.tolerance,
        share_tolerance=arguments.share_tolerance,
        confidence=arguments.confidence,
        measures=measures,
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in (f"A: {a.name}", f"B: {b.name}", "change", "interval", ""):
        table.add_column(name, justify="right")
    colours = {"worse": "red", "better": "green"}
    for row in found.rows:
        table.add_row(row.name, *_cells(row), _said(row), style=colours.get(row.change, ""))
    console = Console()
    console.print(table)
    pairs = "request by request" if found.paired else "as two samples"
    texts = [
        f"compared {pairs}; the intervals hold together with {arguments.confidence:.0%} confidence",
        *(f"warning: {warning}" for warning in found.warnings),
        found.verdict,
    ]
    for text in texts:
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    if arguments.junit is not None:
        kinds: dict[str, Kind] = {"worse": "bad", "too short": "invalid"}
        lines = [
            Line(kinds.get(row.change, "good"), row.name, f"{row.name}: {_said(row)}")
            for row in found.rows
        ]
        if found.invalid:
            lines.append(Line("invalid", "measurement", found.verdict))
        lines += [Line("note", "warning", warning) for warning in found.warnings]
        summaries = [report.document["summary"]["measured_s"] for report in (a, b)]
        write_junit(
            arguments.junit, f"{a.name} and {b.name}", lines, b.document["began"], sum(summaries)
        )
    return found.status


def _cells(row: Row) -> list[str]:
    interval = row.interval
    if row.relative:
        change = [f"{value - 1:+.1%}" for value in (interval.value, interval.low, interval.high)]
        values = [f"{interval.a:.4g}", f"{interval.b:.4g}"]
    else:
        change = [f"{value * 100:+.2f}" for value in (interval.value, interval.low, interval.high)]
        values = [f"{interval.a:.2%}", f"{interval.b:.2%}"]
    return [*values, change[0], f"{change[1]} to {change[2]}"]


def _said(row: Row) -> str:
    return row.change if row.needed_s is None else f"too short: needs {row.needed_s:.0f} s"
