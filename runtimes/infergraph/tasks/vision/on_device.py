"""Images that are resized on the model's device, in place of the pool's threads.

They wait as they were decoded, in memory from which the device copies by itself, counted in the
process's budget of decoded memory (`DecodeMemory.keep`). The model's thread has them copied,
resized and normalised in its stream, and goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import torch

from ...devices import Placement, gathered, host_array
from ...errors import ConfigurationError
from ...settings import RuntimeOptions
from ...tensors.decode_memory import decode_memory
from ...tensors.image import Pixels
from ..minibatches import equal_batches

Place = tuple[slice, slice]
"""Rows and columns of an image."""
Result = TypeVar("Result")

WHOLE: Place = (slice(None), slice(None))

_MOST_PIXELS = 2**24
"""Most pixels that are copied and resized at once, if they are of several images: as floats, they
take 200 MB of the device's memory for a moment."""


class ResizeOptions(RuntimeOptions):
    """Settings of models that resize images.

    Attributes:
        resize: Where: `cpu`, in the pool's threads before the image is queued; `device`, where the
            network is; or `auto`, which is `device` on CUDA, else `cpu`.
    """

    resize: Literal["auto", "cpu", "device"] = "auto"

    def resizes_on_device(self, placement: Placement, *, can: bool, checkpoint: str) -> bool:
        """What it comes to.

        Args:
            placement: The model's.
            can: Whether the checkpoint's preprocessing runs on devices.
            checkpoint: Names it in the error text.

        Raises:
            ConfigurationError: it is to, but cannot.
        """
        if self.resize == "device" and not can:
            raise ConfigurationError(
                f"setting 'resize' = 'device': the image processor of the checkpoint "
                f"'{checkpoint}' computes on the CPU alone; accepted: auto, cpu"
            )
        return self.resize == "device" or (
            self.resize == "auto" and can and placement.resizes_images
        )


def kept_parts(
    image: Pixels, places: Sequence[Place], device: torch.device | None = None
) -> list[Pixels]:
    """Copies of parts of an image, which wait without the rest of it.

    Views of one copy of the image where theirs would be no smaller.

    Args:
        image: UINT8 [H, W, 3].
        places: Of the parts.
        device: That is to copy them.

    Raises:
        Overloaded: too much of other images waits.
    """
    height, width = image.shape[:2]
    parts = [image[place] for place in places]
    apart = sum(part.size for part in parts) <= image.size
    kept = []
    for part in parts if apart else [image]:
        copy = host_array(part.shape, device)
        copy[...] = part
        decode_memory().keep(
            copy, copy.nbytes, f"tensor 'image': an image of {width}x{height} pixels"
        )
        kept.append(copy)
    return kept if apart else [kept[0][place] for place in places]


def resized_on_device(
    images: Sequence[Pixels],
    device: torch.device,
    resize: Callable[[torch.Tensor], Iterable[Result]],
) -> list[Result]:
    """What `resize` makes of images of any sizes, in order; equally large ones are given together.

    The caller holds the images until it has waited for the device.

    Args:
        images: UINT8 [H, W, 3] each.
        device: Where they are resized.
        resize: Takes UINT8 [n, 3, H, W] there, and gives a result for each image.
    """
    results: dict[int, Result] = {}
    for indices in equal_batches(
        [image.shape for image in images],
        len(images),
        sizes=[image.shape[0] * image.shape[1] for image in images],
        most=_MOST_PIXELS,
    ):
        pixels = gathered([images[index] for index in indices], device)
        results.update(zip(indices, resize(pixels.permute(0, 3, 1, 2)), strict=True))
    return [results[index] for index in range(len(images))]
