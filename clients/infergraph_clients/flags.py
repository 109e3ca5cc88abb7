"""Flags that several commands have."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from infergraph import __version__
from infergraph.v2 import Parameter

from .transports import PROTOCOLS, Endpoint, Route, Tls, parse_headers
from .transports.endpoint import DEFAULT_URLS
from .transports.headers import PIPELINE_SUFFIX, SELDON_HEADER, deadline_header, joined, pairs

_CONNECT_SECONDS = 10.0
_GRACE_S = 1.0
"""How much longer than its deadline a client waits: the server's own error tells more."""


def make_parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """The parser of a command, with `--version`."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_version(parser)
    return parser


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds `--version`."""
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")


def add_tls(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Adds the flags of TLS; their names are the fields of `Tls`."""
    add = parser.add_argument
    add("--ca", metavar="PEM", help="trust these authorities in place of the system's")
    add("--certificate", metavar="PEM", help="show this certificate to the server")
    add("--key", metavar="PEM", help="the certificate's key, where it is in a file of its own")
    add("--insecure", action="store_true", default=None, help="take any certificate")


def add_server(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say what is called, and how, which `route_of` reads."""
    add = parser.add_argument
    add(
        "--url",
        help="grpc://host:port or http://host:port; grpcs and https for TLS "
        f"(default: {DEFAULT_URLS['grpc']}, or {DEFAULT_URLS['rest']} with --protocol rest)",
    )
    add("--protocol", choices=PROTOCOLS, help="(default: as --url says, else grpc)")
    add_tls(parser)
    add(
        "--parameter",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a request parameter: true, 4, 0.5 or text; summarization.num_beams=4 is for a step",
    )
    add("--header", metavar="NAME=VALUE", action="append", default=[], help="a header or metadata")


def route_of(
    args: argparse.Namespace, deadline_ms: float | None, *, seldon: bool = False, **more: Any
) -> Route:
    """The route of `add_server`'s arguments and their `model`. UsageError if they make no sense.

    Args:
        args: Of the command.
        deadline_ms: The time budget that the server is told.
        seldon: Whether Seldon's header is sent to a model, too; a pipeline of Seldon needs it.
        more: Other fields of the route.
    """
    headers = [{SELDON_HEADER: args.model}] if seldon or is_seldon_pipeline(args) else []
    if deadline_ms is not None:
        headers.append(deadline_header(deadline_ms))
    return Route(
        Endpoint.parse(args.url, args.protocol),
        args.model.removesuffix(PIPELINE_SUFFIX),
        headers=joined([*headers, parse_headers(args.header)]),
        tls=Tls(args.ca, args.certificate, args.key, bool(args.insecure)),
        connect_s=_CONNECT_SECONDS,
        **more,
    )


def is_seldon_pipeline(args: argparse.Namespace) -> bool:
    """Whether the model is a pipeline of Seldon Core v2, which has no metadata."""
    return bool(args.model.endswith(PIPELINE_SUFFIX))


def timeout_of(deadline_ms: float | None) -> float | None:
    """The seconds after which the client gives up, shortly after the deadline; None for never."""
    return None if deadline_ms is None else deadline_ms / 1000 + _GRACE_S


def parse_parameters(arguments: Sequence[str]) -> dict[str, Parameter]:
    """Request parameters: a JSON number, boolean or string, else text as it stands."""
    return {name: _parameter(value) for name, value in pairs(arguments, "--parameter")}


def _parameter(text: str) -> Parameter:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, float) and not math.isfinite(value):
        return text
    return value if isinstance(value, (bool, int, float, str)) else text


def number(
    accepted: str, fits: Callable[[float], bool], of: type[float] = float
) -> Callable[[str], Any]:
    """A type of arguments: finite numbers that fit; the error says what is accepted."""

    def parse(text: str) -> float:
        try:
            value = of(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and fits(value)):
            raise argparse.ArgumentTypeError(f"{text!r}; accepted: {accepted}")
        return value

    return parse


count = number("a whole number above 0", lambda value: value > 0, int)
milliseconds = number("milliseconds above 0", lambda value: value > 0)
positive = number("a number above 0", lambda value: value > 0)
share = number("from 0 to 1", lambda value: 0 <= value <= 1)
percentile = number("above 0, at most 100", lambda value: 0 < value <= 100)
