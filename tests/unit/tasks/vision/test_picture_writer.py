"""Writers of every family write as their own network does, token by token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from infergraph.devices import Placement
from infergraph.errors import ConfigurationError
from infergraph.tasks.vision.picture_writer import ENCODER_DECODER, PictureWriter
from tests import checkpoints
from tests.checkpoints import readers
from tests.exhaustive import one_in
from tests.pictures import encoded, pattern

from ..picture_references import read

SIZES = [(160, 120), (200, 96), (160, 120)]
IMAGES = [pattern(*size, seed=seed) for seed, size in enumerate(SIZES)]
FILES = [encoded(image) for image in IMAGES]
# Of the first image three, of the second one, of the third none.
BOXES = np.zeros((3, 4, 4), np.float32)
BOXES[0, :3] = [[10.4, 20.6, 90, 70], [0, 0, 160, 120], [-20, 100.5, 60.2, 500]]
BOXES[1, 0] = [30, 3, 150, 93]
COUNTS = np.array([[3], [1], [0]])


def load(folder: str, **settings: Any) -> PictureWriter:
    placement = Placement(torch.device("cpu"), torch.float32, compile=False)
    return PictureWriter(
        folder, placement, **{"max_new_tokens": 12, "max_batch_size": 3} | settings
    )


@pytest.mark.parametrize(
    "family",
    one_in(2, ["plate-reader", "trocr", "captioner", "trocr-small", "blip", "vit-gpt2", "git"]),
)
def test_texts_and_scores_are_the_networks_own(
    family: str, checkpoint: Callable[[str], str]
) -> None:
    pictures = [pattern(20 + 9 * index, 60 - 4 * index, seed=index) for index in range(7)]
    expected = read(checkpoint(family), pictures)
    reader = load(checkpoint(family))

    with torch.inference_mode():
        together = reader(pictures)
        alone = [reader([picture])[0] for picture in pictures]

    assert len({reading.text for reading in expected}) > 1
    # Some end, some are cut off.
    for found in (together, alone):
        assert [reading.text for reading in found] == [reading.text for reading in expected]
        assert [reading.score for reading in found] == pytest.approx(
            [reading.score for reading in expected], abs=1e-4
        )
        assert [reading.probability for reading in found] == pytest.approx(
            [reading.probability for reading in expected], abs=1e-4
        )


def test_the_decoder_takes_as_many_tokens_as_it_has_positions(
    checkpoint: Callable[[str], str],
) -> None:
    with torch.inference_mode():
        (reading,) = load(checkpoint("trocr"), max_new_tokens=40)([IMAGES[0]])

    assert len(reading.text) > 12


def test_a_checkpoint_that_does_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'bert' does not write texts of pictures; accep"):
        load(checkpoints.bert(tmp_path))


def test_a_reader_that_lacks_weights(tmp_path: Path) -> None:
    path = readers.trocr(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    # The pooler of the encoder is not in it, and not needed.
    assert not any(name.startswith("encoder.pooler") for name in weights)
    del weights["decoder.output_projection.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ConfigurationError, match=r"it lacks decoder\.output_projection\.weight"):
        load(path)


def test_only_the_families_that_are_asked_for(checkpoint: Callable[[str], str]) -> None:
    with pytest.raises(ConfigurationError, match=r"'git' does not .*; accepted: vision-encoder-de"):
        load(checkpoint("git"), families=[ENCODER_DECODER])


def test_a_narrow_picture_is_not_scaled_to_a_huge_one(checkpoint: Callable[[str], str]) -> None:
    narrow = pattern(2, 600, seed=1)
    writer = load(checkpoint("git"))
    wanted = np.pad(narrow, [(0, 0), (0, 36), (0, 0)], mode="edge")

    with torch.inference_mode():
        (found,) = writer([narrow])

    # As if it were 38 pixels wide, a sixteenth of its height; else 9,600 pixels would be read.
    (expected,) = read(checkpoint("git"), [wanted])
    assert found.text == expected.text
    assert found.probability == pytest.approx(expected.probability, abs=1e-4)
