"""Texts and pictures that are not of the world."""

from collections.abc import Callable

import numpy as np
import pytest

from zoo.outside_pictures import outside_picture
from zoo.outside_texts import english_prose, outside_texts, unknown_languages
from zoo.train_object_detection import batches as detector_batches
from zoo.train_object_detection import outside_examples
from zoo.world import normalise_transcript, vocabulary

Makers = Callable[[int, int, str], list[str]]


@pytest.mark.parametrize("make", [outside_texts, unknown_languages, english_prose])
def test_texts_are_a_function_of_seed_and_split(make: Makers) -> None:
    assert make(3, 60, "train") == make(3, 60, "train") != make(4, 60, "train")
    assert len(make(0, 61, "held_out")) == 61
    # Invented letters may agree, of a few.
    shared = {*make(0, 2000, "train")} & {*make(0, 2000, "held_out")}
    assert not [text for text in shared if len(text.split()) > 3]
    with pytest.raises(ValueError, match="unknown split 'test'"):
        make(0, 1, "test")


def test_english_prose_has_words_that_the_world_lacks() -> None:
    known = vocabulary()
    for text in english_prose(0, 200, "train"):
        assert set(normalise_transcript(text).split()) - known


def test_a_detector_learns_that_there_is_nothing_in_them() -> None:
    examples = outside_examples(3, 64, 48)
    (batch,) = detector_batches(examples, 0, 3, 1)

    assert [tuple(each.shape) for each in batch["images"]] == [(3, 48, 64)] * 3
    assert [tuple(each["boxes"].shape) for each in batch["targets"]] == [(0, 4)] * 3
    assert [len(each["labels"]) for each in batch["targets"]] == [0] * 3


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_pictures_are_a_function_of_seed_and_split(split: str) -> None:
    made = [outside_picture(seed, split, 64, 48) for seed in range(16)]

    assert all(each.shape == (48, 64, 3) and each.dtype == np.uint8 for each in made)
    assert all(np.array_equal(outside_picture(n, split, 64, 48), made[n]) for n in (0, 5, 11))
    assert len({each.tobytes() for each in made}) == 16
    other = {"train": "held_out", "held_out": "train"}[split]
    assert not np.array_equal(outside_picture(0, other, 64, 48), made[0])
    with pytest.raises(ValueError, match="unknown split 'test'"):
        outside_picture(0, "test", 8, 8)
