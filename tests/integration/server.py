"""`ServerProcess`: a real `mlserver start FOLDER`, run as a user would from the repository root."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[2]
LOAD_SECONDS = 900.0
STOP_SECONDS = 180.0
COMMAND_SECONDS = 600.0
ANSWER_SECONDS = 300.0
"""What servers, commands and answers may take on a machine that does much else."""
_POLL_SECONDS = 0.05
_ELSEWHERE = "mlserver_huggingface."
"""Runtimes of another environment, whose models the servers of this one leave out."""
PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "grpc_proxy"), "http://127.0.0.1:9")
"""An environment that names proxies, none of which is there: what asks them reaches nothing."""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerProcess:
    """A context manager: inside, all models below `folder` are ready; on the way out, it stops.

    Args:
        folder: What `mlserver start` serves.
        environment: Variables on top of this process's own.
        cwd: Where it is started.

    Attributes:
        http_port, grpc_port, metrics_port: Free ports of the loopback interface.
        process: The server.
    """

    process: subprocess.Popen[bytes]

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path = REPOSITORY,
    ) -> None:
        self.folder = folder
        self._cwd = cwd
        self.http_port, self.grpc_port, self.metrics_port = free_ports(3)
        self._environment = dict(environment or {})
        self._told_to_end = False
        self._output: IO[bytes] | None = None

    def start(self) -> ServerProcess:
        """Starts the process, without waiting for its models."""
        self._told_to_end = False
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self.process = subprocess.Popen(
            self.arguments(),
            cwd=self._cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "MLSERVER_HTTP_PORT": str(self.http_port),
                "MLSERVER_GRPC_PORT": str(self.grpc_port),
                "MLSERVER_METRICS_PORT": str(self.metrics_port),
                **self._environment,
            },
        )
        return self

    def wait_until_ready(self) -> None:
        """Waits for every model; AssertionError with the log if the process ends before."""
        waiting = self.models()

        def ready() -> bool:
            assert self.process.poll() is None, f"the server ended by itself:\n{self.log()}"
            while waiting and get(f"{self.url}/v2/models/{waiting[-1]}/ready") is not None:
                waiting.pop()
            return not waiting

        wait_for(ready, LOAD_SECONDS, lambda: f"not ready: {waiting}\n{self.log()}")

    def __enter__(self) -> ServerProcess:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc_url(self) -> str:
        return f"grpc://127.0.0.1:{self.grpc_port}"

    def arguments(self) -> list[str]:
        """The command line."""
        return [command("mlserver"), "start", str(self.folder)]

    def models(self) -> list[str]:
        """Names of what must be ready: here, of the models below the folder that can be served."""
        files = self.folder.glob("**/model-settings.json")
        settings = [(file, json.loads(file.read_text())) for file in files]
        return sorted(
            each.get("name", file.parent.name)
            for file, each in settings
            if not each["implementation"].startswith(_ELSEWHERE)
        )

    def log(self) -> str:
        """What it has written so far."""
        assert self._output is not None
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    def metrics(self) -> dict[str, float]:
        """The samples of its Prometheus endpoint, by name and labels."""
        text = get(f"http://127.0.0.1:{self.metrics_port}/metrics")
        assert text is not None
        lines = (line for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def terminate(self) -> None:
        """Sends SIGTERM, unless that has been done."""
        if not self._told_to_end:
            self._told_to_end = True
            self.process.send_signal(signal.SIGTERM)

    def wait_until_ended(self, seconds: float = STOP_SECONDS) -> int:
        """Waits for the process to end by itself; its exit status."""
        return self.process.wait(seconds)

    def stop(self) -> None:
        """Ends the process; AssertionError if it does not end by itself."""
        if self._output is None:
            return
        self.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop by itself:\n{self.log()}") from None
        finally:
            self._output.close()
            self._output = None


class SplitServer(ServerProcess):
    """`infergraph serve --split`: the ports are those of the pipelines' server.

    Args:
        folder: The model folder.
        pipelines: What to serve.
    """

    def __init__(self, folder: Path, pipelines: Sequence[str]) -> None:
        super().__init__(folder)
        self._pipelines = list(pipelines)

    def arguments(self) -> list[str]:
        return [
            *(sys.executable, "-m", "infergraph.cli", "serve", *self._pipelines, "--split"),
            *("--models-dir", str(self.folder)),
            *("--http-port", str(self.http_port)),
            *("--grpc-port", str(self.grpc_port)),
            *("--metrics-port", str(self.metrics_port)),
        ]

    def models(self) -> list[str]:
        return list(self._pipelines)


def stop_all(servers: Sequence[ServerProcess]) -> None:
    """Stops servers side by side."""
    for server in servers:
        server.terminate()
    for server in servers:
        server.stop()


def command(name: str) -> str:
    """The path of a command of this environment."""
    path = shutil.which(name, path=sysconfig.get_path("scripts"))
    assert path is not None, f"no command {name!r} in {sysconfig.get_path('scripts')}"
    return path


def free_ports(count: int) -> list[int]:
    """Different ports that are free now, and that nobody else who asks here is ever given.

    They stay out of the range from which systems give ports to connections.
    """
    ports: list[int] = []
    for port in random.sample(range(20_000, 30_000), 10_000):
        if len(ports) == count:
            break
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
            _claims.append(_claim(port))
            ports.append(port)
    assert len(ports) == count, "no free ports"
    return ports


def _claim(port: int) -> socket.socket:
    # UDP's ports are others than TCP's: to hold one leaves the port itself free for a server that
    # starts later, and keeps it from all who claim it in this way, of other processes too.
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        raise
    return claim


_claims: list[socket.socket] = []
"""They end with this process."""


def get(url: str) -> str | None:
    """The body of a GET, or None if it fails or its status is not 200."""
    try:
        with _DIRECT.open(url, timeout=10) as response:
            body: bytes = response.read()
    except (urllib.error.HTTPError, OSError):
        return None
    return body.decode()


def wait_for(
    condition: Callable[[], bool], seconds: float = 120.0, problem: Callable[[], str] | None = None
) -> None:
    """Returns once the condition holds; AssertionError if it does not within the time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(problem() if problem else f"not within {seconds:g} s")
        time.sleep(_POLL_SECONDS)
