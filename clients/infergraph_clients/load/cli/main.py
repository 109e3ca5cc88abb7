"""`main`: reads the command line and runs one command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ...flags import add_version
from ...terminal import run_command
from . import compare, evaluate, profile, report, run, search, worker

COMMANDS = {
    "run": run,
    "search": search,
    "compare": compare,
    "profile": profile,
    "evaluate": evaluate,
    "report": report,
    "worker": worker,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        An `ExitStatus`; the help of each command says which means what there.
    """
    arguments = parse_arguments(argv)
    run = COMMANDS[arguments.command].execute
    return run_command(f"infergraph-load {arguments.command}", lambda: run(arguments))


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The parsed arguments; argparse itself ends the process with 2 where they make no sense."""
    parser = build_parser()
    # Inputs may stand after flags, which subparsers cannot read by themselves.
    arguments, rest = parser.parse_known_args(argv)
    takes = hasattr(arguments, "inputs")
    unknown = [each for each in rest if each.startswith("-") or "=" not in each or not takes]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if rest:
        arguments.inputs = [*(arguments.inputs or []), *rest]
    return arguments


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="infergraph-load",
        description="Load tests for servers of the V2 (Open Inference) protocol.",
    )
    add_version(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
    return parser
