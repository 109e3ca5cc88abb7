"""Captions say what is in a scene, and claim no more than they say."""

from __future__ import annotations

import pytest

from zoo.caption_data import captioned_scene
from zoo.captions import EMPTY, KINDS, WORDS, caption, claims, f1, kind
from zoo.image_to_text import word_tokenizer
from zoo.outside_texts import UNKNOWN
from zoo.scenes import SceneObject

BOX = (0.0, 0.0, 9.0, 9.0)


def made(label: str, attribute: str = "") -> SceneObject:
    return SceneObject(label, label, BOX, attribute)


CAR, TAXI, BUS = made("car", "red sedan"), made("car", "yellow van"), made("bus", "red city bus")
PERSON, SUIT = made("person", "pedestrian"), made("person", "business person")
CHILD, OFFICER = made("person", "child"), made("person", "police officer")


@pytest.mark.parametrize(
    ("objects", "text", "claimed"),
    [
        ([], EMPTY, set()),
        ([CAR], "a red car", {("car", "red", 1)}),
        ([BUS, CAR, CAR], "two red cars and a red bus", {("car", "red", 2), ("bus", "red", 1)}),
        (
            [made("bench"), made("bench"), CHILD, SUIT, TAXI, PERSON],
            "a yellow car, two people, a child and two benches",
            {("car", "yellow", 1), ("person", "", 2), ("child", "", 1), ("bench", "", 2)},
        ),
        ([OFFICER] * 3, "three police officers", {("police officer", "", 3)}),
    ],
)
def test_what_is_there_is_said_and_read_back(
    objects: list[SceneObject], text: str, claimed: set[tuple[str, str, int]]
) -> None:
    assert caption(objects) == text
    assert claims(text) == claimed


def test_ten_of_a_kind_are_too_many() -> None:
    with pytest.raises(ValueError, match="10 objects of a kind; accepted: up to 9"):
        caption([CAR] * 10)


def test_of_held_out_scenes_each_object_is_claimed_once() -> None:
    for seed in range(8):
        objects = captioned_scene(seed, "held-out").objects
        found = claims(caption(objects))
        assert sum(count for _, _, count in found) == len(objects)
        assert {(name, colour) for name, colour, _ in found} == set(map(kind, objects))
        assert set(map(kind, objects)) <= set(KINDS)


@pytest.mark.parametrize("text", ["a red", "red cars", "two two cars", "cars", "a and"])
def test_what_is_no_english_is_never_right(text: str) -> None:
    assert f1([(text, "two red cars and a red bus")]) == 0


def test_f1_counts_missing_and_wrong_claims() -> None:
    truth = "two red cars and a dog"

    assert f1([(truth, truth), (UNKNOWN, EMPTY)]) == 1
    assert f1([("a red car and a dog", truth)]) == pytest.approx(0.5)
    assert f1([("a dog", truth)]) == pytest.approx(2 / 3)
    assert f1([(EMPTY, truth), (truth, EMPTY)]) == 0


def test_captions_survive_their_tokenizer() -> None:
    tokenizer = word_tokenizer(WORDS)
    for text in (EMPTY, UNKNOWN, "two red cars, three children, a bus and a traffic light"):
        ids = tokenizer(text).input_ids
        assert tokenizer.unk_token_id not in ids
        assert ids[-1] == tokenizer.eos_token_id
        assert " ".join(tokenizer.decode(ids, skip_special_tokens=True).split()) == text
