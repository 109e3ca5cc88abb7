"""`infergraph-load evaluate`: serves a pipeline of this project, and measures all about it."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from rich.console import Console

from ...flags import count, percentile, positive, share
from ..engine.coordinator import Interrupts
from ..errors import ExitStatus
from ..evaluate.evaluation import SHARES, Evaluator, Plan
from ..evaluate.report import PAGE, write_evaluation
from ..evaluate.server import Served, find_pipeline, models_of, read_servables
from .output import SERVER_LOG, add_output, make_room, make_trial, output_folder
from .profile import add_sweep
from .search import refuse_short

DESCRIPTION = """\
Starts `infergraph serve PIPELINE` on free ports, then measures: a profile of each of its models and
of the pipeline, runs with Poisson arrivals at 50% and 80% of the ceiling found, the highest rate
within an SLO, and where the time goes. Requests are the samples beside the model settings.

  infergraph-load evaluate audio-qa --seconds 10 --slo-ms 300

Leaves evaluation.html, evaluation.json, stages.svg and, in folders, all raw data.
Exit status: 0; 1 if no rate met the SLO; 2 if the pipeline is unknown or cannot be served; 3 if a
run was invalid, or the tester could not keep up with any rate; 130 after Ctrl-C, with a report of
what was measured.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("pipeline", metavar="PIPELINE", help="a pipeline, or a model")
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="as of infergraph serve")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="MODEL.FIELD=VALUE",
        help="override a setting of a model or pipeline; may be repeated",
    )
    add_output(parser, "evaluation's folder")
    add_sweep(parser, repeats=2)
    judged = parser.add_argument_group("judgement")
    for group, name, metavar, kind, default, text in (
        (
            parser, "seconds", "S", positive, 5.0,
            "of each run, a fifth of it (at most 2 s) to warm up (default 5)",
        ),
        (
            judged, "longest", "S", positive, None,
            "of the longest trial of the search, which decides by what it measured: a trial whose "
            "verdict may be chance is repeated for longer (default 20 times --seconds)",
        ),
        (
            judged, "slo-ms", "MS", positive, None,
            "the latency to stay within (default: the objective in the pipeline's file, "
            "infergraph.io/slo-ms; without one, 5 times the median of a request alone)",
        ),
        (judged, "slo-percentile", "P", percentile, 99.0, "(default 99)"),
        (
            judged, "dispatch-delay-ms", "MS", positive, 20.0,
            "a run whose p99 is over it, and over 5%% of the latency's, is invalid (default 20: "
            "server and tester share cores)",
        ),
        (parser, "processes", "N", count, 1, "that send (default 1)"),
        (parser, "seed", "N", int, 0, "of all runs (default 0)"),
        (parser, "trace", "SHARE", share, 0.5, "of requests (default 0.5)"),
    ):  # fmt: skip
        group.add_argument(f"--{name}", metavar=metavar, type=kind, default=default, help=text)
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def execute(arguments: argparse.Namespace) -> int:
    """Evaluates; see `main` for the status."""
    refuse_short(arguments.longest, arguments.seconds)
    servables = read_servables(arguments.models_dir)
    pipeline = find_pipeline(servables, arguments.pipeline)
    plan = Plan(**{each.name: getattr(arguments, each.name) for each in fields(Plan)})
    folder = output_folder(arguments, f"{pipeline.name}-evaluation")
    make_room(arguments, folder)
    console = Console(stderr=True, quiet=arguments.quiet)

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    with Interrupts() as interrupts:
        say(f"{pipeline.name}: starting its server")
        with Served(
            pipeline.name,
            arguments.models_dir,
            plan.settings,
            folder / SERVER_LOG,
            lambda: interrupts.count > 0,
        ) as served:
            models = models_of(servables, pipeline)
            # Without the search, whose length its verdicts decide.
            cells = len(plan.batch_sizes) * len(plan.concurrencies) * plan.repeats
            trial = make_trial(console, interrupts, (len(models) + 1) * cells + len(SHARES))
            evaluator = Evaluator(plan, served.url, folder, trial, say, served.check_alive)
            found = evaluator.run(pipeline, models)
        write_evaluation(folder, found)
    capacity = () if found.capacity is None else (*found.capacity.notes, found.capacity.verdict)
    for text in (*found.notes, *found.problems, *capacity):
        say(f"{pipeline.name}: {text}")
    if not arguments.quiet:
        Console().print(f"report: {folder / PAGE}", highlight=False, soft_wrap=True)
    if found.interrupted:
        return ExitStatus.INTERRUPTED
    if found.problems:
        return ExitStatus.INVALID
    return ExitStatus.MISSED if found.capacity is None else found.capacity.status
