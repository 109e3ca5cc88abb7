"""The crew's processes and Ctrl-C."""

from __future__ import annotations

import multiprocessing.util
import os
import signal
from multiprocessing import resource_tracker
from typing import Any

import numpy as np
import pytest

from infergraph_clients.load.configuration import Target
from infergraph_clients.load.engine.crew import run_crew
from infergraph_clients.load.engine.interrupts import Interrupts
from infergraph_clients.load.engine.plan import OpenPlan, WorkerPlan


def test_ctrl_c_while_a_process_starts_is_heard(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    util = multiprocessing.util
    spawn = util.spawnv_passfds
    spawned: list[int] = []

    def spawn_and_interrupt(*arguments: Any) -> int:
        spawned.append(spawn(*arguments))
        # Both get it, as from a terminal; the new process is still starting Python.
        os.kill(spawned[-1], signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return spawned[-1]

    resource_tracker.ensure_running()
    monkeypatch.setattr(util, "spawnv_passfds", spawn_and_interrupt)
    plan = WorkerPlan(
        process=0,
        target=Target(url=f"http://127.0.0.1:{unused_tcp_port}", model="m", timeout_s=1),
        requests=[b"a"],
        traced_requests=[b"a"],
        load=OpenPlan(*(np.zeros(1, kind) for kind in (np.int64, np.int64, np.int32, np.bool_))),
        duration_ns=10**9,
        check="none",
        expected=[],
        tolerance=0,
        drain_s=1,
    )

    with Interrupts() as interrupts:
        try:
            found = run_crew([plan], lambda progress: None, interrupts)
        except KeyboardInterrupt:
            pass
        else:
            assert found.interrupted

    assert interrupts.count == 1
    assert len(spawned) == 1
    # Nothing of the new process about its own interrupt.
    assert capfd.readouterr().err == ""
