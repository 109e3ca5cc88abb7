"""The command `infergraph`. One module per command; each imports what is heavy when it runs."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence

from infergraph_clients.terminal import escape_what_cannot_be_encoded

from .. import __version__
from ..errors import InfergraphError
from . import convert, demo, draw, fetch, lint, manifests, overview, serve

COMMANDS = {
    "list": overview,
    "lint": lint,
    "graph": draw,
    "serve": serve,
    "demo": demo,
    "fetch": fetch,
    "convert": convert,
    "manifests": manifests,
}
USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status: 0, 1 where a check failed, 2 for an error."""
    escape_what_cannot_be_encoded()
    args = build_parser().parse_args(argv)
    try:
        status: int = COMMANDS[args.command].run(args)
        # None where the shell has closed it: `>&-`.
        if sys.stdout is not None:
            sys.stdout.flush()
    except InfergraphError as error:
        # Several lines only where several things are wrong, as in a pipeline file.
        for line in str(error).splitlines():
            print(f"infergraph {args.command}: {line}", file=sys.stderr)
        return USAGE_ERROR
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("infergraph", "infergraph_clients", ""):
            raise
        print(
            f"infergraph {args.command}: it needs the package '{package}', which is not "
            "installed; what models need is installed with: pip install 'infergraph[models]'",
            file=sys.stderr,
        )
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output, `head` for example, has seen enough. Nothing may be flushed to
        # it at exit, or Python complains.
        sys.stdout = None
        return 0
    except OSError as error:
        # What no command expects: a disk that is full, a file that may not be read.
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"infergraph {args.command}: {where}{error.strerror or error}", file=sys.stderr)
        if error.errno == errno.ENOSPC:
            # What is left to write would be tried again at exit.
            sys.stdout = None
        return USAGE_ERROR
    return status


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="infergraph", description="Multi-model inference pipelines on MLServer."
    )
    parser.add_argument("--version", action="version", version=f"infergraph {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION)
        module.add_arguments(command)
    return parser
