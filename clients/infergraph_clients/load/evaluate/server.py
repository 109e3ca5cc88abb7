"""`Served`: `infergraph serve` as a process of our own, on free ports of the loopback interface."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from ..errors import LoadError
from .workspace import infergraph_command, last_line

_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_ADDRESS = re.compile(r"^ +gRPC +(\S+:\d+)$")


class Served:
    """A context manager: inside, the pipeline and its models are ready.

    Args:
        pipeline: What is served.
        models_dir: Where it is; the command's default if None.
        assignments: `MODEL.FIELD=VALUE`, settings of models that are overridden.
        log: Where the server's output goes.
        stopped: Whether the user has asked for the end.
        load_seconds: The longest wait for the models.

    Attributes:
        url: `grpc://host:port`, once it is ready.
    """

    def __init__(
        self,
        pipeline: str,
        models_dir: Path | None,
        assignments: Sequence[str],
        log: Path,
        stopped: Callable[[], bool] = lambda: False,
        load_seconds: float = 600.0,
    ) -> None:
        self.url = ""
        self._arguments = [infergraph_command(), "serve", pipeline]
        for name in ("http", "grpc", "metrics"):
            self._arguments += [f"--{name}-port", "0"]
        self._arguments += ["--load-timeout", f"{load_seconds:g}"]
        if models_dir is not None:
            self._arguments += ["--models-dir", str(models_dir)]
        for each in assignments:
            self._arguments += ["--set", each]
        self._log = log
        self._stopped = stopped
        self._ready = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Served:
        """Starts it.

        Raises:
            LoadError: it ended before it was ready; the text is its last line.
            KeyboardInterrupt: `stopped` said so.
        """
        process = self._process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C of the terminal is for the tester, which then ends its server.
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()
        try:
            while not self._ready.wait(_LOOK_SECONDS):
                if self._stopped():
                    raise KeyboardInterrupt
                if process.poll() is not None:
                    self._reader.join()
                    said = last_line(self._log.read_text("utf-8", errors="replace"))
                    raise LoadError(said or f"infergraph serve ended with {process.returncode}")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def check_alive(self) -> None:
        """LoadError if the server has ended by itself."""
        assert self._process is not None
        status = self._process.poll()
        if status is not None:
            raise LoadError(f"the server ended by itself with status {status}; see '{self._log}'")

    def _end(self) -> None:
        process = self._process
        assert process is not None
        if process.poll() is None:
            process.terminate()
            end = time.monotonic() + _STOP_SECONDS
            while process.poll() is None and time.monotonic() < end:
                time.sleep(_LOOK_SECONDS)
            if process.poll() is None:
                process.kill()
        process.wait()
        if self._reader is not None:
            self._reader.join(_STOP_SECONDS)
        assert process.stdout is not None
        process.stdout.close()

    def _read(self, output: IO[str]) -> None:
        with self._log.open("w", encoding="utf-8") as log:
            for line in output:
                log.write(line)
                log.flush()
                found = _ADDRESS.match(line.rstrip())
                if found is not None and not self.url:
                    self.url = f"grpc://{found[1]}"
                    self._ready.set()
