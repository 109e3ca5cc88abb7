"""The servers of one `serve` or `demo`: started in order, watched, stopped together."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from .model_server import LOOPBACK, ModelServer, Ports, choose_ports
from .plan import ServerPlan, endpoints_variable

GRACE_S = 60.0
_POLL_S = 0.2


class Interrupted(BaseException):
    """A signal asked the command to end."""


@dataclass(frozen=True)
class ClusterOptions:
    """How the planned servers run.

    Attributes:
        models_dir: Its settings.json is the base of each server's.
        host: Where the last server, the one that callers use, listens. The others listen on the
            loopback interface.
        ports: The last server's.
        endpoints: For each pipeline, its steps (or `*`) that are served elsewhere already.
        environment: Variables for every server.
        load_timeout_s: Longest wait for a server's models to load.
    """

    models_dir: Path
    ports: Ports
    host: str = LOOPBACK
    endpoints: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    load_timeout_s: float = 600.0


class Cluster:
    """A context manager: inside, all servers are ready; on the way out they stop."""

    def __init__(
        self,
        plans: Sequence[ServerPlan],
        options: ClusterOptions,
        on_line: Callable[[str, str], None] | None = None,
    ) -> None:
        self._plans = plans
        self._options = options
        self._on_line = on_line
        self.servers: list[ModelServer] = []

    @property
    def entry(self) -> ModelServer:
        """The server that callers use."""
        return self.servers[-1]

    def __enter__(self) -> Cluster:
        try:
            *stages, last = self._plans
            for plan in stages:
                self._start(plan, LOOPBACK, choose_ports(), {})
            for server in self.servers:
                server.wait_until_ready(self._options.load_timeout_s)
            # A router checks its stages' tensors when it loads, so it starts after them.
            self._start(last, self._options.host, self._options.ports, self._endpoints(last))
            self.entry.wait_until_ready(self._options.load_timeout_s)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def watch(self) -> None:
        """Returns never; raises ConfigurationError when a server ends, Interrupted on a signal."""
        while True:
            for server in self.servers:
                server.check()
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Stops all servers, the callers' one first; another signal meanwhile kills them."""
        with on_signals(self._kill):
            for server in reversed(self.servers):
                server.stop(GRACE_S)

    def _kill(self, signum: int, frame: FrameType | None) -> None:
        for server in self.servers:
            server.kill()

    def _start(
        self, plan: ServerPlan, host: str, ports: Ports, environment: Mapping[str, str]
    ) -> None:
        on_line = self._on_line
        server = ModelServer(
            plan.name,
            plan.servables,
            host=host,
            ports=ports,
            base_settings=self._options.models_dir / "settings.json",
            environment={**self._options.environment, **environment},
            on_line=None if on_line is None else lambda line: on_line(plan.name, line),
        )
        self.servers.append(server)
        server.start()

    def _endpoints(self, plan: ServerPlan) -> dict[str, str]:
        # Hops over REST cost half of those over gRPC, see docs/benchmarks.md.
        started = {server.name: server.http_url for server in self.servers}
        return {
            endpoints_variable(pipeline): json.dumps(
                {
                    **self._options.endpoints.get(pipeline, {}),
                    **{step: started[step] for step in steps},
                }
            )
            for pipeline, steps in plan.remote.items()
            if steps
        }


def raise_interrupted(signum: int, frame: FrameType | None) -> None:
    raise Interrupted(signal.Signals(signum).name)


@contextlib.contextmanager
def on_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Calls `handler` for the signals that ask a program to end. For the main thread only."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    previous = {each: signal.signal(each, handler) for each in signals}
    try:
        yield
    finally:
        for each, old in previous.items():
            signal.signal(each, old)
