"""Output to a terminal or pipe whose encoding lacks some letters."""

from __future__ import annotations

import codecs
import io
import json
import sys

_JSON_ESCAPES = "infergraph-json-escapes"


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
