from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from infergraph import machine
from infergraph.machine import Sharing, available_cores, compute_threads


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)


@pytest.fixture
def fresh() -> Iterator[None]:
    compute_threads.cache_clear()
    yield
    compute_threads.cache_clear()


def cores(tmp_path: Path, files: dict[str, str], own: str = "0::/\n") -> int:
    """The cores of a process in these cgroups."""
    for name, text in files.items():
        (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cgroup" / name).write_text(text)
    (tmp_path / "own").write_text(own)
    return available_cores(tmp_path / "cgroup", tmp_path / "own")


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({}, "0::/\n", 8),
        ({"cpu.max": "max 100000\n"}, "0::/\n", 8),
        ({"cpu.max": "300000 100000\n"}, "0::/\n", 3),
        ({"cpu.max": "250000 100000\n"}, "0::/\n", 2),
        ({"cpu.max": "50000 100000\n"}, "0::/\n", 1),
        ({"cpu.max": "6400000 100000\n"}, "0::/\n", 8),
        # Of its own group and those above it the tightest holds.
        ({"pod/cpu.max": "200000 100000\n", "pod/a/cpu.max": "max 100000\n"}, "0::/pod/a\n", 2),
        ({"other/cpu.max": "100000 100000\n"}, "0::/pod\n", 8),
        # Version 1, seen from within a container and from the host.
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "", 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "", 8),
        (
            {"cpu/d/cpu.cfs_quota_us": "400000\n", "cpu/d/cpu.cfs_period_us": "100000\n"},
            "4:cpu,cpuacct:/d\n",
            4,
        ),
        ({"cpu.max": "nonsense"}, "nonsense", 8),
    ],
)
def test_cores_are_those_of_the_affinity_and_of_the_quotas(
    tmp_path: Path, files: dict[str, str], own: str, expected: int
) -> None:
    assert cores(tmp_path, files, own) == expected


@pytest.mark.usefixtures("eight_cores")
def test_a_process_that_may_run_on_few_cores_has_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5})

    assert cores(tmp_path, {"cpu.max": "600000 100000\n"}) == 2


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("variable", "expected"), [("3", 3), ("4,2", 4), ("0", 5), ("many", 5), (None, 5)]
)
def test_the_environment_goes_before_the_cores(
    variable: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "available_cores", lambda: 5)
    if variable is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)

    assert compute_threads() == expected


def test_threads_are_shared_by_those_who_compute_now() -> None:
    sharing = Sharing(5)

    with sharing.share() as first:
        with sharing.share() as second, sharing.share() as third:
            pass
        with pytest.raises(RuntimeError), sharing.share():
            raise RuntimeError
        with sharing.share() as fourth:
            pass
    with sharing.share() as alone:
        pass

    assert (first, second, third, fourth, alone) == (5, 2, 1, 2, 5)


def test_nobody_is_left_without_a_thread() -> None:
    sharing, shares = Sharing(2), []
    inside, leave = threading.Barrier(6), threading.Event()

    def compute() -> None:
        with sharing.share() as share:
            shares.append(share)
            inside.wait(60)
            assert leave.wait(60)

    threads = [threading.Thread(target=compute) for _ in range(5)]
    for thread in threads:
        thread.start()
    inside.wait(60)
    leave.set()
    for thread in threads:
        thread.join()

    assert sorted(shares) == [1, 1, 1, 1, 2]
