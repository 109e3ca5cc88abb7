"""`infergraph-load profile`: latency and throughput by batch size and concurrency."""

from __future__ import annotations

import argparse

from rich.console import Console

from ...flags import count
from ..engine.coordinator import Interrupts
from ..profile.report import print_profile, write_profile
from ..profile.sweep import sweep
from . import flags
from .output import add_output, make_room, make_trial, output_folder

DESCRIPTION = """\
Measures a model or pipeline at each batch size (items in a request) with each number of requests in
flight (a closed loop), and writes the table as Parquet and JSON, and plots.

  infergraph-load profile --url grpc://127.0.0.1:8081 --model sentiment \\
      --payload model-settings/sentiment/request.json --batch-sizes 1,4,16 --concurrency 1,4,16

Payloads are divided into their items, of which requests of each size are made. The file or flags
describe a run as for `run`, but for its arrivals.
Exit status: 0; 1 if a cell had failures; 2 if the input is wrong; 3 if a cell is invalid, since the
tester could not keep up; 130 after Ctrl-C, with what was measured until then.
"""
_DEFAULTS = {"duration_s": 5.0, "warmup_s": 1.0, "trace": 0.2, "arrivals.kind": "closed"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    flags.add_arguments(parser, arrivals=False)
    add_sweep(parser, repeats=3)
    add_output(parser, "profile's folder")
    parser.add_argument("--quiet", action="store_true", help="no live view and no table")


def add_sweep(parser: argparse.ArgumentParser, *, repeats: int) -> None:
    """Adds the arguments that say which cells are measured."""
    sweep = parser.add_argument_group("cells")
    for name, dest, text in (
        ("batch-sizes", "batch_sizes", "items in a request"),
        ("concurrency", "concurrencies", "requests in flight"),
    ):
        sweep.add_argument(
            f"--{name}",
            dest=dest,
            type=counts,
            default=[1, 2, 4, 8],
            metavar="N,...",
            help=f"{text} (default 1,2,4,8)",
        )
    sweep.add_argument(
        "--repeats",
        type=count,
        default=repeats,
        metavar="N",
        help="runs of each cell, with seeds of their own (default %(default)s)",
    )


def counts(text: str) -> list[int]:
    """An argparse type: counts, in ascending order."""
    return sorted({count(part) for part in text.split(",")})


def execute(arguments: argparse.Namespace) -> int:
    """Profiles; see `main` for the status."""
    # A file's own settings come before these.
    extra = dict(_DEFAULTS) if arguments.file is None else {"arrivals.kind": "closed"}
    extra["arrivals.concurrency"] = arguments.concurrencies[0]
    configuration = flags.configuration(arguments, extra)
    folder = output_folder(arguments, f"{configuration.target.model}-profile")
    make_room(arguments, folder)
    console = Console(stderr=True, quiet=arguments.quiet)
    with Interrupts() as interrupts:
        profile = sweep(
            configuration,
            arguments.batch_sizes,
            arguments.concurrencies,
            arguments.repeats,
            make_trial(
                console,
                interrupts,
                len(arguments.batch_sizes) * len(arguments.concurrencies) * arguments.repeats,
            ),
            lambda cell: console.print(
                f"{cell.batch_size} x {cell.concurrency}: {cell.throughput:.1f} items/s",
                highlight=False,
            ),
        )
    write_profile(folder, profile)
    if not arguments.quiet:
        output = Console()
        print_profile(output, profile)
        output.print(f"profile: {folder}", highlight=False, soft_wrap=True)
    return profile.status
