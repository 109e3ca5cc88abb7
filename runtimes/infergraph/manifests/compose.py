"""Compose: the same containers on one machine, a service for each model and router."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError
from .container import (
    MODELS,
    PORTS,
    REST,
    STOP_S,
    WRITABLE,
    own_environment,
    process_memory,
    shared_environment,
    start_s,
    stock_environment,
)
from .deployment import Deployment, Stage
from .quantity import MIB

OWN_MODELS = "./models"
"""The tree of model folders beside the file."""
_FILE = "compose.yaml"
PORTS_APART = 10
"""Between the ports of one router on the machine and those of the next."""


def render(deployment: Deployment) -> dict[str, list[dict[str, Any]]]:
    """One file, of routers and models; only routers can be called from the machine itself.

    Raises:
        ConfigurationError: an option that one machine has no use for.
    """
    options = deployment.options
    if options.namespace:
        raise ConfigurationError(
            f"--namespace {options.namespace}: Compose has none; leave it out, or name the project "
            "by docker compose -p"
        )
    if ":" in options.storage_uri:
        raise ConfigurationError(
            f"--storage-uri {options.storage_uri}: Compose mounts a folder of this machine, whose "
            "path has no colon; name one, or leave it out to mount what is rendered"
        )
    services = {stage.name: _service(deployment, stage) for stage in deployment.stages}
    for number, stage in enumerate(deployment.routers):
        services[stage.name]["ports"] = [
            f"127.0.0.1:{port + number * PORTS_APART}:{port}" for port in PORTS.values()
        ]
    return {_FILE: [{"name": deployment.parts[0].name, "services": services}]}


def models_folder(storage_uri: str) -> str:
    """The folder of the model folders, as Compose tells one from a volume: it begins as a path."""
    folder = storage_uri or OWN_MODELS
    return folder if folder.startswith((".", "/", "~")) else f"./{folder}"


def _escaped(value: str) -> str:
    """A value in which Compose puts no variable of its own."""
    return value.replace("$", "$$")


def _service(deployment: Deployment, stage: Stage) -> dict[str, Any]:
    options = deployment.options
    endpoints = {step: f"http://{step}:{REST}" for step in stage.steps}
    environment = own_environment(stage, endpoints)
    shared = shared_environment if stage.is_ours else stock_environment
    environment |= shared(deployment.models_dir)
    service: dict[str, Any] = {
        "image": options.image_of(stage.role),
        "working_dir": WRITABLE,
        "environment": {name: _escaped(value) for name, value in sorted(environment.items())},
        "read_only": True,
        # Compiled code is run from there.
        "tmpfs": [f"{WRITABLE}:exec"],
        "volumes": [f"{_escaped(models_folder(options.storage_uri))}:{MODELS}:ro"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "stop_grace_period": f"{STOP_S}s",
        "healthcheck": {
            "test": ["CMD", "python", "-c", _asks(f"/v2/models/{stage.name}/ready")],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": f"{start_s(stage) // 60}m",
            "start_interval": "2s",
        },
        "deploy": {"resources": _resources(stage)},
    }
    if stage.steps:
        service["depends_on"] = {step: {"condition": "service_healthy"} for step in stage.steps}
    elif options.replicas > 1:
        service["deploy"]["replicas"] = options.replicas
    return service


def _asks(path: str) -> str:
    """A program that fails unless the server answers; images have no curl.

    It asks through no proxy, of which Docker may tell all containers by variables.
    """
    return (
        "import sys; from http.client import HTTPConnection; "
        f"c = HTTPConnection('127.0.0.1', {REST}, timeout=4); c.request('GET', '{path}'); "
        "sys.exit(c.getresponse().status != 200)"
    )


def _resources(stage: Stage) -> dict[str, Any]:
    memory = f"{-(-process_memory(stage) // MIB)}m"
    resources: dict[str, Any] = {"limits": {"memory": memory}}
    if stage.gpu:
        device = {"driver": "nvidia", "count": stage.gpu, "capabilities": ["gpu"]}
        resources["reservations"] = {"devices": [device]}
    return resources
