"""`Routes`: which transport each step of a pipeline takes."""

from __future__ import annotations

import os
from collections.abc import Iterable

from mlserver.settings import Settings

from .. import registry
from ..errors import ConfigurationError
from ..request import KEY_HEADER, PROCESS_KEY
from ..transports import Endpoint, InProcessTransport, Transport, connect
from .settings import ANY_STEP, RouterSettings

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_DEFAULT_GRPC_PORT = "8081"


class Routes:
    """The ways of one pipeline's steps to their models.

    In order: the step's own endpoint; this process, where its model is loaded; the endpoint `*`;
    this server's own gRPC port. Models come and go, so the choice is made at every call.
    """

    def __init__(
        self, pipeline: str, steps: Iterable[str], options: RouterSettings, own_endpoint: str
    ) -> None:
        """Connects to the endpoints of `options`; needs a running event loop.

        Raises:
            ConfigurationError: an endpoint is given for a step that the pipeline does not have.
        """
        steps = list(steps)
        unknown = [name for name in options.endpoints if name not in (*steps, ANY_STEP)]
        if unknown:
            raise ConfigurationError(
                f"pipeline '{pipeline}': setting 'endpoints' names "
                f"{_listed(unknown)}, no step of it; accepted: {_listed([*steps, ANY_STEP])}"
            )
        self._in_process = InProcessTransport() if options.in_process else None
        self._own_endpoint = own_endpoint
        self._own: Transport | None = None
        key = {KEY_HEADER: options.endpoint_key} if options.endpoint_key else {}
        self._named = {
            step: connect(each.endpoint(key)) for step, each in options.endpoints.items()
        }
        self._any = self._named.pop(ANY_STEP, None)

    def transport(self, step: str) -> Transport:
        """The transport that a call of this step takes now."""
        named = self._named.get(step)
        if named is not None:
            return named
        if self._in_process is not None and registry.find(step) is not None:
            return self._in_process
        if self._any is not None:
            return self._any
        if self._own is None:
            self._own = connect(Endpoint.parse(self._own_endpoint, {KEY_HEADER: PROCESS_KEY}))
        return self._own

    def streams(self, step: str) -> registry.Streams | None:
        """How a step's model answers in parts, if it does; only models of this process can."""
        if self.transport(step) is not self._in_process:
            return None
        streams: registry.Streams | None = getattr(registry.find(step), "infer_stream", None)
        return streams

    def configured(self, step: str) -> Transport | None:
        """The endpoint that the settings give for a step, or None."""
        return self._named.get(step, self._any)

    async def close(self) -> None:
        """Gives all connections back."""
        for transport in (*self._named.values(), self._any, self._own):
            if transport is not None:
                await transport.close()


def own_grpc_endpoint(server: Settings | None) -> str:
    """The URL of this server's own gRPC port, also when its settings are not known (a worker)."""
    if server is None:
        return f"grpc://127.0.0.1:{os.environ.get('MLSERVER_GRPC_PORT', _DEFAULT_GRPC_PORT)}"
    host = _ANY_ADDRESS.get(server.host, server.host)
    if ":" in host:
        host = f"[{host}]"
    return f"grpc://{host}:{server.grpc_port}"


def place(transport: Transport) -> str:
    """Where a transport leads, as error texts say it."""
    return f"model at {transport.endpoint}" if transport.endpoint else "in process"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
