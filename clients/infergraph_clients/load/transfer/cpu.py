"""The CPU time of the server: from its Prometheus metrics, or of a process of this machine."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Protocol

from ..errors import LoadError

_METRIC = re.compile(r"^process_cpu_seconds_total(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.M)
_SECONDS = 10.0
_CALIBRATION = 20
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class CpuClock(Protocol):
    """CPU seconds that a server has used since it started.

    Attributes:
        source: What says so, for reports.
    """

    source: str

    def seconds(self) -> float:
        """Now. LoadError if it cannot be read."""
        ...

    @property
    def cost(self) -> float:
        """CPU seconds of the server that each reading takes by itself."""
        ...


class MetricsClock:
    """`process_cpu_seconds_total` of a metrics endpoint; in steps of 10 ms.

    Args:
        url: Of the endpoint.

    Raises:
        LoadError: it cannot be reached, or has no such metric.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.source = f"process_cpu_seconds_total of {url}"
        begin = self.seconds()
        for _ in range(_CALIBRATION):
            end = self.seconds()
        self.cost = (end - begin) / _CALIBRATION

    def seconds(self) -> float:
        """See `CpuClock.seconds`."""
        try:
            with _DIRECT.open(self._url, timeout=_SECONDS) as response:
                text = response.read().decode(errors="replace")
        except (urllib.error.URLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise LoadError(f"metrics '{self._url}' cannot be read: {reason}") from None
        found = _METRIC.search(text)
        if found is None:
            raise LoadError(
                f"metrics '{self._url}' have no process_cpu_seconds_total; "
                "accepted: --server-pid, where the server runs on this machine"
            )
        return float(found.group(1))


class ProcessClock:
    """A process of this machine and its children, from /proc.

    Args:
        pid: The process.
        root: Where /proc is.

    Raises:
        LoadError: there is no such process, or no /proc.
    """

    cost = 0.0

    def __init__(self, pid: int, root: Path = Path("/proc")) -> None:
        self._pid, self._root = pid, root
        self._tick = os.sysconf("SC_CLK_TCK")
        self.source = f"process {pid} and its children"
        self.seconds()

    def seconds(self) -> float:
        """See `CpuClock.seconds`."""
        try:
            children: dict[int, list[int]] = {}
            ticks: dict[int, int] = {}
            for entry in self._root.iterdir():
                if entry.name.isdecimal() and (found := _stat(entry)) is not None:
                    parent, ticks[int(entry.name)] = found
                    children.setdefault(parent, []).append(int(entry.name))
        except OSError as error:
            raise LoadError(f"--server-pid needs {self._root}: {error.strerror}") from None
        if self._pid not in ticks:
            raise LoadError(f"--server-pid {self._pid}: there is no such process")
        waiting, total = [self._pid], 0
        while waiting:
            pid = waiting.pop()
            total += ticks[pid]
            waiting += children.get(pid, [])
        return total / self._tick


def _stat(entry: Path) -> tuple[int, int] | None:
    """The parent and the ticks of a process; None if it has ended meanwhile."""
    try:
        text = (entry / "stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may hold spaces.
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]) + int(fields[12])
