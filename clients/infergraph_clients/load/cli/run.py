"""`infergraph-load run`: one run and its report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import flags
from .output import output_folder

HELP = "send a load, and write a report"
DESCRIPTION = """\
Sends requests to a model or pipeline at the times that the arrivals say, and writes a report.

  infergraph-load run --url grpc://127.0.0.1:8081 --model echo --payload request.json --rate 100
  infergraph-load run experiment.yaml --seed 7 --output reports/seven

Exit status: 0; 1 if the SLO or a threshold is missed; 2 if the input is wrong, before any load; 3
if the run is invalid, so that it says nothing of the server; 130 if it was ended by Ctrl-C, its
report written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    flags.add_arguments(parser)
    parser.add_argument(
        "--output", type=Path, help="the report's folder (default: load-reports/MODEL-TIME)"
    )
    parser.add_argument(
        "--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML"
    )
    parser.add_argument("--quiet", action="store_true", help="no live view and no tables")
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")


def execute(arguments: argparse.Namespace) -> int:
    """Runs it; see `main` for the status."""
    configuration = flags.configuration(arguments)
    # Here, and not above: pyarrow, rich and plotly take a second to import.
    import json

    from rich.console import Console

    from ..engine.coordinator import Interrupts
    from ..engine.run import ask_server, prepare
    from ..engine.run import execute as execute_run
    from ..errors import ExitStatus
    from ..reports.folder import check_writable, report_document, write_report
    from ..reports.live import LiveView
    from ..reports.terminal import print_summary
    from ..reports.text import verdicts, write_junit
    from ..statistics import summarise

    prepared = prepare(configuration)
    if configuration.preflight:
        ask_server(prepared)
    folder = output_folder(arguments.output, configuration.target.model)
    check_writable(folder)
    console = Console(stderr=True, quiet=arguments.quiet or arguments.json)
    with Interrupts() as interrupts, LiveView(configuration, console) as view:
        run = execute_run(prepared, view.update, interrupts)
    summary = summarise(run)
    write_report(folder, run, summary)
    if arguments.json:
        sys.stdout.write(json.dumps(report_document(run, summary), indent=2) + "\n")
    elif not arguments.quiet:
        output = Console()
        print_summary(output, configuration, summary)
        output.print(f"report: {folder}", highlight=False, soft_wrap=True)
    if arguments.junit is not None:
        suite = f"{configuration.target.model} under {configuration.arrivals.kind}"
        write_junit(arguments.junit, suite, verdicts(summary), run.began, run.seconds)
    return ExitStatus.INTERRUPTED if run.interrupted else summary.status
