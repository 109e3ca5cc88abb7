"""How a command ends, and its output to a terminal or pipe whose encoding lacks some letters."""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Callable

from .errors import ClientError

_JSON_ESCAPES = "infergraph-json-escapes"


def run_command(
    name: str,
    run: Callable[[], int],
    on_error: Callable[[ClientError], None] = lambda error: None,
) -> int:
    """Runs a command; returns its exit status, 130 after Ctrl-C.

    Args:
        name: Begins the line that says why it failed.
        run: The command.
        on_error: Told why it failed, too.
    """
    escape_what_cannot_be_encoded()
    try:
        status = run()
        sys.stdout.flush()
        return status
    except ClientError as error:
        print(f"{name}: {error}", file=sys.stderr)
        on_error(error)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output, `head` for example, has seen enough. Nothing may be flushed to
        # it at exit, or Python complains.
        sys.stdout = None
        return 0


def escape_what_cannot_be_encoded() -> None:
    """Makes stdout and stderr write a letter that their encoding lacks as JSON's escape of it.

    JSON stays JSON so. What stands for a byte of a file's name that is no text has an escape too.
    """
    codecs.register_error(_JSON_ESCAPES, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_JSON_ESCAPES)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
