"""A servable's settings: `parameters.extra` of model-settings.json; the environment overrides them.

Every field is also accepted as a string, because Seldon hands all of a Model's parameters on as
strings: numbers and booleans as text, lists and mappings as JSON. `INFERGRAPH_<MODEL>__<FIELD>`
overrides a field; in <MODEL> every character that is not a letter or digit becomes an underscore,
and the generation that Seldon adds to a name is left out (or is there, to mean that one alone).
"""

from __future__ import annotations

import difflib
import json
import os
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from .errors import ConfigurationError
from .generations import plain_name
from .node import Node

Options = TypeVar("Options", bound="ModelOptions")

EMBEDDED = "embedded"
"""The variant whose checkpoint comes with the project."""
EMBEDDED_WORLD = "a miniature world"
"""What such a checkpoint knows."""
ENDPOINTS_VARIABLE = "INFERGRAPH_ENDPOINTS"
"""The environment variable that names the endpoints of steps, for all pipelines of a process."""


class ModelOptions(BaseModel):
    """Settings that models and routers share.

    Attributes:
        optional_inputs: Declared inputs that a request may leave out.
        optional_outputs: Declared outputs that an answer may leave out; a step that needs one then
            does not fire.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    optional_inputs: list[str] = []
    optional_outputs: list[str] = []

    @field_validator("*", mode="before")
    @classmethod
    def _from_string(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str) or info.field_name is None:
            return value
        kinds = _kinds(cls.model_fields[info.field_name].annotation)
        if type(None) in kinds and value.strip().lower() in ("", "none", "null"):
            return None
        if str not in kinds and kinds & {list, dict, tuple, set, Node}:
            try:
                return json.loads(value)
            except json.JSONDecodeError as error:
                raise ValueError(f"not JSON ({error})") from None
        return value


class RuntimeOptions(ModelOptions):
    """Settings of every model runtime; a task adds its own.

    Attributes:
        variant: The checkpoint to serve: a key of `variants`, or itself a folder or an id.
        variants: Checkpoints by name: a path in the model's folder, or an id such as
            `owner/name@revision`.
        device: auto, cpu, cuda, cuda:N or mps. Only auto falls back to the CPU.
        dtype: auto (fp32 on a CPU, bf16 or fp16 on a GPU), fp32, bf16, fp16, or on a CPU int8:
            linear layers then compute in 8 bits, the rest in fp32.
        memory_fraction: Largest share of the GPU's memory that this process may take, above 0 to 1.
        compile: Whether the network is compiled with torch.compile.
        engine: What computes networks of one forward pass: torch, or on a CPU openvino.
        threads: Threads of one operation on the CPU; None is the process's cores, divided by the
            number of models that compute at the moment.
        max_batch_size: Most items that run together. 0, for tasks that compute on arrays, is a
            model without a batch axis: each request's tensors are taken whole, as they came.
        max_items: Most items of one request, of tasks that take items one by one; 400 beyond it.
        max_queue_size: Most items that wait. One request, and all requests of one caller, hold at
            most half of it: larger requests are answered with 400, further ones with 503.
        max_queue_bytes: Most bytes of the tensors of all requests that wait or run, by the same
            rule.
        timeout_ms: The time budget of a request that brings none of its own.
        drain_seconds: How long an unload waits for the requests that are being answered.
        node: Its place in a graph that hands on whole messages; requests are then the graph's.
    """

    variant: str = EMBEDDED
    variants: dict[str, str] = {}
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda|cuda:\d+|mps)$")
    dtype: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    memory_fraction: float | None = Field(default=None, gt=0, le=1)
    compile: bool = False
    engine: Literal["torch", "openvino"] = "torch"
    threads: PositiveInt | None = None
    max_batch_size: NonNegativeInt = 32
    max_items: PositiveInt = 4096
    max_queue_size: PositiveInt = 512
    max_queue_bytes: PositiveInt = 2**30
    timeout_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    drain_seconds: float = Field(default=30.0, ge=0, allow_inf_nan=False)
    node: Node | None = None


def load_options(cls: type[Options], model: str, extra: Mapping[str, Any] | None) -> Options:
    """Parses a model's `extra` with the environment's overrides.

    Raises:
        ConfigurationError: a setting is unknown or its value is not accepted; the text names each
            one, where it came from and what is accepted.
    """
    overrides = environment_overrides(model)
    values = {**(extra or {}), **{name: value for name, (_, value) in overrides.items()}}
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        problems = [_explain(cls, problem, overrides) for problem in error.errors()]
        raise ConfigurationError(f"model '{model}': " + "; ".join(problems)) from None


def environment_prefix(model: str) -> str:
    return f"INFERGRAPH_{re.sub(r'[^A-Za-z0-9]', '_', model).upper()}__"


def environment_overrides(model: str) -> dict[str, tuple[str, str]]:
    """Field -> (variable, value) of the environment's overrides for a model."""
    return {
        variable[len(prefix) :].lower(): (variable, value)
        for prefix in map(environment_prefix, (plain_name(model), model))
        for variable, value in os.environ.items()
        if variable.startswith(prefix)
    }


def shared_endpoints() -> dict[str, Any]:
    """Step -> endpoint of INFERGRAPH_ENDPOINTS, as JSON gives them; empty unless it is set.

    Raises:
        ConfigurationError: it is no JSON object. Its text is not repeated: it may hold keys.
    """
    text = os.environ.get(ENDPOINTS_VARIABLE, "")
    try:
        value = json.loads(text) if text.strip() else {}
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{ENDPOINTS_VARIABLE}: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ConfigurationError(
            f"{ENDPOINTS_VARIABLE} is no JSON object; accepted: step -> URL, such as "
            '{"*": "grpc://models:8081"}'
        )
    return value


def _kinds(annotation: Any) -> set[Any]:
    """The plain types that an annotation admits: `list[str] | None` gives {list, NoneType}."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _kinds(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return set().union(*(_kinds(arg) for arg in typing.get_args(annotation)))
    if origin is Literal:
        return {type(arg) for arg in typing.get_args(annotation)}
    return {origin or annotation}


def _explain(cls: type[ModelOptions], problem: Any, overrides: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    field = str(problem["loc"][0]) if problem["loc"] else ""
    source = f" (from {overrides[field][0]})" if field in overrides else ""
    if problem["type"] == "extra_forbidden":
        fields = Node.model_fields if field == "node" else cls.model_fields
        close = difflib.get_close_matches(str(problem["loc"][-1]), fields, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        accepted = ", ".join(sorted(fields))
        return f"unknown setting '{name}'{source}; {hint}accepted: {accepted}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch" and field == "device":
        message = "accepted: auto, cpu, cuda, cuda:N, mps"
    # What is not shown in logs may hold keys.
    hidden = field in cls.model_fields and not cls.model_fields[field].repr
    value = "" if hidden else f" = {problem['input']!r}"
    return f"setting '{name}'{value}{source}: {message[:1].lower()}{message[1:]}"
