"""`infergraph-load compare`: whether one run is worse than another."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "compare two reports, with confidence intervals and an exit status for CI"
DESCRIPTION = """\
Compares report B with report A. A measure is worse if the whole confidence interval of its ratio
B / A (by a bootstrap of blocks of time) lies beyond the tolerance.

  infergraph-load compare load-reports/before load-reports/after --tolerance 0.05

Exit status: 0; 1 if a measure is worse; 2 if a folder holds no report.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("a", type=Path, help="a report's folder")
    parser.add_argument("b", type=Path, help="another's")
    parser.add_argument("--tolerance", type=float, default=0.05, help="a share (default 0.05)")
    parser.add_argument("--confidence", type=float, default=0.95, help="default 0.95")
    parser.add_argument("--resamples", type=int, default=1_000, help="default 1000")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")


def execute(arguments: argparse.Namespace) -> int:
    """Compares; see `main` for the status."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from ..comparison import compare
    from ..errors import LoadError
    from ..reports.folder import read_report

    if arguments.tolerance < 0:
        raise LoadError(f"--tolerance is {arguments.tolerance:g}; accepted: 0 or more")
    if not 0 < arguments.confidence < 1:
        raise LoadError(f"--confidence is {arguments.confidence:g}; accepted: between 0 and 1")
    if arguments.resamples < 1:
        raise LoadError(f"--resamples is {arguments.resamples}; accepted: 1 or more")
    a, b = read_report(arguments.a), read_report(arguments.b)
    found = compare(
        a,
        b,
        tolerance=arguments.tolerance,
        confidence=arguments.confidence,
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    interval = f"{arguments.confidence:.0%} interval"
    for name in (f"A: {a.name}", f"B: {b.name}", "B / A", interval, ""):
        table.add_column(name, justify="right")
    colours = {"worse": "red", "better": "green", "same": ""}
    for row in found.rows:
        table.add_row(
            row.name,
            f"{row.a:.4g}",
            f"{row.b:.4g}",
            f"{row.interval.ratio:.3f}",
            f"{row.interval.low:.3f} to {row.interval.high:.3f}",
            row.change,
            style=colours[row.change],
        )
    console = Console()
    console.print(table)
    for warning in found.warnings:
        console.print(f"warning: {warning}", highlight=False, markup=False, soft_wrap=True)
    return int(found.worse)
