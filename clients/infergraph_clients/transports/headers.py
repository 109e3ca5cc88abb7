"""Headers of requests: given as flags, checked, and masked where they are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from ..errors import UsageError

TIMEOUT_HEADER = "infergraph-timeout-ms"
SELDON_HEADER = "seldon-model"
PIPELINE_SUFFIX = ".pipeline"
"""Ends the name of a pipeline of Seldon Core v2, which has no metadata."""
MASK = "***"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET = re.compile(
    r"auth|cookie|credential|jwt|key|passw|secret|session|signature|token", re.IGNORECASE
)


def pairs(arguments: Sequence[str], option: str) -> list[tuple[str, str]]:
    """Names and values of `NAME=VALUE` arguments; UsageError, naming the option, if one is none."""
    found = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise UsageError(f"{option} {argument!r}; accepted: NAME=VALUE")
        found.append((name, value))
    return found


def parse_headers(arguments: Sequence[str]) -> dict[str, str]:
    """Headers of `--header` arguments; UsageError if HTTP or gRPC could not carry one."""
    headers = dict(pairs(arguments, "--header"))
    check_headers(headers)
    return headers


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises UsageError if HTTP or gRPC could not carry one."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise UsageError(f"header {name!r} is no header name; accepted: letters, digits and -")
        if not value.isascii() or not (value.isprintable() or not value):
            # The value may be a credential: it is not repeated.
            raise UsageError(f"header {name}: its value is not printable ASCII")


def deadline_header(milliseconds: float) -> dict[str, str]:
    """The header that tells the server a request's time budget."""
    return {TIMEOUT_HEADER: f"{milliseconds:.3f}".rstrip("0").rstrip(".")}


def joined(sets: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The headers of all sets; of one name in any case the last counts."""
    found: dict[str, tuple[str, str]] = {}
    for headers in sets:
        for name, value in headers.items():
            found[name.lower()] = (name, value)
    return dict(found.values())


def masked(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers to be shown or written: the values of those that may hold a secret are `***`."""
    return {name: MASK if _SECRET.search(name) else value for name, value in headers.items()}
