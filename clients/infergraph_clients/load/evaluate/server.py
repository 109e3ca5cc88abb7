"""What there is to evaluate, and the server of it: the command `infergraph`, run as a process.

Nothing of the command is imported: the tester works without the servers' packages.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import LoadError

_LIST_SECONDS = 120.0
_LOAD_SECONDS = 600.0
_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_ADDRESS = re.compile(r"^ +gRPC +(\S+:\d+)$", re.MULTILINE)
_OBJECTIVE = "infergraph.io/slo-ms"
REQUEST = "request.json"


@dataclass(frozen=True)
class Servable:
    """A model or pipeline.

    Attributes:
        name: Its name.
        request: Its sample request; None if it has none.
        steps: Names of the models of a pipeline, in the order of its file, each once; empty for a
            model.
        is_pipeline: Whether it is one.
        slo_ms: The objective in a pipeline's file, its annotation `infergraph.io/slo-ms`.
    """

    name: str
    request: Path | None
    steps: tuple[str, ...]
    is_pipeline: bool
    slo_ms: float | None = None


def infergraph_command() -> str:
    """The path of `infergraph`: that beside this Python, else on the PATH. LoadError if none is."""
    name = "infergraph"
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise LoadError(
            "there is no command infergraph, which serves what is evaluated; accepted: an "
            "environment with the package infergraph (make env)"
        )
    return found


def read_servables(models_dir: Path | None) -> dict[str, Servable]:
    """All models and pipelines of a model folder, by name.

    Raises:
        LoadError: the command fails, or what it says cannot be read.
    """
    arguments = [infergraph_command(), "list", "--json"]
    if models_dir is not None:
        arguments += ["--models-dir", str(models_dir)]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_LIST_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadError(f"infergraph list: {error}") from None
    if done.returncode:
        raise LoadError(_last_line(done.stderr) or f"infergraph list ended with {done.returncode}")
    try:
        listed = json.loads(done.stdout)
        return {each["name"]: _servable(each) for each in listed}
    except (ValueError, KeyError, TypeError) as error:
        raise LoadError(f"what infergraph list --json says cannot be read: {error}") from None


def find_pipeline(servables: dict[str, Servable], name: str) -> Servable:
    """The pipeline, or model, of a name; LoadError, with the accepted names, if there is none."""
    if name in servables:
        return servables[name]
    pipelines = [each.name for each in servables.values() if each.is_pipeline]
    raise LoadError(f"there is no pipeline '{name}'; accepted: {', '.join(pipelines)}")


def models_of(servables: dict[str, Servable], pipeline: Servable) -> list[Servable]:
    """The models of a pipeline, those of pipelines among its steps too, each once."""
    found: dict[str, Servable] = {}
    for name in pipeline.steps:
        step = servables.get(name)
        if step is None:
            # A model of another server.
            continue
        for each in models_of(servables, step) if step.is_pipeline else [step]:
            found.setdefault(each.name, each)
    return list(found.values())


def _last_line(text: str) -> str:
    """The last line that says anything."""
    return "".join(text.strip().splitlines()[-1:]).strip()


def _servable(listed: dict[str, Any]) -> Servable:
    request = Path(listed["folder"]) / REQUEST
    pipeline = listed["pipeline"]
    steps: tuple[str, ...] = ()
    slo_ms = None
    if pipeline is not None:
        document = yaml.safe_load(Path(pipeline).read_text(encoding="utf-8"))
        steps = tuple(dict.fromkeys(step["name"] for step in document["spec"]["steps"]))
        slo_ms = _objective(pipeline, document)
    return Servable(
        listed["name"],
        request if request.exists() else None,
        steps,
        pipeline is not None,
        slo_ms,
    )


def _objective(file: str, document: dict[str, Any]) -> float | None:
    given = (document.get("metadata", {}).get("annotations") or {}).get(_OBJECTIVE)
    if given is None:
        return None
    try:
        slo_ms = float(given)
    except ValueError:
        slo_ms = 0.0
    if not 0 < slo_ms < float("inf"):
        raise LoadError(
            f"'{file}': the annotation {_OBJECTIVE} is {given!r}; accepted: milliseconds, more "
            "than 0"
        )
    return slo_ms


class Served:
    """`infergraph serve` on free ports of the loopback interface: inside this context, it is ready.

    Args:
        pipeline: What is served.
        models_dir: Where it is; the command's default if None.
        assignments: `MODEL.FIELD=VALUE`, settings of models that are overridden.
        log: Where the server's output goes.
        stopped: Whether the user has asked for the end.

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
    ) -> None:
        self.url = ""
        self._arguments = [infergraph_command(), "serve", pipeline]
        for name in ("http", "grpc", "metrics"):
            self._arguments += [f"--{name}-port", "0"]
        self._arguments += ["--load-timeout", f"{_LOAD_SECONDS:g}"]
        if models_dir is not None:
            self._arguments += ["--models-dir", str(models_dir)]
        for each in assignments:
            self._arguments += ["--set", each]
        self._log = log
        self._stopped = stopped

    def __enter__(self) -> Served:
        """Starts it.

        Raises:
            LoadError: it ended before it was ready; the text is its last line.
            KeyboardInterrupt: `stopped` said so.
        """
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C of the terminal is for the tester, which then ends its server.
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            while (found := _ADDRESS.search(self._said())) is None:
                if self._stopped():
                    raise KeyboardInterrupt
                status = self._ended_within(_LOOK_SECONDS)
                if status is not None:
                    said = _last_line(self._said())
                    raise LoadError(said or f"infergraph serve ended with {status}")
        except BaseException:
            self.__exit__()
            raise
        self.url = f"grpc://{found[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        if self._ended_within(_STOP_SECONDS) is None:
            self._process.kill()
            self._process.wait()

    def check_alive(self) -> None:
        """LoadError if the server has ended by itself."""
        status = self._process.poll()
        if status is not None:
            raise LoadError(f"the server ended by itself with status {status}; see '{self._log}'")

    def _ended_within(self, seconds: float) -> int | None:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def _said(self) -> str:
        return self._log.read_text("utf-8", errors="replace")
