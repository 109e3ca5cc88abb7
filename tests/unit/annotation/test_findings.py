from __future__ import annotations

import numpy as np
import pytest

from infergraph_clients.annotation import BoxSet, Findings, read_findings
from tests.unit.annotation.answers import (
    CAR,
    DOG,
    MAN,
    MONITORING,
    NSFW,
    VIDEO,
    Array,
    boxes,
    number,
    scores,
    texts,
)


def said(boxes: BoxSet, row: int = 0) -> list[tuple[str, str, float | None]]:
    return [
        (name, text, None if score is None else round(score, 3))
        for name, text, score in boxes.said(row)
    ]


def test_video() -> None:
    findings = read_findings(VIDEO)
    (objects,) = findings.sets
    assert (objects.name, objects.prefix, objects.label) == ("boxes", "", "labels")
    assert objects.boxes.tolist() == [list(CAR), list(DOG)]
    assert said(objects, 0) == [("labels", "car", 0.9), ("objects", "sedan", 0.7)]
    assert said(objects, 1) == [("labels", "dog", 0.8), ("objects", "dog", 0.6)]
    assert (findings.count, findings.found, findings.texts) == (2, 2, [])
    assert list(findings.rest) == ["num_detections", "num_found"]


def test_nsfw() -> None:
    (objects,) = read_findings(NSFW).sets
    assert said(objects) == [("labels", "car", 0.9), ("safety", "unsafe", 0.85)]


def test_video_monitoring_has_two_sets_of_boxes() -> None:
    findings = read_findings(MONITORING)
    vehicles, people = findings.sets
    assert (vehicles.prefix, people.prefix) == ("vehicle", "person")
    assert people.boxes.tolist() == [list(MAN)]
    assert said(vehicles) == [
        ("vehicle_labels", "car", None),
        ("plates", "AB1234", 0.95),
        ("vehicles", "red sedan", 0.75),
    ]
    assert said(people) == [("people", "medic", 0.65)]
    assert findings.count == 3


def test_the_declared_order_tells_more_than_the_answers() -> None:
    """A pipeline answers step by step: all of the detector first."""
    of_detector = [name for name in MONITORING if name.startswith(("num", "vehicle_", "person"))]
    others = [name for name in MONITORING if name not in of_detector]
    answer = {name: MONITORING[name] for name in [*of_detector, *others]}
    assert list(answer) != list(MONITORING)
    vehicles, people = read_findings(answer, declared=["not there", *MONITORING]).sets
    assert [text for _, text, _ in said(vehicles)] == ["car", "AB1234", "red sedan"]
    assert [text for _, text, _ in said(people)] == ["medic"]
    # Without it what has no prefix goes to the last boxes.
    vehicles, people = read_findings(answer).sets
    assert [text for _, text, _ in said(vehicles)] == ["car", "red sedan"]
    assert [text for _, text, _ in said(people)] == ["AB1234", "medic"]


@pytest.mark.parametrize("absent", ["vehicle", "person"])
def test_a_branch_that_was_not_taken_is_not_missed(absent: str) -> None:
    of_vehicles = {"plates", "plate_scores", "vehicles"}
    of_people = {"people", "people_scores"}
    others = of_vehicles if absent == "vehicle" else of_people
    answer = {
        name: data
        for name, data in MONITORING.items()
        if not name.startswith(absent) and name not in others
    }
    (only,) = read_findings(answer).sets
    assert only.prefix == ("person" if absent == "vehicle" else "vehicle")
    assert len(said(only)) == (1 if absent == "vehicle" else 3)


def test_an_empty_street() -> None:
    findings = read_findings({"num_detections": number(0), "num_found": number(0)})
    assert (findings.sets, findings.count, findings.found) == ([], 0, 0)


def test_all_of_the_detectors_own_groups() -> None:
    """Here `vehicle_scores` is the detector's own, since nothing else has its name."""
    answer = {
        **{name: data for name, data in VIDEO.items() if not name.startswith("object")},
        "vehicle_boxes": boxes(CAR),
        "vehicle_scores": scores(0.9),
        "vehicle_labels": texts("car"),
    }
    objects, vehicles = read_findings(answer).sets
    assert said(objects) == [("labels", "car", 0.9)]
    assert said(vehicles) == [("vehicle_labels", "car", 0.9)]


def test_without_a_count_rows_of_zeros_at_the_end_do_not_count() -> None:
    findings = read_findings({"boxes": boxes(CAR, (0, 0, 0, 0), DOG)})
    assert [len(each.boxes) for each in findings.sets] == [3]
    assert findings.count == 3


@pytest.mark.parametrize(("count", "rows"), [(-1, 0), (0, 0), (1, 1), (99, 6)])
def test_the_count_is_kept_within_the_rows(count: int, rows: int) -> None:
    (only,) = read_findings({"num_detections": number(count), "boxes": boxes(CAR)}).sets
    assert len(only.boxes) == rows


def test_what_cannot_be_of_the_last_set_is_of_the_one_before() -> None:
    answer = {
        "num_detections": number(2), "boxes": boxes(CAR, DOG),
        "face_num_detections": number(1), "face_boxes": boxes(MAN),
        "kinds": texts("a", "b"), "moods": texts("merry"),
    }  # fmt: skip
    objects, faces = read_findings(answer).sets
    assert (list(objects.columns), list(faces.columns)) == (["kinds"], ["moods"])


def test_tensors_before_all_boxes_are_of_the_first_set() -> None:
    (only,) = read_findings({"labels": texts("car"), "boxes": boxes(CAR)}).sets
    assert said(only) == [("labels", "car", None)]


@pytest.mark.parametrize(
    "not_boxes",
    [
        boxes(CAR).astype(np.int64),
        boxes(CAR)[0],
        boxes(CAR)[..., :3],
        np.concatenate([boxes(CAR)] * 2),
    ],
    ids=["integers", "two dimensions", "three numbers", "two pictures"],
)
def test_what_is_named_boxes_but_is_none(not_boxes: Array) -> None:
    assert read_findings({"boxes": not_boxes}).sets == []


def test_texts_of_the_whole_picture() -> None:
    answer = {
        "label": texts("tram", rows=1), "score": scores(0.5, rows=1),
        "language": texts("en", rows=1), "probabilities": scores(0.5, 0.5),
    }  # fmt: skip
    findings = read_findings(answer)
    assert findings.texts == [("label", "score"), ("language", None)]
    assert (findings.count, findings.sets) == (None, [])


def test_one_row_is_of_the_box_before_it() -> None:
    answer = {"boxes": boxes(CAR, rows=1), "labels": texts("car", rows=1)}
    findings = read_findings(answer)
    assert said(findings.sets[0]) == [("labels", "car", None)]
    assert findings.texts == []


def test_bytes_that_are_no_text() -> None:
    answer = {"boxes": boxes(CAR), "labels": texts("car")}
    answer["labels"][0, 0] = b"\xff"
    assert said(read_findings(answer).sets[0]) == [("labels", "\ufffd", None)]


def test_sound_is_not_drawn() -> None:
    sound, sentence = np.array([[b"RIFF\x24\0\0\0WAVE"]], object), np.array([[b"a dog"]], object)

    findings = read_findings({"sentence": sentence, "audio": sound})

    assert findings.texts == [("sentence", None)]
    assert findings.rest["audio"] is sound


def test_nothing() -> None:
    assert read_findings({}) == Findings([], {}, [])
