"""`infergraph-infer` and BF16, which MLServer has not: a server that echoes raw contents."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .load.runs import Stub, start_stub, stop_stub
from .server import command


@pytest.fixture
def echo() -> Iterator[Stub]:
    found = start_stub()
    yield found
    stop_stub(found)


@pytest.mark.parametrize("calls", [[], ["--async"]], ids=["sync", "async"])
def test_there_and_back_over_grpc(echo: Stub, tmp_path: Path, calls: list[str]) -> None:
    file = tmp_path / "request.json"
    # The last value is rounded: BF16 has 8 significant bits.
    data = [1.0, -2.5, 3.0e38, 1.00390625]
    tensor = {"name": "half", "datatype": "BF16", "shape": [2, 2], "data": data}
    file.write_text(json.dumps({"inputs": [tensor]}))
    arguments = [command("infergraph-infer"), "echo", "--url", echo.url("grpc"), *calls]
    done = subprocess.run(
        [*arguments, "--unchecked", "--request", str(file), "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (output,) = json.loads(done.stdout)["outputs"]
    assert (output["datatype"], output["shape"]) == ("BF16", [2, 2])
    assert output["data"] == pytest.approx([1.0, -2.5, 3.0e38, 1.0], rel=1e-2)
    assert output["data"][3] == 1.0


def test_rest_without_binary_tensors_carries_rounded_numbers(echo: Stub, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    tensor = {"name": "half", "datatype": "BF16", "shape": [3], "data": [1.0, -2.5, 1.00390625]}
    file.write_text(json.dumps({"inputs": [tensor]}))
    arguments = [command("infergraph-infer"), "echo", "--url", echo.url("http")]
    done = subprocess.run(
        [*arguments, "--unchecked", "--request", str(file), "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (output,) = json.loads(done.stdout)["outputs"]
    assert (output["datatype"], output["data"]) == ("BF16", [1.0, -2.5, 1.0])
