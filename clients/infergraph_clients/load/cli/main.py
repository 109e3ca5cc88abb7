"""`main`: reads the command line and runs one command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ...flags import add_version
from ...terminal import escape_what_cannot_be_encoded
from ..errors import LoadError
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
USAGE_ERROR = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0; 1 where the run is invalid, its SLO is missed, or the comparison finds a regression; 2
        for an error of the input, before any load; 130 after Ctrl-C.
    """
    escape_what_cannot_be_encoded()
    arguments = build_parser().parse_args(argv)
    try:
        status: int = COMMANDS[arguments.command].execute(arguments)
        sys.stdout.flush()
    except LoadError as error:
        print(f"infergraph-load {arguments.command}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output, `head` for example, has seen enough. Nothing may be flushed to
        # it at exit, or Python complains.
        sys.stdout = None
        return 0
    return status


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
