"""`Image`: starts containers, each a process, without importing an image's packages each time.

`python -m tests.drill.image NAME` imports what the image's server imports at its start, and then
forks for each container it is asked for. A container is a process with its own environment, folder,
log and exit status, and runs `mlserver`'s own command line; only its imports were made before.

Names are looked up in a file instead of DNS: see `Network`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import shlex
import signal
import socket
import string
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
"""What plays packages of an image that are not installed here; for PYTHONPATH."""
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
"""Linux: no container outlives the process that it was forked from."""


@dataclass(frozen=True)
class Kind:
    """An image, as far as a process shows it.

    Attributes:
        modules: What its server imports at its start.
        missing: Packages that are not in it: importing one fails.
    """

    modules: tuple[str, ...]
    missing: tuple[str, ...] = ()


_OURS = ("infergraph.front_door", "infergraph.router")
KINDS: Mapping[str, Kind] = {
    "models": Kind((*_OURS, "infergraph.tasks.*")),
    "router": Kind(_OURS, missing=("torch", "transformers", "torchvision", "timm")),
    "huggingface": Kind(("mlserver.cli",), missing=("infergraph", "torch")),
}


@dataclass
class Process:
    """A container's process.

    Attributes:
        pid: Its id.
        log_file: What it writes.
        status_file: Its exit status, once it has ended; negative for a signal.
    """

    pid: int
    log_file: Path
    status_file: Path

    @property
    def status(self) -> int | None:
        """Its exit status, or None as long as it runs."""
        return int(self.status_file.read_text()) if self.status_file.exists() else None

    def log(self) -> str:
        """What it has written so far; its file is there once it runs."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass
class Image:
    """A context manager; inside, containers can be started. On the way out it ends them.

    Args:
        name: A key of `KINDS`.
        folder: An empty folder for logs.
    """

    name: str
    folder: Path
    _count: int = 0

    def __enter__(self) -> Image:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._errors: IO[bytes] = (self.folder / "image.log").open("wb")
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.drill.image", self.name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # What interrupts the tests is not for it: it ends its containers first.
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.close()
        self._parent.wait(60)
        self._parent.stdout.close()
        self._errors.close()

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        hosts: Path | None = None,
    ) -> Process:
        """Starts a container.

        Args:
            command: `mlserver` and its arguments.
            environment: All of its environment.
            cwd: Where it starts.
            hosts: A JSON file, name -> addresses; no other name leads anywhere then.
        """
        self._count += 1
        base = self.folder / str(self._count)
        asked = {
            "command": list(command),
            "environment": dict(environment),
            "cwd": str(cwd),
            "hosts": None if hosts is None else str(hosts),
            "log": f"{base}.log",
            "status": f"{base}.status",
        }
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(asked).encode() + b"\n")
        self._parent.stdin.flush()
        answer = self._parent.stdout.readline()
        assert answer, (self.folder / "image.log").read_text()
        return Process(int(answer), Path(asked["log"]), Path(asked["status"]))


def _serve(name: str) -> None:
    """What the image's process does: forks for each line that it reads; a child never returns."""
    # Handlers are called in the reverse order: this one ends a container after all others.
    atexit.register(_leave)
    kind = KINDS[name]
    for package in kind.missing:
        # Importing it is an ImportError then.
        sys.modules[package] = None  # type: ignore[assignment]
    _import(kind.modules)
    # What collects garbage in a container then leaves alone, and shared, what was imported here.
    gc.collect()
    gc.freeze()
    running: dict[int, str] = {}
    with open(0, "rb", buffering=0, closefd=False) as reader:
        while True:
            if select.select([reader], [], [], _POLL_SECONDS)[0]:
                line = reader.readline()
                if not line:
                    break
                asked = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _become(asked)
                    return
                running[pid] = asked["status"]
                sys.stdout.write(f"{pid}\n")
                sys.stdout.flush()
            _note_ended(running)
    # Who asked for them is gone, or is done with them.
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    for pid in running:
        os.waitpid(pid, 0)


def _import(modules: Sequence[str]) -> None:
    if "infergraph.front_door" in modules:
        process = importlib.import_module("infergraph.front_door.process")
        process.let_threads_sleep()
        process.preload(modules)
    else:
        for each in modules:
            importlib.import_module(each)
    importlib.import_module("mlserver.cli")


def _note_ended(running: dict[int, str]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            file = Path(running.pop(pid))
            file.with_suffix(".new").write_text(str(os.waitstatus_to_exitcode(status)))
            file.with_suffix(".new").rename(file)


def _become(asked: dict[str, Any]) -> None:
    """Turns a child into the container's process, and runs its command."""
    global _status
    # What an exception ends it with.
    _status = 1
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    with open(asked["log"], "wb") as log, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["cwd"])
    sys.path += os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if asked["hosts"] is not None:
        _look_up_in(Path(asked["hosts"]))
    program, *arguments = expanded(asked["command"], asked["environment"])
    assert program == "mlserver", f"a container of this image runs mlserver, not {program}"
    sys.argv = [program, *arguments]
    from mlserver.cli import main

    try:
        main()
        _status = 0
    except SystemExit as end:
        _status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise


_status = 0
"""What the process ends with."""


def _leave() -> None:
    """Ends a process whose threads have ended, without taking apart all that was imported.

    That would copy what a container shares with its image: most of what one costs.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)


def expanded(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """A command, without the shell that `sh -c "exec ..."` would be until it is gone."""
    if list(command[:2]) != ["sh", "-c"]:
        return list(command)
    text = string.Template(command[2]).substitute(environment)
    word, *rest = shlex.split(text)
    assert word == "exec", f"a shell stays before the server, and takes its signals: {text}"
    return rest


def _look_up_in(file: Path) -> None:
    """Has names looked up in a file, which is read anew each time, as DNS is asked anew."""
    import uvloop

    def found(host: Any, port: Any) -> list[Any] | None:
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or name == "localhost" or name.replace(".", "").isdigit() or ":" in name:
            return None
        addresses = json.loads(file.read_text()).get(name)
        if addresses is None:
            raise socket.gaierror(socket.EAI_NONAME, f"no Service {name!r}")
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, int(port or 0))) for address in addresses]

    real, real_of_loop = socket.getaddrinfo, uvloop.Loop.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        return found(host, port) or real(host, port, *args, **kwargs)

    async def of_loop(loop: Any, host: Any, port: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return found(host, port) or await real_of_loop(loop, host, port, **kwargs)

    socket.getaddrinfo = getaddrinfo
    uvloop.Loop.getaddrinfo = of_loop


if __name__ == "__main__":
    _serve(sys.argv[1])
