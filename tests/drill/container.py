"""`Container`: a process in place of a container, with what its manifest says of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.image.build import DOCKERFILE
from tests.image.dockerfile import Stage, pairs, read
from tests.integration.server import LOAD_SECONDS, get, wait_for

from .image import STAND_INS, Image, Process

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Container:
    """What is started, and how it is called.

    What is not as in a container is made so here, and nowhere else: paths of mounts are those of
    folders, and `0.0.0.0` and `127.0.0.1` are the container's own address.

    Attributes:
        name: Its name.
        image: What it is started from.
        address: Its own.
        environment: What the manifest says.
        command: What the manifest says; the image's own if it says nothing.
        mounts: Path in the container -> folder.
        folder: Where it starts, a path in the container.
        ports: Name -> port.
        hosts: The file of names that it asks.
        process: Once it has been started.
    """

    name: str
    image: Image
    address: str
    environment: Mapping[str, str]
    mounts: Mapping[str, Path]
    ports: Mapping[str, int]
    folder: str = "/tmp"
    command: Sequence[str] = ()
    hosts: Path | None = None
    process: Process = field(init=False)

    def start(self) -> None:
        given = {**image_environment(self.image.name), **self.environment}
        environment = {name: self.here(value) for name, value in given.items()}
        # Of this machine, where an image would have its own.
        environment |= {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
        if self.image.name == "huggingface":
            environment["PYTHONPATH"] = str(STAND_INS)
        command = [self.here(each) for each in self.command or _image_command()]
        self.process = self.image.run(
            command, environment, Path(self.here(self.folder)), self.hosts
        )

    def here(self, text: str) -> str:
        """A text of the manifest, its paths and addresses those of this machine."""
        if self.mounts:
            # All at once: the folders may lie below what is a mount's path in the container.
            paths = "|".join(map(re.escape, self.mounts))
            text = re.sub(
                rf"(?<![\w./-])({paths})(?![\w-])", lambda found: str(self.mounts[found[1]]), text
            )
        return text.replace("0.0.0.0", self.address).replace("127.0.0.1", self.address)

    @property
    def url(self) -> str:
        """Of REST."""
        return f"http://{self.address}:{self.ports['http']}"

    @property
    def is_ours(self) -> bool:
        """Whether it exports our metrics."""
        return self.image.name != "huggingface"

    @property
    def is_running(self) -> bool:
        return self.process.status is None

    def log(self) -> str:
        return self.process.log()

    def answers(self, path: str, port: int, seconds: float) -> bool:
        """Whether a GET gets a 2xx or 3xx in time, as the kubelet asks."""
        url = f"http://{self.address}:{port}{path}"
        try:
            with _DIRECT.open(url, timeout=seconds) as response:
                return bool(200 <= response.status < 400)
        except OSError:
            return False

    def wait_until_it_answers(
        self, path: str, port: int, seconds: float, most: float = LOAD_SECONDS
    ) -> None:
        """Waits for such an answer; AssertionError if it ends before, or after `most` seconds."""

        def does() -> bool:
            assert self.is_running, f"{self.name} ended\n{self.log()}"
            return self.answers(path, port, seconds)

        wait_for(does, min(most, LOAD_SECONDS), lambda: f"{self.name} is not ready\n{self.log()}")

    def metrics(self) -> dict[str, float]:
        """The samples of its metrics port, by name and labels."""
        text = get(f"http://{self.address}:{self.ports['metrics']}/metrics")
        assert text is not None, self.log()
        lines = (line for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def sum_of(self, metric: str) -> float:
        """A metric, summed over all its labels."""
        return sum(
            value for name, value in self.metrics().items() if name.partition("{")[0] == metric
        )

    def memory(self) -> int:
        """Bytes that it has in memory, without what it shares with its image's process."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return 1024 * sum(int(each) for each in re.findall(r"Private_\w+: +(\d+) kB", text))

    def execute(self, command: Sequence[str], seconds: float | None) -> int:
        """The exit status of a command that is run in it, as probes and hooks are.

        Raises:
            subprocess.TimeoutExpired: it takes longer.
        """
        program, *arguments = (self.here(each) for each in command)
        assert program == "python", f"images have nothing but Python: {command}"
        ran = subprocess.run(
            [sys.executable, *arguments], stderr=subprocess.DEVNULL, timeout=seconds, check=False
        )
        return ran.returncode

    def terminate(self) -> None:
        """Sends SIGTERM, as an engine does."""
        self.process.signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.signal(signal.SIGKILL)

    def wait_until_ended(self, grace: float) -> int:
        """Its exit status; AssertionError if it takes longer than its grace."""
        end = time.monotonic() + grace

        def ended() -> bool:
            if time.monotonic() > end:
                self.process.signal(signal.SIGKILL)
                raise AssertionError(f"{self.name} takes longer than {grace:g} s\n{self.log()}")
            return not self.is_running

        wait_for(ended, grace + 5)
        status = self.process.status
        assert status is not None
        return status


@cache
def _stages() -> dict[str, Stage]:
    return read(DOCKERFILE.read_text())


def _chain(target: str) -> list[Stage]:
    stages = _stages()
    chain: list[Stage] = []
    while target in stages:
        chain.insert(0, stages[target])
        target = chain[0].base
    return chain


def image_environment(role: str) -> dict[str, str]:
    """What an image sets: one of ours as mlserver/Dockerfile says."""
    if role == "huggingface":
        return {"MLSERVER_MODELS_DIR": "/mnt/models"}
    environment: dict[str, str] = {}
    for stage in _chain(role):
        for each in stage.instructions:
            if each.word == "ENV":
                environment |= pairs(each)
    return environment


def _image_command() -> list[str]:
    commands = [each.listed for each in _stages()["python"].instructions if each.word == "CMD"]
    assert commands[-1] is not None
    return commands[-1]
