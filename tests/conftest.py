"""Holds for all tests: no network, and no setting of the developer's own environment."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest

for name in list(os.environ):
    if name.startswith(("INFERGRAPH_", "MLSERVER_")):
        del os.environ[name]

# Server processes inherit these.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Networks of tests are small: more threads would not speed them up, and on a machine that does
# something else they would mostly spin while they wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Names long bytes by their length: ids must be the same in all processes; gzip's are not."""
    if isinstance(val, bytes) and len(val) > 20:
        return f"{argname} of {len(val)} bytes"
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Hands a file at a time to each of the processes that `-n` names, the fullest file first.

    The files of `tests/integration/` share servers, and those of `tests/drill/` images: they stay
    together, as if they were one.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = file.rpartition("/")[0]
            return folder if folder in ("tests/integration", "tests/drill") else file

    return Scheduling(config, log)


@pytest.fixture(scope="module", autouse=True)
def _frozen_past() -> None:
    """Takes what is alive before a module's first test out of the garbage collector's view.

    A model that is unloaded collects garbage, which takes half a second where it goes through all
    that torch, transformers and pytest hold.
    """
    # What is garbage already goes, with its complaints, so that freezing hides none.
    gc.collect()
    gc.freeze()
