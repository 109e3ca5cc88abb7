"""How a command ends, and its output to a terminal or pipe whose encoding lacks some letters."""

from __future__ import annotations

import codecs
import errno
import io
import json
import sys
import traceback
from collections.abc import Callable

from .errors import ClientError

_JSON_ESCAPES = "infergraph-json-escapes"
_USAGE, _FAULT = 2, 70
"""Exit statuses; 70 is EX_SOFTWARE of sysexits.h."""


def run_command(
    name: str,
    run: Callable[[], int],
    on_error: Callable[[ClientError], None] = lambda error: None,
) -> int:
    """Runs a command; returns its exit status: 130 after Ctrl-C, 70 for a fault of its own.

    Args:
        name: Begins the line that says why it failed.
        run: The command.
        on_error: Told why it failed, too.
    """
    escape_what_cannot_be_encoded()
    try:
        status = run()
        # None where the shell has closed it: `>&-`.
        if sys.stdout is not None:
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
    except OSError as error:
        # What no command expects: a disk that is full, a file that may not be read.
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"{name}: {where}{error.strerror or error}", file=sys.stderr)
        if error.errno == errno.ENOSPC:
            # What is left to write would be tried again at exit.
            sys.stdout = None
        return _USAGE
    except Exception:
        # Python's own status for it, 1, says something of the server.
        traceback.print_exc()
        print(f"{name}: this is a fault of the command; please report it", file=sys.stderr)
        return _FAULT


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
