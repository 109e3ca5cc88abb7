"""One MLServer process: its settings, its start, its log and its end."""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..catalog import read_settings
from ..checkpoints import PROGRESS
from ..declaration import ModelDeclaration
from ..errors import ConfigurationError, StageUnavailable

LOOPBACK = "127.0.0.1"
_REACHABLE = {"0.0.0.0": LOOPBACK, "": LOOPBACK, "::": "::1"}
_KEPT_LINES = 400
_LOAD_FAILED = "Some of the models failed to load during startup"
_EXIT_AFTER_FAILED_LOAD_S = 10.0
_POLL_S = 0.1
_DEFAULTS: Mapping[str, Any] = {
    "debug": False,
    "parallel_workers": 0,
    "gzip_enabled": False,
    "grpc_max_message_length": 64 * 1024 * 1024,
}


@dataclass(frozen=True)
class Ports:
    http: int
    grpc: int
    metrics: int


def choose_ports(http: int = 0, grpc: int = 0, metrics: int = 0, host: str = LOOPBACK) -> Ports:
    """The given ports; for each 0, one that is free now.

    Raises:
        ConfigurationError: one is given twice.
    """
    given = [port for port in (http, grpc, metrics) if port]
    if len(set(given)) < len(given):
        raise ConfigurationError(
            f"ports {http} (REST), {grpc} (gRPC) and {metrics} (metrics) have to differ; 0 stands "
            "for any free port"
        )
    with contextlib.ExitStack() as held:
        ports = []
        for port in (http, grpc, metrics):
            free = port
            while free == 0 or (port == 0 and free in given):
                # All stay bound until all are known, so that they differ.
                holder = held.enter_context(socket.socket())
                holder.bind((host, 0))
                free = holder.getsockname()[1]
            ports.append(free)
    return Ports(*ports)


class ModelServer:
    """Runs `mlserver start` for some servables, as a child process.

    Args:
        name: For messages.
        servables: What it serves.
        base_settings: A settings.json whose values are kept, where they are not given here; need
            not exist.
        environment: Variables on top of this process's own.
        on_line: Called with each line of its log, from a thread.
    """

    def __init__(
        self,
        name: str,
        servables: Sequence[ModelDeclaration],
        *,
        host: str,
        ports: Ports,
        base_settings: Path,
        environment: Mapping[str, str],
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self.servables = servables
        self.host = host
        self.ports = ports
        self._base_settings = base_settings
        self._environment = environment
        self._on_line = on_line
        self._log: deque[str] = deque(maxlen=_KEPT_LINES)
        self._progress = -math.inf
        self._unheard: OSError | None = None
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def reachable_host(self) -> str:
        """Where this machine reaches it, as URLs write it: an IPv6 address in brackets."""
        host = _REACHABLE.get(self.host, self.host)
        return f"[{host}]" if ":" in host else host

    @property
    def http_url(self) -> str:
        return f"http://{self.reachable_host}:{self.ports.http}"

    @property
    def grpc_url(self) -> str:
        return f"grpc://{self.reachable_host}:{self.ports.grpc}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.reachable_host}:{self.ports.metrics}/metrics"

    def start(self) -> None:
        """Starts the process; `wait_until_ready` says how that went.

        Raises:
            ConfigurationError: the command `mlserver` is missing, or a port is taken.
        """
        for port in (self.ports.http, self.ports.grpc, self.ports.metrics):
            _require_free(self.host, port)
        command = shutil.which("mlserver", path=sysconfig.get_path("scripts"))
        if command is None:
            raise ConfigurationError(
                f"the command 'mlserver' is not in {sysconfig.get_path('scripts')}; "
                "install it there with: pip install infergraph"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="infergraph-")
        settings = Path(self._folder.name) / "settings.json"
        settings.write_text(json.dumps(self._settings(), indent=2), encoding="utf-8")
        # A session of its own, so that Ctrl-C reaches the server once: from `stop`, not also from
        # the terminal. MLServer takes a second one for an order to drop its requests.
        self._process = subprocess.Popen(
            [command, "start", self._folder.name],
            # It stays open as long as this process lives: see SelectedModels.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **self._environment, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Waits until every servable has loaded, at most that long without progress of a download.

        Raises:
            ConfigurationError: one failed to load; the text is its error.
            StageUnavailable: the time is over.
        """
        waiting = [servable.name for servable in self.servables]
        started = time.monotonic()
        while True:
            waiting = [name for name in waiting if not self._is_ready(name)]
            if not waiting:
                return
            self.check()
            if time.monotonic() > max(started, self._progress) + timeout_s:
                raise StageUnavailable(
                    f"{self.name}: not ready after {timeout_s:g} s: {', '.join(waiting)}"
                )
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Raises ConfigurationError if the process has ended, or is about to for a failed load.

        And OSError, if what takes its log could not: nobody reads it, or the disk is full.
        """
        assert self._process is not None
        if self._unheard is not None:
            raise self._unheard
        if self._process.poll() is None:
            if not any(_LOAD_FAILED in line for line in tuple(self._log)):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_EXIT_AFTER_FAILED_LOAD_S)
        self._reader.join(timeout=1)
        reason = load_error(tuple(self._log))
        if reason is None:
            last = next((line for line in reversed(self._log) if line.strip()), "")
            reason = f"its process ended with status {self._process.returncode}: {last.strip()}"
        raise ConfigurationError(f"{self.name}: {reason}")

    def terminate(self) -> None:
        """Asks the process to finish the requests that it has, and to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def stop(self, grace_s: float) -> bool:
        """Ends the process and removes its files; False if it had to be killed after `grace_s`."""
        ended_by_itself = True
        if self._process is not None:
            self.terminate()
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                ended_by_itself = False
                self.kill()
                self._process.wait()
            self._reader.join(timeout=1)
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                stream.close()
        if self._folder is not None:
            self._folder.cleanup()
        return ended_by_itself

    def _settings(self) -> dict[str, Any]:
        base: dict[str, Any] = dict(_DEFAULTS)
        if self._base_settings.is_file():
            base.update(read_settings(self._base_settings))
        folders = [str(each.folder.resolve()) for each in self.servables if each.folder]
        return {
            **base,
            "host": self.host,
            "http_port": self.ports.http,
            "grpc_port": self.ports.grpc,
            "metrics_port": self.ports.metrics,
            "model_repository_implementation": f"{__package__}.model_repository.SelectedModels",
            "model_repository_implementation_args": {"folders": folders},
        }

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # closed by stop
            for line in process.stdout:
                line = line.rstrip("\n")
                self._log.append(line)
                if PROGRESS in line:
                    self._progress = time.monotonic()
                if self._on_line is not None and self._unheard is None:
                    try:
                        self._on_line(line)
                    except OSError as error:
                        # For `check`. Its log is read on: the process would wait for a reader.
                        self._unheard = error

    def _is_ready(self, model: str) -> bool:
        url = f"{self.http_url}/v2/models/{model}/ready"
        try:
            with _DIRECT.open(url, timeout=5):
                return True
        except (OSError, http.client.HTTPException):
            return False


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Never through a proxy: the servers are on this machine."""

_LOG_LINE = re.compile(r"^\d{4}-\d{2}-\d{2} ")
_CHAINED = ("Traceback (most recent", "During handling of", "The above exception")


def load_error(log: Sequence[str]) -> str | None:
    """The error of a model that failed to load, from MLServer's log; None if there is none.

    It is the last exception of the traceback that follows MLServer's notice; or, where the server
    failed before it could give notice, of any.
    """
    starts = [index for index, line in enumerate(log) if _LOAD_FAILED in line]
    found = None
    previous = ""
    for line in log[starts[0] + 1 if starts else 0 :]:
        if starts and _LOG_LINE.match(line):
            break
        if previous.startswith(" ") and line[:1].isalpha() and not line.startswith(_CHAINED):
            found = line
        previous = line
    if found is None:
        return None
    kind, _, text = found.partition(": ")
    ours = kind.rpartition(".")[2] == ConfigurationError.__name__
    return text if ours and text else found


def _require_free(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigurationError(f"host '{host}' is no address: {error.strerror}") from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ConfigurationError(
                f"port {port} on {host} is not free ({error.strerror}); 0 stands for any free port"
            ) from None
