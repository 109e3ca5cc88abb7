"""The pipelines of the papers that docs/papers.md lists: right answers over every way."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo.caption_data import captioned_scene
from zoo.captions import caption, f1
from zoo.clicks import auc, held_out
from zoo.game_frames import frame

from .conftest import FRONT_ENDS, MODELS, SAMPLES, Connect, Servers, every_way
from .server import ServerProcess
from .streets import close_ups, encoded, frames, jpeg, matched


def spoken(file: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((SAMPLES / file).read_text(encoding="utf-8"))
    return [{**each, "sound": (SAMPLES / each["audio"]).read_bytes()} for each in entries]


@every_way
async def test_asr_summarization(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    told = spoken("articles.json")
    client = connect(everywhere[transport], front_end)

    answer = await client.infer("asr-summarization", {"audio": [each["sound"] for each in told]})

    assert answer.texts("transcript") == [each["transcript"] for each in told]
    assert answer.texts("summary") == [each["summary"] for each in told]


@every_way
async def test_diamond(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    said = [each for each in spoken("sentences.json") if each["text"].endswith(".")]
    client = connect(everywhere[transport], front_end)

    answer = await client.infer(
        "diamond", {"audio": [each["sound"] for each in said]}, parameters={"trace": True}
    )

    # Through German and back, with capitals and full stops.
    assert answer.texts("text") == [each["text"] for each in said]
    assert answer.texts("label") == ["positive"] * len(said)
    assert [step["name"] for step in answer.trace["steps"]] == [
        "speech-to-text",
        *("sentiment", "translation-en-de", "translation-de-en", "diamond-join"),
    ]


@every_way
async def test_diamond_echo(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    client = connect(everywhere[transport], front_end)

    async def ask(number: int) -> dict[str, Any]:
        data = np.full((1 + number % 3, 5), number, np.float32)
        answer = await client.infer("diamond-echo", {"data": data}, parameters={"trace": True})
        for name in ("short", "deep"):
            np.testing.assert_array_equal(answer[name], data)
        return {step["name"]: step for step in answer.trace["steps"]}

    traces = await asyncio.gather(*(ask(number) for number in range(12)))

    for steps in traces:
        assert len(steps) == 5
        # The join waits for the deeper branch.
        deeper = steps["echo-deeper"]
        assert steps["echo-join"]["start_us"] >= deeper["start_us"] + deeper["duration_us"]


@every_way
async def test_general(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    images = [*close_ups(6), *frames()[:2]]
    client = connect(everywhere[transport], front_end)

    answer = await client.infer("general", {"image": encoded(images)})

    # The first root sees a close-up as a whole; a frame without objects has none of its own.
    named = answer.texts("label")[:6]
    right = [label == made.objects[0].name for label, made in zip(named, images, strict=False)]
    assert sum(right) >= 5
    assert answer["num_detections"].shape == (8, 1)
    for index, made in enumerate(images):
        count = int(answer["num_detections"][index, 0])
        safety = [value.decode() for value in answer["safety"][index]]
        assert len([label for label in safety if label]) == count
        if len(made.objects) <= 16:
            found = matched(made, answer["boxes"][index], count)
            assert len(found) >= len(made.objects) - 2


@every_way
async def test_auto_annotation(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    images = encoded(frames())
    client = connect(everywhere[transport], front_end)

    answer = await client.infer("auto-annotation", {"image": images})
    detector = connect(everywhere["in-process"], front_end)
    found = await detector.infer("object-detection", {"image": images})

    limits = {"person": 0.7}
    for item in range(len(images)):
        count = int(found["num_detections"][item, 0])
        labels = [value.decode() for value in found["labels"][item][:count]]
        scores = found["scores"][item][:count]
        sure = [
            score >= limits.get(label, 0.8) for score, label in zip(scores, labels, strict=True)
        ]
        for group, wanted in (("accepted", True), ("pending", False)):
            rows = [row for row, is_sure in enumerate(sure) if is_sure == wanted]
            items = answer_items(answer, f"{group}_boxes", len(images))
            assert (item in items) == bool(rows)
            if rows:
                at = items.index(item)
                boxes = answer[f"{group}_boxes"][at]
                assert int(answer[f"{group}_num_detections"][at, 0]) == len(rows)
                np.testing.assert_allclose(boxes[: len(rows)], found["boxes"][item][rows], atol=0.5)
                assert not boxes[len(rows) :].any()
        counted = [label for label, is_sure in zip(labels, sure, strict=True) if is_sure]
        kinds = ("car", "truck", "bus", "person")
        assert answer["counts"][item].tolist() == [counted.count(kind) for kind in kinds]
    assert answer["counts"].sum() > 10


def answer_items(answer: Any, name: str, items: int) -> list[int]:
    """The item of each row of a tensor that perhaps only some items have."""
    if f"{name}_item" not in answer.names:
        return list(range(items)) if name in answer.names else []
    listed: list[int] = answer[f"{name}_item"].ravel().tolist()
    return listed


@pytest.mark.parametrize("pipeline", ["recommendation", "recommendation-graph"])
@every_way
async def test_recommendation(
    everywhere: Servers, connect: Connect, pipeline: str, transport: str, front_end: str
) -> None:
    drawn = held_out(3000)
    client = connect(everywhere[transport], front_end)
    request = {"dense": drawn.dense, "indices": drawn.indices}

    answer = await client.infer(pipeline, request)
    whole = await connect(everywhere["in-process"], "grpc").infer("recommendation", request)

    np.testing.assert_allclose(answer["probability"], whole["probability"], rtol=0, atol=1e-6)
    assert auc(answer["probability"].ravel(), drawn.clicked) > 0.8


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize(
    ("pipeline", "step"), [("recommendation", "dlrm"), ("recommendation-graph", "embedding-bags")]
)
async def test_an_index_outside_its_table_is_the_callers_fault(
    models: ServerProcess, connect: Connect, pipeline: str, step: str, front_end: str
) -> None:
    drawn = held_out(40)
    indices = drawn.indices.copy()
    indices[17, 0] = 1000
    client = connect(models, front_end)

    good, bad, also_good = await asyncio.gather(
        *(
            client.infer(pipeline, {"dense": drawn.dense, "indices": each})
            for each in (drawn.indices, indices, drawn.indices)
        )
    )

    assert bad.status == 400
    assert f"step '{step}'" in bad.error
    assert "row 17: 1000 for feature 0 (column 0); accepted: 0 to 999" in bad.error
    np.testing.assert_allclose(good["probability"], also_good["probability"], atol=1e-6)


@every_way
async def test_image_query(
    everywhere: Servers, connect: Connect, transport: str, front_end: str
) -> None:
    made = [captioned_scene(seed, "held-out") for seed in (2, 7, 19)]
    assert not made[2].objects
    client = connect(everywhere[transport], front_end)
    alone = connect(everywhere["in-process"], front_end)

    answer = await client.infer("image-query", {"image": [jpeg(each.image) for each in made]})

    right = objects = 0
    for index, each in enumerate(made):
        count = int(answer["num_detections"][index, 0])
        described = [value.decode() for value in answer["descriptions"][index]]
        assert all(described[:count])
        assert not any(described[count:])
        for found, row in matched(each, answer["boxes"][index], count):
            objects += 1
            right += described[row] == caption((found,))
    assert objects >= 5
    assert right >= objects - 1
    sentences = answer.texts("sentence")
    assert sentences[2] == "I see nothing that I know."
    said = [each.removeprefix("I see ").removesuffix(".") for each in sentences[:2]]
    assert f1(zip(said, [caption(each.objects) for each in made[:2]], strict=True)) >= 0.7
    # Each sentence is spoken as it is by itself.
    spoken_alone = await alone.infer("text-to-speech", {"text": sentences})
    assert answer["audio"].ravel().tolist() == spoken_alone["audio"].ravel().tolist()


@every_way
async def test_game(everywhere: Servers, connect: Connect, transport: str, front_end: str) -> None:
    made = [frame(seed, "held-out", blanks=seed % 5 == 0) for seed in range(20)]
    client = connect(everywhere[transport], front_end)
    # The second half at twice the size: regions are in proportion.
    images = [
        each.image if index < 10 else each.image.resize((960, 540))
        for index, each in enumerate(made)
    ]

    answer = await client.infer("game", {"image": [jpeg(image) for image in images]})

    numbers = zip(answer.texts("number"), [each.number for each in made], strict=True)
    icons = zip(answer.texts("icon"), [each.icon for each in made], strict=True)
    assert sum(read == shown for read, shown in numbers) >= 18
    assert sum(read == shown for read, shown in icons) >= 16
    assert answer["digit_scores"].shape == (20, 6)


@every_way
async def test_ocr(everywhere: Servers, connect: Connect, transport: str, front_end: str) -> None:
    sample = json.loads((MODELS / "ocr" / "request.json").read_text())
    sign = base64.b64decode(sample["inputs"][0]["data"][0])
    client = connect(everywhere[transport], front_end)

    # A sign in German, and a picture of nothing, which is no error.
    nothing = jpeg(Image.new("RGB", (320, 240), (120, 130, 140)))
    answer = await client.infer("ocr", {"image": [sign, nothing, sign]})

    counts = answer["num_detections"].ravel().tolist()
    assert counts[0] == counts[2] >= 2
    assert counts[1] == 0
    texts, english = answer.texts("text"), answer.texts("english")
    assert answer.texts("language") == ["de", "", "de"]
    assert (texts[1], english[1]) == ("", "")
    assert not any(answer["lines"][1])
    said = ["Der weiße Laptop", "hat einen Preis von", "neunzig Euro."]
    assert sorted(each.decode() for each in answer["lines"][0] if each) == sorted(said)
    # In reading order.
    assert texts[0] == texts[2] == " ".join(said)
    translator = connect(everywhere["in-process"], front_end)
    translated = await translator.infer("translation-de-en", {"text": [texts[0].encode()]})
    assert english == [translated.texts("text")[0], "", translated.texts("text")[0]]
