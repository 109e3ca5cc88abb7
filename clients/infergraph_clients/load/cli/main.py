"""`main`: reads the command line and runs one command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from ...flags import add_version
from ...terminal import run_command

COMMANDS = {
    "run": "send a load, and write a report",
    "search": "find the highest rate that still meets an SLO",
    "compare": "compare two reports, with confidence intervals and an exit status for CI",
    "profile": "measure latency and throughput by batch size and concurrency",
    "evaluate": "serve an Infergraph pipeline, measure all about it, and write one report",
    "report": "write the report of a run whose tester was killed",
    "worker": "send requests for a run that another machine coordinates",
}
"""Each has a module of its name, which is imported only where it runs: some take a second."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        An `ExitStatus`; the help of each command says which means what there.
    """
    arguments = parse_arguments(argv)
    return run_command(f"infergraph-load {arguments.command}", lambda: arguments.execute(arguments))


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed arguments; argparse itself ends the process with 2 where they make no sense."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="infergraph-load",
        description="Load tests for servers of the V2 (Open Inference) protocol.",
    )
    add_version(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if name == next(iter(argv), None):
            module = import_module(f".{name}", __package__)
            command.description = module.DESCRIPTION
            command.formatter_class = argparse.RawDescriptionHelpFormatter
            command.set_defaults(execute=module.execute)
            module.add_arguments(command)
    # Inputs may stand after flags, which subparsers cannot read by themselves.
    arguments, rest = parser.parse_known_args(argv)
    takes = hasattr(arguments, "inputs")
    unknown = [each for each in rest if each.startswith("-") or "=" not in each or not takes]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        arguments.inputs = [*(arguments.inputs or []), *rest]
    return arguments
