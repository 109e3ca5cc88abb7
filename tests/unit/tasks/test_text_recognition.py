"""Text recognition: readers of each family, turned lines, batches, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, AutoModelForTextRecognition

from infergraph.devices import Placement
from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.text_recognition import TextRecognition
from infergraph.tasks.vision.quads import straightened
from infergraph.tasks.vision.text_reader import Line, Reading, TextReader
from infergraph.tensors.decode_memory import decode_memory
from tests.checkpoints.text_lines import CHARACTERS, mobile_reader
from tests.pictures import Pixels, encoded, pattern
from zoo.speech_language_model import write_language_model

from .conftest import Ask, Serve
from .vision.test_text_map import rectangle

FAMILIES = ["pp-ocr-mobile-rec", "pp-ocr-server-rec"]
IMAGES = [pattern(*size, seed=seed) for seed, size in enumerate([(160, 120), (200, 96), (90, 60)])]
FILES = [encoded(image) for image in IMAGES]
# Of the first image three, of the second one, of the third none.
QUADS = np.zeros((3, 4, 8), np.float32)
QUADS[0, 0] = rectangle(80, 60, 90, 30, 14).reshape(-1)
QUADS[0, 1] = [10, 5, 70, 5, 70, 35, 10, 35]
QUADS[0, 2] = rectangle(60, 90, 110, 20, -10).reshape(-1)
QUADS[1, 0] = rectangle(100, 50, 150, 40, 5).reshape(-1)
COUNTS = np.array([[3], [1], [0]])
CPU = Placement(torch.device("cpu"), torch.float32, compile=False)
WEIGHTS = {"alpha": 0.5, "beta": 0.0, "unk_score_offset": -3.0}


def read(folder: str, pictures: Sequence[Pixels]) -> list[dict[str, Any]]:
    """Each picture alone, by transformers' own network and processor.

    Filled up with zeros to a multiple of 32 columns, where that is wider than the processor does.
    """
    network = AutoModelForTextRecognition.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    said = []
    for picture in pictures:
        pixels = torch.from_numpy(np.array(picture.transpose(2, 0, 1)))
        values = processor(images=pixels, return_tensors="pt")["pixel_values"]
        values = torch.nn.functional.pad(values, (0, -values.shape[3] % 32))
        with torch.inference_mode():
            outputs = network(values)
        said += processor.post_process_text_recognition(outputs)
    return said


def straight(image: int, row: int) -> Pixels:
    return straightened(IMAGES[image], QUADS[image, row].reshape(4, 2))


@pytest.mark.parametrize("family", FAMILIES)
async def test_each_line_is_read_as_by_itself(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("text-recognition", folder, min_score=0)
    expected = read(folder, [straight(0, row) for row in range(3)] + [straight(1, 0)])
    texts = [" ".join(each["text"].split()) for each in expected]
    assert len(set(texts)) == 4
    assert all(texts)

    together = await ask(runtime, image=FILES, quads=QUADS, num_detections=COUNTS)
    alone = [
        await ask(
            runtime,
            image=FILES[index : index + 1],
            quads=QUADS[index : index + 1],
            num_detections=COUNTS[index : index + 1],
        )
        for index in range(3)
    ]

    assert together["text"] == [*texts[:3], "", texts[3], *[""] * 7]
    scores = [each["score"] for each in expected]
    assert np.ravel(together["score"]) == pytest.approx(
        [*scores[:3], 0, scores[3], *[0] * 7], abs=1e-3
    )
    assert [text for answer in alone for text in answer["text"]] == together["text"]
    assert np.ravel([answer["score"] for answer in alone]) == pytest.approx(
        np.ravel(together["score"]), abs=1e-4
    )


@pytest.fixture
def read_out(tmp_path: Path) -> Callable[..., Reading]:
    """Reads shares of characters by step, `_` being the blank; its model has "a" and "goat"."""
    write_language_model(tmp_path, ["a goat"], ["a", "goat"], WEIGHTS)
    reader = TextReader(mobile_reader(tmp_path), CPU, max_batch_pixels=2**19)

    def read(*steps: dict[str, float]) -> Reading:
        shares = torch.full((len(steps), len(CHARACTERS)), 1e-4)
        for row, each in zip(shares, steps, strict=True):
            for character, share in each.items():
                row[CHARACTERS.index(character.replace("_", "blank"))] = share
        return reader.reading_of(shares)

    return read


def clearly(text: str) -> list[dict[str, float]]:
    return [{character: 0.99} for character in text]


DOUBTFUL = [*clearly("go"), {"b": 0.55, "a": 0.43}, *clearly("t")]


def test_a_word_that_is_not_known_is_searched_for(read_out: Callable[..., Reading]) -> None:
    found = read_out(*clearly("a "), *DOUBTFUL, *clearly(", 7"))

    assert found.text == "a goat, 7"
    # Not surer than what is seen there.
    assert found.score < 0.95


def test_what_is_clear_is_read_as_it_is(read_out: Callable[..., Reading]) -> None:
    assert read_out(*clearly("gobt 17.5")) == Reading("gobt 17.5", pytest.approx(0.99))
    assert read_out(*clearly("__a")) == Reading("a", pytest.approx(0.99))
    assert read_out(*clearly("___")) == Reading("", 0.0)


def test_a_checkpoint_without_a_language_model_searches_for_nothing(tmp_path: Path) -> None:
    reader = TextReader(mobile_reader(tmp_path), CPU, max_batch_pixels=2**19)
    shares = torch.full((4, len(CHARACTERS)), 1e-4)
    for row, each in zip(shares, DOUBTFUL, strict=True):
        for character, share in each.items():
            row[CHARACTERS.index(character)] = share

    assert reader.reading_of(shares).text == "gobt"


def test_a_language_model_of_other_letters_fails_at_load(tmp_path: Path) -> None:
    write_language_model(tmp_path, [], ["où", "goat"], WEIGHTS)

    with pytest.raises(ConfigurationError, match="of the recogniser, which has no letters ù"):
        TextReader(mobile_reader(tmp_path), CPU, max_batch_pixels=2**19)


async def test_boxes_are_read_where_there_are_no_quads(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("pp-ocr-mobile-rec")
    runtime = await serve("text-recognition", folder, min_score=0)
    boxes = np.array([[[10, 5, 70, 35], [-20, 80, 100, 500], [0, 0, 0, 0]]], np.float32)
    count = np.array([[2]])

    answer = await ask(runtime, image=FILES[:1], boxes=boxes, num_detections=count)
    both = await ask(runtime, image=FILES[:1], boxes=boxes, quads=QUADS[:1], num_detections=count)

    expected = read(folder, [IMAGES[0][5:35, 10:70], IMAGES[0][80:, :100]])
    assert answer["text"] == [*(each["text"] for each in expected), ""]
    assert both["text"][0] == read(folder, [straight(0, 0)])[0]["text"]
    assert len(both["text"]) == 4


async def test_an_image_without_boxes_is_one_line(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("pp-ocr-mobile-rec")
    runtime = await serve("text-recognition", folder, min_score=0)

    answer = await ask(runtime, image=FILES)

    assert answer["text"] == [each["text"] for each in read(folder, IMAGES)]


async def test_a_tall_line_is_read_both_ways_up(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("pp-ocr-mobile-rec")
    runtime = await serve("text-recognition", folder, min_score=0)
    upright = await serve("text-recognition", folder, tall=100, min_score=0)
    pictures = [pattern(20, 70, seed=seed) for seed in range(6)]
    ways = [
        read(folder, [picture, np.rot90(picture), np.rot90(picture, 3)]) for picture in pictures
    ]
    best = [max(each, key=lambda way: way["score"]) for each in ways]
    assert {each.index(way) for each, way in zip(ways, best, strict=True)} > {0}

    answer = await ask(runtime, image=[encoded(picture) for picture in pictures])
    as_it_is = await ask(upright, image=[encoded(picture) for picture in pictures])

    assert answer["text"] == [each["text"] for each in best]
    assert answer["score"] == pytest.approx([each["score"] for each in best], abs=1e-3)
    assert as_it_is["text"] == [each[0]["text"] for each in ways]


async def test_a_text_of_a_low_score_is_not_answered(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint("pp-ocr-mobile-rec")
    expected = read(folder, IMAGES)
    least, *_, most = sorted(each["score"] for each in expected)
    runtime = await serve("text-recognition", folder, min_score=(least + most) / 2)

    answer = await ask(runtime, image=FILES)

    assert 0 < answer["text"].count("") < 3
    for text, score, each in zip(answer["text"], answer["score"], expected, strict=True):
        assert score == pytest.approx(each["score"], abs=1e-3)
        assert text == (each["text"] if score >= (least + most) / 2 else "")


async def test_lines_of_like_width_share_calls_and_padding_is_counted(
    checkpoint: Callable[[str], str],
    serve: Serve,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[list[Line]] = []
    read_lines = TextReader._read

    def noted(self: TextReader, batch: Sequence[Line]) -> Any:
        calls.append(list(batch))
        return read_lines(self, batch)

    monkeypatch.setattr(TextReader, "_read", noted)
    counted: list[tuple[int, int]] = []
    monkeypatch.setattr(
        TextRecognition,
        "observe_padding",
        lambda self, real, padded: counted.append((real, padded)),
    )
    # Of height 32: 40, 60, 70, 90 and 96 columns, which are filled up to 64, 64, 96, 96 and 96.
    pictures = [encoded(pattern(width, 32)) for width in (40, 90, 60, 96, 70)]
    runtime = await serve("text-recognition", checkpoint("pp-ocr-mobile-rec"), min_score=0)
    await ask(runtime, image=pictures)
    small = await serve(
        "text-recognition", checkpoint("pp-ocr-mobile-rec"), max_batch_pixels=2 * 96 * 32
    )
    await ask(small, image=pictures)

    widths = [sorted(line.values.shape[2] for line in call) for call in calls]
    assert sorted(widths[:2]) == [[40, 60], [70, 90, 96]]
    assert sorted(counted[:2]) == [(100, 128), (256, 288)]
    assert all(sum(line.pixels for line in call) <= 2 * 96 * 32 for call in calls[2:])


async def test_of_a_checkpoint_without_padding_only_equal_widths_share_a_call(
    tmp_path: Path, serve: Serve, ask: Ask
) -> None:
    folder = mobile_reader(tmp_path, do_pad=False)
    runtime = await serve("text-recognition", folder, min_score=0)
    assert isinstance(runtime, TextRecognition)

    lines = [runtime.model.prepare(pattern(width, 32)) for width in (10, 40, 70)]

    assert [line.width for line in lines] == [32, 40, 70]


async def test_what_waits_is_counted_as_long_as_it_does(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    runtime = await serve("text-recognition", checkpoint("pp-ocr-mobile-rec"), min_score=0)
    item = {"image": FILES[0], "quads": QUADS[0], "num_detections": COUNTS[0]}

    prepared = runtime.prepare(item)

    sizes = [line.values.nbytes for ways in prepared.ways for line in ways]
    assert decode_memory().held == 0
    assert decode_memory().kept == sum(sizes) > 0
    del prepared
    assert decode_memory().kept == 0


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (["quads"], "the tensors 'image', 'quads' came; accepted: 'image', or 'image' with"),
        (["boxes"], "the tensors 'image', 'boxes' came"),
        (["num_detections"], "the tensors 'image', 'num_detections' came"),
    ],
)
async def test_tensors_that_do_not_go_together_are_refused(
    tensors: list[str], message: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("text-recognition", checkpoint("pp-ocr-mobile-rec"), min_score=0)
    every = {"quads": QUADS, "boxes": QUADS[..., :4], "num_detections": COUNTS}

    with pytest.raises(InvalidInput, match=message):
        await ask(runtime, image=FILES, **{name: every[name] for name in tensors})


async def test_a_bad_quad_fails_its_own_request_alone(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("text-recognition", checkpoint("pp-ocr-mobile-rec"), min_score=0)
    bad = QUADS.copy()
    bad[1, 0, 0] = np.nan

    with pytest.raises(InvalidInput, match=r"tensor 'quads': quad 0 is \[nan"):
        await ask(runtime, image=FILES, quads=bad, num_detections=COUNTS)


@pytest.mark.parametrize("other", ["trocr", "pp-ocr-mobile-det"])
async def test_what_reads_no_lines_is_refused(
    other: str, checkpoint: Callable[[str], str], serve: Serve
) -> None:
    with pytest.raises(ConfigurationError, match="does not read lines of text; accepted: recogn"):
        await serve("text-recognition", checkpoint(other))


async def test_characters_that_do_not_fit_the_network_are_refused(
    tmp_path: Path, serve: Serve
) -> None:
    folder = mobile_reader(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    config = json.loads(file.read_text())
    config["character_list"].pop()
    file.write_text(json.dumps(config))

    with pytest.raises(ConfigurationError, match=r"is 46, but 'character_list' of .* has 45"):
        await serve("text-recognition", folder)
