"""What this process may use of its machine, and how models share it that compute at once."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cgroup_folders(controller: str, cgroups: Path = _CGROUPS, own: Path = _OWN) -> list[Path]:
    """The folders in which limits of this process may stand: of its cgroups and those above them.

    Args:
        controller: `memory` or `cpu`.
        cgroups: Where cgroups are mounted, of version 1 or 2.
        own: The file that says which of them the process is in.
    """
    folders = [cgroups, cgroups / controller]
    try:
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers or controller in controllers.split(","):
                root = cgroups / controller if controllers else cgroups
                below = root / path.lstrip("/")
                folders += [below, *(each for each in below.parents if root in each.parents)]
    except (OSError, ValueError):
        pass
    return folders


def available_cores(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Whole cores that this process may use, at least 1.

    The least of: the machine's, those that it may run on (its affinity), and what the quotas of its
    cgroups amount to, where a container has a limit of CPUs.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    for folder in cgroup_folders("cpu", cgroups, own):
        quota = _quota(folder)
        if quota is not None:
            # For a part of a core all threads of an operation would wait, once in each period.
            cores = min(cores, int(quota))
    return max(1, cores)


def _quota(folder: Path) -> float | None:
    """The cores of a cgroup of version 2 or 1; None where it has no limit."""
    for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
        try:
            quota, period = " ".join((folder / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if quota.isdecimal() and period.isdecimal() and int(period):
            return int(quota) / int(period)
    return None


@functools.cache
def compute_threads() -> int:
    """Threads that compute at once in this process: `OMP_NUM_THREADS`, else one for each core."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    return available_cores()


class Sharing:
    """Divides threads evenly among those who compute at the same time.

    Args:
        threads: All there are.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._computing = 0

    @contextlib.contextmanager
    def share(self) -> Iterator[int]:
        """Counts the caller among those who compute; gives how many threads are its own, from 1.

        Who began before keeps what it was given until it ends.
        """
        with self._lock:
            self._computing += 1
            mine = max(1, self._threads // self._computing)
        try:
            yield mine
        finally:
            with self._lock:
                self._computing -= 1


@functools.cache
def core_sharing() -> Sharing:
    """The process's own: all models that compute on the CPU share its `compute_threads`."""
    return Sharing(compute_threads())
