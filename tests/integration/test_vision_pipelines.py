"""The pipelines of vision: right answers everywhere, and no call where there is nothing to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.exhaustive import only
from zoo.scenes import OBJECTS, Scene
from zoo.world import foreign_sentences, parallel

from .conftest import FRONT_ENDS, Connect, Servers, every_way
from .server import ServerProcess
from .streets import MOST, close_ups, encoded, frames, matched, street, streets
from .v2 import Answer

REQUIRED = 0.8
"""Share of objects that must be wholly right; the checkpoints are not perfect, see their cards."""


def rows(answer: Answer, name: str, item: int) -> Any:
    """An item's row of a tensor that perhaps only some items produced."""
    if f"{name}_item" not in answer.names:
        return answer[name][item]
    items = answer[f"{name}_item"].ravel().tolist()
    return answer[name][items.index(item)]


def words(row: Any) -> list[str]:
    return [value.decode() for value in row]


def share(right: list[bool]) -> float:
    assert right
    return sum(right) / len(right)


def steps(answer: Answer, item: int | None = None) -> set[str]:
    """The steps that were called, for one item or at all."""
    return {
        step["name"]
        for step in answer.trace["steps"]
        if item is None or step.get("item", 0) == item
    }


@every_way
async def test_video(everywhere: Servers, connect: Connect, transport: str, front_end: str) -> None:
    client = connect(everywhere[transport], front_end)

    answer = await client.infer("video", {"image": encoded(frames())})

    right = []
    for index, made in enumerate(frames()):
        count = int(answer["num_detections"][index, 0])
        labels = words(answer["labels"][index])
        pairs = matched(made, answer["boxes"][index], count, labels)
        named = words(answer["objects"][index])
        right += [named[row] == each.name for each, row in pairs]
        right += [False] * (min(len(made.objects), MOST) - len(pairs))
        assert named[count:] == labels[count:] == [""] * (MOST - count)
        assert not answer["boxes"][index, count:].any()
        assert (answer["object_scores"][index, :count] > 0).all()
    assert share(right) >= REQUIRED


async def test_each_frame_of_a_batch_is_answered_as_it_is_alone(
    models: ServerProcess, connect: Connect
) -> None:
    client = connect(models, "grpc")
    images = encoded(frames())

    for pipeline in ("video", "nsfw", "video-monitoring"):
        together = await client.infer(pipeline, {"image": images})
        for item, image in enumerate(images):
            alone = await client.infer(pipeline, {"image": [image]})
            for name, array in alone.outputs:
                row = rows(together, name, item)
                if array.dtype == object:
                    assert row.tolist() == array[0].tolist(), (pipeline, item, name)
                else:
                    np.testing.assert_allclose(row, array[0], atol=2e-2)


@pytest.mark.parametrize("objects", only([0, 5], [0, 1, 5]))
async def test_as_many_objects_as_there_are(
    models: ServerProcess, connect: Connect, objects: int
) -> None:
    made = streets(10, objects)

    answer = await connect(models, "rest").infer("video", {"image": encoded(made)})

    found = answer["num_detections"].ravel().tolist()
    assert answer["num_found"].ravel().tolist() == found
    assert share([count == objects for count in found]) >= REQUIRED
    for index, each in enumerate(made):
        labels = words(answer["labels"][index])
        pairs = matched(each, answer["boxes"][index], found[index], labels)
        assert len(pairs) >= objects - 1


@pytest.mark.parametrize("front_end", FRONT_ENDS)
async def test_objects_beyond_the_most_are_counted(
    models: ServerProcess, connect: Connect, front_end: str
) -> None:
    crowd = street("crowd")

    answer = await connect(models, front_end).infer("video", {"image": encoded([crowd])})

    assert len(crowd.objects) > MOST
    assert answer["num_detections"].tolist() == [[MOST]]
    assert abs(int(answer["num_found"][0, 0]) - len(crowd.objects)) <= 2
    assert answer["scores"][0].tolist() == sorted(answer["scores"][0].tolist(), reverse=True)
    assert all(words(answer["objects"][0]))


@every_way
async def test_video_monitoring(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(everywhere[transport], front_end)

    answer = await client.infer(
        "video-monitoring", {"image": encoded(frames())}, parameters={"trace": True}
    )

    plates, vehicles, people = [], [], []
    for item, made in enumerate(frames()):
        called = {"object-detection"}
        if has(made, "vehicle"):
            called |= {"plate-reading", "vehicle-classification"}
            for each, row in pairs_of(answer, "vehicle", made, item):
                read = words(rows(answer, "plates", item))[row]
                plates.append(read == (each.plate.text if each.plate else ""))
                vehicles.append(words(rows(answer, "vehicles", item))[row] == each.attribute)
        if has(made, "person"):
            called |= {"human-classification"}
            for each, row in pairs_of(answer, "person", made, item):
                people.append(words(rows(answer, "people", item))[row] == each.attribute)
        assert steps(answer, item) == called
    assert share(plates) >= REQUIRED
    assert share(vehicles) >= REQUIRED
    assert share(people) >= REQUIRED


def has(made: Scene, group: str) -> bool:
    return any((each.label == "person") == (group == "person") for each in of_groups(made))


def of_groups(made: Scene) -> list[Any]:
    return [each for each in made.objects if each.label in ("person", "car", "truck", "bus")]


def pairs_of(answer: Answer, group: str, made: Scene, item: int) -> list[Any]:
    count = int(rows(answer, f"{group}_num_detections", item)[0])
    boxes = rows(answer, f"{group}_boxes", item)
    wanted = [each for each in of_groups(made) if (each.label == "person") == (group == "person")]
    pairs = matched(Scene(made.image, tuple(wanted)), boxes, count)
    assert len(pairs) >= REQUIRED * min(len(wanted), MOST) - 1
    return pairs


@every_way
@pytest.mark.parametrize(
    ("layout", "called"),
    [
        ("empty", set()),
        ("people", {"human-classification"}),
        ("vehicles", {"plate-reading", "vehicle-classification"}),
    ],
)
async def test_a_branch_with_nothing_to_do_makes_no_call(
    everywhere: Servers,
    connect: Connect,
    transport: str,
    front_end: str,
    layout: str,
    called: set[str],
) -> None:
    client = connect(everywhere[transport], front_end)
    image = encoded([street(layout)])

    answer = await client.infer("video-monitoring", {"image": image}, parameters={"trace": True})

    assert steps(answer) == {"object-detection", *called}
    branches = {
        "plates": "plate-reading",
        "vehicles": "vehicle-classification",
        "people": "human-classification",
    }
    for name, step in branches.items():
        assert (name in answer.names) == (step in called)
    assert answer["num_detections"].tolist() == [[len(street(layout).objects)]]


@every_way
async def test_nsfw(everywhere: Servers, connect: Connect, transport: str, front_end: str) -> None:
    client = connect(everywhere[transport], front_end)

    answer = await client.infer("nsfw", {"image": encoded(frames())})

    right = []
    for index, made in enumerate(frames()):
        count = int(answer["num_detections"][index, 0])
        safety = words(answer["safety"][index])
        for each, row in matched(made, answer["boxes"][index], count):
            right.append(safety[row] == ("unsafe" if each.unsafe else "safe"))
        assert set(safety[:count]) <= {"safe", "unsafe"}
        assert safety[count:] == [""] * (MOST - count)
    assert share(right) >= REQUIRED


@every_way
async def test_a_cascade_sends_only_its_unsure_items_on(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(everywhere[transport], front_end)
    models = connect(everywhere["in-process"], "grpc")
    pictures = close_ups(48)
    images = {"image": encoded(pictures)}

    answer = await client.infer("cascade", images, parameters={"trace": True})
    small = await models.infer("resnet", images)
    large = await models.infer("inception", images)

    unsure = small["escalate_item"].ravel().tolist()
    assert 0 < len(unsure) < len(pictures) / 2
    assert sorted(small["accepted_item"].ravel().tolist() + unsure) == list(range(len(pictures)))
    assert {step["item"] for step in answer.trace["steps"] if step["name"] == "inception"} == set(
        unsure
    )
    expected = [
        (large if item in unsure else small).texts("label")[item] for item in range(len(pictures))
    ]
    assert answer.texts("label") == expected
    scores = np.where(
        np.isin(np.arange(len(pictures)), unsure)[:, None], large["score"], small["score"]
    )
    np.testing.assert_allclose(answer["score"], scores, atol=1e-3)
    names = [each.objects[0].name for each in pictures]
    assert share([a == b for a, b in zip(answer.texts("label"), names, strict=True)]) >= REQUIRED


@every_way
async def test_ensemble(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(everywhere[transport], front_end)
    models = connect(everywhere["in-process"], "grpc")
    pictures = close_ups(16)
    images = {"image": encoded(pictures)}

    answer = await client.infer("ensemble", images, parameters={"trace": True})
    members = [
        (await models.infer(member, images))["probabilities"]
        for member in ("alexnet", "inception", "resnet")
    ]

    mean = np.mean(members, axis=0)
    assert answer.texts("label") == [OBJECTS[index] for index in mean.argmax(axis=1)]
    np.testing.assert_allclose(answer["score"][:, 0], mean.max(axis=1), atol=1e-3)
    assert steps(answer) == {"alexnet", "inception", "resnet", "ensemble-combine"}
    names = [each.objects[0].name for each in pictures]
    assert share([a == b for a, b in zip(answer.texts("label"), names, strict=True)]) >= REQUIRED


@every_way
async def test_preprocess_answers_as_the_classifier_that_decodes_itself(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(everywhere[transport], front_end)
    images = {"image": encoded(close_ups(12))}

    answer = await client.infer("preprocess", images)
    itself = await connect(everywhere["in-process"], "grpc").infer("alexnet", images)

    assert answer.texts("label") == itself.texts("label")
    np.testing.assert_allclose(answer["score"], itself["score"], atol=1e-3)
    assert len(set(answer.texts("label"))) > 3


@every_way
async def test_social_media(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(everywhere[transport], front_end)
    languages = ["es", "de", "en", "fr", "es", "it"]
    pairs = [
        parallel(3, 1, "held_out", "en", language)[0] if language not in ("en", "it") else None
        for language in languages
    ]
    italian = foreign_sentences(3, 1, "held_out", "it")[0]
    english = "Anna Weber lives in Oslo."
    texts = [pair[1] if pair else english for pair in pairs]
    texts[languages.index("it")] = italian
    posts = close_ups(len(texts))

    answer = await client.infer(
        "social-media", {"image": encoded(posts), "text": texts}, parameters={"trace": True}
    )

    assert answer.texts("language") == languages
    # What is in none of its languages goes on as it is.
    wanted = [pair[0] if pair else text for pair, text in zip(pairs, texts, strict=True)]
    assert answer.texts("english") == wanted
    assert (
        share([a == b.objects[0].name for a, b in zip(answer.texts("object"), posts, strict=True)])
        >= REQUIRED
    )
    safety = ["unsafe" if each.objects[0].unsafe else "safe" for each in posts]
    assert share([a == b for a, b in zip(answer.texts("safety"), safety, strict=True)]) >= REQUIRED
    for item, language in enumerate(languages):
        called = {f"translation-{language}-en"} if language in ("es", "de", "fr") else set()
        assert steps(answer, item) == {
            "content-safety",
            "resnet",
            "language-identification",
            "english-text",
            *called,
        }
