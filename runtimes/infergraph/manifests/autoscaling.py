"""What changes the number of replicas, or their size: HPA, KEDA, VPA.

A model is scaled by the requests it has in flight and the items that wait, against half of what it
runs in one batch: behind that it only queues. KEDA also counts the seconds that it computes in a
second, and the requests that it refuses, which no queue shows. CPU says nothing of a model that
batches, or that has a GPU. Nothing is scaled to zero, since no Service holds requests back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .deployment import Stage, settings_of
from .memory import batch_size
from .options import Options
from .quantity import quantity
from .resource import Resource, resource

MODELS_IN_FLIGHT = "infergraph_model_in_flight"
MODELS_QUEUED = "infergraph_model_queued"
PIPELINES_IN_FLIGHT = "infergraph_pipeline_in_flight"
_BUSY = "infergraph_model_compute_seconds_sum"
_REFUSALS = "infergraph_model_refusals_total"
_FULL = "caller_share|memory|overloaded|queue_bytes|queue_full"
_BUSY_SHARE = "0.7"
_ROUTER_REQUESTS = 32
_SLOW_DOWN_S = 600
"""How long the load must be low before replicas go, several times what one takes to start."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an autoscaler scales.

    Attributes:
        api_version: The object's, as `kind` and `name` are.
    """

    api_version: str
    kind: str
    name: str

    @property
    def reference(self) -> dict[str, str]:
        return {"apiVersion": self.api_version, "kind": self.kind, "name": self.name}


def can_scale(stage: Stage) -> bool:
    """Whether a stage exports the metrics by which it could be scaled."""
    return stage.is_ours


def threshold(stage: Stage) -> int:
    """Requests in flight for each replica, at which there are enough of them."""
    if stage.is_router:
        return _ROUTER_REQUESTS
    return max(1, batch_size(stage.name, settings_of(stage.folder)) // 2)


def hpa(target: Target, stage: Stage, options: Options, *, pods: bool) -> Resource:
    """A HorizontalPodAutoscaler.

    Args:
        pods: Whether the metrics are those of the target's own pods; else they are asked for by
            the model's name, as for a Seldon Model, which has no pods of its own.
    """
    spec = {
        "scaleTargetRef": target.reference,
        "minReplicas": options.replicas,
        "maxReplicas": options.most_replicas,
        "metrics": hpa_metrics(stage, pods=pods),
        "behavior": _behavior(),
    }
    return resource(
        "autoscaling/v2", "HorizontalPodAutoscaler", target.name, options.namespace, spec
    )


def hpa_metrics(stage: Stage, *, pods: bool) -> list[dict[str, Any]]:
    """The metrics of an HPA; of several it follows the one that wants the most replicas."""
    names = [PIPELINES_IN_FLIGHT] if stage.is_router else [MODELS_IN_FLIGHT, MODELS_QUEUED]
    value = {"type": "AverageValue", "averageValue": str(threshold(stage))}
    if pods:
        return [
            {"type": "Pods", "pods": {"metric": {"name": name}, "target": value}} for name in names
        ]
    label = {"pipeline" if stage.is_router else "model": stage.name}
    return [
        {
            "type": "External",
            "external": {
                "metric": {"name": name, "selector": {"matchLabels": label}},
                "target": value,
            },
        }
        for name in names
    ]


def scaled_object(target: Target, stage: Stage, options: Options) -> Resource:
    """A ScaledObject of KEDA, which asks Prometheus itself."""
    spec = {"scaleTargetRef": target.reference, **keda_spec(stage, options)}
    # Without Prometheus the replicas that there are go on.
    spec["fallback"] = {
        "failureThreshold": 3,
        "replicas": options.replicas,
        "behavior": "currentReplicasIfHigher",
    }
    spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": _behavior()}}
    return resource("keda.sh/v1alpha1", "ScaledObject", target.name, options.namespace, spec)


def keda_spec(stage: Stage, options: Options) -> dict[str, Any]:
    """What a ScaledObject, and a componentSpec of Seldon Core 1, say of bounds and triggers."""
    return {
        "pollingInterval": 15,
        "cooldownPeriod": 300,
        "minReplicaCount": options.replicas,
        "maxReplicaCount": options.most_replicas,
        "triggers": [
            {
                "type": "prometheus",
                "metricType": "AverageValue",
                "metadata": {
                    "serverAddress": options.prometheus,
                    "query": query,
                    "threshold": limit,
                    # An empty answer is a mistake, and not an idle model.
                    "ignoreNullValues": "false",
                },
            }
            for query, limit in _queries(stage, options.namespace)
        ],
    }


def _queries(stage: Stage, namespace: str) -> list[tuple[str, str]]:
    """Queries of Prometheus, each with what it may give for each replica."""
    of = f',namespace="{namespace}"' if namespace else ""
    if stage.is_router:
        load = f'sum({PIPELINES_IN_FLIGHT}{{pipeline="{stage.name}"{of}}})'
        return [(load, str(threshold(stage)))]
    own = f'model="{stage.name}"{of}'
    load = f"sum({MODELS_IN_FLIGHT}{{{own}}}) + sum({MODELS_QUEUED}{{{own}}})"
    refused = f'sum(rate({_REFUSALS}{{{own},cause=~"{_FULL}"}}[1m]))'
    return [
        (load, str(threshold(stage))),
        (f"sum(rate({_BUSY}{{{own}}}[1m]))", _BUSY_SHARE),
        # A cause that never was has no series yet.
        (f"{refused} or vector(0)", "1"),
    ]


def vpa(target: Target, containers: Mapping[str, int], options: Options) -> Resource:
    """A VerticalPodAutoscaler that sizes containers, in place where the cluster can.

    Args:
        containers: Container -> the least memory that it may be given; all others are left alone.
    """
    policies: list[dict[str, Any]] = [
        {
            "containerName": name,
            "minAllowed": {"cpu": "500m", "memory": quantity(memory)},
            "maxAllowed": {"cpu": "8", "memory": quantity(4 * memory)},
            "controlledResources": ["cpu", "memory"],
        }
        for name, memory in containers.items()
    ]
    spec = {
        "targetRef": target.reference,
        "updatePolicy": {"updateMode": "Initial", "minReplicas": 1},
        "resourcePolicy": {
            "containerPolicies": [*policies, {"containerName": "*", "mode": "Off"}],
        },
    }
    return resource(
        "autoscaling.k8s.io/v1", "VerticalPodAutoscaler", target.name, options.namespace, spec
    )


def _behavior() -> dict[str, Any]:
    return {
        "scaleUp": {"stabilizationWindowSeconds": 0},
        "scaleDown": {
            "stabilizationWindowSeconds": _SLOW_DOWN_S,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
        },
    }
