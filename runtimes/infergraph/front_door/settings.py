"""`FrontDoorSettings`: limits, keys, certificates and logs of the servers."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from mlserver.settings import Settings
from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ..errors import ConfigurationError
from ..v2.request import Limits

PREFIX = "INFERGRAPH_"
ARGUMENT = "front_door"
"""Key of `model_repository_implementation_args` in settings.json."""

Listed = Annotated[tuple[str, ...], NoDecode]
Keys = Annotated[Listed, Field(repr=False)]


class FrontDoorSettings(BaseSettings):
    """Settings of the REST and gRPC servers.

    In the order of precedence: an environment variable `INFERGRAPH_<FIELD>`; `front_door` in
    `model_repository_implementation_args` of settings.json; the default.

    Attributes:
        max_body_bytes: Largest REST body, as it came and as it is without its content coding.
        max_json_bytes: Largest JSON in it; raw contents behind the JSON do not count.
        max_typed_bytes: Largest gRPC message without its raw contents.
        max_tensors: Most input tensors of a request, and most outputs that it names.
        max_elements: Most elements of a request's tensors together.
        max_strings: Most elements of a request's BYTES tensors together.
        max_in_flight: Most requests that are answered at a time; others get 503.
        max_in_flight_per_model: Most of them for one model.
        max_bytes_in_flight: Most bytes of all REST bodies and gRPC messages that are held at a
            time; others get 503.
        body_timeout_s: Longest wait for a body to come whole, in seconds.
        grace_seconds: How long requests in flight may take once the server is told to stop.
            Kubernetes kills a container after 30 seconds.
        grpc_stream: What ModelStreamInfer sends: Triton's ModelStreamInferResponse, or as MLServer
            a bare ModelInferResponse.
        grpc_connection_age_s: How long a gRPC connection may last before its caller is told to open
            another one, in seconds; calls that are under way end on it. Callers then look the
            server's name up again, and find servers that came since. No limit unless set.
        seldon: Whether Seldon Core v2 runs the server: errors then have statuses that its agent
            does not answer by loading the model again (see `errors.ErrorAnswers`), and BYTES that
            are text say so.
        preload: Modules to import before the server listens, of a name `package.*` all of that
            package's whose own needs are installed. What models need is imported with the first of
            them else, while nothing answers: not even the probes of whether the server is alive.
        access_log: Whether each request is logged, as a line of text or of JSON.
        inference_keys: Keys that open inference and metadata; none leaves them open to all.
        control_keys: Keys that open loading, unloading and the index; none leaves them open.
        metrics_keys: Keys that open the metrics; none leaves them open.
        tls_certificate: PEM file of the server's certificate and its chain; with it both servers
            speak TLS only.
        tls_key: PEM file of its private key.
        tls_client_ca: PEM file of the authorities of clients' certificates, which are then asked
            for.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    max_body_bytes: PositiveInt = 256 << 20
    max_json_bytes: PositiveInt = 64 << 20
    max_typed_bytes: PositiveInt = 8 << 20
    max_tensors: PositiveInt = 256
    max_elements: PositiveInt = 1 << 27
    max_strings: PositiveInt = 1 << 20
    max_in_flight: PositiveInt = 2048
    max_in_flight_per_model: PositiveInt = 1024
    max_bytes_in_flight: PositiveInt = 1 << 30
    body_timeout_s: float = Field(default=60.0, gt=0, allow_inf_nan=False)
    grace_seconds: float = Field(default=25.0, ge=0, allow_inf_nan=False)
    grpc_stream: Literal["triton", "mlserver"] = "triton"
    grpc_connection_age_s: float | None = Field(default=None, gt=0, le=86400)
    seldon: bool = False
    preload: Listed = ()
    access_log: Literal["off", "text", "json"] = "off"
    inference_keys: Keys = ()
    control_keys: Keys = ()
    metrics_keys: Keys = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: Any,
        env_settings: Any,
        dotenv_settings: Any,
        file_secret_settings: Any,
    ) -> tuple[Any, ...]:
        """The environment comes before what the server's file says."""
        return env_settings, init_settings

    @field_validator("inference_keys", "control_keys", "metrics_keys", "preload", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Texts between commas, or as a JSON list."""
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            return json.loads(value)
        return [each.strip() for each in value.split(",") if each.strip()]

    @field_validator("inference_keys", "control_keys", "metrics_keys")
    @classmethod
    def _are_long(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(key) < _SHORTEST_KEY for key in keys):
            raise ValueError(f"a key is shorter than {_SHORTEST_KEY} characters")
        return keys

    @model_validator(mode="after")
    def _certificate_and_key(self) -> FrontDoorSettings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are needed both, or neither")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        if self.tls_certificate is not None:
            self._check_files()
        return self

    def _check_files(self) -> None:
        """Reads the PEM files, since servers say too little of those that they cannot use."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(str(self.tls_certificate), str(self.tls_key))
        except (OSError, ssl.SSLError) as error:
            raise ValueError(
                f"tls_certificate {self.tls_certificate} and tls_key {self.tls_key} are not PEM "
                f"files of a certificate and its key: {error}"
            ) from None
        if self.tls_client_ca is not None:
            try:
                context.load_verify_locations(str(self.tls_client_ca))
            except (OSError, ssl.SSLError) as error:
                raise ValueError(
                    f"tls_client_ca {self.tls_client_ca} is no PEM file of certificates: {error}"
                ) from None

    @property
    def limits(self) -> Limits:
        """The bounds of a request's tensors."""
        return Limits(self.max_tensors, self.max_elements, self.max_strings)


_SHORTEST_KEY = 16


def read_settings(server: Settings) -> FrontDoorSettings:
    """The front door's settings of a server.

    Raises:
        ConfigurationError: one is unknown or not accepted; the text names each, not its value where
            that is a key.
    """
    return parse_settings(server.model_repository_implementation_args.get(ARGUMENT) or {})


def parse_settings(given: object) -> FrontDoorSettings:
    """The settings of their object in settings.json; raises as `read_settings` does."""
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"front door: its settings '{ARGUMENT}' are {given!r:.100}; accepted: an object"
        )
    try:
        return FrontDoorSettings(**given)
    except ValidationError as error:
        problems = "; ".join(map(_explain, error.errors()))
        raise ConfigurationError(f"front door: {problems}") from None


def _explain(problem: Any) -> str:
    name = ".".join(map(str, problem["loc"]))
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        accepted = ", ".join(sorted(FrontDoorSettings.model_fields))
        return f"unknown setting '{name}'; accepted: {accepted}"
    if not name:
        return str(message)
    value = "" if "keys" in name else f" = {problem['input']!r:.100}"
    return f"setting '{name}' ({PREFIX}{name.upper()}){value}: {message[:1].lower()}{message[1:]}"
