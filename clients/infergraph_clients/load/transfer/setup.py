"""From the command's words to what is measured: endpoints, the server's CPU, stages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

import grpc

from ...transports.endpoint import Endpoint
from ...transports.grpc_transport import GrpcTransport
from ..errors import LoadError
from .contents import Kind
from .cpu import CpuClock, MetricsClock, ProcessClock
from .stages import Stage, ask_stage
from .wires import Protocol

DEFAULT_URLS = ("http://127.0.0.1:8080", "grpc://127.0.0.1:8081")
_METRICS_PORTS = {8080: 8082}
"""MLServer's defaults."""
_SCALES = {"k": 1e3, "M": 1e6, "G": 1e9}
_BANDWIDTH = re.compile(r"(\d+(?:\.\d+)?)([kMG])")
_GRPC_SECONDS = 15.0


def endpoints_of(urls: Sequence[str]) -> dict[Protocol, Endpoint]:
    """One endpoint of REST, and perhaps one of gRPC, by protocol.

    Raises:
        LoadError: two of one protocol, none of REST, or TLS.
    """
    found: dict[Protocol, Endpoint] = {}
    for url in urls:
        endpoint = Endpoint.parse(url)
        if endpoint.is_secure:
            # Bandwidths are emulated between this program and the server, where TLS's names end.
            raise LoadError(f"url '{url}' is of TLS; accepted: http:// and grpc://")
        protocol: Protocol = "grpc" if endpoint.is_grpc else "rest"
        if protocol in found:
            raise LoadError(f"url '{url}': there is another of {protocol}; accepted: one of each")
        found[protocol] = endpoint
    if "rest" not in found:
        raise LoadError(
            f"url '{urls[0]}' is of gRPC alone; accepted: http://host:port too, for the models' "
            "metadata"
        )
    return found


def bandwidth_of(text: str) -> float:
    """Bits per second of `10M`, `1G` or `500k`; LoadError if it is none."""
    found = _BANDWIDTH.fullmatch(text)
    if found is None or not float(found.group(1)):
        raise LoadError(
            f"bandwidth '{text}'; accepted: bits per second such as 10M, 1G or 500k, with commas"
        )
    return float(found.group(1)) * _SCALES[found.group(2)]


def clock_of(
    rest: Endpoint, metrics_url: str | None, server_pid: int | None
) -> tuple[CpuClock | None, str]:
    """What says the server's CPU time, and a note if nothing does.

    Raises:
        LoadError: what was asked for cannot be read.
    """
    if server_pid is not None:
        return ProcessClock(server_pid), ""
    if metrics_url is not None:
        return MetricsClock(metrics_url), ""
    why = "nothing says where"
    if rest.port in _METRICS_PORTS:
        host = rest.authority.rpartition(":")[0]
        try:
            return MetricsClock(f"http://{host}:{_METRICS_PORTS[rest.port]}/metrics"), ""
        except LoadError as error:
            why = str(error)
    return None, (
        f"the server's CPU is not known ({why}; see --metrics-url and --server-pid), so that "
        "when what pays is computed from latencies, which other work on the machine changes"
    )


async def stages_of(
    endpoints: Mapping[Protocol, Endpoint],
    echo: str,
    models: Mapping[Kind, str],
    headers: Mapping[str, str],
) -> tuple[dict[Kind, list[Stage]], list[str]]:
    """The stages of each kind, the echo first; and a note for each that the server does not have.

    Raises:
        LoadError: the server cannot be reached, or has none of them.
    """
    rest = endpoints["rest"]
    found: dict[Kind, list[Stage]] = {kind: [] for kind in models}
    notes: list[str] = []
    wanted = [(echo, True, list(models))]
    wanted += [(model, False, [kind]) for kind, model in models.items()]
    for model, echoes, kinds in wanted:
        if not model:
            continue
        stage = await ask_stage(rest, model, echoes, headers)
        if stage is None:
            notes.append(
                f"left out: the server has no model '{model}' that is ready ({', '.join(kinds)})"
            )
            continue
        for kind in kinds:
            found[kind].append(stage)
    if not any(found.values()):
        raise LoadError(
            f"server 'http://{rest.authority}' has none of the models "
            f"{', '.join(repr(model) for model, _, _ in wanted if model)}"
        )
    if "grpc" in endpoints:
        await _check_grpc(endpoints["grpc"], next(s for s in found.values() if s)[0].model)
    return found, notes


async def _check_grpc(endpoint: Endpoint, model: str) -> None:
    transport = GrpcTransport(endpoint, model, None, {}, grpc.Compression.NoCompression, channels=1)
    try:
        await asyncio.wait_for(transport.is_ready(), _GRPC_SECONDS)
    except (ConnectionError, asyncio.TimeoutError) as error:
        raise LoadError(
            f"server 'grpc://{endpoint.authority}' cannot be reached: {error}"
        ) from None
    finally:
        await transport.close()
