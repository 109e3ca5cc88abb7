"""Compose files: what their schema does not say of services that depend on each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...graph import Finding
from ..container import PORTS
from ..documents import Document, Steps
from .inventory import Inventory
from .pods import grace_of
from .references import ENDPOINTS, strayed

_DEFAULT_GRACE_S = 10.0
_SECONDS = re.compile(r"(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def check_compose(inventory: Inventory) -> Iterator[Finding]:
    """Faults of the Compose files of a folder."""
    for document in inventory.documents:
        if document.is_compose:
            services = document.value.get("services") or {}
            for name, service in services.items():
                yield from _check_service(document, name, service, services)
                yield from _check_mounts(document, name, service)


def _check_service(
    document: Document, name: str, service: dict[str, Any], services: dict[str, Any]
) -> Iterator[Finding]:
    at: Steps = ("services", name)
    wanted = service.get("depends_on") or {}
    for other in wanted:
        if other not in services:
            yield document.finding(
                "unknown-service",
                (*at, "depends_on"),
                f"service '{name}' depends on '{other}', which is not there",
                "name a service of this file",
            )
            continue
        condition = wanted[other].get("condition") if isinstance(wanted, dict) else None
        if condition == "service_healthy" and not services[other].get("healthcheck"):
            yield document.finding(
                "no-healthcheck",
                (*at, "depends_on", other),
                f"service '{name}' waits for '{other}' to be healthy, which has no healthcheck",
                "give it one",
            )
    environment = service.get("environment") or {}
    if not isinstance(environment, dict):
        return
    if any(key.startswith("MLSERVER_") for key in environment):
        grace = _seconds(service.get("stop_grace_period"))
        needed = grace_of(environment)
        if grace <= needed:
            yield document.finding(
                "short-grace",
                at,
                f"service '{name}' takes {needed:g} s to stop, and is killed after {grace:g} s",
                f"set stop_grace_period above {needed:g}s",
            )
    if ENDPOINTS in environment:
        hosts = dict.fromkeys(services, PORTS.values())
        at_variable = (*at, "environment", ENDPOINTS)
        yield from strayed(document, at_variable, environment[ENDPOINTS], hosts)
    for position, port in enumerate(service.get("ports") or ()):
        if isinstance(port, str) and port.count(":") < 2:
            yield document.finding(
                "open-port",
                (*at, "ports", position),
                f"service '{name}' opens port {port} to the network",
                f"write 127.0.0.1:{port}",
            )


def _check_mounts(document: Document, name: str, service: dict[str, Any]) -> Iterator[Finding]:
    """Whether the volumes that a service mounts by a name are there."""
    known = document.value.get("volumes") or {}
    for position, volume in enumerate(service.get("volumes") or ()):
        if isinstance(volume, str):
            source, separator, _ = volume.partition(":")
            named = separator and not source.startswith((".", "/", "~", "$"))
        else:
            source = volume.get("source")
            named = volume.get("type") == "volume" and source is not None
        if named and source not in known:
            yield document.finding(
                "unknown-volume",
                ("services", name, "volumes", position),
                f"service '{name}' mounts a volume '{source}', which is not there",
                f"write ./{source} if it is a folder, or add it to volumes",
            )


def _seconds(text: Any) -> float:
    found = _SECONDS.fullmatch(str(text))
    if text is None or found is None:
        return _DEFAULT_GRACE_S
    return 60 * float(found[1] or 0) + float(found[2] or 0)
