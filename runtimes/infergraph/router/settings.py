"""`RouterSettings`: what `parameters.extra` of a pipeline's model-settings.json may say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from ..errors import ConfigurationError
from ..settings import (
    ENDPOINTS_VARIABLE,
    ModelOptions,
    environment_overrides,
    load_options,
    shared_endpoints,
)
from ..transports import Endpoint

ANY_STEP = "*"


class EndpointSettings(BaseModel):
    """The V2 server of a step's model; a URL alone stands for one without headers.

    Attributes:
        url: `grpc://host:port` or `http://host:port`.
        headers: Sent with each call, such as a mesh's routing header, or a key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str
    headers: dict[str, str] = Field(default_factory=dict, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_endpoint(self) -> EndpointSettings:
        try:
            self.endpoint()
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return self

    def endpoint(self, headers: Mapping[str, str] | None = None) -> Endpoint:
        """It as transports take it; its own headers go before the given ones."""
        return Endpoint.parse(self.url, {**(headers or {}), **self.headers})


Endpoints = dict[str, EndpointSettings]


class RouterSettings(ModelOptions):
    """Settings of a pipeline's router.

    Attributes:
        endpoints: Step -> the V2 server that has its model. `*` stands for all steps that are
            neither named here nor loaded in this process. Steps that are left over are called at
            this server's own gRPC port.
        endpoint_key: What opens the endpoints, where their servers ask for a key.
        in_process: Whether a step whose model is loaded in this process is called without a hop.
        timeout_ms: The time budget of a request that brings none of its own; it takes the place of
            the pipeline file's `infergraph.io/timeout-ms`.
        max_in_flight: Most requests that are answered at once; further ones get 503.
        max_items: Most items of one request of a pipeline that runs per item; more are refused.
        drain_ms: How long unloading waits for the requests in flight, in milliseconds.
    """

    endpoints: Endpoints = Field(default_factory=dict, repr=False)
    endpoint_key: str = Field(default="", repr=False)
    in_process: bool = True
    timeout_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_in_flight: PositiveInt = 1024
    max_items: PositiveInt = 2048
    drain_ms: float = Field(default=30_000, ge=0, allow_inf_nan=False)


def load_settings(
    model: str, extra: Mapping[str, Any] | None, steps: Iterable[str]
) -> RouterSettings:
    """The settings of a router: of `extra`, and of the environment, which goes before it.

    INFERGRAPH_ENDPOINTS, which is for all routers, replaces endpoints of `steps` one by one; those
    of steps that other pipelines have are left aside. The router's own variable replaces all.

    Raises:
        ConfigurationError: a setting is unknown or not accepted, or the variable is.
    """
    options = load_options(RouterSettings, model, extra)
    shared = _shared()
    if "endpoints" in environment_overrides(model):
        return options
    mine = {step: each for step, each in shared.items() if step in (*steps, ANY_STEP)}
    return options.model_copy(update={"endpoints": {**options.endpoints, **mine}})


def _shared() -> Endpoints:
    try:
        return TypeAdapter(Endpoints).validate_python(shared_endpoints())
    except ValidationError as error:
        problems = (
            f"{'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors(include_input=False)
        )
        raise ConfigurationError(f"{ENDPOINTS_VARIABLE}: {'; '.join(problems)}") from None
