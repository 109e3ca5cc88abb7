"""Rendered scenes: the same for a seed, true to their ground truth, and new in each split."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from zoo.outside_texts import UNKNOWN
from zoo.scene_people import KINDS
from zoo.scene_vehicles import BODIES, LABELS, PLATE_LENGTH
from zoo.scenes import CLASSES, HEIGHT, LAYOUTS, OBJECTS, SPLITS, WIDTH, Scene, photo, scene
from zoo.train_image_classification import TASKS

REPOSITORY = Path(__file__).parents[3]


def pixels(made: Scene) -> np.ndarray:
    return np.asarray(made.image)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_seed_gives_the_same_scene_and_another_seed_another(layout: str) -> None:
    first, again, other = scene(5, layout=layout), scene(5, layout=layout), scene(6, layout=layout)

    assert first.objects == again.objects
    assert np.array_equal(pixels(first), pixels(again))
    assert not np.array_equal(pixels(first), pixels(other))


def test_the_same_seed_of_another_split_is_another_scene() -> None:
    drawn = [pixels(scene(3, split)) for split in SPLITS]

    assert not np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_no_plate_is_in_training_and_elsewhere() -> None:
    plates = {
        split: {
            each.plate.text
            for seed in range(12)
            for each in scene(seed, split, "vehicles").objects
            if each.plate
        }
        for split in SPLITS
    }

    assert all(len(found) > 12 for found in plates.values())
    assert not plates["train"] & (plates["held-out"] | plates["validation"])
    assert all(len(text) == PLATE_LENGTH for found in plates.values() for text in found)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_ground_truth_lies_in_the_picture(layout: str) -> None:
    for seed in range(5):
        made = scene(seed, "held-out", layout)
        assert made.image.size == (WIDTH, HEIGHT)
        for each in made.objects:
            x1, y1, x2, y2 = each.box
            assert 0 <= x1 < x2 <= WIDTH
            assert 0 <= y1 < y2 <= HEIGHT
            assert each.label in CLASSES
            assert each.name in OBJECTS
            if each.name in BODIES:
                assert each.attribute in LABELS
                assert BODIES[each.name][0] == each.label
            elif each.label == "person":
                assert each.attribute in KINDS
                assert (each.name == "child") == (each.attribute == "child")
            if each.plate is not None:
                px1, py1, px2, py2 = each.plate.box
                assert x1 <= px1 < px2 <= x2
                assert y1 <= py1 < py2 <= y2


def test_layouts() -> None:
    def labels(layout: str) -> list[set[str]]:
        return [{each.label for each in scene(seed, layout=layout).objects} for seed in range(8)]

    assert labels("empty") == [set()] * 8
    assert set().union(*labels("people")) == {"person"}
    assert set().union(*labels("vehicles")) == {"car", "truck", "bus"}
    assert set().union(*labels("things")) == {"bicycle", "dog", "bench", "traffic light"}
    assert all(len(scene(seed, layout="crowd").objects) > 16 for seed in range(8))
    counts = {len(scene(seed).objects) for seed in range(60)}
    assert {0, 1, 5} <= counts <= set(range(10))


def test_an_object_stands_out_where_its_box_says() -> None:
    """What is drawn differs from the street beside it: boxes are not merely numbers."""
    inside, outside = [], []
    for seed in range(30):
        made = photo(seed, name="tanker")
        image = pixels(made).astype(float)
        mask = np.zeros(image.shape[:2], bool)
        x1, y1, x2, y2 = (round(side) for side in made.objects[0].box)
        mask[y1:y2, x1:x2] = True
        wheel = image[y2 - 6 : y2 - 2, x1:x2].min(axis=(0, 2))
        inside.append(wheel.min())
        outside.append(np.median(image[~mask]))
    # Tyres are the darkest things of all.
    assert np.mean(inside) < 0.6 * np.mean(outside)


def test_the_share_of_unsafe_objects() -> None:
    made = [photo(seed).objects[0] for seed in range(300)]

    unsafe = [each for each in made if each.unsafe]
    assert 30 < len(unsafe) < 90
    assert {each.label for each in unsafe} <= {"person", "car", "truck", "bus"}
    assert not any(each.name == "child" for each in unsafe)


@pytest.mark.parametrize(
    ("split", "layout", "words"),
    [("test", "mixed", "train, validation, held-out"), ("train", "night", "mixed, few, empty")],
)
def test_an_unknown_split_or_layout(split: str, layout: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"accepted: {words}"):
        scene(0, split, layout)


def test_the_ensembles_labels_are_those_of_its_members() -> None:
    settings = json.loads(
        (REPOSITORY / "model-settings/ensemble-combine/model-settings.json").read_text()
    )
    assert settings["parameters"]["extra"]["labels"] == [*OBJECTS, UNKNOWN]
    for spec in settings["inputs"]:
        assert TASKS[spec["name"]].labels == OBJECTS


def test_the_preprocessing_stage_does_what_alexnet_was_trained_with() -> None:
    stage = json.loads(
        (REPOSITORY / "model-settings/image-preprocess/preprocessing/config.json").read_text()
    )
    network = json.loads((REPOSITORY / "model-settings/alexnet/embedded/config.json").read_text())
    assert stage["preprocessing"] == network["preprocessing"]
