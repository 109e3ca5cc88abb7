"""References: selectors that find nothing, ports that no pod has, endpoints that nobody serves."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from ...graph import Finding
from ..documents import Document, Steps
from .inventory import WORKLOADS, Inventory
from .pods import bad_ports

ENDPOINTS = "INFERGRAPH_ENDPOINTS"
_HEADLESS = "None"


def check_references(inventory: Inventory) -> Iterator[Finding]:
    """What an object of a folder says of the others in it."""
    for document in inventory.of(*WORKLOADS):
        yield from _check_own_selector(document, inventory)
    for document in inventory.of("Service"):
        yield from _check_service(document, inventory)
    for document in inventory.of("PodDisruptionBudget"):
        yield from _check_selector(document, ("spec", "selector"), inventory)
        yield from _check_budget(document, inventory)
    for document in inventory.of("NetworkPolicy"):
        yield from _check_policy(document, inventory)
    yield from _check_endpoints(inventory)


def _check_own_selector(document: Document, inventory: Inventory) -> Iterator[Finding]:
    selector = document.spec.get("selector") or {}
    own = [pod for pod in inventory.pods if pod.document is document]
    wanted = selector.get("matchLabels") or {}
    if wanted and not any(wanted.items() <= pod.labels.items() for pod in own):
        yield document.finding(
            "selector",
            ("spec", "selector"),
            f"its selector {_labels(wanted)} does not find its own pods",
            "give the template these labels",
        )


def _check_service(document: Document, inventory: Inventory) -> Iterator[Finding]:
    wanted = document.spec.get("selector") or {}
    pods = inventory.matching(wanted)
    yield from bad_ports(document, ("spec", "ports"), document.spec.get("ports") or ())
    if not wanted:
        return
    if not pods:
        yield document.finding(
            "selector",
            ("spec", "selector"),
            f"no pod has the labels {_labels(wanted)}",
            "select the labels of a template of this folder",
        )
        return
    names = {
        port.get("name"): port.get("containerPort")
        for pod in pods
        for _, container in pod.containers()
        for port in container.get("ports") or ()
    }
    for position, port in enumerate(document.spec.get("ports") or ()):
        target = port.get("targetPort", port.get("port"))
        at: Steps = ("spec", "ports", position)
        if isinstance(target, str) and target not in names:
            yield document.finding(
                "unknown-port",
                at,
                f"its port {port.get('port')} leads to '{target}', which no pod has",
                f"use one of {', '.join(sorted(filter(None, names)))}",
            )
        elif isinstance(target, int) and target not in names.values():
            yield document.finding(
                "unknown-port", at, f"no pod listens at {target}", "use a port of a container"
            )
        elif document.spec.get("clusterIP") == _HEADLESS and port.get("port") != names.get(
            target, target
        ):
            yield document.finding(
                "headless-port",
                at,
                f"it is headless, and maps {port.get('port')} to {names.get(target, target)}",
                "make both the same: a headless Service maps no ports",
            )


def _check_selector(document: Document, at: Steps, inventory: Inventory) -> Iterator[Finding]:
    selector: Any = document.value
    for step in at:
        selector = selector[step] if isinstance(step, int) else selector.get(step) or {}
    if selector and not inventory.selected(selector):
        yield document.finding(
            "selector", at, "no pod of this folder is selected", "select labels of a template"
        )


def _check_budget(document: Document, inventory: Inventory) -> Iterator[Finding]:
    least = document.spec.get("minAvailable")
    for pod in inventory.selected(document.spec.get("selector") or {}):
        count = pod.document.spec.get("replicas")
        if isinstance(least, int) and isinstance(count, int) and least >= count:
            yield document.finding(
                "budget",
                ("spec", "minAvailable"),
                f"no node can be drained: {least} of {count} replicas must stay",
                "set maxUnavailable: 1 instead",
            )


def _check_policy(document: Document, inventory: Inventory) -> Iterator[Finding]:
    yield from _check_selector(document, ("spec", "podSelector"), inventory)
    if set(document.spec.get("policyTypes") or ()) != {"Ingress", "Egress"}:
        yield document.finding(
            "policy-types",
            ("spec",),
            "it leaves one direction open",
            "set policyTypes: [Ingress, Egress]",
        )
    for side, peers in (("ingress", "from"), ("egress", "to")):
        for i, rule in enumerate(document.spec.get(side) or ()):
            for k, peer in enumerate(rule.get(peers) or ()):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    at: Steps = ("spec", side, i, peers, k, "podSelector")
                    yield from _check_selector(document, at, inventory)


def _check_endpoints(inventory: Inventory) -> Iterator[Finding]:
    ports = {
        each.name: {port.get("port") for port in each.spec.get("ports") or ()}
        for each in inventory.of("Service")
    }
    for pod in inventory.pods:
        for path, container in pod.containers():
            for position, variable in enumerate(container.get("env") or ()):
                if variable.get("name") == ENDPOINTS and not pod.merged:
                    at = (*path, "env", position)
                    yield from strayed(pod.document, at, variable.get("value"), ports)


def strayed(
    document: Document, at: Steps, endpoints: Any, ports: Mapping[str, Collection[Any]]
) -> Iterator[Finding]:
    """The steps of INFERGRAPH_ENDPOINTS whose address nobody in the folder has.

    Args:
        ports: The ports of each host that there is.
    """
    try:
        named = {
            step: urlsplit(each if isinstance(each, str) else each["url"])
            for step, each in json.loads(endpoints or "{}").items()
        }
        calls = {step: (each.hostname or "", each.port) for step, each in named.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        yield document.finding(
            "bad-endpoints",
            at,
            f"{ENDPOINTS} is {endpoints!r:.60}",
            'write JSON of steps and URLs, such as {"step": "http://host:8080"}',
        )
        return
    for step, (host, port) in calls.items():
        if port not in ports.get(host.partition(".")[0], ()):
            yield document.finding(
                "unknown-endpoint",
                at,
                f"step '{step}' is called at {host}:{port}, where nobody of this folder is",
                "name a Service or service, and a port of it",
            )


def _labels(labels: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
