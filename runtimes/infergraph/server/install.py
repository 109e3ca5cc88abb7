"""Installs the changes to MLServer, once per process."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import mlserver
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from mlserver.errors import MLServerError
from mlserver.grpc.server import GRPCServer
from mlserver.handlers import DataPlane
from mlserver.logging import get_logger as get_mlserver_logger
from mlserver.model import MLModel
from mlserver.rest.server import RESTServer, _NoSignalServer

from ..errors import ConfigurationError, InfergraphError
from . import errors, fast_path, rest_infer, shutdown
from .disconnect import CancelOnDisconnect

SUPPORTED_MLSERVER = "1.7.1"

Hook = Callable[[RESTServer, MLModel], Coroutine[Any, Any, MLModel]]


@functools.cache
def install() -> None:
    """Applies all changes; calls after the first do nothing.

    Raises:
        ConfigurationError: another version of MLServer is installed.
    """
    if mlserver.__version__ != SUPPORTED_MLSERVER:
        raise ConfigurationError(
            f"mlserver {mlserver.__version__} is installed; accepted: {SUPPORTED_MLSERVER}, "
            "because Infergraph replaces internal functions of it"
        )
    fast_path.install()
    errors.install()
    RESTServer.add_custom_handlers = _on_model_load(  # type: ignore[method-assign, assignment]
        RESTServer.add_custom_handlers
    )
    GRPCServer.stop = shutdown.stop_grpc_server  # type: ignore[method-assign]
    _NoSignalServer.shutdown = shutdown.shut_rest_server_down  # type: ignore[method-assign]


def _on_model_load(original: Hook) -> Hook:
    """Wraps the hook that MLServer calls for each model before it loads.

    It is the one place that sees both a model and its server, so it tells the model the server's
    settings (a router needs the ports) and changes the REST application.
    """

    @functools.wraps(original)
    async def add_custom_handlers(self: RESTServer, model: MLModel) -> MLModel:
        attach = getattr(model, "attach_server", None)
        if attach is not None:
            attach(self._settings)
        if not isinstance(self._app.middleware_stack, CancelOnDisconnect):
            _change_application(self._app, self._data_plane)
            _share_log_handlers()
        return await original(self, model)

    return add_custom_handlers


def _change_application(app: FastAPI, data_plane: DataPlane) -> None:
    app.router.routes[:0] = rest_infer.routes(data_plane)
    app.exception_handlers[RequestValidationError] = errors.answer_malformed_body
    app.exception_handlers[MLServerError] = errors.answer_error
    app.exception_handlers[InfergraphError] = errors.answer_error
    # Built again, since MLServer has started it by now and the handlers are part of it.
    app.middleware_stack = CancelOnDisconnect(app.build_middleware_stack())


def _share_log_handlers() -> None:
    """Sends Infergraph's log where MLServer's goes; on its own it would go nowhere."""
    ours, theirs = logging.getLogger("infergraph"), get_mlserver_logger()  # type: ignore[no-untyped-call]
    ours.setLevel(theirs.level)
    for handler in theirs.handlers:
        ours.addHandler(handler)
    ours.propagate = not theirs.handlers
