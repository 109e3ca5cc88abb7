"""`Project`: the services of a compose.yaml, as `docker compose up --wait` runs them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

from .container import Container
from .node import Node
from .rendered import Object

_PAUSE_SECONDS = 0.2
"""Between two health checks, where Compose waits for `start_interval`."""


class Project:
    """As a context manager it starts the services in order, and kills what is left.

    Args:
        node: Where they run; models are mounted from its storage.
        extra: Service -> variables on top of the file's, as a user may add them.

    Attributes:
        services: The file's, by name.
        containers: Service -> its containers.
    """

    def __init__(self, node: Node, extra: Mapping[str, Mapping[str, str]]) -> None:
        self._node = node
        file = yaml.safe_load((node.rendered.folder / "compose.yaml").read_text())
        self.services: dict[str, Object] = file["services"]
        self.containers: dict[str, list[Container]] = {
            name: [
                self._container(name, number, extra.get(name, {}))
                for number in range(spec["deploy"].get("replicas", 1))
            ]
            for name, spec in self.services.items()
        }

    def _container(self, service: str, number: int, extra: Mapping[str, str]) -> Container:
        spec = self.services[service]
        name = f"{service}-{number + 1}"
        scratch = self._node.scratch / name
        scratch.mkdir(parents=True)
        (volume,) = spec["volumes"]
        source, models, mode = volume.split(":")
        assert (mode, source) == ("ro", "./models")
        assert spec["read_only"] is True
        (tmpfs,) = spec["tmpfs"]
        given = {key: value.replace("$$", "$") for key, value in spec["environment"].items()}
        assert not [value for value in given.values() if "$" in value.replace("$$", "")]
        return Container(
            name=name,
            image=self._node.image(spec["image"]),
            address=self._node.network.address(),
            environment={**given, **extra},
            mounts={models: self._node.rendered.storage, tmpfs.partition(":")[0]: scratch},
            ports={"http": 8080, "grpc": 8081, "metrics": 8082},
            folder=spec["working_dir"],
            command=spec.get("command", ()),
            hosts=self._node.network.file("project"),
        )

    def __enter__(self) -> Project:
        names = {
            service: [each.address for each in containers]
            for service, containers in self.containers.items()
        }
        self._node.network.write("project", names)
        healthy: set[str] = set()
        while len(healthy) < len(self.services):
            wave = [
                name
                for name, spec in self.services.items()
                if name not in healthy and self._needs(spec) <= healthy
            ]
            assert wave, f"services wait for each other: {self.services.keys() - healthy}"
            for name in wave:
                for each in self.containers[name]:
                    each.start()
            for name in wave:
                for each in self.containers[name]:
                    self._wait_until_healthy(each, self.services[name]["healthcheck"])
            healthy |= set(wave)
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.all():
            each.kill()

    @staticmethod
    def _needs(spec: Object) -> set[str]:
        needed: dict[str, Any] = spec.get("depends_on", {})
        assert all(each == {"condition": "service_healthy"} for each in needed.values())
        return set(needed)

    def _wait_until_healthy(self, container: Container, check: Object) -> None:
        kind, *command = check["test"]
        assert kind == "CMD"
        most = _seconds(check["start_period"])
        end = time.monotonic() + most
        # The check is a program of its own, and cannot pass before this.
        container.wait_until_it_answers("/v2/health/ready", container.ports["http"], 1, most)
        while not _passes(container, command, _seconds(check["timeout"])):
            assert container.is_running, f"{container.name} ended\n{container.log()}"
            assert time.monotonic() < end, f"{container.name} is not healthy\n{container.log()}"
            time.sleep(_PAUSE_SECONDS)

    def all(self) -> Iterator[Container]:
        for containers in self.containers.values():
            yield from containers

    def published(self, service: str) -> list[tuple[str, str, int]]:
        """What a service publishes: where on the machine, and the container's address and port."""
        (container,) = self.containers[service]
        found = []
        for each in self.services[service].get("ports", []):
            on_machine, _, port = each.rpartition(":")
            found.append((on_machine, container.address, int(port)))
        return found

    def stop(self) -> dict[str, int]:
        """`docker compose stop`: the exit statuses by container."""
        containers = list(self.all())
        graces = [
            _seconds(self.services[name]["stop_grace_period"])
            for name, each in self.containers.items()
            for _ in each
        ]
        for each in containers:
            each.terminate()
        with ThreadPoolExecutor(len(containers)) as threads:
            statuses = list(threads.map(Container.wait_until_ended, containers, graces))
        return {each.name: status for each, status in zip(containers, statuses, strict=True)}


def _passes(container: Container, command: list[str], seconds: float) -> bool:
    try:
        return container.execute(command, seconds) == 0
    except subprocess.TimeoutExpired:
        return False


def _seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]
