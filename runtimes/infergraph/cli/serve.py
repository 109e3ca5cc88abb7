"""`infergraph serve`: a server with just what some pipelines need."""

from __future__ import annotations

import argparse
import math
import sys
from typing import TYPE_CHECKING

from . import workspace

if TYPE_CHECKING:
    from .cluster import Cluster, ClusterOptions
    from .model_server import Ports
    from .plan import ServerPlan

HELP = "serve pipelines, with the models that they need"
DESCRIPTION = (
    "Starts MLServer with the given pipelines (or models) and the models of their steps, prints "
    "where they can be called, and runs until Ctrl-C or SIGTERM."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="PIPELINE", help="a pipeline, or a model")
    add_serving_options(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen (default: %(default)s)"
    )
    for name, port in (("http", 8080), ("grpc", 8081), ("metrics", 8082)):
        parser.add_argument(
            f"--{name}-port",
            type=port_number,
            default=port,
            metavar="PORT",
            help="0 for any free one (default: %(default)s)",
        )


def add_serving_options(parser: argparse.ArgumentParser) -> None:
    """The options that `serve` and `demo` share."""
    workspace.add_models_dir(parser)
    parser.add_argument(
        "--split", action="store_true", help="one server process per model, one for the pipelines"
    )
    parser.add_argument(
        "--in-process",
        action=argparse.BooleanOptionalAction,
        help="call models in the pipeline's own process directly, or as if they were remote "
        "(default: as the pipeline's settings say)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="assignments",
        metavar="MODEL.FIELD=VALUE",
        help="override a setting of a model or pipeline; may be repeated",
    )
    parser.add_argument(
        "--load-timeout",
        type=seconds,
        default=600.0,
        metavar="SECONDS",
        help="longest wait for models to load, from the last progress of a download on "
        "(default: %(default)g)",
    )


def port_number(text: str) -> int:
    """An argparse type: a port, or 0."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; accepted: 0 to 65535")
    return int(text)


def seconds(text: str) -> float:
    """An argparse type: a time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; accepted: seconds, above 0")
    return value


def run(args: argparse.Namespace) -> int:
    from .cluster import Cluster, Interrupted, on_signals, raise_interrupted
    from .model_server import choose_ports

    ports = choose_ports(args.http_port, args.grpc_port, args.metrics_port)
    plans, options = prepare(args, args.names, ports)
    width = max(len(plan.name) for plan in plans)

    def log(server: str, line: str) -> None:
        prefix = f"{server:{width}} | " if len(plans) > 1 else ""
        sys.stdout.write(f"{prefix}{line}\n")
        sys.stdout.flush()

    with on_signals(raise_interrupted):
        try:
            with Cluster(plans, options, log) as cluster:
                print("\n".join(["", *_addresses(cluster), "", "Ctrl-C stops it."]), flush=True)
                cluster.watch()
        except Interrupted:
            return 0
    return 0


def prepare(
    args: argparse.Namespace, names: list[str], ports: Ports
) -> tuple[list[ServerPlan], ClusterOptions]:
    """The servers for `names` and how they run, from the options of `add_serving_options`."""
    from ..catalog import load_catalog
    from ..settings import environment_prefix
    from .cluster import ClusterOptions
    from .plan import configured_endpoints, overrides_of, plan_servers

    catalog = load_catalog(args.models_dir)
    environment = overrides_of(args.assignments, catalog)
    endpoints = configured_endpoints(catalog, environment)
    plans = plan_servers(catalog, names, args.models_dir, endpoints, args.split)
    if args.in_process is not None:
        for plan in plans:
            for servable in plan.servables:
                if servable.pipeline is not None:
                    variable = f"{environment_prefix(servable.name)}IN_PROCESS"
                    environment[variable] = str(args.in_process).lower()
    return plans, ClusterOptions(
        models_dir=args.models_dir,
        ports=ports,
        host=getattr(args, "host", "127.0.0.1"),
        endpoints=endpoints,
        environment=environment,
        load_timeout_s=args.load_timeout,
    )


def _addresses(cluster: Cluster) -> list[str]:
    entry = cluster.entry
    lines = [f"Ready: {', '.join(servable.name for servable in entry.servables)}"]
    pipelines = [each for each in entry.servables if each.pipeline is not None]
    for servable in pipelines or entry.servables:
        lines.append(f"  REST     {entry.http_url}/v2/models/{servable.name}/infer")
    lines.append(f"  gRPC     {entry.grpc_url.removeprefix('grpc://')}")
    lines.append(f"  metrics  {entry.metrics_url}")
    lines += [f"  {server.name}: {server.http_url}" for server in cluster.servers[:-1]]
    return lines
