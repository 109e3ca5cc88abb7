"""`ImageRuntime`: what models of images share, and `BoxRuntime`, of boxes in them.

What waits for a model is bounded: an image is scaled to the network's size before it is queued, and
whatever holds it as it was decoded counts in the process's budget of decoded memory.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt

from ...batching import check_wanted
from ...runtime import Item, Runtime
from ...runtime.hooks import Model, Prepared
from ...settings import RuntimeOptions
from ...tensors.image import (
    MAX_IMAGE_PIXELS,
    MAX_REQUEST_PIXELS,
    Enough,
    Pixels,
    decode_image,
)
from ...tensors.image_headers import claimed_pixels
from ...tensors.request_limit import RequestLimit
from .boxes import check_box_counts

ReadyPixels = npt.NDArray[np.float32]
"""FP32 [3, h, w], as a network takes them: what the model image-preprocess gives."""


class ImageOptions(RuntimeOptions):
    """Settings of models of images.

    Attributes:
        max_image_pixels: The largest image accepted, width times height.
        max_request_pixels: Most pixels of all images of a request.
    """

    max_image_pixels: PositiveInt = MAX_IMAGE_PIXELS
    max_request_pixels: PositiveInt = MAX_REQUEST_PIXELS


class BoxOptions(ImageOptions):
    """Settings of models of boxes in images.

    Attributes:
        max_boxes: Most boxes of an image.
        max_request_boxes: Most boxes of all images of a request.
    """

    max_boxes: PositiveInt = 300
    max_request_boxes: PositiveInt = 1024


class ImageRuntime(Runtime[Prepared, None, Model]):
    """A model whose input `image` is BYTES [-1, 1]: a JPEG, PNG or WebP file for each item."""

    settings_class = ImageOptions
    options: ImageOptions

    def preparing(self, items: Sequence[Item]) -> Callable[[Item], Prepared]:
        """Limits the pixels that all images of the request have, by their headers."""
        files = [item["image"] for item in items if "image" in item]
        most = self.options.max_request_pixels
        limit = RequestLimit(
            most,
            lambda pixels: (
                f"tensor 'image': {len(files)} images of {pixels:.0f} pixels together; accepted: "
                f"at most {most} in a request (setting 'max_request_pixels')"
            ),
        )

        def claimed() -> int:
            # One that is too large by itself is refused for that, when it is decoded.
            largest = self.options.max_image_pixels
            return sum(each for each in map(claimed_pixels, files) if each <= largest)

        # What the steps of a pipeline share is found in the request's own context.
        context = contextvars.copy_context()

        def prepare(item: Item) -> Prepared:
            limit.take_once(claimed)
            return context.copy().run(self.prepare, item)

        return prepare

    def image_of(self, item: Item, enough: Enough | None = None) -> Pixels:
        """The image of an item, UINT8 [H, W, 3]; see `decode_image`.

        Raises:
            InvalidInput: `image` is no image, damaged, or too large.
            Overloaded: there is not enough memory to decode it now.
        """
        return decode_image(
            item["image"],
            max_pixels=self.options.max_image_pixels,
            check=check_wanted,
            enough=enough,
        )


class BoxRuntime(ImageRuntime[Prepared, Model]):
    """A model that may also take `boxes` and `num_detections`, as an object detector gives them."""

    settings_class = BoxOptions
    options: BoxOptions

    def preparing(self, items: Sequence[Item]) -> Callable[[Item], Prepared]:
        """Limits the boxes of each image and of all, and the pixels.

        Raises:
            InvalidInput: there are more boxes than the settings allow.
        """
        check_box_counts(items, self.options.max_boxes, self.options.max_request_boxes)
        return super().preparing(items)
