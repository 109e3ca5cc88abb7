"""`Pipeline`: the Seldon Core v2 resource of kind Pipeline, field for field.

Fields that Seldon accepts and never uses (`batch.windowMs`, `batch.rolling`) are accepted here too;
so are `joinWindowMs`, which has no meaning where joins settle when every source is decided, and
`dataflow`, which is about Kafka topics. Anything else is refused, as a typing mistake would
otherwise go unnoticed.

Our own settings are annotations: ``infergraph.io/per-item: "true"``, ``infergraph.io/timeout-ms:
"5000"`` and ``infergraph.io/slo-ms: "95"``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

API_VERSION: Literal["mlops.seldon.io/v1alpha1"] = "mlops.seldon.io/v1alpha1"
KIND: Literal["Pipeline"] = "Pipeline"
ANNOTATION_PREFIX = "infergraph.io/"
PER_ITEM = ANNOTATION_PREFIX + "per-item"
TIMEOUT_MS = ANNOTATION_PREFIX + "timeout-ms"
SLO_MS = ANNOTATION_PREFIX + "slo-ms"

JoinType = Literal["inner", "outer", "any"]
Count = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
TensorMap = dict[StrictStr, StrictStr]


class _Fields(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
    )


class Metadata(_Fields):
    """Kubernetes' ObjectMeta; only the name and the annotations mean something here."""

    name: StrictStr
    namespace: StrictStr | None = None
    labels: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    annotations: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    generate_name: Any = None
    uid: Any = None
    resource_version: Any = None
    generation: Any = None
    creation_timestamp: Any = None
    deletion_timestamp: Any = None
    deletion_grace_period_seconds: Any = None
    finalizers: Any = None
    owner_references: Any = None
    managed_fields: Any = None
    self_link: Any = None


class Batch(_Fields):
    """Requests are gathered until `size` items are there. The other fields are never used."""

    size: Count | None = None
    window_ms: Count | None = None
    rolling: StrictBool | None = None


class Step(_Fields):
    """A step; its name is the name of the model that serves it."""

    name: StrictStr
    inputs: tuple[StrictStr, ...] = ()
    inputs_join_type: JoinType = "inner"
    join_window_ms: Count | None = None
    tensor_map: TensorMap = Field(default_factory=dict)
    triggers: tuple[StrictStr, ...] = ()
    triggers_join_type: JoinType = "inner"
    batch: Batch | None = None


class Input(_Fields):
    """Where the pipeline's inputs come from when another pipeline feeds it."""

    external_inputs: tuple[StrictStr, ...] = ()
    external_triggers: tuple[StrictStr, ...] = ()
    join_window_ms: Count | None = None
    join_type: JoinType = "inner"
    triggers_join_type: JoinType = "inner"
    tensor_map: TensorMap = Field(default_factory=dict)


class Output(_Fields):
    """What the pipeline answers."""

    steps: tuple[StrictStr, ...] = ()
    join_window_ms: Count | None = None
    steps_join: JoinType = "inner"
    tensor_map: TensorMap = Field(default_factory=dict)


class Dataflow(_Fields):
    clean_topics_on_delete: StrictBool | None = None


class Spec(_Fields):
    steps: tuple[Step, ...]
    input: Input | None = None
    output: Output | None = None
    allow_cycles: StrictBool | None = None
    max_step_revisits: Count | None = None
    dataflow: Dataflow | None = None


class Pipeline(_Fields):
    """A pipeline as written. `infergraph.graph.parse_pipeline` makes one out of a file's text."""

    api_version: Literal["mlops.seldon.io/v1alpha1"] = API_VERSION
    kind: Literal["Pipeline"] = KIND
    metadata: Metadata
    spec: Spec
    status: Any = None

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def per_item(self) -> bool:
        """Whether a batch is scattered into items, each of which goes through the graph alone."""
        return parse_per_item(self.metadata.annotations.get(PER_ITEM, "false"))

    @property
    def timeout_ms(self) -> float | None:
        """The time budget of a request that brings none, in milliseconds."""
        return self._milliseconds(TIMEOUT_MS)

    @property
    def slo_ms(self) -> float | None:
        """The latency that requests are to stay within, in milliseconds; nothing enforces it."""
        return self._milliseconds(SLO_MS)

    def _milliseconds(self, annotation: str) -> float | None:
        text = self.metadata.annotations.get(annotation)
        return None if text is None else parse_milliseconds(text)


def parse_per_item(text: str) -> bool:
    """The value of the annotation `infergraph.io/per-item`; ValueError if it is none."""
    if text not in ("true", "false"):
        raise ValueError(f'{text!r} is neither "true" nor "false"')
    return text == "true"


def parse_milliseconds(text: str) -> float:
    """The value of an annotation that is a time in milliseconds; ValueError if it is none."""
    try:
        time = float(text)
    except ValueError:
        time = -1.0
    if not 0 < time < float("inf"):
        raise ValueError(f"{text!r} is not a number of milliseconds above 0")
    return time


SETTINGS = {PER_ITEM: parse_per_item, TIMEOUT_MS: parse_milliseconds, SLO_MS: parse_milliseconds}
"""Our annotations, each with what reads its value."""
