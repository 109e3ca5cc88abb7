"""From the pixels of an image to what a network takes, as its checkpoint was trained.

Images are resized one by one, as UINT8, and normalised as a batch; or, on a device, both together.
`load_transform` reads no weights: an image preprocessor of its own may serve the same checkpoint as
a classifier.
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from timm.data.config import resolve_data_config
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from ...devices import moved
from ...errors import ConfigurationError
from ...tensors.image import Pixels, writable
from ...weights import loading
from ..checkpoints.image_library import library_of, timm_config
from ..checkpoints.pretrained import load_image_processor
from ..checkpoints.torchvision_checkpoint import published_weights, read_config

# A longer strip, resized by its short side, would need any amount of memory.
_LONGEST = 20

Size = tuple[int, int]
"""Height and width."""
Resize = Callable[[int, int], Size]
"""From the height and width of an image to those that it is resized to."""


class ImageTransform(ABC):
    """What happens to an image before the network.

    Attributes:
        size: Height and width of every result; None when they follow from the image's.
        anywhere: Whether `on_device` is there.
    """

    size: Size | None
    anywhere: bool = True

    @abstractmethod
    def taken(self, image: Pixels) -> Pixels:
        """The part of an image, UINT8 [H, W, 3], of which anything gets into the result; a view."""

    @abstractmethod
    def shape(self, height: int, width: int) -> Size:
        """Height and width of the result of an image, or part, that `taken` gives whole."""

    @abstractmethod
    def on_device(self, images: torch.Tensor) -> torch.Tensor:
        """UINT8 [n, 3, H, W], as `taken`, on any device -> FP32 [n, 3, h, w] there: all at once.

        Nearly what `resized` and `normalized` make of them, which round otherwise.
        """

    @abstractmethod
    def resized(self, image: Pixels) -> torch.Tensor:
        """UINT8 [H, W, 3] -> [3, h, w] on the CPU, of a datatype that `normalized` takes."""

    def enough(self, height: int, width: int) -> Size | None:
        """The least size of an image from which `resized` makes nearly the same; None is all."""
        return None

    @abstractmethod
    def normalized(self, images: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
        """Results of `resized`, all of one shape -> FP32 [n, 3, h, w] on the device."""

    def __call__(self, image: Pixels) -> torch.Tensor:
        """UINT8 [H, W, 3] -> FP32 [3, h, w] on the CPU."""
        return self.normalized([self.resized(image)], torch.device("cpu"))[0]


class PresetTransform(ImageTransform):
    """Resizes, cuts out the centre, and normalises each channel.

    Args:
        resize: The size to resize to; None leaves the image's.
        crop: The size of the centre that is cut out; None is all of it. Where the image is smaller,
            it is filled up.
        mean: Of each channel, of values from 0 to 1.
        std: Of each channel.
        interpolation: "bilinear" or "bicubic".
        antialias: Whether the resizing averages the pixels that it leaves out.
        fill: Values, 0 to 255, of what is filled up.
        keeps_proportions: Whether `resize` goes by the shorter side. Of strips longer than 20 times
            their width only the middle is taken then; more does not get into a crop.
        size: What `size` is, when there is no crop.
    """

    def __init__(
        self,
        *,
        resize: Resize | None,
        crop: Size | None,
        mean: Sequence[float],
        std: Sequence[float],
        interpolation: str = "bilinear",
        antialias: bool = True,
        fill: Sequence[int] = (0, 0, 0),
        keeps_proportions: bool = False,
        size: Size | None = None,
    ) -> None:
        if interpolation not in ("bilinear", "bicubic"):
            raise ConfigurationError(
                f"interpolation '{interpolation}'; accepted: 'bilinear', 'bicubic'"
            )
        self._resize, self._crop = resize, crop
        self._interpolation = InterpolationMode(interpolation)
        self._antialias, self._fill = antialias, list(fill)
        self._keeps_proportions = keeps_proportions
        # Of values from 0 to 255, so that one operation of each kind does.
        self._mean = torch.tensor([255.0 * value for value in mean])[:, None, None]
        self._std = torch.tensor([255.0 * value for value in std])[:, None, None]
        self.size = crop or size

    def taken(self, image: Pixels) -> Pixels:
        return trimmed(image) if self._keeps_proportions else image

    def shape(self, height: int, width: int) -> Size:
        size = (height, width) if self._resize is None else self._resize(height, width)
        return self._crop or size

    def resized(self, image: Pixels) -> torch.Tensor:
        # As a view, whose channels lie next to each other: torch resizes that fastest.
        pixels = torch.from_numpy(writable(self.taken(image))).permute(2, 0, 1)
        # Not a view of an image that may be much larger, and that would stay in memory.
        return self._cut(self._scaled(pixels)).contiguous()

    def on_device(self, images: torch.Tensor) -> torch.Tensor:
        # Where torch resizes UINT8 at all, it does so by floats, and rounds: networks were trained
        # with what is rounded.
        scaled = self._scaled(images.float()).round_().clamp_(0, 255)
        return self._normalize(self._cut(scaled).contiguous())

    def _scaled(self, pixels: torch.Tensor) -> torch.Tensor:
        if self._resize is None:
            return pixels
        size = self._resize(*pixels.shape[-2:])
        if size == tuple(pixels.shape[-2:]):
            return pixels
        scaled: torch.Tensor = functional.resize(
            pixels, list(size), self._interpolation, antialias=self._antialias
        )
        return scaled

    def _cut(self, pixels: torch.Tensor) -> torch.Tensor:
        if self._crop is None or self._crop == tuple(pixels.shape[-2:]):
            return pixels
        cut: torch.Tensor = functional.center_crop(
            self._filled_up(pixels, self._crop), list(self._crop)
        )
        return cut

    def enough(self, height: int, width: int) -> Size | None:
        is_strip = max(height, width) > _LONGEST * min(height, width)
        if self._resize is None or not self._antialias or is_strip:
            return None
        return _with_reserve(self._resize(height, width))

    def normalized(self, images: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
        return self._normalize(moved(torch.stack(list(images)), device).float())

    def _normalize(self, batch: torch.Tensor) -> torch.Tensor:
        mean, std = (moved(values, batch.device) for values in (self._mean, self._std))
        return batch.sub_(mean).div_(std)

    def _filled_up(self, pixels: torch.Tensor, size: Size) -> torch.Tensor:
        height, width = (
            max(0, wanted - there) for wanted, there in zip(size, pixels.shape[-2:], strict=True)
        )
        if not height and not width:
            return pixels
        sides = [width // 2, height // 2, (width + 1) // 2, (height + 1) // 2]
        padded: torch.Tensor = functional.pad(pixels, sides, fill=self._fill)
        return padded


class ProcessorTransform(ImageTransform):
    """An image processor of transformers, applied to one image at a time."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        size = dict(getattr(processor, "size", None) or {})
        self._squashes = bool(size.get("height") and size.get("width"))
        shapes = {
            tuple(self.resized(np.zeros((height, width, 3), np.uint8)).shape)
            for height, width in ((48, 64), (64, 48))
        }
        if any(len(shape) != 3 or shape[0] != 3 for shape in shapes):
            raise ConfigurationError(
                f"the image processor {type(processor).__name__} makes tensors of shape "
                f"{sorted(shapes)} of an image; accepted: [3, height, width]"
            )
        self.size = None if len(shapes) > 1 else shapes.pop()[1:]  # type: ignore[assignment]
        # Found by trying; frames of a video are alike.
        self._known_shape = functools.lru_cache(maxsize=1024)(self._shape)
        self.anywhere = processes_anywhere(processor)

    def taken(self, image: Pixels) -> Pixels:
        return image if self._squashes else trimmed(image)

    def shape(self, height: int, width: int) -> Size:
        return self._known_shape(height, width)

    def _shape(self, height: int, width: int) -> Size:
        if self.size is not None:
            return self.size
        made = self.on_device(torch.empty(1, 3, height, width, dtype=torch.uint8, device="meta"))
        return made.shape[2], made.shape[3]

    def resized(self, image: Pixels) -> torch.Tensor:
        processed = self._processor(
            images=[writable(self.taken(image))],
            return_tensors="pt",
            input_data_format="channels_last",
        )
        pixels: torch.Tensor = processed["pixel_values"][0]
        return pixels

    def on_device(self, images: torch.Tensor) -> torch.Tensor:
        pixels: torch.Tensor = processed(self._processor, images)["pixel_values"].float()
        return pixels

    def enough(self, height: int, width: int) -> Size | None:
        return _with_reserve(self.size) if self._squashes and self.size else None

    def normalized(self, images: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
        return moved(torch.stack(list(images)), device).float()


def processed(processor: Any, images: torch.Tensor) -> Mapping[str, torch.Tensor]:
    """What an image processor of transformers makes of UINT8 [n, 3, H, W], on their device."""
    made: Mapping[str, torch.Tensor] = processor(
        images=list(images), input_data_format="channels_first", return_tensors="pt"
    )
    return made


def processes_anywhere(processor: Any) -> bool:
    """Whether an image processor computes where the pixels are; those made for PIL do not."""
    pixels = torch.empty(1, 3, 48, 64, dtype=torch.uint8, device="meta")
    try:
        return processed(processor, pixels)["pixel_values"].device == pixels.device
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        return False


def load_transform(checkpoint: str) -> ImageTransform:
    """The transform of a checkpoint of any of the three libraries; loads no weights.

    Args:
        checkpoint: A folder's path, or an id `torchvision/...`.

    Raises:
        ConfigurationError: there is no such checkpoint, or it does not say how images are prepared.
    """
    library = library_of(checkpoint)
    if library == "torchvision":
        config = read_config(checkpoint)
        if config is None:
            with loading("preprocessing", checkpoint):
                return of_torchvision(published_weights(checkpoint))
        if not config.get("preprocessing"):
            raise ConfigurationError(f"config.json of '{checkpoint}' has no 'preprocessing'")
        with loading("preprocessing", checkpoint):
            return of_config(config["preprocessing"])
    if library == "timm":
        with loading("preprocessing", checkpoint):
            config = timm_config(checkpoint) or {}
            return of_timm(config["pretrained_cfg"])
    return ProcessorTransform(load_image_processor(checkpoint))


def of_config(config: Mapping[str, Any]) -> PresetTransform:
    """The transform of `preprocessing` in the configuration of a torchvision checkpoint."""
    size = (config["height"], config["width"])
    height, width = config.get("resize_height"), config.get("resize_width")
    shorter = config.get("resize_shorter")
    resize: Resize | None = None
    if shorter:
        resize = shorter_side(shorter)
    elif height and width:
        resize = squashed((height, width))
    return PresetTransform(
        resize=resize,
        crop=size if config.get("crop") else None,
        mean=config["mean"],
        std=config["std"],
        interpolation=config.get("interpolation", "bilinear"),
        antialias=config.get("antialias", True),
        keeps_proportions=bool(shorter),
        size=(height, width) if height and width and not shorter else None,
    )


def of_torchvision(weights: Any) -> PresetTransform:
    """The transform of a torchvision classifier's weights (a member of a `WeightsEnum`)."""
    preset = weights.transforms()
    (side,), (resize,) = preset.crop_size, preset.resize_size
    return PresetTransform(
        resize=shorter_side(resize),
        crop=(side, side),
        mean=preset.mean,
        std=preset.std,
        interpolation=preset.interpolation.value,
        antialias=bool(preset.antialias),
        keeps_proportions=True,
    )


def of_timm(pretrained_cfg: Mapping[str, Any]) -> PresetTransform:
    """The transform of a timm checkpoint's `pretrained_cfg`: that of timm's own evaluation."""
    resolve: Any = resolve_data_config
    config = resolve(pretrained_cfg=dict(pretrained_cfg))
    height, width = config["input_size"][1:]
    scaled = (math.floor(height / config["crop_pct"]), math.floor(width / config["crop_pct"]))
    mode = config["crop_mode"]
    if mode == "squash":
        resize = squashed(scaled)
    elif mode == "center" and height == width:
        resize = shorter_side(scaled[0])
    else:
        resize = _keep_ratio(scaled, outside=mode != "border")
    return PresetTransform(
        resize=resize,
        crop=(height, width),
        mean=config["mean"],
        std=config["std"],
        interpolation=config["interpolation"],
        fill=[round(255 * value) for value in config["mean"]] if mode == "border" else (0, 0, 0),
        keeps_proportions=mode not in ("squash", "border"),
    )


def shorter_side(side: int) -> Resize:
    """Resizes the shorter side to a length, and the longer in proportion."""

    def resize(height: int, width: int) -> Size:
        if height <= width:
            return side, int(side * width / height)
        return int(side * height / width), side

    return resize


def squashed(size: Size) -> Resize:
    """Resizes to one size, whatever the proportions."""
    return lambda height, width: size


def trimmed(image: Pixels) -> Pixels:
    """The middle of an image that is more than 20 times as long as wide, or the image itself."""
    height, width = image.shape[:2]
    rows, columns = min(height, _LONGEST * width), min(width, _LONGEST * height)
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]


def _with_reserve(size: Size) -> Size:
    """Twice the size, so that it is still averaged down to it."""
    return 2 * size[0], 2 * size[1]


def _keep_ratio(size: Size, *, outside: bool) -> Resize:
    """Resizes in proportion: to cover `size` or, when not outside, to lie within it."""
    choose = min if outside else max

    def resize(height: int, width: int) -> Size:
        ratio = choose(height / size[0], width / size[1])
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    return resize
