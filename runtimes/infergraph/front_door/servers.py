"""The REST and gRPC servers, in MLServer's places: it makes, starts and stops them as its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from functools import partial
from typing import Any

import grpc
import uvicorn
from mlserver import MLModel
from mlserver.grpc.server import GRPCServer
from mlserver.handlers import DataPlane
from mlserver.logging import get_logger as get_mlserver_logger
from mlserver.metrics import MetricsServer as StockMetricsServer
from mlserver.rest.server import RESTServer
from mlserver.settings import Settings
from mlserver.tracing import get_tracer_provider
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..errors import ConfigurationError
from .access import Access, Area
from .desk import Desk
from .draining import Drain
from .errors import ErrorAnswers, as_ours
from .grpc_servicer import GrpcServicer
from .process import keep_freed_memory, spare_the_collector
from .protocol import Protocol
from .registry import Registry
from .repository_handlers import RepositoryHandlers
from .rest_app import RestApp, answer_http_exception, error_response, other_paths
from .settings import FrontDoorSettings, read_settings

logger = logging.getLogger(__name__)

_PROBES = ("ServerLive", "ServerReady")


class RestServer(RESTServer):
    """MLServer's REST server with an application of our own."""

    def __init__(
        self, settings: Settings, data_plane: DataPlane, model_repository_handlers: Any
    ) -> None:
        """Makes the application.

        Raises:
            ConfigurationError: a setting of the front door is wrong.
        """
        # Not MLServer's own: it would make an application whose metrics have the same names.
        self._settings = settings
        self._data_plane = data_plane
        self._model_repository_handlers = model_repository_handlers
        self.desk = _make_desk(settings, data_plane, model_repository_handlers)
        # Where MLServer puts the handlers that models add.
        self._app = other_paths(self.desk)
        self._application: Any = RestApp(self.desk, self._app).app
        if settings.tracing_server:
            self._application = OpenTelemetryMiddleware(
                self._application,
                tracer_provider=get_tracer_provider(settings),
                excluded_urls="/v2/health/live,/v2/health/ready",
            )
        _share_log_handlers()

    async def add_custom_handlers(self, model: MLModel) -> MLModel:
        """Adds a model's own paths, and tells a model of ours which server it is in."""
        attach = getattr(model, "attach_server", None)
        if attach is not None:
            attach(self._settings)
        return await super().add_custom_handlers(model)

    def _get_config(self) -> uvicorn.Config:
        config: uvicorn.Config = super()._get_config()  # type: ignore[no-untyped-call]
        config.app = self._application
        config.http = Protocol
        _set_tls(config, self.desk.settings)
        return config

    async def start(self) -> None:
        """Serves until it is stopped."""
        front = self.desk.settings
        self._server: Any = _Server(self._get_config(), front, self.desk.drain)
        scheme = "https" if front.tls_certificate else "http"
        logger.info(
            "REST: listening on %s://%s", scheme, _address(self._settings, self._settings.http_port)
        )
        await self._server.serve()


class _Server(uvicorn.Server):
    """Gives requests in flight what is left of the grace period; uvicorn alone waits without end.

    It comes to its end by its own signal handler, or after gRPC has stopped, whichever is first.
    """

    def __init__(self, config: uvicorn.Config, front: FrontDoorSettings, drain: Drain) -> None:
        super().__init__(config)
        self._front = front
        self._drain = drain

    def install_signal_handlers(self) -> None:
        """Does nothing: MLServer has its own."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        left = self._drain.left(self._front.grace_seconds)
        self.config.timeout_graceful_shutdown = left  # type: ignore[assignment]
        await super().shutdown(sockets)


class GrpcServer(GRPCServer):
    """MLServer's gRPC server with a service of our own."""

    def __init__(
        self, settings: Settings, data_plane: DataPlane, model_repository_handlers: Any
    ) -> None:
        super().__init__(settings, data_plane, model_repository_handlers)
        self._desk = _make_desk(settings, data_plane, model_repository_handlers)
        self._servicer = GrpcServicer(self._desk)

    def _create_server(self) -> grpc.aio.Server:
        interceptors = []
        if self._settings.tracing_server:
            names = [filters.method_name(name) for name in _PROBES]
            interceptors.append(
                aio_server_interceptor(  # type: ignore[no-untyped-call]
                    tracer_provider=get_tracer_provider(self._settings),
                    filter_=filters.negate(filters.any_of(*names)),
                )
            )
        options = [*self._get_options(), *_connection_options(self._desk.settings)]
        self._server = grpc.aio.server(interceptors=interceptors, options=options)
        self._server.add_generic_rpc_handlers(tuple(self._servicer.handlers()))
        address = _address(self._settings, self._settings.grpc_port)
        credentials = _grpc_credentials(self._desk.settings)
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ConfigurationError(f"gRPC cannot listen on {address}: {error}") from None
        if not port:
            raise ConfigurationError(f"gRPC cannot listen on {address}")
        return self._server

    async def start(self) -> None:
        """Serves until it is stopped."""
        self._create_server()
        await self._server.start()
        logger.info("gRPC: listening on %s", _address(self._settings, self._settings.grpc_port))
        await self._server.wait_for_termination()

    async def stop(self, sig: int | None = None) -> None:
        """Takes no new calls, and waits up to the grace period for those in flight.

        Pipelines in flight come first, since their next step may be a call to this very server.
        """
        grace, drain = self._desk.settings.grace_seconds, self._desk.drain
        if drain.begin():
            logger.info("gRPC: waiting up to %g s for calls in flight", grace)
        # MLServer calls this again for each of its servers that ends, meanwhile: each call waits.
        await drain.wait_until_idle(drain.left(grace))
        self._servicer.end_idle_calls()
        await self._server.stop(grace=drain.left(grace))


class MetricsServer(StockMetricsServer):
    """MLServer's metrics server, which asks for a key where the settings say so."""

    def __init__(self, settings: Settings) -> None:
        self._front = read_settings(settings)
        self._access = Access(self._front)
        super().__init__(settings)
        answer = self._endpoint.handle_metrics

        async def guarded(request: Request) -> Response:
            try:
                self._access.check(Area.METRICS, request.headers)
            except Exception as error:
                return error_response(as_ours(error, "metrics"), ErrorAnswers())
            response: Response = await asyncio.to_thread(answer, request)
            return response

        self._app.router.routes.clear()
        self._app.add_exception_handler(HTTPException, answer_http_exception)
        self._app.add_route(str(settings.metrics_endpoint), guarded)

    def _get_config(self) -> uvicorn.Config:
        config: uvicorn.Config = super()._get_config()  # type: ignore[no-untyped-call]
        config.http = Protocol
        _set_tls(config, self._front)
        return config


_DESK = "_infergraph_desk"


def _make_desk(settings: Settings, data_plane: DataPlane, handlers: Any) -> Desk:
    """The desk of a server, which its two front ends share: its data plane holds it."""
    desk: Desk | None = getattr(data_plane, _DESK, None)
    if desk is None:
        registry = data_plane._model_registry
        if not isinstance(registry, Registry) or not isinstance(handlers, RepositoryHandlers):
            raise ConfigurationError(
                f"the server's registry is {type(registry).__name__} and its repository handlers "
                f"are {type(handlers).__name__}; accepted: those of the front door"
            )
        front = read_settings(settings)
        keep_freed_memory()
        desk = Desk(settings, front, registry, handlers, data_plane)
        registry.on_settled = partial(spare_the_collector, registry)
        setattr(data_plane, _DESK, desk)
    return desk


def _address(settings: Settings, port: int) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{port}"


def _set_tls(config: uvicorn.Config, front: FrontDoorSettings) -> None:
    if front.tls_certificate is None:
        return
    config.ssl_certfile = str(front.tls_certificate)
    config.ssl_keyfile = str(front.tls_key)
    if front.tls_client_ca is not None:
        config.ssl_ca_certs = str(front.tls_client_ca)
        config.ssl_cert_reqs = ssl.CERT_REQUIRED


def _connection_options(front: FrontDoorSettings) -> list[tuple[str, int]]:
    seconds = front.grpc_connection_age_s
    return [] if seconds is None else [("grpc.max_connection_age_ms", round(seconds * 1000))]


def _grpc_credentials(front: FrontDoorSettings) -> grpc.ServerCredentials | None:
    if front.tls_certificate is None or front.tls_key is None:
        return None
    authorities = front.tls_client_ca.read_bytes() if front.tls_client_ca else None
    return grpc.ssl_server_credentials(
        [(front.tls_key.read_bytes(), front.tls_certificate.read_bytes())],
        root_certificates=authorities,
        require_client_auth=authorities is not None,
    )


def _share_log_handlers() -> None:
    """Sends Infergraph's log where MLServer's goes; on its own it would go nowhere."""
    ours = logging.getLogger("infergraph")
    theirs = get_mlserver_logger()  # type: ignore[no-untyped-call]
    ours.setLevel(theirs.level)
    for handler in theirs.handlers:
        ours.addHandler(handler)
    ours.propagate = not theirs.handlers
