"""`Pod`: what the kubelet makes of a pod's template, with a process in place of each container."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .container import Container
from .node import NAMESPACE, Node
from .rendered import Object


class Pod:
    """One pod.

    Args:
        node: Where it runs.
        name: Its name.
        template: `metadata` and `spec` of the pod.
        extra: Container -> variables on top of the manifest's, as a user may add them.

    Attributes:
        address: Its own.
        labels: Its labels.
        containers: By name.
        is_listed: Whether Services may lead to it: it is ready, and was not told to end.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        template: Object,
        extra: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.name = name
        self.labels: dict[str, str] = template["metadata"]["labels"]
        self.address = node.network.address()
        self.is_listed = False
        self._node = node
        self._spec = template["spec"]
        self._volumes = {each["name"]: self._volume(each) for each in self._spec["volumes"]}
        self.containers = {
            each["name"]: self._container(each, (extra or {}).get(each["name"], {}))
            for each in self._spec["containers"]
        }

    def _volume(self, volume: Object) -> Path:
        if "emptyDir" in volume:
            folder = self._node.scratch / self.name / volume["name"]
            folder.mkdir(parents=True)
            return folder
        assert "persistentVolumeClaim" in volume, f"not drilled: volume {volume}"
        assert volume["persistentVolumeClaim"]["readOnly"] is True
        return self._node.rendered.storage

    def _container(self, spec: Object, extra: Mapping[str, str]) -> Container:
        ports = {each["name"]: each["containerPort"] for each in spec["ports"]}
        mounts = {}
        for each in spec["volumeMounts"]:
            folder = self._volumes[each["name"]]
            mounts[each["mountPath"]] = folder / each.get("subPath", "")
        return Container(
            name=f"{self.name}/{spec['name']}",
            image=self._node.image(spec["image"]),
            address=self.address,
            environment={**self._environment(spec), **extra},
            mounts=mounts,
            ports=ports,
            folder=spec["workingDir"],
            command=[*spec.get("command", []), *spec.get("args", [])],
            hosts=self._node.network.file(self.name),
        )

    def _environment(self, spec: Object) -> dict[str, str]:
        environment: dict[str, str] = {}
        for each in spec.get("envFrom", []):
            name = each["configMapRef"]["name"]
            maps = self._node.rendered.objects("ConfigMap")
            environment |= next(each["data"] for each in maps if each["metadata"]["name"] == name)
        for each in spec.get("env", []):
            environment[each["name"]] = each["value"] if "value" in each else self._from(each)
        return environment

    def _from(self, variable: Object) -> str:
        field = variable["valueFrom"]["fieldRef"]["fieldPath"]
        known = {
            "metadata.name": self.name,
            "metadata.namespace": NAMESPACE,
            "status.podIP": self.address,
            "spec.nodeName": "node",
        }
        return known[field]

    def start(self) -> None:
        for each in self.containers.values():
            each.start()

    def wait_until_ready(self) -> None:
        """Waits as the kubelet does; AssertionError once it would start the container anew."""
        for name, container in self.containers.items():
            spec = self._container_spec(name)
            startup = spec["startupProbe"]
            allowed = startup["failureThreshold"] * startup["periodSeconds"]

            container.wait_until_it_answers(*self._asked(container, startup), allowed)
            assert self._passes(container, spec["livenessProbe"]), container.log()
            assert self._passes(container, spec["readinessProbe"]), container.log()
        self.is_listed = True

    def _passes(self, container: Container, probe: Object) -> bool:
        return container.answers(*self._asked(container, probe))

    @staticmethod
    def _asked(container: Container, probe: Object) -> tuple[str, int, float]:
        """Path, port and how many seconds an answer may take."""
        get = probe["httpGet"]
        port = container.ports.get(get["port"], get["port"])
        return get["path"], int(port), probe.get("timeoutSeconds", 1)

    def _container_spec(self, name: str) -> Object:
        specs: Sequence[Object] = self._spec["containers"]
        return next(each for each in specs if each["name"] == name)

    def stop(self) -> dict[str, int]:
        """Ends it as the kubelet does; the exit statuses of its containers, by name.

        First their preStop hooks, then SIGTERM; AssertionError once the grace is over.
        """
        grace = self._spec.get("terminationGracePeriodSeconds", 30)
        end = time.monotonic() + grace
        with ThreadPoolExecutor(len(self.containers)) as threads:
            list(threads.map(self._before_stop, self.containers))
        for each in self.containers.values():
            each.terminate()
        return {
            name: each.wait_until_ended(end - time.monotonic())
            for name, each in self.containers.items()
        }

    def _before_stop(self, name: str) -> None:
        hook = self._container_spec(name).get("lifecycle", {}).get("preStop", {})
        if "sleep" in hook:
            time.sleep(hook["sleep"]["seconds"])
        elif hook:
            self.containers[name].execute(hook["exec"]["command"], None)

    @property
    def port_names(self) -> dict[str, int]:
        """The ports of all containers, by name."""
        found: dict[str, int] = {}
        for each in self.containers.values():
            found |= each.ports
        return found


def stop_pods(pods: Iterable[Pod]) -> dict[str, dict[str, int]]:
    """Stops pods side by side; the exit statuses by pod and container."""
    stopped = list(pods)
    for each in stopped:
        each.is_listed = False
    with ThreadPoolExecutor(max(1, len(stopped))) as threads:
        statuses = list(threads.map(Pod.stop, stopped))
    return {pod.name: each for pod, each in zip(stopped, statuses, strict=True)}


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector finds labels."""
    for name, value in (selector.get("matchLabels") or {}).items():
        if labels.get(name) != value:
            return False
    for each in selector.get("matchExpressions") or []:
        assert each["operator"] == "In", f"not drilled: {json.dumps(each)}"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True
