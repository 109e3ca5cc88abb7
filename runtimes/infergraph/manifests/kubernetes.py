"""Plain Kubernetes: for each model and router a Deployment, a Service and what keeps them well.

Models and routers are apart, so that each has the replicas that it needs. A model's Service is
headless: its name stands for all its pods, between which a router divides its calls.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigurationError
from .autoscaling import Target, can_scale, hpa, scaled_object, vpa
from .container import (
    CONTAINER_SECURITY,
    GPU,
    GRPC,
    LAG_S,
    METRICS,
    MODELS,
    POD_SECURITY,
    PORTS,
    REST,
    STOP_S,
    WRITABLE,
    own_environment,
    probes,
    process_memory,
    progress_s,
    resources,
    shared_environment,
    stock_environment,
    variables,
)
from .deployment import Deployment, Stage
from .options import Options
from .resource import COMPONENT, NAME, PART_OF, Resource, resource, selector

CONFIG = "infergraph"
"""The ConfigMap of what all servers are told."""
ENVIRONMENT = "infergraph.io/environment"
"""An annotation that changes with what is in the ConfigMap."""
_AMONG_REPLICAS = {"INFERGRAPH_GRPC_CONNECTION_AGE_S": "60"}
"""Callers that keep a gRPC connection for ever would never find a replica that came later."""
_APPS = "apps/v1"


def render(deployment: Deployment) -> dict[str, list[Resource]]:
    """The objects by file; files are applied in the order of their names."""
    return workloads(deployment, deployment.stages)


def workloads(deployment: Deployment, stages: Sequence[Stage]) -> dict[str, list[Resource]]:
    """The objects of some models and routers, and of what scales them, by file."""
    options = deployment.options
    if not stages:
        return {}
    files = {"00-environment.yaml": [environment(deployment)]}
    files |= {
        f"{'20-router' if stage.is_router else '10-model'}-{stage.name}.yaml": _workload(
            deployment, stage
        )
        for stage in stages
    }
    scaled = [stage for stage in stages if can_scale(stage)]
    if options.autoscale is not None and scaled:
        files["30-autoscaling.yaml"] = [_scaler(stage, options) for stage in scaled]
    return files


def environment(deployment: Deployment) -> Resource:
    """What all servers of ours are told, once."""
    config = resource("v1", "ConfigMap", CONFIG, deployment.options.namespace, {})
    del config["spec"]
    return {**config, "data": _shared(deployment)}


def _shared(deployment: Deployment) -> dict[str, str]:
    data = {**shared_environment(deployment.models_dir), **_AMONG_REPLICAS}
    return dict(sorted(data.items()))


def environment_digest(deployment: Deployment, stage: Stage) -> dict[str, str]:
    """An annotation of pods that read the ConfigMap: they read it once, and are to be made anew."""
    if not stage.is_ours:
        return {}
    text = json.dumps(_shared(deployment))
    return {ENVIRONMENT: hashlib.sha256(text.encode()).hexdigest()[:16]}


def _workload(deployment: Deployment, stage: Stage) -> list[Resource]:
    options = deployment.options
    component = "router" if stage.is_router else "model"

    def own(api_version: str, kind: str, spec: dict[str, Any]) -> Resource:
        return resource(api_version, kind, stage.name, options.namespace, spec, component)

    objects = [
        own(_APPS, "Deployment", _deployment(deployment, stage, component)),
        own("v1", "Service", _service(stage)),
        own("networking.k8s.io/v1", "NetworkPolicy", _network_policy(deployment, stage)),
    ]
    if options.replicas > 1 or _scales(options, stage):
        spec = {"maxUnavailable": 1, "selector": {"matchLabels": selector(stage.name)}}
        objects.append(own("policy/v1", "PodDisruptionBudget", spec))
    return objects


def _scales(options: Options, stage: Stage) -> bool:
    """Whether something else than the manifest decides how many replicas there are."""
    return options.autoscale in ("hpa", "keda") and can_scale(stage)


def _deployment(deployment: Deployment, stage: Stage, component: str) -> dict[str, Any]:
    options = deployment.options
    labels = {**selector(stage.name), COMPONENT: component}
    spec: dict[str, Any] = {}
    if not _scales(options, stage):
        spec["replicas"] = options.replicas
    # A new pod would wait for ever for the GPU that the old one holds.
    strategy: dict[str, Any] = {"type": "Recreate"}
    if not stage.gpu:
        rolling = {"maxSurge": 1, "maxUnavailable": 0}
        strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {
        **spec,
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": progress_s([stage]),
        "strategy": strategy,
        "selector": {"matchLabels": selector(stage.name)},
        "template": {
            "metadata": {
                "labels": labels,
                "annotations": {
                    "prometheus.io/scrape": "true",
                    "prometheus.io/port": str(METRICS),
                    "prometheus.io/path": "/metrics",
                    **environment_digest(deployment, stage),
                },
            },
            "spec": pod(deployment, stage),
        },
    }


def pod(deployment: Deployment, stage: Stage) -> dict[str, Any]:
    """The pod of a model or router, which ends its requests before it goes."""
    models, _ = model_volume(deployment.options.storage_uri)
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(stage.name)},
    }
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # The variables of a Service named mlserver-http would be taken for settings.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": STOP_S,
        "securityContext": dict(POD_SECURITY),
        "topologySpreadConstraints": [spread],
        "containers": [_container(deployment, stage)],
        "volumes": [scratch()[0], models],
    }
    if stage.gpu:
        spec["tolerations"] = gpu_tolerations()
    return spec


def _container(deployment: Deployment, stage: Stage) -> dict[str, Any]:
    options = deployment.options
    endpoints = {step: f"http://{step}:{REST}" for step in stage.steps}
    _, models = model_volume(options.storage_uri)
    own = own_environment(stage, endpoints)
    told: dict[str, Any] = {"envFrom": [{"configMapRef": {"name": CONFIG}}], "env": variables(own)}
    if not stage.is_ours:
        told = {"env": variables({**stock_environment(deployment.models_dir), **own})}
    return {
        "name": stage.name,
        "image": options.image_of(stage.role),
        "workingDir": WRITABLE,
        **told,
        "ports": [{"name": name, "containerPort": port} for name, port in PORTS.items()],
        "resources": resources(process_memory(stage), stage.gpu),
        **probes(stage),
        "lifecycle": {"preStop": {"sleep": {"seconds": LAG_S}}},
        "securityContext": dict(CONTAINER_SECURITY),
        "volumeMounts": [scratch()[1], models],
    }


def gpu_tolerations() -> list[dict[str, str]]:
    """What lets a pod onto nodes that are kept for GPUs."""
    return [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]


def scratch() -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume of what a container writes, and its mount."""
    return {"name": "scratch", "emptyDir": {}}, {"name": "scratch", "mountPath": WRITABLE}


def model_volume(storage_uri: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume of the model folders, and its mount.

    Raises:
        ConfigurationError: the address is not one of a volume.
    """
    scheme, _, rest = storage_uri.partition("://")
    mount: dict[str, Any] = {"name": "models", "mountPath": MODELS, "readOnly": True}
    if scheme == "oci" and rest:
        image = {"reference": rest, "pullPolicy": "IfNotPresent"}
        return {"name": "models", "image": image}, mount
    claim, _, folder = rest.partition("/")
    folder = folder.rstrip("/")
    if scheme != "pvc" or not claim:
        raise ConfigurationError(
            f"--storage-uri {storage_uri}: a volume is pvc://CLAIM[/FOLDER] or oci://IMAGE; copy "
            "the model folders to one of them"
        )
    if folder:
        mount["subPath"] = folder
    volume = {"claimName": claim, "readOnly": True}
    return {"name": "models", "persistentVolumeClaim": volume}, mount


def _service(stage: Stage) -> dict[str, Any]:
    # Headless Services map no ports, so that these are the containers' own.
    ports = [
        {"name": name, "port": port, "targetPort": name, **_PROTOCOLS.get(name, {})}
        for name, port in PORTS.items()
    ]
    headless = {} if stage.is_router else {"clusterIP": "None"}
    return {**headless, "selector": selector(stage.name), "ports": ports}


_PROTOCOLS = {"grpc": {"appProtocol": "kubernetes.io/h2c"}}


def _network_policy(deployment: Deployment, stage: Stage) -> dict[str, Any]:
    """Who may call a model: its routers; a router: everybody. Whom they may call: no one else."""
    calls = [{"port": REST, "protocol": "TCP"}, {"port": GRPC, "protocol": "TCP"}]
    dns = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    ingress: dict[str, Any] = {"ports": calls}
    callers = [each.name for each in deployment.routers if stage.name in each.steps]
    if callers and not stage.is_router:
        ingress["from"] = [_pods(callers)]
    egress: list[dict[str, Any]] = [{"ports": dns}]
    if stage.steps:
        egress.append({"to": [_pods(stage.steps)], "ports": calls})
    if stage.fetches:
        egress.append({"ports": [{"port": 443, "protocol": "TCP"}]})
    return {
        "podSelector": {"matchLabels": selector(stage.name)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [ingress, {"ports": [{"port": METRICS, "protocol": "TCP"}]}],
        "egress": egress,
    }


def _pods(names: Any) -> dict[str, Any]:
    names_in = {"key": NAME, "operator": "In", "values": list(names)}
    return {"podSelector": {"matchLabels": {PART_OF: "infergraph"}, "matchExpressions": [names_in]}}


def _scaler(stage: Stage, options: Options) -> Resource:
    target = Target(_APPS, "Deployment", stage.name)
    if options.autoscale == "hpa":
        return hpa(target, stage, options, pods=True)
    if options.autoscale == "keda":
        return scaled_object(target, stage, options)
    return vpa(target, {stage.name: process_memory(stage)}, options)
