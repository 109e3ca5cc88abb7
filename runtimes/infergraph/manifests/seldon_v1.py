"""Seldon Core 1: a SeldonDeployment for each pipeline, over the V2 protocol.

A chain of models whose tensors keep their names is a graph of theirs. Of any other pipeline our
router is the one node, and its models are Deployments beside it, as on plain Kubernetes: a graph of
Seldon's hands each node the answer of the one before and nothing else, and renames no tensor.
"""

from __future__ import annotations

from typing import Any

from .autoscaling import can_scale, hpa_metrics, keda_spec
from .container import LAG_S
from .deployment import Deployment, Part, Stage
from .kubernetes import environment, pod, workloads
from .resource import COMPONENT, Resource, resource, selector

API = "machinelearning.seldon.io/v1"
_MESSAGE_BYTES = str(64 << 20)


def render(deployment: Deployment) -> dict[str, list[Resource]]:
    """The objects by file; files are applied in the order of their names."""
    called = {step for router in deployment.routers for step in router.steps}
    beside = [stage for stage in deployment.stages if stage.name in called]
    files = workloads(deployment, beside) or {"00-environment.yaml": [environment(deployment)]}
    for part in deployment.parts:
        files[f"40-seldondeployment-{part.name}.yaml"] = [_seldon_deployment(deployment, part)]
    return files


def _seldon_deployment(deployment: Deployment, part: Part) -> Resource:
    names = [part.name] if part.routed else [step.name for step in part.pipeline.spec.steps]
    nodes = [deployment.stage(name) for name in names]
    graph: dict[str, Any] = {}
    for stage in reversed(nodes):
        graph = {"name": stage.name, "type": "MODEL", "children": [graph] if graph else []}
    predictor = {
        "name": "default",
        "graph": graph,
        "componentSpecs": [_component(deployment, stage) for stage in nodes],
    }
    spec = {
        "protocol": "v2",
        "annotations": {"seldon.io/grpc-max-message-size": _MESSAGE_BYTES},
        "predictors": [predictor],
    }
    return resource(API, "SeldonDeployment", part.name, deployment.options.namespace, spec)


def _component(deployment: Deployment, stage: Stage) -> dict[str, Any]:
    options = deployment.options
    spec = pod(deployment, stage)
    # Its schema of pods knows no sleep action, and the hook that it sets itself needs a shell.
    sleep = ["python", "-c", f"import time; time.sleep({LAG_S})"]
    for container in spec["containers"]:
        container["lifecycle"] = {"preStop": {"exec": {"command": sleep}}}
    labels = {**selector(stage.name), COMPONENT: "router" if stage.is_router else "model"}
    component: dict[str, Any] = {"metadata": {"labels": labels}, "spec": spec}
    if options.autoscale == "hpa" and can_scale(stage):
        component["hpaSpec"] = {
            "minReplicas": options.replicas,
            "maxReplicas": options.most_replicas,
            "metricsv2": hpa_metrics(stage, pods=True),
        }
    elif options.autoscale == "keda" and can_scale(stage):
        component["kedaSpec"] = keda_spec(stage, options)
    else:
        component["replicas"] = options.replicas
    return component
