from __future__ import annotations

import json
import math

import numpy as np

from infergraph_clients.annotation import read_findings
from infergraph_clients.errors import ServerError, Unreachable
from infergraph_clients.video.frames import Frame, Result, UnreadableFrame
from infergraph_clients.video.output import answer_json, record
from tests.unit.annotation.answers import MONITORING, VIDEO, boxes, number, scores, texts

FRAME = Frame(12, 0.48, "frame-000012")


def test_a_line_of_an_answer() -> None:
    line = record(Result(FRAME, 0.0123456, read_findings(VIDEO)))
    assert json.loads(json.dumps(line, allow_nan=False)) == line
    answer = line.pop("answer")
    assert line == {
        "index": 12, "time": 0.48, "name": "frame-000012", "latency_ms": 12.346, "error": None,
    }  # fmt: skip
    assert answer == {
        "num_detections": 2,
        "num_found": 2,
        "boxes": [
            {"box": [10.0, 20.0, 60.0, 50.0], "scores": 0.9, "labels": "car",
             "objects": "sedan", "object_scores": 0.7},
            {"box": [70.0, 40.0, 90.0, 60.0], "scores": 0.8, "labels": "dog",
             "objects": "dog", "object_scores": 0.6},
        ],
    }  # fmt: skip


def test_several_sets_of_boxes() -> None:
    answer = answer_json(read_findings(MONITORING))
    assert answer["vehicle_num_detections"] == 1
    assert [each["plates"] for each in answer["vehicle_boxes"]] == ["AB1234"]
    assert [each["people"] for each in answer["person_boxes"]] == ["medic"]


def test_what_is_of_no_boxes() -> None:
    answer = {
        "label": texts("tram", rows=1), "score": scores(0.51239, rows=1),
        "probabilities": scores(0.25, 0.75, rows=2), "flag": np.array([[True]]),
    }  # fmt: skip
    assert answer_json(read_findings(answer)) == {
        "label": "tram", "score": 0.5124, "probabilities": [[0.25, 0.75]], "flag": True,
    }  # fmt: skip


def test_what_json_has_not() -> None:
    answer = {
        "num_detections": number(1), "boxes": boxes((math.nan, 0, math.inf, 1)),
        "labels": texts("x"),
    }  # fmt: skip
    answer["labels"][0, 0] = b"\xff\xfe"
    assert answer_json(read_findings(answer))["boxes"] == [
        {"box": [None, 0.0, None, 1.0], "labels": {"base64": "//4="}}
    ]


def test_errors() -> None:
    errors = [
        ServerError("DEADLINE_EXCEEDED", "too late"),
        Unreachable("no connection"),
        UnreadableFrame("a.jpg: broken"),
    ]
    lines = [record(Result(FRAME, 0.001, error=error)) for error in errors]
    assert [line["answer"] for line in lines] == [None] * 3
    assert [line["error"] for line in lines] == [
        {"class": "ServerError", "status": "DEADLINE_EXCEEDED", "text": "too late"},
        {"class": "Unreachable", "text": "no connection"},
        {"class": "UnreadableFrame", "text": "a.jpg: broken"},
    ]
