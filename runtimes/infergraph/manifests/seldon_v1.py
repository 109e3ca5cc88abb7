"""Seldon Core 1: a SeldonDeployment for each pipeline, over the V2 protocol.

A pipeline is a graph of its models, each of which knows its place in it, see `inference_graph`. Of
one that cannot be such a graph, or is not to be, our router is the one node, and its models are
Deployments beside it, as on plain Kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .autoscaling import can_scale, hpa_metrics, keda_spec
from .container import LAG_S, progress_s
from .deployment import Deployment, Part, Stage
from .inference_graph import GraphNode, plan_graph
from .kubernetes import environment, environment_digest, pod, workloads
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
    if part.routed:
        stages = [deployment.stage(part.name)]
        graph: dict[str, Any] = {"name": part.name, "type": "MODEL", "children": []}
    else:
        root = graph_of(deployment, part)
        stages = list(_stages(deployment, part, root))
        graph = _written(root)
    predictor = {
        "name": "default",
        "progressDeadlineSeconds": progress_s(stages),
        "graph": graph,
        "componentSpecs": [_component(deployment, stage) for stage in stages],
    }
    spec = {
        "protocol": "v2",
        "annotations": {"seldon.io/grpc-max-message-size": _MESSAGE_BYTES},
        "predictors": [predictor],
    }
    return resource(API, "SeldonDeployment", part.name, deployment.options.namespace, spec)


def graph_of(deployment: Deployment, part: Part) -> GraphNode:
    """The graph of a pipeline that our router does not run."""
    catalog = {stage.name: stage.declaration for stage in deployment.models}
    return plan_graph(part.pipeline, {**catalog, part.pipeline.name: part.declaration})


def _stages(deployment: Deployment, part: Part, root: GraphNode) -> Iterator[Stage]:
    """The models as nodes: a model may have a place in each of several graphs."""
    alone = part.one_item_models
    for each in root.walk():
        stage = deployment.stage(each.name)
        node = each.node if stage.is_ours else None
        yield replace(stage, node=node, one_item=each.name in alone)


def _written(node: GraphNode) -> dict[str, Any]:
    methods = {"methods": list(node.methods)} if node.methods else {}
    children = [_written(child) for child in node.children]
    return {"name": node.name, "type": node.kind, **methods, "children": children}


def _component(deployment: Deployment, stage: Stage) -> dict[str, Any]:
    options = deployment.options
    spec = pod(deployment, stage)
    # Its schema of pods knows no sleep action, and the hook that it sets itself needs a shell.
    sleep = ["python", "-c", f"import time; time.sleep({LAG_S})"]
    for container in spec["containers"]:
        container["lifecycle"] = {"preStop": {"exec": {"command": sleep}}}
    labels = {**selector(stage.name), COMPONENT: "router" if stage.is_router else "model"}
    metadata: dict[str, Any] = {"labels": labels}
    if annotations := environment_digest(deployment, stage):
        metadata["annotations"] = annotations
    component: dict[str, Any] = {"metadata": metadata, "spec": spec}
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
