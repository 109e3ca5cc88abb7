"""The REST application: all of V2 and MLServer's repository calls, on Starlette."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any

import orjson
from fastapi import FastAPI
from mlserver.errors import MLServerError
from mlserver.rest.app import APIRoute
from mlserver.rest.endpoints import Endpoints
from mlserver.types import MetadataModelResponse, RepositoryIndexRequest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import InfergraphError, MalformedRequest
from ..v2.schema import KEPT_CALLS_EXTENSION
from . import metrics
from .access import Area
from .admission import Load
from .bodies import BoundedBody, Disconnected, check_announced, headers_of, read_body
from .desk import Desk
from .errors import ErrorAnswers, as_ours
from .rest_graph import RestAggregate, RestRoute
from .rest_inference import RestInference, RestStream

_MODEL = "/v2/models/{model_name}"
_REPOSITORY = "/v2/repository/models/{model_name}"
_VERSION = "/versions/{model_version}"
_INFERENCE: Mapping[str, Callable[[Desk, str], RestInference]] = {
    "infer": RestInference,
    "generate": RestInference,
    "infer_stream": RestStream,
    "generate_stream": RestStream,
    "route": RestRoute,
    "aggregate": RestAggregate,
}
Endpoint = Callable[[Request], Awaitable[Response]]


class RestApp:
    """Makes the application, and answers everything that is no inference."""

    def __init__(self, desk: Desk, others: FastAPI) -> None:
        """Makes it.

        Args:
            desk: What answers.
            others: Takes the paths that the protocol does not know: pages of documentation, and
                what models add.
        """
        self._desk = desk
        routes: list[Route] = []
        for version in ("", _VERSION):
            routes += [
                Route(path, endpoint(desk, path), methods=["POST"])
                for name, endpoint in _INFERENCE.items()
                for path in (f"{_MODEL}{version}/{name}",)
            ]
            routes += [
                self._route(f"{_MODEL}{version}/ready", self._model_ready, None),
                self._route(f"{_MODEL}{version}", self._model_metadata, Area.INFERENCE),
            ]
        routes += [
            self._route("/v2/health/live", self._live, None),
            self._route("/v2/health/ready", self._ready, None),
            self._route("/v2", self._metadata, Area.INFERENCE),
            self._route("/v2/repository/index", self._index, Area.CONTROL, "POST"),
            self._route(
                "/v2/repository/models/{model_name}/load", self._load, Area.CONTROL, "POST"
            ),
            self._route(
                "/v2/repository/models/{model_name}/unload", self._unload, Area.CONTROL, "POST"
            ),
        ]
        # Inference comes first, since its routes are asked for most.
        routes.sort(key=lambda route: not isinstance(route.endpoint, RestInference))
        starlette = Starlette(
            debug=False,
            routes=routes,
            middleware=_middleware(desk),
            exception_handlers={HTTPException: self._refuse, Exception: telling(desk.errors)},
        )
        starlette.router.default = _Others(desk, others)
        starlette.router.redirect_slashes = False
        self.app: ASGIApp = starlette
        if desk.server.cors_settings is None and not desk.server.root_path:
            inference = [each for each in routes if isinstance(each.endpoint, RestInference)]
            self.app = _Shortcut({each.path: each.endpoint for each in inference}, starlette)

    def _route(self, path: str, answer: Endpoint, area: Area | None, method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            began = time.perf_counter()
            error = ""
            try:
                if area is not None:
                    self._desk.access.check(area, request.headers)
                response = await answer(request)
            except Disconnected:
                response = Response(status_code=400)
            except Exception as raised:
                failure = as_ours(raised, f"{method} {path}")
                error = str(failure)
                response = error_response(failure, self._desk.errors)
            seconds = time.perf_counter() - began
            if area is not None:
                metrics.rest_answered(method, path, response.status_code, seconds)
                name = request.path_params.get("model_name", "")
                _log(self._desk, request.scope, response.status_code, seconds, name, error)
            return response

        return Route(path, endpoint, methods=[method])

    async def _refuse(self, request: Request, error: Exception) -> Response:
        """Answers a method that a route does not have."""
        response = await answer_http_exception(request, error)
        metrics.rest_answered(request.method, _OTHER, response.status_code, 0.0)
        _log(self._desk, request.scope, response.status_code, 0.0)
        return response

    async def _live(self, request: Request) -> Response:
        return Response(status_code=200)

    async def _ready(self, request: Request) -> Response:
        return Response(status_code=200 if self._desk.ready() else self._desk.errors.not_ready)

    async def _model_ready(self, request: Request) -> Response:
        ready = await model_ready(self._desk, *_named(request))
        return Response(status_code=200 if ready else self._desk.errors.not_ready)

    async def _metadata(self, request: Request) -> Response:
        metadata = await self._desk.data_plane.metadata()
        content = metadata.model_dump()  # type: ignore[no-untyped-call]
        content["extensions"] = extensions(self._desk)
        return _json(content)

    async def _model_metadata(self, request: Request) -> Response:
        metadata = await model_metadata(self._desk, *_named(request))
        content = metadata.model_dump(exclude_none=True, mode="json")  # type: ignore[no-untyped-call]
        return _json(content)

    async def _index(self, request: Request) -> Response:
        with self._desk.admission.request() as load:
            body = await self._body(request, load)
        try:
            # Triton's client sends no body for all models.
            payload = RepositoryIndexRequest.model_validate(orjson.loads(body) if body else {})
        except (orjson.JSONDecodeError, ValidationError):
            raise MalformedRequest(
                'the body is not a V2 index request; accepted: {"ready": true or false}, or none'
            ) from None
        found = await self._desk.repository.index(payload)
        return _json(found.model_dump(mode="json"))

    async def _load(self, request: Request) -> Response:
        with self._desk.admission.request() as load:
            await self._body(request, load)
        await self._desk.repository.load(request.path_params["model_name"])
        return Response(status_code=200)

    async def _unload(self, request: Request) -> Response:
        with self._desk.admission.request() as load:
            await self._body(request, load)
        await self._desk.repository.unload(request.path_params["model_name"])
        return Response(status_code=200)

    async def _body(self, request: Request, load: Load) -> bytes:
        body, _ = await read_body(
            request.receive, headers_of(request.scope["headers"]), load, self._desk.settings, None
        )
        return body


class _Shortcut:
    """Finds the endpoints of inference by their paths; Starlette takes a fifth of their time to.

    Args:
        endpoints: By the paths of their routes.
        rest: Answers everything else.
    """

    def __init__(self, endpoints: Mapping[str, ASGIApp], rest: ASGIApp) -> None:
        self._endpoints = endpoints
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            parts = scope["path"].split("/")
            if len(parts) == 5 and parts[3]:
                _, v2, models, name, call = parts
                endpoint = self._endpoints.get(f"/{v2}/{models}/{{model_name}}/{call}")
                if endpoint is not None:
                    scope["path_params"] = {"model_name": name}
                    await endpoint(scope, receive, send)
                    return
        await self._rest(scope, receive, send)


class _Others:
    """Paths that the protocol does not know: they need the key of inference, and room.

    Args:
        desk: Who is let in, and how much.
        app: Answers them.
    """

    def __init__(self, desk: Desk, app: FastAPI) -> None:
        self._desk = desk
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, text, answering = 500, "", False
        body: BoundedBody | None = None

        async def noting(event: MutableMapping[str, Any]) -> None:
            nonlocal status, answering
            if body is not None and body.refusal is not None and not answering:
                # FastAPI says of a body that cannot be read that it is no JSON. Ours comes later.
                return
            answering = True
            status = event.get("status", status)
            await send(event)

        headers = headers_of(scope["headers"])
        try:
            self._desk.access.check(Area.INFERENCE, headers)
            with self._desk.admission.request() as load:
                check_announced(headers, load)
                body = BoundedBody(receive, load, self._desk.settings.body_timeout_s)
                await self._app(scope, body, noting)
                if body.refusal is not None and not answering:
                    raise body.refusal
        except InfergraphError as error:
            text, body = str(error), None
            await error_response(error, self._desk.errors)(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - began
            metrics.rest_answered(scope["method"], _OTHER, status, seconds)
            _log(self._desk, scope, status, seconds, error=text)


_OTHER = "other"
"""What metrics say for the path of a request that none of the protocol's routes answers."""


def _log(
    desk: Desk, scope: Scope, status: int, seconds: float, model: str = "", error: str = ""
) -> None:
    if desk.log.is_on:
        what = f"{scope['method']} {scope['path']}"
        desk.log.request("rest", what, model, status, seconds, error=error)


async def model_ready(desk: Desk, name: str, version: str | None) -> bool:
    """Whether a model takes requests; raises UnknownModel."""
    model = await desk.registry.get_model(name, version or None)
    return bool(model.ready)


async def model_metadata(desk: Desk, name: str, version: str | None) -> MetadataModelResponse:
    """A model's metadata, with the versions that are loaded; raises UnknownModel."""
    metadata = await desk.data_plane.model_metadata(name, version or None)
    versions = desk.registry.versions(name)
    if versions:
        metadata = metadata.model_copy(update={"versions": versions})
    return metadata


def extensions(desk: Desk) -> list[str]:
    """The extensions of V2 that the server knows, in Triton's words, and those of its settings."""
    known = [
        *("binary_tensor_data", "classification", "model_repository", "parameters"),
        KEPT_CALLS_EXTENSION,
    ]
    return list(dict.fromkeys([*known, *desk.server.extensions]))


def other_paths(desk: Desk) -> FastAPI:
    """The application of MLServer's pages of documentation, to which models may add handlers."""
    pages = Endpoints(desk.data_plane)
    answer_exception = telling(desk.errors)
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        exception_handlers={
            HTTPException: answer_http_exception,
            MLServerError: answer_exception,
            InfergraphError: answer_exception,
            Exception: answer_exception,
        },
    )
    app.router.route_class = APIRoute
    for path, server_page, model_page in (
        ("docs/dataplane.json", pages.openapi, pages.model_openapi),
        ("docs", pages.docs, pages.model_docs),
    ):
        app.add_api_route(f"/v2/{path}", server_page)
        app.add_api_route(f"{_MODEL}/{path}", model_page)
        app.add_api_route(f"{_MODEL}{_VERSION}/{path}", model_page)
    return app


def error_response(error: InfergraphError, answers: ErrorAnswers) -> Response:
    """The answer to an error."""
    status, headers, body = answers.rest(error)
    plain = {name.decode(): value.decode() for name, value in headers}
    return Response(body, status, plain)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Answers what Starlette itself refuses: an unknown path, or a method that it does not have."""
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    text = {
        404: f"no such path: {path}",
        405: f"{request.method[:20]} is not a method of {path}",
    }.get(error.status_code, str(error.detail))
    accepted = (error.headers or {}).get("Allow")
    if accepted:
        text += f"; accepted: {accepted}"
    body = orjson.dumps({"error": text.encode("utf-8", "replace").decode()})
    headers = {**(error.headers or {}), "content-type": "application/json"}
    return Response(body, error.status_code, headers)


def telling(answers: ErrorAnswers) -> Callable[[Request, Any], Coroutine[Any, Any, Response]]:
    """What answers an exception that nobody caught, without saying what it was."""

    async def answer_exception(request: Request, error: Exception) -> Response:
        where = f"{request.method[:20]} {request.url.path[:200]}"
        return error_response(as_ours(error, where), answers)

    return answer_exception


def _named(request: Request) -> tuple[str, str | None]:
    return request.path_params["model_name"], request.path_params.get("model_version")


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _middleware(desk: Desk) -> list[Middleware]:
    cors = desk.server.cors_settings
    if cors is None:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=cors.allow_origins or (),
            allow_origin_regex=cors.allow_origin_regex,
            allow_credentials=bool(cors.allow_credentials),
            allow_methods=cors.allow_methods or (),
            allow_headers=cors.allow_headers or (),
            max_age=cors.max_age or 0,
        )
    ]
