"""`infergraph-load run`: one run, of one load or several at once, and its report."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ..engine.coordinator import Interrupts
from ..engine.records import remove_records
from ..engine.run import RECORDS, Run, ask_server, execute_all, prepare
from ..errors import ExitStatus
from ..reports.folder import report_document, write_report, writing
from ..reports.live import LiveView
from ..reports.overall import print_overall, rows_of, write_overall
from ..reports.terminal import print_summary
from ..reports.text import Line, verdicts, write_junit
from ..server_metrics import FILE, ServerMetrics
from ..statistics import Summary, summarise
from . import flags
from .output import add_output, make_room, output_folder

DESCRIPTION = """\
Sends requests to a model or pipeline at the times that the arrivals say, and writes a report.

  infergraph-load run --url grpc://127.0.0.1:8081 --model echo --payload request.json --rate 100
  infergraph-load run experiment.yaml --seed 7 --output reports/seven

Several loads at the same time, each with a rate, payload and SLO of its own, are a list in the file
or repeated flags:

  infergraph-load run --url grpc://127.0.0.1:8081 --rate 100 \\
      --load model=sentiment,payload=sentiment.json,weight=3,slo-ms=50 \\
      --load model=translation-fr-en,payload=translation.json

Exit status: 0; 1 if an SLO or a threshold is missed; 2 if the input is wrong, before any load; 3 if
the run is invalid, so that it says nothing of the server; 130 if it was ended by Ctrl-C, SIGTERM or
a hang-up, its report written.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    flags.add_arguments(parser)
    flags.add_loads(parser)
    add_output(parser)
    parser.add_argument(
        "--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML"
    )
    parser.add_argument("--quiet", action="store_true", help="no live view and no tables")
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")


def execute(arguments: argparse.Namespace) -> int:
    """Runs it; see `main` for the status."""
    loads = flags.loads(arguments)
    folder = output_folder(arguments, "-".join(loads))
    prepared = {name: prepare(each) for name, each in loads.items()}
    for load in prepared.values():
        if load.configuration.preflight:
            ask_server(load)
    folders = _folders(folder, loads)
    first = next(iter(loads.values()))
    # Asked before a report is replaced.
    metrics = ServerMetrics(first.metrics, folder / FILE, first.metrics_interval_s)
    make_room(arguments, folder, *folders.values())
    console = Console(stderr=True, quiet=arguments.quiet or arguments.json)
    with (
        Interrupts() as interrupts,
        metrics,
        LiveView([*loads.values()], console) as view,
    ):
        found = execute_all(
            [*prepared.values()],
            view.update,
            interrupts,
            [each / RECORDS for each in folders.values()],
        )
        # Also what ends the run now leaves its report.
        runs = dict(zip(loads, found, strict=True))
        summaries = write(folder, runs)
    for count, problem in metrics.problems.values():
        console.print(f"{count} times: {problem}", highlight=False, markup=False, soft_wrap=True)
    return show(arguments, folder, runs, summaries)


def _folders(folder: Path, loads: Iterable[str]) -> dict[str, Path]:
    names = list(loads)
    # Of several, one may be left of which there is no report yet.
    return {
        name: folder / name if len(names) > 1 or (folder / name / RECORDS).is_dir() else folder
        for name in names
    }


def write(folder: Path, runs: dict[str, Run]) -> dict[str, Summary]:
    """Writes the reports of runs that have been sent."""
    summaries = {name: summarise(run) for name, run in runs.items()}
    for name, own in _folders(folder, runs).items():
        if own != folder and (folder / FILE).exists():
            with writing("report", own):
                shutil.copyfile(folder / FILE, own / FILE)
        write_report(own, runs[name], summaries[name])
        remove_records(own / RECORDS)
    if len(runs) > 1:
        write_overall(folder, runs, summaries)
    return summaries


def show(
    arguments: argparse.Namespace,
    folder: Path,
    runs: dict[str, Run],
    summaries: dict[str, Summary],
) -> int:
    """Prints what was found, as the arguments say; the exit status."""
    several = len(runs) > 1
    if arguments.json:
        documents = {name: report_document(run, summaries[name]) for name, run in runs.items()}
        shown = documents if several else next(iter(documents.values()))
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    elif not arguments.quiet:
        output = Console()
        for name, summary in summaries.items():
            print_summary(output, runs[name].configuration, summary)
        if several:
            print_overall(output, rows_of(runs, summaries))
        output.print(f"report: {folder}", highlight=False, soft_wrap=True)
    if arguments.junit is not None:
        # Else a run that CI has ended after a second would be all green.
        early = [Line("invalid", "whole run", "the run was ended early")]
        lines = [
            replace(line, name=f"{name}: {line.name}") if several else line
            for name, summary in summaries.items()
            for line in [*verdicts(summary), *(early if runs[name].interrupted else ())]
        ]
        first = next(iter(runs.values()))
        loads = (f"{name} under {run.configuration.arrivals.kind}" for name, run in runs.items())
        write_junit(arguments.junit, " and ".join(loads), lines, first.began, first.seconds)
    if any(run.interrupted for run in runs.values()):
        return ExitStatus.INTERRUPTED
    return max(summary.status for summary in summaries.values())
