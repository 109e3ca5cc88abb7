"""`Options`: what `infergraph manifests` is asked for, from its command line and a values file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
    field_validator,
)
from pydantic.alias_generators import to_snake

from ..errors import ConfigurationError
from .quantity import parse_quantity
from .targets import AUTOSCALERS_OF, IMAGES, Autoscaler, Target

MOST = 100_000
"""Of replicas, or of GPUs of one: more than a cluster has."""
Count = Annotated[int, Field(ge=1, le=MOST)]
_IMAGE = re.compile(r"[a-zA-Z0-9][\w.:/@+-]*", re.ASCII)


class Options(BaseModel):
    """How pipelines are rendered. A values file has the same names, with `-` or `_`.

    Attributes:
        target: What the manifests are for.
        image: Image by role, a key of `targets.IMAGES`; `models` also stands for those not named.
        storage_uri: Where the model folders are found: for Seldon what rclone reads (`gs://`,
            `s3://`, ...), for Kubernetes and Seldon v1 `pvc://CLAIM[/FOLDER]`, for Kubernetes also
            `oci://IMAGE`, for Compose a folder, unless given the one that is rendered.
        namespace: The namespace of all objects; that of the caller's context unless given.
        seldon_version: The version of Seldon Core 2 that is installed.
        replicas: Of each model and router; with an autoscaler the fewest.
        max_replicas: The most that an autoscaler makes; four times `replicas` unless given.
        variant: Model -> the variant to serve, or two of them for an experiment.
        gpu: Model -> GPUs of each replica.
        autoscale: What changes the number (or for `vpa` the size) of replicas.
        via_router: Whether our router runs the pipelines on Seldon Core, as a Model of its own
            there, or as the one node of a graph.
        memory: Model or router -> bytes or a quantity such as `2Gi`, in place of what is computed.
        broker_limit: Largest message, in bytes or as a quantity, that the Kafka broker takes.
        prometheus: Where KEDA asks for metrics.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Target
    image: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    storage_uri: StrictStr = ""
    namespace: StrictStr = ""
    seldon_version: StrictStr = "2.6.0"
    replicas: Count = 1
    max_replicas: Count | None = None
    variant: dict[StrictStr, list[StrictStr]] = Field(default_factory=dict)
    gpu: dict[StrictStr, Count] = Field(default_factory=dict)
    autoscale: Autoscaler | None = None
    via_router: bool = False
    memory: dict[StrictStr, int] = Field(default_factory=dict)
    broker_limit: int | None = None
    prometheus: StrictStr = "http://prometheus-operated.monitoring.svc:9090"

    @field_validator("image", mode="before")
    @classmethod
    def _one_image(cls, value: Any) -> Any:
        return {"models": value} if isinstance(value, str) else value

    @field_validator("image")
    @classmethod
    def _known_roles(cls, value: dict[str, str]) -> dict[str, str]:
        for role, image in value.items():
            if role not in IMAGES:
                raise ValueError(f"unknown role '{role}'; accepted: {', '.join(IMAGES)}")
            if not _IMAGE.fullmatch(image):
                raise ValueError(f"'{image}' is no image; accepted: REGISTRY/NAME:TAG and such")
        return value

    @field_validator("variant", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {model: [each] if isinstance(each, str) else each for model, each in value.items()}

    @field_validator("memory", mode="before")
    @classmethod
    def _bytes_each(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {model: parse_quantity(each) for model, each in value.items()}

    @field_validator("broker_limit", mode="before")
    @classmethod
    def _bytes(cls, value: Any) -> Any:
        return None if value is None else parse_quantity(value)

    @property
    def most_replicas(self) -> int:
        """The upper bound of an autoscaler."""
        return self.max_replicas or 4 * self.replicas

    @property
    def seldon(self) -> tuple[int, ...]:
        """The version of Seldon Core 2, to compare with."""
        return tuple(int(part) for part in self.seldon_version.split("."))

    def image_of(self, role: str) -> str:
        """The image of a role."""
        if role in self.image or role == "huggingface":
            return self.image.get(role, IMAGES[role])
        return self.image.get("models", IMAGES[role])


def read_options(target: str, given: Mapping[str, Any], values: Mapping[str, Any]) -> Options:
    """The options of a target.

    Args:
        given: What the command line says; None where it says nothing. It goes before `values`.
        values: The content of the values file.

    Raises:
        ConfigurationError: an option is unknown, is not accepted, or does not fit the target.
    """
    merged = named(values)
    merged.update({key: value for key, value in given.items() if value not in (None, {})})
    if merged.setdefault("target", target) != target:
        raise ConfigurationError(
            f"the values file is for target '{merged['target']}', not '{target}'; change one of "
            "the two"
        )
    try:
        options = Options(**merged)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name} = {problem['input']!r}: {message}") from None
    _check(options)
    return options


def named(values: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a values file by the fields of `Options`; raises ConfigurationError."""
    by_field = {}
    for key, value in values.items():
        field = to_snake(str(key))
        if field not in Options.model_fields:
            accepted = ", ".join(each.replace("_", "-") for each in Options.model_fields)
            raise ConfigurationError(f"unknown value '{key}'; accepted: {accepted}")
        if field in by_field:
            raise ConfigurationError(f"value '{key}' stands twice, with - and with _; keep one")
        by_field[field] = value
    return by_field


def _check(options: Options) -> None:
    target, autoscale = options.target, options.autoscale
    if autoscale is not None and autoscale not in AUTOSCALERS_OF[target]:
        able = ", ".join(AUTOSCALERS_OF[target]) or "none; use --replicas"
        raise ConfigurationError(
            f"--autoscale {autoscale}: nothing of target {target} can be scaled by it; accepted: "
            f"{able}"
        )
    if autoscale == "vpa" and options.gpu:
        raise ConfigurationError(
            "--autoscale vpa: it cannot size GPUs; use another autoscaler, or leave out --gpu"
        )
    if options.most_replicas < options.replicas:
        raise ConfigurationError(
            f"max-replicas {options.most_replicas} is below --replicas {options.replicas}; raise it"
        )
    if options.via_router and target not in ("seldon-v2", "seldon-v1"):
        raise ConfigurationError(
            f"--via-router is for Seldon's targets; on {target} our router runs every pipeline: "
            "leave it out"
        )
    try:
        version = options.seldon
    except ValueError:
        version = ()
    if not version:
        raise ConfigurationError(
            f"--seldon-version {options.seldon_version}: accepted: a version such as 2.6.0"
        )
    if target in _PLACES and not options.storage_uri:
        raise ConfigurationError(
            f"--target {target} needs --storage-uri, where the cluster finds the model folders, "
            f"for example --storage-uri {_PLACES[target]}"
        )
    if target == "seldon-v1" and options.storage_uri.startswith("oci://"):
        raise ConfigurationError(
            f"--storage-uri {options.storage_uri}: the pods of Seldon Core 1 have no volumes of "
            "images, and the cluster would drop it in silence; copy the model folders to a claim, "
            "pvc://CLAIM[/FOLDER]"
        )
    if target == "seldon-v2":
        _check_seldon(options)


def _check_seldon(options: Options) -> None:
    if options.storage_uri.startswith(("pvc://", "oci://")):
        raise ConfigurationError(
            f"--storage-uri {options.storage_uri}: Seldon's agent copies Models by rclone, which "
            f"knows no such place; accepted: what rclone reads, such as {_PLACES['seldon-v2']}"
        )
    if options.autoscale in ("hpa", "keda") and options.seldon < HPA_SINCE:
        since = ".".join(map(str, HPA_SINCE))
        raise ConfigurationError(
            f"--autoscale {options.autoscale}: Models of Seldon Core {options.seldon_version} have "
            f"no selector that it needs; use --autoscale native, or --seldon-version {since} or "
            "later"
        )


_PLACES: Mapping[Target, str] = {
    "seldon-v2": "gs://bucket/models",
    "seldon-v1": "pvc://CLAIM",
    "kubernetes": "pvc://CLAIM",
}
HPA_SINCE = (2, 8, 5)
"""The version of Seldon Core from which on a Model has what an HPA asks of its target."""
