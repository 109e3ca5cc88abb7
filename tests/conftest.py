"""Holds for all tests: no network, and no setting of the developer's own environment."""

from __future__ import annotations

import gc
import os

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


def pytest_itemcollected(item: pytest.Item) -> None:
    """Where several processes run the tests, one runs all of a file, unless a folder says more."""
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(item.config.rootpath))))


@pytest.fixture(scope="module", autouse=True)
def _frozen_past() -> None:
    """Takes what is alive before a module's first test out of the garbage collector's view.

    A model that is unloaded collects garbage, which takes half a second where it goes through all
    that torch, transformers and pytest hold.
    """
    # What is garbage already goes, with its complaints, so that freezing hides none.
    gc.collect()
    gc.freeze()
