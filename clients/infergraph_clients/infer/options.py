"""The command's arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..flags import add_tls, add_version, count, milliseconds
from ..payloads.inputs import HELP
from ..transports import CODINGS, FORMATS, PROTOCOLS
from ..transports.endpoint import DEFAULT_URLS
from ..transports.headers import SELDON_HEADER, TIMEOUT_HEADER

_DESCRIPTION = "Sends one request to a model or pipeline of any V2 server, and prints the answer."
_EPILOG = f"""\
{HELP}
exit status:
  0 answered; 1 the server answered with an error or not in time;
  2 nothing was sent: bad arguments or input, or no server there
"""


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The parsed arguments; argparse itself ends the process with 2 where they make no sense."""
    return _build_parser().parse_intermixed_args(argv)


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="infergraph-infer",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_version(parser)
    add = parser.add_argument
    add(
        "model", metavar="MODEL", help="a model or pipeline; NAME.pipeline is one of Seldon Core v2"
    )
    add("inputs", metavar="NAME=VALUE", nargs="*", help="an input: see below")
    add("--request", metavar="FILE", help="send a V2 JSON request instead of inputs; - is stdin")
    add(
        "--url",
        help="grpc://host:port or http://host:port; grpcs and https for TLS "
        f"(default: {DEFAULT_URLS['grpc']}, or {DEFAULT_URLS['rest']} with --protocol rest)",
    )
    add("--protocol", choices=PROTOCOLS, help="(default: as --url says, else grpc)")
    add(
        "--format",
        default="auto",
        choices=["auto", *FORMATS["rest"], *FORMATS["grpc"]],
        help="how tensors travel: json, base64 or binary over REST, raw or typed over gRPC "
        "(default: raw; over REST binary if the server announces it, else json)",
    )
    add_tls(parser)
    add(
        "--stream",
        action="store_true",
        help="ask for the answer in parts, and print each as it comes",
    )
    add(
        "--repeat",
        metavar="N",
        type=count,
        default=1,
        help="send it N times: in turn, or with --async all at once",
    )
    add(
        "--async",
        dest="asynchronous",
        action="store_true",
        help="with --repeat, send all requests at once",
    )
    add(
        "--compression",
        choices=CODINGS,
        help="compress the request, ask for the same back; over REST, MLServer reads gzip alone",
    )
    add(
        "--deadline",
        metavar="MS",
        type=milliseconds,
        help=f"send a time budget as {TIMEOUT_HEADER}; the client gives up shortly after it",
    )
    add("--trace", action="store_true", help="show what each step of the pipeline took")
    add("--traceparent", action="store_true", help="begin a distributed trace, by W3C's header")
    add(
        "--parameter",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a request parameter: true, 4, 0.5 or text; summarization.num_beams=4 is for a step",
    )
    add("--header", metavar="NAME=VALUE", action="append", default=[], help="a header or metadata")
    add(
        "--seldon",
        action="store_true",
        help=f"send the header {SELDON_HEADER}, as Seldon Core v2 needs; NAME.pipeline implies it",
    )
    add("--outputs", metavar="NAME,...", type=_names, default=[], help="answer with these only")
    add("--model-version", metavar="VERSION", default="", help="a version of the model")
    add(
        "--unchecked",
        action="store_true",
        help="do not ask for the model's metadata; text and files go as BYTES of shape [items, 1]",
    )
    add("--json", action="store_true", help="print the answer, or the error, as JSON")
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: names with commas between them")
    return names
