from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from timm.data.config import resolve_data_config
from torchvision.models import get_model_weights
from transformers import (
    ConvNextImageProcessor,
    LlavaNextImageProcessor,
    Siglip2ImageProcessor,
    ViTImageProcessor,
)

from infergraph.errors import ConfigurationError
from infergraph.tasks.vision.transform import (
    ProcessorTransform,
    load_transform,
    of_config,
    of_timm,
)
from infergraph.tasks.vision.transform import of_torchvision as of_weights
from tests.pictures import Pixels, pattern

from ..image_references import FAMILIES, TRANSFORMERS, reference_pixels

IMAGES = [pattern(90, 70), pattern(33, 150, seed=1), pattern(64, 64, seed=2), pattern(7, 5, seed=3)]
STRIPS = [pattern(1, 1), pattern(1, 19), pattern(40, 2)]
CPU = torch.device("cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_pixels_are_the_librarys_own(family: str, checkpoint: Callable[[str], str]) -> None:
    folder = checkpoint(family)
    transform = load_transform(folder)

    for image in IMAGES:
        pixels = transform(image)
        expected = reference_pixels(folder, image)[0]
        assert pixels.dtype == torch.float32
        assert pixels.shape == expected.shape == (3, *(transform.size or ()))
        # The two others resize with Pillow, which rounds the last bit otherwise.
        close_to(pixels, expected, levels=0 if family in TRANSFORMERS else 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_its_images_alone(family: str, checkpoint: Callable[[str], str]) -> None:
    transform = load_transform(checkpoint(family))

    batch = transform.normalized([transform.resized(image) for image in IMAGES], CPU)

    assert torch.equal(batch, torch.stack([transform(image) for image in IMAGES]))


@pytest.mark.parametrize(
    "name", ["alexnet", "inception_v3", "googlenet", "resnet50", "vit_b_16", "swin_v2_t"]
)
def test_presets_of_torchvisions_weights(name: str) -> None:
    weights: Any = get_model_weights(name).DEFAULT
    transform = load_transform(f"torchvision/{name}")

    for image in [*IMAGES, *STRIPS]:
        close_to(transform(image), weights.transforms()(Image.fromarray(image)), levels=2)
    assert transform.size == tuple(weights.transforms().crop_size * 2)


@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
@pytest.mark.parametrize("size", [(48, 48), (32, 56)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_modes_of_timm(crop_mode: str, size: tuple[int, int], interpolation: str) -> None:
    config = {
        "input_size": (3, *size),
        "crop_pct": 0.9,
        "crop_mode": crop_mode,
        "interpolation": interpolation,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.3, 0.3, 0.3),
    }
    theirs = create_transform(**resolve_data_config(pretrained_cfg=config), is_training=False)
    ours = of_timm(config)

    for image in [*IMAGES, *STRIPS]:
        close_to(ours(image), theirs(Image.fromarray(image)), levels=2, std=0.3)


def test_configurations_of_torchvision() -> None:
    plain = {"height": 20, "width": 30, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    image = pattern(40, 60)

    squashed = of_config({**plain, "resize_height": 20, "resize_width": 30})
    cropped = of_config({**plain, "crop": True})
    kept = of_config({**plain, "resize_shorter": 10})

    assert squashed.size == (20, 30)
    assert squashed(image).shape == (3, 20, 30)
    assert cropped.size == (20, 30)
    close_to(cropped(image), normalized(image[20:40, 5:35]))
    assert kept.size is None
    assert kept(image).shape == (3, 15, 10)
    assert kept(image[:20]).shape == (3, 10, 20)


def test_what_is_smaller_than_the_crop_is_filled_up_with_black() -> None:
    transform = of_config(
        {"height": 4, "width": 5, "crop": True, "mean": [0.5] * 3, "std": [0.5] * 3}
    )

    pixels = transform(np.full((2, 3, 3), 255, np.uint8))

    assert pixels[0].tolist() == [[-1] * 5, [-1, 1, 1, 1, -1], [-1, 1, 1, 1, -1], [-1] * 5]


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1)])
def test_of_a_long_strip_the_middle_is_taken(shape: tuple[int, int]) -> None:
    # Its long side would have 25,600,000 pixels, were it resized as a whole.
    image = np.zeros((*shape, 3), np.uint8)
    image.reshape(-1, 3)[49_990:50_010] = 255
    weights: Any = get_model_weights("alexnet").DEFAULT
    of_processor = ProcessorTransform(
        ConvNextImageProcessor(size={"shortest_edge": 100}, crop_pct=0.5)
    )

    for transform in (of_weights(weights), of_processor):
        pixels = transform(image)
        assert pixels.shape[1:] == transform.size
        close_to(pixels, transform(np.full((4, 4, 3), 255, np.uint8)))


def test_a_squashed_strip_is_taken_whole() -> None:
    image = np.zeros((1, 1000, 3), np.uint8)
    image[:, :500] = 255
    transform = ProcessorTransform(ViTImageProcessor(size={"height": 4, "width": 4}))

    pixels = transform(image)

    assert pixels[:, :, 0].eq(1).all()
    assert pixels[:, :, 3].eq(-1).all()


def test_sizes_that_follow_from_the_image() -> None:
    transform = ProcessorTransform(ConvNextImageProcessor(size={"shortest_edge": 400}))
    no_crop = of_config({"height": 4, "width": 4, "mean": [0] * 3, "std": [1] * 3})

    assert transform.size == (400, 400)
    assert no_crop.size is None
    assert no_crop(pattern(9, 6)).shape == (3, 6, 9)


@pytest.mark.parametrize("family", ["timm-resnet", "torchvision-resnet", "vit"])
def test_of_what_is_enough_nearly_the_same_is_made(
    family: str, checkpoint: Callable[[str], str]
) -> None:
    transform = load_transform(checkpoint(family))
    image = pattern(800, 640)

    least = transform.enough(640, 800)

    assert least is not None
    assert transform.size is not None
    assert min(least) >= 2 * min(transform.size)
    scale = min(640 // least[0], 800 // least[1])
    assert scale >= 2
    smaller = np.asarray(Image.fromarray(image).reduce(scale))
    pixels, expected = transform(smaller), transform(image)
    assert (pixels - expected).abs().mean() < 0.02 * expected.std()


def test_nothing_less_is_enough_where_pixels_are_not_averaged() -> None:
    sizes = {"height": 32, "width": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    for config in (
        {**sizes, "resize_height": 32, "resize_width": 32, "antialias": False},
        {**sizes, "crop": True},
    ):
        assert of_config(config).enough(640, 640) is None
    strips = of_config({**sizes, "resize_shorter": 32, "crop": True})
    assert strips.enough(640, 640) == (64, 64)
    assert strips.enough(320, 640) == (64, 128)
    assert strips.enough(100, 2001) is None


def test_the_image_is_not_changed() -> None:
    image = pattern(20, 20)
    before = image.copy()

    of_config({"height": 20, "width": 20, "mean": [0.5] * 3, "std": [0.5] * 3})(image)

    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({}, "image processor"),
        ({"config.json": "{"}, "config.json: "),
        (
            {"config.json": {"library": "torchvision", "architecture": "alexnet", "labels": []}},
            "has no 'preprocessing'",
        ),
        (
            {"config.json": {"library": "torchvision", "preprocessing": {"height": 3}}},
            "cannot load the preprocessing of the checkpoint",
        ),
        (
            {
                "config.json": {
                    "library": "torchvision",
                    "preprocessing": {
                        "height": 3,
                        "width": 3,
                        "mean": [0],
                        "std": [1],
                        "interpolation": "lanczos",
                    },
                }
            },
            "interpolation 'lanczos'; accepted: 'bilinear', 'bicubic'",
        ),
    ],
)
def test_a_checkpoint_that_does_not_say_how(
    files: dict[str, Any], text: str, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))

    with pytest.raises(ConfigurationError) as caught:
        load_transform(str(tmp_path))

    assert text in str(caught.value)
    assert str(tmp_path) in str(caught.value) or "interpolation" in text


def test_an_unknown_network_of_torchvision() -> None:
    with pytest.raises(ConfigurationError, match=r"no network 'alexnett'; .*such as alexnet"):
        load_transform("torchvision/alexnett")


@pytest.mark.parametrize("processor", [LlavaNextImageProcessor(), Siglip2ImageProcessor()])
def test_a_processor_that_makes_no_image_is_refused(processor: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"accepted: \[3, height, width\]"):
        ProcessorTransform(processor)


def normalized(image: Pixels) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1


def close_to(
    pixels: torch.Tensor, expected: torch.Tensor, *, levels: int = 0, std: float = 0.225
) -> None:
    """Equal but for rounding, or within so many of 255 levels and on average within half a one."""
    assert pixels.shape == expected.shape
    difference = (pixels - expected).abs() * 255 * std
    assert difference.max() <= levels * 1.2 + 0.01
    assert difference.mean() <= 0.5
