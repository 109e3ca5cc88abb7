"""`Cluster`: Deployments, Services and NetworkPolicies as plain Kubernetes runs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .container import Container
from .network import in_cluster
from .node import NAMESPACE, Node
from .pod import Pod, matches, stop_pods
from .rendered import Object


class Cluster:
    """The pods of all Deployments; as a context manager it starts them and kills what is left.

    Args:
        node: Where they run, and what was applied.
        extra: Deployment -> variables on top of the manifest's, as a user may add them.

    Attributes:
        rendered: What was applied.
        pods: All of them, also those that have ended.
    """

    def __init__(self, node: Node, extra: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._node = node
        self.rendered = node.rendered
        self._services = node.rendered.objects("Service")
        self._policies = node.rendered.objects("NetworkPolicy")
        self.pods: list[Pod] = []
        for deployment in node.rendered.objects("Deployment"):
            name, spec = deployment["metadata"]["name"], deployment["spec"]
            assert matches(spec["selector"], spec["template"]["metadata"]["labels"]), name
            added = {name: (extra or {}).get(name, {})}
            self.pods += [
                Pod(node, f"{name}-{number}", spec["template"], added)
                for number in range(spec["replicas"])
            ]

    def __enter__(self) -> Cluster:
        self.publish()
        for pod in self.pods:
            pod.start()
        for pod in self.pods:
            pod.wait_until_ready()
        self.publish()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        for container in self.containers():
            container.kill()

    def containers(self) -> Iterator[Container]:
        for pod in self.pods:
            yield from pod.containers.values()

    def stop(self, pods: Iterable[Pod]) -> dict[str, dict[str, int]]:
        """Deletes pods: their names lead elsewhere from now on; the exit statuses."""
        leaving = list(pods)
        for each in leaving:
            each.is_listed = False
        self.publish()
        return stop_pods(leaving)

    def publish(self) -> None:
        """Tells each pod the names of the Services that it may reach."""
        for pod in self.pods:
            known: dict[str, list[str]] = {}
            for service in self._services:
                name = service["metadata"]["name"]
                pods = [each for each in self.behind(name) if self._may_call(pod, each, service)]
                for each in in_cluster(name, NAMESPACE) if pods else ():
                    known[each] = [other.address for other in pods]
            self._node.network.write(pod.name, known)

    def service(self, name: str) -> Object:
        return next(each for each in self._services if each["metadata"]["name"] == name)

    def behind(self, name: str) -> list[Pod]:
        """The pods that a Service leads to now."""
        selector = {"matchLabels": self.service(name)["spec"]["selector"]}
        return [each for each in self.pods if each.is_listed and matches(selector, each.labels)]

    def addresses(self, name: str, port: str) -> list[tuple[str, int]]:
        """Where connections to a port of a Service arrive."""
        service = self.service(name)["spec"]
        given = next(each for each in service["ports"] if each["name"] == port)
        target = given.get("targetPort", given["port"])
        found = [
            (pod.address, int(pod.port_names.get(target, target))) for pod in self.behind(name)
        ]
        if service.get("clusterIP") == "None":
            # Callers connect to the pods themselves: nothing maps the port.
            assert all(number == given["port"] for _, number in found), name
        return found

    def _may_call(self, caller: Pod, called: Pod, service: Object) -> bool:
        """Whether the policies let through what a Service's port `http` gets."""
        port = next(each["port"] for each in service["spec"]["ports"] if each["name"] == "http")
        return self._lets(caller, called, "Egress", "to", port) and self._lets(
            called, caller, "Ingress", "from", port
        )

    def _lets(self, pod: Pod, other: Pod, way: str, peer: str, port: int) -> bool:
        policies = [
            each["spec"]
            for each in self._policies
            if matches(each["spec"]["podSelector"], pod.labels)
            and way in each["spec"]["policyTypes"]
        ]
        rules: list[dict[str, Any]] = [
            rule for each in policies for rule in each.get(way.lower()) or []
        ]
        return not policies or any(
            _has_port(rule, port) and _has_peer(rule.get(peer), other) for rule in rules
        )


def _has_port(rule: Object, port: int) -> bool:
    return "ports" not in rule or any(each.get("port") == port for each in rule["ports"])


def _has_peer(peers: list[Object] | None, pod: Pod) -> bool:
    return peers is None or any(matches(each["podSelector"], pod.labels) for each in peers)
