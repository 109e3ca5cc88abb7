"""`infergraph-load search`: the highest rate that still meets an SLO."""

from __future__ import annotations

import argparse

from . import flags
from .output import add_output, make_room, output_folder

HELP = "find the highest rate that still meets an SLO"
DESCRIPTION = """\
Doubles the rate until a run misses the SLO, then halves the gap. Each run takes --duration seconds.

  infergraph-load search --url http://127.0.0.1:8080 --model echo --payload request.json \\
      --rate 50 --slo-ms 20 --duration 10

The file or flags describe a run as for `run`; its rate is where the search starts (default 10).
Exit status: 0; 1 if no rate passed; 2 if the input is wrong; 130 after Ctrl-C.
"""
_START_RATE = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    flags.add_arguments(parser)
    parser.add_argument("--precision", type=float, default=0.05, help="of the rate (default 0.05)")
    parser.add_argument("--highest-rate", type=float, metavar="R", help="no rate above is tried")
    add_output(parser, "folder of the reports of all trials")


def execute(arguments: argparse.Namespace) -> int:
    """Searches; see `main` for the status."""
    extra = {}
    if arguments.file is None and arguments.arrivals is None and arguments.rate is None:
        extra = {"arrivals.kind": "poisson", "arrivals.rate": _START_RATE}
    configuration = flags.configuration(arguments, extra)
    from rich.console import Console

    from ..configuration import RunConfiguration
    from ..engine.coordinator import Interrupts
    from ..engine.run import ask_server, prepare
    from ..engine.run import execute as execute_run
    from ..errors import LoadError
    from ..reports.folder import check_writable, write_report
    from ..reports.live import LiveView
    from ..reports.numbers import milliseconds
    from ..search import Step, search
    from ..statistics import Summary, summarise

    if not 0 < arguments.precision < 1:
        raise LoadError(f"--precision is {arguments.precision:g}; accepted: between 0 and 1")
    console, progress = Console(), Console(stderr=True)
    folder = output_folder(arguments, f"{configuration.target.model}-search")
    checked = False

    def trial(at_rate: RunConfiguration) -> Summary:
        nonlocal checked
        prepared = prepare(at_rate)
        if not checked:
            if at_rate.preflight:
                ask_server(prepared)
            make_room(arguments, folder)
            check_writable(folder)
            checked = True
        with Interrupts() as interrupts, LiveView([at_rate], progress) as view:
            run = execute_run(prepared, view.update, interrupts)
        summary = summarise(run)
        rate = getattr(at_rate.arrivals, "rate", 0.0)
        write_report(folder / f"rate-{rate:g}", run, summary)
        if run.interrupted:
            raise KeyboardInterrupt
        return summary

    def show(step: Step) -> None:
        slo = step.summary.slo
        found = "no request was measured"
        if slo is not None:
            value = milliseconds(slo.value_ms)
            found = f"p{slo.percentile:g} {value} ms, {slo.attainment:.2%} in time"
        console.print(f"{step.rate:10.1f}/s  {step.verdict:8}{found}", highlight=False)

    result = search(
        configuration,
        trial,
        start_rate=getattr(configuration.arrivals, "rate", _START_RATE),
        precision=arguments.precision,
        highest_rate=arguments.highest_rate,
        on_step=show,
    )
    if result.rate is None:
        console.print("no rate met the SLO", highlight=False)
        return 1
    limit = {
        "server": "the server misses the SLO above it",
        "tester": "above it the tester could not keep up: the server may do more",
        "nothing": "no higher rate was tried",
    }[result.limited_by]
    console.print(f"highest rate within the SLO: {result.rate:.1f}/s ({limit})", highlight=False)
    console.print(f"reports: {folder}", highlight=False, soft_wrap=True)
    return 0
