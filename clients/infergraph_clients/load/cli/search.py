"""`infergraph-load search`: the highest rate that still meets an SLO."""

from __future__ import annotations

import argparse
import json
import sys

from rich.console import Console

from ...flags import positive
from ..configuration import RunConfiguration
from ..engine.coordinator import Interrupts
from ..engine.run import ask_server, prepare
from ..engine.run import execute as execute_run
from ..errors import LoadError
from ..reports.folder import write_json, write_report, writing
from ..reports.live import LiveView
from ..reports.text import milliseconds
from ..search import Step, search
from ..statistics import Summary, summarise
from . import flags
from .output import add_output, make_room, output_folder

DESCRIPTION = """\
Doubles the rate until a trial misses the SLO, then halves the gap to half of --precision. A trial
takes --duration seconds; one that leaves its verdict to chance, or is too short to see a queue
grow, is repeated for longer.
After a trial that missed the SLO, single requests wait until the server has settled.

  infergraph-load search --url http://127.0.0.1:8080 --model echo --payload request.json \\
      --rate 50 --slo-ms 20 --duration 10

The file or flags describe a run as for `run`; its rate is where the search starts (default 10).
Exit status: 0; 1 if no rate passed; 2 if the input is wrong; 3 if the tester could not keep up with
any rate; 130 after Ctrl-C, with what was found until then.
"""
_START_RATE = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    flags.add_arguments(parser)
    parser.add_argument(
        "--precision",
        type=positive,
        default=0.05,
        help="share by which the rate may be wrong (default 0.05)",
    )
    parser.add_argument("--highest-rate", type=positive, metavar="R", help="no rate above is tried")
    parser.add_argument(
        "--longest",
        type=positive,
        metavar="S",
        help="longest trial (default: as long as the verdict needs, at most 20 times --duration "
        "or 300 s)",
    )
    add_output(parser, "folder of the reports of all trials")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Searches; see `main` for the status."""
    extra = {}
    if arguments.file is None and arguments.arrivals is None and arguments.rate is None:
        extra = {"arrivals.kind": "poisson", "arrivals.rate": _START_RATE}
    configuration = flags.configuration(arguments, extra)
    if arguments.precision >= 1:
        raise LoadError(f"--precision is {arguments.precision:g}; accepted: between 0 and 1")
    refuse_short(arguments.longest, configuration.duration_s)
    console, progress = Console(quiet=arguments.json), Console(stderr=True)
    folder = output_folder(arguments, f"{configuration.target.model}-search")
    first = prepare(configuration)
    if configuration.preflight:
        ask_server(first)
    # As the server says now: between trials it may be too busy to say anything.
    configuration = first.configuration
    make_room(arguments, folder)
    trials = 0

    def done(settings: RunConfiguration, name: str | None) -> Summary:
        nonlocal trials
        trials += name is not None
        place = f"trial {trials}" if name is not None else "settling"
        # How many trials are left is not known before their verdicts are.
        with LiveView([settings], progress, place) as view:
            run = execute_run(prepare(settings, first.payloads), view.update, interrupts)
        summary = summarise(run)
        if name is not None:
            write_report(folder / name, run, summary)
        if run.interrupted:
            raise KeyboardInterrupt
        return summary

    def trial(settings: RunConfiguration) -> Summary:
        rate = getattr(settings.arrivals, "rate", 0.0)
        return done(settings, f"rate-{rate:g}-{settings.duration_s:g}s")

    def show(step: Step) -> None:
        slo = step.summary.slo
        found = "no request was measured"
        if slo is not None:
            value = milliseconds(slo.value_ms)
            found = f"p{slo.percentile:g} {value} ms, {slo.attainment:.2%} in time"
        reason = f" ({step.judged.reason})" if step.judged.reason else ""
        console.print(
            f"{step.rate:10.1f}/s {step.seconds:6.3g} s  {step.verdict:8}{found}{reason}",
            highlight=False,
            soft_wrap=True,
        )

    # Also what comes between two trials ends the search with what it has found.
    with Interrupts() as interrupts:
        result = search(
            configuration,
            trial,
            start_rate=getattr(configuration.arrivals, "rate", _START_RATE),
            precision=arguments.precision,
            highest_rate=arguments.highest_rate,
            longest_s=arguments.longest,
            probe=lambda settings: done(settings, None),
            on_step=show,
        )
        # Before the file, for which the disk may be full.
        if arguments.json:
            sys.stdout.write(json.dumps(result.document(), indent=2) + "\n")
        for text in (*result.notes, result.verdict, f"reports: {folder}"):
            console.print(text, highlight=False, markup=False, soft_wrap=True)
        with writing("search", folder):
            write_json(folder / "search.json", result.document())
    return result.status


def refuse_short(longest: float | None, seconds: float) -> None:
    """Refuses a longest trial that is shorter than the first one.

    Raises:
        LoadError: it is.
    """
    if longest is not None and longest < seconds:
        raise LoadError(f"--longest is {longest:g}; accepted: at least the duration, {seconds:g}")
