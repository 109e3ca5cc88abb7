from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from infergraph_clients.annotation import by_picture, read_findings
from tests.unit.annotation.answers import CAR, MONITORING, VIDEO, boxes, number, texts


def test_a_batch_of_one() -> None:
    (one,) = by_picture(VIDEO, 1)
    assert list(one.tensors) == list(VIDEO)
    assert (one.tensors["boxes"] == VIDEO["boxes"]).all()


def test_each_picture_has_its_own_rows() -> None:
    answer = {
        "num_detections": np.concatenate([number(1), number(0)]),
        "boxes": np.concatenate([boxes(CAR), boxes()]),
    }
    counts = [read_findings(each.tensors).count for each in by_picture(answer, 2)]
    assert counts == [1, 0]


def test_branches_that_some_pictures_took() -> None:
    answer = {}
    for name, data in MONITORING.items():
        if name in ("num_detections", "num_found"):
            answer[name] = np.repeat(data, 3, axis=0)
        else:
            answer[name] = data
            answer[f"{name}_item"] = np.array([[1]], np.int64)
    first, second, third = by_picture(answer, 3)
    assert list(first.tensors) == list(third.tensors) == ["num_detections", "num_found"]
    assert list(second.tensors) == list(MONITORING)
    assert len(read_findings(second.tensors).sets) == 2


def test_a_picture_that_failed_alone() -> None:
    answer = {
        "num_detections": number(0),
        "num_detections_item": np.array([[1]], np.int64),
        "error": texts("no image", rows=1),
        "error_status": np.array([[400]], np.int64),
        "error_item": np.array([[0]], np.int64),
    }
    first, second = by_picture(answer, 2)
    assert (first.tensors, first.errors) == ({}, [(400, "no image")])
    assert (list(second.tensors), second.errors) == (["num_detections"], [])


def test_rows_that_are_no_pictures() -> None:
    with pytest.raises(ValueError, match=r"rows that are none: boxes \[1, 6, 4\]"):
        by_picture({"boxes": boxes(CAR)}, 2)


def test_a_datatype_that_is_none() -> None:
    with pytest.raises(ValueError, match="tensor 'x': numpy dtype complex128 has no V2"):
        by_picture({"x": np.zeros((1, 1), complex)}, 1)


def test_needs_no_server_and_no_transport() -> None:
    program = "import infergraph_clients.annotation, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert not {"infergraph.runtime", "mlserver", "tritonclient", "grpc", "av"} & set(
        done.stdout.split()
    )
