"""The load tester works without servers' packages, and its senders without what draws reports."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALL = """
import importlib, pkgutil, infergraph_clients.load as load
for module in pkgutil.walk_packages(load.__path__, load.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
SENDER = "import infergraph_clients.load.engine.worker"


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        (ALL, {"infergraph.runtime", "mlserver", "tritonclient", "torch"}),
        (SENDER, {"plotly", "pyarrow", "rich"}),
    ],
    ids=["all", "sender"],
)
def test_what_is_not_imported(program: str, absent: set[str]) -> None:
    program += "\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert not absent & set(done.stdout.split())
