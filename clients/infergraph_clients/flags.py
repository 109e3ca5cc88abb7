"""Flags that several commands have."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence

from infergraph import __version__
from infergraph.v2 import Parameter

from .transports.endpoint import Tls
from .transports.headers import pairs


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds `--version`."""
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")


def add_tls(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Adds the flags of TLS, which `tls_of` reads."""
    add = parser.add_argument
    add("--ca", metavar="PEM", help="trust these authorities in place of the system's")
    add("--certificate", metavar="PEM", help="show this certificate to the server")
    add("--key", metavar="PEM", help="the certificate's key, where it is in a file of its own")
    add("--insecure", action="store_true", default=None, help="take any certificate")


def tls_of(args: argparse.Namespace) -> Tls:
    """What the flags of TLS say."""
    return Tls(args.ca, args.certificate, args.key, bool(args.insecure))


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


def count(text: str) -> int:
    """An argument that is a whole number above 0."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: a whole number above 0")
    return number


def milliseconds(text: str) -> float:
    """An argument that is a time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: milliseconds above 0")
    return value
