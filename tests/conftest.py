"""Holds for all tests: no network, and no setting of the developer's own environment."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
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


# Servers start many times, and are to compile what they import only once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# What is imported and collected stays: to look through it over and over takes a fifth of the time.
gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.enable()


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Names long bytes by their length: ids must be the same in all processes; gzip's are not."""
    if isinstance(val, bytes) and len(val) > 20:
        return f"{argname} of {len(val)} bytes"
    return None


_SERVERS = ("tests/integration", "tests/drill")
"""Folders of tests that start servers."""


def _scope(nodeid: str) -> str:
    """What stays in one process: a file's tests.

    The files of `tests/integration/` share servers, and those of `tests/drill/` images: they stay
    together, as if they were one.
    """
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder in _SERVERS else file


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process of `-n`, puts what starts servers first, then the fullest file.

    Few such tests take as long as hundreds of others: at the end, one process would wait for them.
    """
    if hasattr(config, "workerinput"):
        sizes = Counter(_scope(each.nodeid) for each in items)

        def place(item: pytest.Item) -> tuple[bool, int]:
            return not item.nodeid.startswith(_SERVERS), -sizes[_scope(item.nodeid)]

        items.sort(key=place)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Hands what stays together to each of the processes that `-n` names, in order."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _scope(nodeid)

    config.option.loadscopereorder = False
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
