"""`RouterSettings`: what `parameters.extra` of a pipeline's model-settings.json may say."""

from __future__ import annotations

from pydantic import Field, PositiveInt, field_validator

from ..errors import ConfigurationError
from ..settings import ModelOptions
from ..transports import Endpoint

ANY_STEP = "*"


class RouterSettings(ModelOptions):
    """Settings of a pipeline's router.

    Attributes:
        endpoints: Step -> URL of the V2 server that has its model, `grpc://host:port` or
            `http://host:port`. `*` stands for all steps that are neither named here nor loaded in
            this process. Steps that are left over are called at this server's own gRPC port.
        endpoint_key: What opens the endpoints, where their servers ask for a key.
        in_process: Whether a step whose model is loaded in this process is called without a hop.
        timeout_ms: The time budget of a request that brings none of its own; it takes the place of
            the pipeline file's `infergraph.io/timeout-ms`.
        max_in_flight: Most requests that are answered at once; further ones get 503.
        max_items: Most items of one request of a pipeline that runs per item; more are refused.
        drain_ms: How long unloading waits for the requests in flight, in milliseconds.
    """

    endpoints: dict[str, str] = Field(default_factory=dict)
    endpoint_key: str = ""
    in_process: bool = True
    timeout_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_in_flight: PositiveInt = 1024
    max_items: PositiveInt = 2048
    drain_ms: float = Field(default=30_000, ge=0, allow_inf_nan=False)

    @field_validator("endpoints")
    @classmethod
    def _are_urls(cls, endpoints: dict[str, str]) -> dict[str, str]:
        for url in endpoints.values():
            try:
                Endpoint.parse(url)
            except ConfigurationError as error:
                raise ValueError(str(error)) from None
        return endpoints
