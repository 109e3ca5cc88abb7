"""What the containers of all targets have in common: environment, probes, rights, memory, stopping.

Images start `mlserver start $MLSERVER_MODELS_DIR`; whatever else they need comes from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..catalog import SERVER_SETTINGS, read_settings
from ..settings import environment_prefix
from .deployment import Stage
from .memory import BODIES, DECODING, PROCESS, ROUTER_PROCESS
from .quantity import quantity

REST, GRPC, METRICS = 8080, 8081, 8082
PORTS: Mapping[str, int] = {"http": REST, "grpc": GRPC, "metrics": METRICS}
MODELS = "/mnt/models"
"""Where containers find the model folders."""
WRITABLE = "/tmp"
"""The one folder that a container may write to; its working folder and home."""
GPU = "nvidia.com/gpu"
GRACE_S = 25
"""How long a server ends what is in flight, the front door's `grace_seconds`."""
LAG_S = 5
"""How long a stopping server still gets requests from those who do not know yet."""
_BEFORE_START_S = 600
STOP_S = LAG_S + GRACE_S + 15
_UNSUITED = frozenset({"host", "logging_settings"})
"""Settings of a server on one's own machine: containers listen to all, and log plainly."""


def server_environment(models_dir: Path) -> dict[str, str]:
    """The settings of a server, out of the settings.json that all model folders share.

    A file of its own would not arrive everywhere, and would go before the environment.
    """
    file = models_dir / SERVER_SETTINGS
    settings = read_settings(file) if file.exists() else {}
    environment = {"MLSERVER_HOST": "0.0.0.0"}
    for name, value in settings.items():
        if name not in _UNSUITED:
            text = value if isinstance(value, str) else json.dumps(value)
            environment[f"MLSERVER_{name.upper()}"] = text
    return environment


def shared_environment(models_dir: Path) -> dict[str, str]:
    """What all servers of ours are told."""
    return {
        **server_environment(models_dir),
        "INFERGRAPH_GRACE_SECONDS": str(GRACE_S),
        "INFERGRAPH_DECODE_MEMORY_BYTES": str(DECODING),
        # More than there is memory for would end the server, and all requests that it has.
        "INFERGRAPH_MAX_BODY_BYTES": str(BODIES),
        "INFERGRAPH_MAX_BYTES_IN_FLIGHT": str(BODIES),
    }


def stock_environment(models_dir: Path) -> dict[str, str]:
    """What a server of models of other runtimes is told.

    Nothing that needs our packages, and where to write, which our own images know.
    """
    settings = {
        name: value
        for name, value in server_environment(models_dir).items()
        if not name.startswith("MLSERVER_MODEL_REPOSITORY")
    }
    return {
        **settings,
        "HOME": WRITABLE,
        "USER": "infergraph",
        "HF_HOME": f"{WRITABLE}/huggingface",
        "MLSERVER_METRICS_DIR": f"{WRITABLE}/metrics",
        "MLSERVER_ENVIRONMENTS_DIR": f"{WRITABLE}/environments",
    }


def own_environment(stage: Stage, endpoints: Mapping[str, str]) -> dict[str, str]:
    """What the server of one model or router is told besides.

    Args:
        endpoints: Of a router, step -> URL.
    """
    prefix = environment_prefix(stage.name)
    environment = {f"{prefix}{name.upper()}": value for name, value in parameters(stage).items()}
    environment["MLSERVER_MODELS_DIR"] = f"{MODELS}/{stage.name}"
    if not stage.fetches:
        environment["HF_HUB_OFFLINE"] = "1"
    if endpoints:
        environment["INFERGRAPH_ENDPOINTS"] = json.dumps(dict(endpoints))
    return environment


def parameters(stage: Stage) -> dict[str, str]:
    """A model's settings that are not those of its folder, as strings."""
    chosen = {}
    if stage.variant is not None:
        chosen["variant"] = stage.variant
    if stage.gpu:
        chosen["device"] = "cuda"
    if stage.one_item:
        chosen["max_items"] = "1"
    if stage.node is not None:
        chosen["node"] = stage.node.model_dump_json(exclude_defaults=True)
    return chosen


def variables(environment: Mapping[str, str]) -> list[dict[str, str]]:
    """An environment as Kubernetes writes it, in the order of its names."""
    return [{"name": name, "value": value} for name, value in sorted(environment.items())]


def process_memory(stage: Stage) -> int:
    """Bytes of a process that serves one model or router, its own share included."""
    return (ROUTER_PROCESS if stage.is_router else PROCESS) + stage.memory


def resources(memory: int, gpu: int = 0) -> dict[str, Any]:
    """Requests and limits: one core at least, memory to the byte, GPUs whole and equal.

    CPUs have no limit, so that a model may use what is idle.
    """
    gpus = {GPU: gpu} if gpu else {}
    size = quantity(memory)
    return {"requests": {"cpu": "1", "memory": size, **gpus}, "limits": {"memory": size, **gpus}}


def probe(path: str, **fields: int) -> dict[str, Any]:
    """An HTTP probe. One second would be too short where the same loop codes tensors."""
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 5, **fields}


def start_s(stage: Stage) -> int:
    """How long a model or router may take to load, in seconds."""
    return 1800 if stage.fetches else 600


def progress_s(stages: Iterable[Stage]) -> int:
    """How long a roll-out may show no progress: before it loads, a pod is scheduled and pulled."""
    return _BEFORE_START_S + max(start_s(stage) for stage in stages)


def probes(stage: Stage) -> dict[str, Any]:
    """Alive is the server; ready is the model, since a server without models is ready too."""
    ready = f"/v2/models/{stage.name}/ready"
    return {
        "startupProbe": probe(ready, periodSeconds=5, failureThreshold=start_s(stage) // 5),
        "livenessProbe": probe("/v2/health/live", periodSeconds=10, failureThreshold=3),
        "readinessProbe": probe(ready, periodSeconds=5, failureThreshold=2),
    }


POD_SECURITY: Mapping[str, Any] = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
