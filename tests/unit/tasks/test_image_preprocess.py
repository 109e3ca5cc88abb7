from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import transformers as hf

from infergraph.errors import ConfigurationError, InvalidInput
from infergraph.tasks.image_preprocess import ImagePreprocess
from tests.pictures import pattern, pattern_file

from .conftest import Ask, Serve
from .image_references import TRANSFORMERS, reference_pixels

SIZES = [(90, 70), (33, 150), (64, 64)]


@pytest.mark.parametrize("family", ["vit", "deit", "timm-resnet", "torchvision-resnet"])
async def test_pixels_are_those_that_the_checkpoint_takes(
    family: str, checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    folder = checkpoint(family)
    runtime = await serve("image-preprocess", folder)

    files = [pattern_file(*size) for size in SIZES]
    together = np.array((await ask(runtime, image=files))["pixels"])

    assert isinstance(runtime, ImagePreprocess)
    for pixels, file, size in zip(together, files, SIZES, strict=True):
        alone = (await ask(runtime, image=[file]))["pixels"]
        np.testing.assert_array_equal(pixels, np.array(alone[0]))
        expected = reference_pixels(folder, pattern(*size))[0].numpy()
        tolerance = 1e-5 if family in TRANSFORMERS else 0.04
        np.testing.assert_allclose(pixels, expected, atol=tolerance)


async def test_weights_are_not_needed(
    checkpoint: Callable[[str], str], tmp_path: Path, serve: Serve, ask: Ask
) -> None:
    for family in ("vit", "timm-resnet", "torchvision-resnet"):
        folder = tmp_path / family
        without = shutil.ignore_patterns("*.safetensors")
        shutil.copytree(checkpoint(family), folder, ignore=without)
        runtime = await serve("image-preprocess", str(folder))

        assert (await ask(runtime, image=[pattern_file()])).keys() == {"pixels"}


async def test_a_bad_image_is_the_callers_fault(
    checkpoint: Callable[[str], str], serve: Serve, ask: Ask
) -> None:
    runtime = await serve("image-preprocess", checkpoint("vit"), max_image_pixels=1536)

    assert (await ask(runtime, image=[pattern_file(48, 32)])).keys() == {"pixels"}
    with pytest.raises(InvalidInput, match=r"item 1.*'image': not an image"):
        await ask(runtime, image=[pattern_file(), b"no image"])
    with pytest.raises(InvalidInput, match=r"49x32 pixels; accepted: at most 1536 pixels"):
        await ask(runtime, image=[pattern_file(49, 32)])


async def test_an_output_of_another_size_fails_at_load(
    checkpoint: Callable[[str], str], serve: Serve
) -> None:
    outputs = [{"name": "pixels", "datatype": "FP32", "shape": [-1, 3, 224, 224]}]

    with pytest.raises(ConfigurationError, match=r"accepted: pixels FP32 \[-1, 3, 32, 32\]"):
        await serve("image-preprocess", checkpoint("vit"), declared={"outputs": outputs})


async def test_a_checkpoint_without_a_fixed_size_fails_at_load(
    tmp_path: Path, serve: Serve
) -> None:
    hf.ConvNextImageProcessor(do_resize=False).save_pretrained(tmp_path)

    with pytest.raises(ConfigurationError, match="sizes that follow from theirs"):
        await serve("image-preprocess", str(tmp_path))
