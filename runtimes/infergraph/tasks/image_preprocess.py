"""Image preprocessing: input `image` BYTES [-1, 1], output `pixels` FP32 [-1, 3, H, W].

The variant's checkpoint says how, as it does for the classifier of the same checkpoint, which takes
`pixels` for an `image`. Several models of equal preprocessing can so share one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigurationError
from ..runtime import Item, Outputs
from .vision.images import ImageRuntime, ReadyPixels
from .vision.transform import ImageTransform, load_transform


class ImagePreprocess(ImageRuntime[ReadyPixels, ImageTransform]):
    """Decodes, resizes and normalises; all of it in the pool's threads, since no image waits for
    another."""

    needs_weights = False

    def setup(self) -> ImageTransform:
        """Reads the checkpoint's preprocessing; its weights are not needed.

        Raises:
            ConfigurationError: there is none, its result has no fixed size, or the declared output
                is of another.
        """
        transform = load_transform(self.checkpoint)
        size = transform.size
        if size is None:
            raise ConfigurationError(
                f"the checkpoint '{self.checkpoint}' prepares images to sizes that follow from "
                "theirs; accepted: one that prepares all to the same size"
            )
        for spec in self._output_specs:
            if spec.name != "pixels" or not spec.accepts_shape((-1, 3, *size)):
                raise ConfigurationError(
                    f"declared output {spec}; accepted: pixels FP32 {[-1, 3, *size]}, the size "
                    "that the checkpoint takes, or -1 for it"
                )
        return transform

    def prepare(self, item: Item) -> ReadyPixels:
        """Makes the pixels of an item, FP32 [3, H, W].

        Raises:
            InvalidInput: `image` is no image, damaged, or too large.
            Overloaded: there is not enough memory to decode it now.
        """
        pixels: ReadyPixels = self.model(self.image_of(item)).numpy()
        return pixels

    def predict_batch(self, items: Sequence[ReadyPixels], parameters: None) -> list[Outputs]:
        """`pixels` of each item."""
        return [{"pixels": pixels} for pixels in items]
