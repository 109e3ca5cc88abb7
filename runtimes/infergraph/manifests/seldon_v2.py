"""Seldon Core 2: Models on Servers of our own, and Pipelines, unchanged, or our router as a Model.

Names get a suffix there (`resnet_1`), only a model's own folder arrives, and of its settings only
`parameters.extra`; so each setting of ours is a parameter of the Model or a variable of the Server.
"""

from __future__ import annotations

import json
from typing import Any

from .autoscaling import Target, can_scale, hpa, scaled_object, vpa
from .container import (
    CONTAINER_SECURITY,
    parameters,
    resources,
    shared_environment,
    variables,
)
from .deployment import Deployment, Stage
from .kubernetes import gpu_tolerations, scratch
from .memory import PROCESS, checkpoint_bytes
from .options import Options
from .quantity import GIB
from .resource import Resource, resource

API = "mlops.seldon.io/v1alpha1"
CPU_SERVER, GPU_SERVER = "infergraph", "infergraph-gpu"
STOCK_REQUIREMENT = "huggingface"
"""What Seldon's own Server `mlserver` offers to models of MLServer's Hugging Face runtime."""
CLAIM = GIB
"""The volume of a Server's models, which its ServerConfig fixes; each copy is there twice."""
MESH = "http://seldon-mesh:80"
HEADER = "seldon-model"
_EXPERIMENT_WEIGHT = 50
_UNDER_THE_AGENT = {"INFERGRAPH_SELDON": "true"}
"""Errors then have statuses that the agent does not answer by loading models again."""


def render(deployment: Deployment) -> dict[str, list[Resource] | str]:
    """The objects by file, Pipelines as the text of their files; applied in the order of names."""
    options = deployment.options
    own = [_server(deployment, name, stages) for name, stages in servers(deployment).items()]
    files: dict[str, list[Resource] | str] = {"10-servers.yaml": own} if own else {}
    files["20-models.yaml"] = [_model(deployment, stage) for stage in deployment.stages]
    for part in deployment.parts:
        if not part.routed:
            files[f"30-pipeline-{part.name}.yaml"] = part.text
    if deployment.candidates:
        files["40-experiments.yaml"] = [
            _experiment(options, *pair) for pair in deployment.candidates.items()
        ]
    scalers = _scalers(deployment)
    if scalers:
        files["50-autoscaling.yaml"] = scalers
    return files


def servers(deployment: Deployment) -> dict[str, list[Stage]]:
    """Our Servers, each with what runs on it; stock models run on Seldon's own."""
    found: dict[str, list[Stage]] = {}
    for stage in deployment.stages:
        if stage.is_ours:
            found.setdefault(GPU_SERVER if stage.gpu else CPU_SERVER, []).append(stage)
    return found


def claim_needed(deployment: Deployment) -> int:
    """Bytes of the volume that a Server needs: each model's folder, twice."""
    sizes = [
        2 * sum(checkpoint_bytes(stage.folder) for stage in stages)
        for stages in servers(deployment).values()
    ]
    return max(sizes, default=0)


def _server(deployment: Deployment, name: str, stages: list[Stage]) -> Resource:
    options = deployment.options
    models = sum(stage.memory for stage in stages)
    gpu = max(stage.gpu for stage in stages)
    volume, mount = scratch()
    container = {
        "name": "mlserver",
        "image": options.image_of("gpu" if gpu else "models"),
        "env": variables({**shared_environment(deployment.models_dir), **_UNDER_THE_AGENT}),
        "resources": resources(PROCESS + models, gpu),
        "securityContext": dict(CONTAINER_SECURITY),
        "volumeMounts": [mount],
    }
    # The agent would count the process's own memory as free for models, and 10 % more.
    agent = {
        "name": "agent",
        "env": variables({"MEMORY_REQUEST": str(models), "SELDON_OVERCOMMIT_PERCENTAGE": "0"}),
    }
    pod: dict[str, Any] = {"containers": [container, agent], "volumes": [volume]}
    if gpu:
        pod["tolerations"] = gpu_tolerations()
    config = name if claim_needed(deployment) > CLAIM else "mlserver"
    spec = {
        "serverConfig": config,
        "capabilities": [name],
        **replicas(options, native=options.autoscale in ("native", "hpa", "keda")),
        "podSpec": pod,
    }
    return resource(API, "Server", name, options.namespace, spec)


def replicas(options: Options, *, native: bool) -> dict[str, int]:
    """The number of replicas, or the bounds within which Seldon chooses it itself."""
    if not native:
        return {"replicas": options.replicas}
    return {
        "replicas": options.replicas,
        "minReplicas": options.replicas,
        "maxReplicas": options.most_replicas,
    }


def _model(deployment: Deployment, stage: Stage) -> Resource:
    options = deployment.options
    requirement = STOCK_REQUIREMENT
    if stage.is_ours:
        requirement = GPU_SERVER if stage.gpu else CPU_SERVER
    native = options.autoscale == "native" and can_scale(stage)
    spec: dict[str, Any] = {
        "storageUri": f"{options.storage_uri.rstrip('/')}/{stage.declaration.name}",
        "requirements": [requirement],
        "memory": str(stage.memory),
        **replicas(options, native=native),
    }
    chosen = dict(parameters(stage))
    if stage.is_router:
        chosen |= router_parameters(stage)
    if chosen:
        spec["parameters"] = [{"name": name, "value": chosen[name]} for name in sorted(chosen)]
    return resource(API, "Model", stage.name, options.namespace, spec)


def router_parameters(stage: Stage) -> dict[str, str]:
    """Where a router that is a Model finds its steps: at the mesh, by a header."""
    endpoints = {step: {"url": MESH, "headers": {HEADER: step}} for step in stage.steps}
    return {"endpoints": json.dumps(endpoints)}


def _experiment(options: Options, default: str, candidate: str) -> Resource:
    spec = {
        "default": default,
        "candidates": [
            {"name": name, "weight": _EXPERIMENT_WEIGHT} for name in (default, candidate)
        ],
    }
    return resource(API, "Experiment", default, options.namespace, spec)


def _scalers(deployment: Deployment) -> list[Resource]:
    options = deployment.options
    if options.autoscale == "vpa":
        return [
            vpa(
                Target(API, "Server", name),
                {"mlserver": PROCESS + sum(stage.memory for stage in stages)},
                options,
            )
            for name, stages in servers(deployment).items()
        ]
    scaled = [stage for stage in deployment.stages if can_scale(stage)]
    if options.autoscale == "hpa":
        return [
            hpa(Target(API, "Model", stage.name), stage, options, pods=False) for stage in scaled
        ]
    if options.autoscale == "keda":
        return [scaled_object(Target(API, "Model", stage.name), stage, options) for stage in scaled]
    return []
