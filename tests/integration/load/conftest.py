"""Servers to load, and what to send them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .runs import Stub, start_stub, stop_stub


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    found = start_stub()
    yield found
    stop_stub(found)


@pytest.fixture
def mortal() -> Iterator[Stub]:
    """A server of one test's own, which may die of it."""
    found = start_stub()
    yield found
    stop_stub(found)


@pytest.fixture
def request_file(tmp_path: Path) -> Path:
    file = tmp_path / "request.json"
    tensors = [
        {"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": ["a", "ü"]},
        {"name": "number", "datatype": "FP32", "shape": [2, 2], "data": [1, 2.5, -3, 4]},
    ]
    file.write_text(json.dumps({"inputs": tensors}))
    return file
