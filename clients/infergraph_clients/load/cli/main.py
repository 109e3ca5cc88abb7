"""`main`: reads the command line and runs one command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ...errors import UsageError
from ...flags import add_version
from ...terminal import escape_what_cannot_be_encoded
from ..errors import ExitStatus
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
    escape_what_cannot_be_encoded()
    arguments = parse_arguments(argv)
    try:
        status: int = COMMANDS[arguments.command].execute(arguments)
        sys.stdout.flush()
    except UsageError as error:
        print(f"infergraph-load {arguments.command}: {error}", file=sys.stderr)
        return ExitStatus.USAGE
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output, `head` for example, has seen enough. Nothing may be flushed to
        # it at exit, or Python complains.
        sys.stdout = None
        return 0
    return status


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


if __name__ == "__main__":
    sys.exit(main())
