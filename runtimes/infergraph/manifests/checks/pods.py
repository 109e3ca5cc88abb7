"""Pods: what a schema lets pass and a cluster refuses, kills or never starts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...graph import Finding
from ..container import GRACE_S
from ..documents import Document, Steps
from ..quantity import parse_quantity
from .inventory import Inventory, Pod
from .names import is_name

_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9](-?[a-z0-9])*")
_CONTAINER_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LONGEST_PORT_NAME = 15
_HIGHEST_PORT = 65535
_DEFAULT_GRACE_S = 30
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


def check_pods(inventory: Inventory) -> Iterator[Finding]:
    """Faults of every pod, and settings that Services would put into it."""
    misread = [each.name for each in inventory.of("Service") if each.name.startswith("mlserver-")]
    for pod in inventory.pods:
        yield from _check_containers(pod)
        yield from _check_volumes(pod, inventory)
        yield from _check_grace(pod)
        if misread and not pod.merged and pod.spec.get("enableServiceLinks") is not False:
            yield pod.document.finding(
                "service-links",
                pod.path,
                f"Service '{misread[0]}' gives it variables that MLServer takes for settings",
                "set enableServiceLinks: false",
            )


def _check_containers(pod: Pod) -> Iterator[Finding]:
    document = pod.document
    containers = list(pod.containers())
    for name in _repeated(container.get("name") for _, container in containers):
        yield document.finding(
            "repeated-container", pod.path, f"two containers are named '{name}'", "rename one"
        )
    for name in _repeated(
        port.get("name") for _, container in containers for port in container.get("ports") or ()
    ):
        yield document.finding(
            "repeated-port", pod.path, f"two ports are named '{name}'", "rename one"
        )
    for path, container in containers:
        if not _CONTAINER_NAME.fullmatch(str(container.get("name"))):
            yield document.finding(
                "bad-container-name",
                path,
                f"container '{container.get('name')}' has a bad name",
                "use small letters, digits and -, at most 63 of them",
            )
        yield from _check_ports(pod, path, container)
        yield from _check_environment(pod, path, container)
        yield from _check_resources(pod, path, container)
        yield from _check_probes(pod, path, container)


def bad_ports(
    document: Document, at: Steps, ports: Iterable[Mapping[str, Any]]
) -> Iterator[Finding]:
    """The numbers among ports that no port has; of containers, or of a Service."""
    for position, port in enumerate(ports):
        for key in ("containerPort", "hostPort", "port", "targetPort", "nodePort"):
            number = port.get(key)
            # hostPort 0 is none.
            least = 0 if key == "hostPort" else 1
            if isinstance(number, int) and not least <= number <= _HIGHEST_PORT:
                yield document.finding(
                    "bad-port",
                    (*at, position, key),
                    f"{key} is {number}",
                    f"use a number from 1 to {_HIGHEST_PORT}",
                )


def _check_ports(pod: Pod, path: Steps, container: dict[str, Any]) -> Iterator[Finding]:
    yield from bad_ports(pod.document, (*path, "ports"), container.get("ports") or ())
    for position, port in enumerate(container.get("ports") or ()):
        name = port.get("name")
        if name is not None and (
            len(name) > _LONGEST_PORT_NAME or not _PORT_NAME.fullmatch(str(name))
        ):
            yield pod.document.finding(
                "bad-port-name",
                (*path, "ports", position, "name"),
                f"port name '{name}'",
                "use at most 15 small letters, digits and -, and a letter among them",
            )


def _check_environment(pod: Pod, path: Steps, container: dict[str, Any]) -> Iterator[Finding]:
    for name in _repeated(each.get("name") for each in container.get("env") or ()):
        yield pod.document.finding(
            "repeated-variable",
            (*path, "env"),
            f"variable '{name}' of container '{container.get('name')}' is set twice",
            "keep one of them",
        )


def _check_resources(pod: Pod, path: Steps, container: dict[str, Any]) -> Iterator[Finding]:
    resources = container.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    at = (*path, "resources")
    for name in sorted({*requests, *limits}):
        request, limit = requests.get(name), limits.get(name)
        if "/" in name:
            if limit is None or (request is not None and str(request) != str(limit)):
                yield pod.document.finding(
                    "gpu-request",
                    at,
                    f"{name}: it asks for {request} and is limited to {limit}",
                    "make both the same whole number",
                )
        elif _amount(request, 0) > _amount(limit, math.inf):
            yield pod.document.finding(
                "request-over-limit",
                at,
                f"{name}: it asks for {request}, over its limit of {limit}",
                "raise the limit",
            )


def _amount(value: Any, otherwise: float) -> float:
    """What a quantity of cores or bytes amounts to; `otherwise` where there is none to be read."""
    text = str(value)
    try:
        if text.endswith("m"):
            return float(text[:-1]) / 1000
        return float(parse_quantity(text)) if text[-1:].isalpha() else float(text)
    except ValueError:
        return otherwise


def _check_probes(pod: Pod, path: Steps, container: dict[str, Any]) -> Iterator[Finding]:
    ports = {port.get("name") for port in container.get("ports") or ()}
    for probe in _PROBES:
        spec = container.get(probe) or {}
        handlers = [each for each in _HANDLERS if each in spec]
        if len(handlers) > 1:
            yield pod.document.finding(
                "probe-handlers",
                (*path, probe),
                f"{probe} has {' and '.join(handlers)}",
                "keep one",
            )
        for handler in handlers:
            port = (spec[handler] or {}).get("port")
            # The ports of what it is merged into are not here.
            if isinstance(port, str) and port not in ports and not pod.merged:
                yield pod.document.finding(
                    "unknown-port",
                    (*path, probe, handler, "port"),
                    f"{probe} asks port '{port}', which container '{container.get('name')}' does "
                    "not have",
                    f"use one of {', '.join(sorted(map(str, ports))) or 'none: it has none'}",
                )


def _check_volumes(pod: Pod, inventory: Inventory) -> Iterator[Finding]:
    volumes = [each.get("name") for each in pod.spec.get("volumes") or ()]
    for name in _repeated(volumes):
        yield pod.document.finding(
            "repeated-volume",
            (*pod.path, "volumes"),
            f"two volumes are named '{name}'",
            "rename one",
        )
    for position, volume in enumerate(pod.spec.get("volumes") or ()):
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim is not None and not is_name(str(claim)):
            yield pod.document.finding(
                "bad-name",
                (*pod.path, "volumes", position),
                f"the claim '{claim}' of a volume has a bad name",
                "use small letters, digits, - and .",
            )
    for path, container in pod.containers():
        mounts = container.get("volumeMounts") or ()
        for position, mount in enumerate(mounts):
            if mount.get("name") not in volumes and not pod.merged:
                yield pod.document.finding(
                    "unknown-volume",
                    (*path, "volumeMounts", position),
                    f"it mounts volume '{mount.get('name')}', which it does not have",
                    f"use one of {', '.join(map(str, volumes)) or 'none: it has none'}",
                )
            inside = str(mount.get("subPath", ""))
            if inside.startswith("/") or ".." in inside.split("/"):
                yield pod.document.finding(
                    "bad-sub-path",
                    (*path, "volumeMounts", position),
                    f"it mounts '{inside}' of volume '{mount.get('name')}'",
                    "write a path inside the volume, without a / first and without ..",
                )
        for at in _repeated(mount.get("mountPath") for mount in mounts):
            yield pod.document.finding(
                "repeated-mount", (*path, "volumeMounts"), f"two volumes are at {at}", "move one"
            )
        for kind, name, steps in _sources(pod, path, container):
            if inventory.named(kind, name) is None:
                yield pod.document.finding(
                    "unknown-source",
                    steps,
                    f"it reads {kind} '{name}', which is not in this folder",
                    "add it, or say optional: true where another one makes it",
                )


def _sources(pod: Pod, path: Steps, container: dict[str, Any]) -> Iterator[tuple[str, str, Steps]]:
    """The ConfigMaps and Secrets that must be there for a container to start."""
    for kind, volume, named, key in (
        ("ConfigMap", "configMap", "name", "configMapKeyRef"),
        ("Secret", "secret", "secretName", "secretKeyRef"),
    ):
        for position, each in enumerate(pod.spec.get("volumes") or ()):
            source = each.get(volume)
            if source and not source.get("optional"):
                yield kind, str(source.get(named)), (*pod.path, "volumes", position)
        for position, each in enumerate(container.get("envFrom") or ()):
            reference = each.get(key.removesuffix("KeyRef") + "Ref")
            if reference and not reference.get("optional"):
                yield kind, str(reference.get("name")), (*path, "envFrom", position)
        for position, variable in enumerate(container.get("env") or ()):
            reference = (variable.get("valueFrom") or {}).get(key)
            if reference and not reference.get("optional"):
                yield kind, str(reference.get("name")), (*path, "env", position)


def _check_grace(pod: Pod) -> Iterator[Finding]:
    """Whether a server has the time that it takes to stop."""
    if pod.merged:
        return
    given = pod.spec.get("terminationGracePeriodSeconds") or _DEFAULT_GRACE_S
    for path, container in pod.containers():
        environment = {each.get("name"): each.get("value") for each in container.get("env") or ()}
        if not any(str(name).startswith("MLSERVER_") for name in environment):
            continue
        hook = ((container.get("lifecycle") or {}).get("preStop") or {}).get("sleep") or {}
        needed = float(hook.get("seconds", 0)) + grace_of(environment)
        if needed >= given:
            yield pod.document.finding(
                "short-grace",
                path,
                f"it takes {needed:g} s to stop, and is killed after {given} s",
                f"set terminationGracePeriodSeconds above {needed:g}",
            )


def grace_of(environment: Mapping[Any, Any]) -> float:
    """How long a server of ours ends what it has begun, in seconds."""
    text = str(environment.get("INFERGRAPH_GRACE_SECONDS"))
    return float(text) if text.replace(".", "", 1).isdecimal() else GRACE_S


def _repeated(names: Iterable[Any]) -> list[Any]:
    return [name for name, count in Counter(names).items() if count > 1 and name is not None]
