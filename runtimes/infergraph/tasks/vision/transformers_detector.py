"""Detectors of transformers: DETR and its kin, RT-DETR, D-FINE, YOLOS and others."""

from __future__ import annotations

import functools
import inspect
from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForObjectDetection

from ...devices import Placement, moved
from ...errors import ConfigurationError
from ..checkpoints.pretrained import load_image_processor, load_network
from .detections import Detector, DetectorInput
from .on_device import ResizeOptions, resized_on_device
from .transform import processed, processes_anywhere


class ProcessedDetector(Detector):
    """A checkpoint of AutoModelForObjectDetection and its own image processor."""

    def __init__(
        self,
        checkpoint: str,
        placement: Placement,
        threshold: float,
        max_batch_size: int,
        options: ResizeOptions | None,
    ) -> None:
        """Loads the image processor and the network.

        Raises:
            ConfigurationError: the checkpoint is no detector, or incomplete, or its images cannot
                be resized where the settings say.
        """
        self._processor = load_image_processor(checkpoint)
        self._check_processor(checkpoint)
        self._network = load_network(
            AutoModelForObjectDetection, checkpoint, placement, of_images=True
        )
        network = getattr(self._network, "_orig_mod", self._network)
        self._config = network.config
        self._taken = inspect.signature(network.forward).parameters.keys()
        on_device = options is not None and options.resizes_on_device(
            placement, can=processes_anywhere(self._processor), checkpoint=checkpoint
        )
        # Found by trying; frames of a video are alike.
        self._known_shape = functools.lru_cache(maxsize=1024)(self._tried_shape)
        super().__init__(
            dict(network.config.id2label),
            placement,
            threshold,
            max_batch_size,
            on_device=on_device,
        )
        placement.finish([self._network], self.try_out)

    @abstractmethod
    def _check_processor(self, checkpoint: str) -> None:
        """Raises ConfigurationError unless the image processor is one of these detectors."""

    def _shape(self, height: int, width: int) -> tuple[int, ...]:
        return self._known_shape(height, width)

    def _tried_shape(self, height: int, width: int) -> tuple[int, ...]:
        pixels = torch.empty(1, 3, height, width, dtype=torch.uint8, device="meta")
        return tuple(self._taken_of(pixels)["pixel_values"].shape)

    def _taken_of(self, pixels: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """What the network is given of UINT8 [n, 3, H, W], on their device."""
        inputs = processed(self._processor, pixels)
        return {name: values for name, values in inputs.items() if name in self._taken}

    def _resized(self, pixels: torch.Tensor) -> list[Mapping[str, torch.Tensor]]:
        """The same, of each image by itself."""
        inputs = self._taken_of(pixels)
        return [
            {name: values[index : index + 1] for name, values in inputs.items()}
            for index in range(len(pixels))
        ]

    def _prepare(self, pixels: torch.Tensor) -> tuple[Mapping[str, torch.Tensor], Hashable]:
        taken = self._taken_of(pixels.contiguous()[None])
        return taken, tuple(taken["pixel_values"].shape)

    def _outputs(self, batch: Sequence[DetectorInput]) -> Any:
        """What the network says of images of one shape."""
        device, dtype = self._placement.device, self._placement.dtype
        if self.on_device:
            images = [image.inputs for image in batch if isinstance(image.inputs, np.ndarray)]
            each = resized_on_device(images, device, self._resized)
            inputs = {name: torch.cat([one[name] for one in each]) for name in each[0]}
        else:
            each = [image.inputs for image in batch if not isinstance(image.inputs, np.ndarray)]
            inputs = {
                name: moved(torch.cat([one[name] for one in each]), device) for name in each[0]
            }
        inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
        return self._network(**inputs)


class TransformersDetector(ProcessedDetector):
    """A detector of boxes, with the postprocessing of its own processor.

    In bf16 a box is good to about 0.4% of the image's side, in fp16 to 0.05%: the network itself
    gives boxes in these formats.
    """

    def _check_processor(self, checkpoint: str) -> None:
        decode = getattr(self._processor, "post_process_object_detection", None)
        accepted = inspect.signature(decode).parameters if decode is not None else {}
        if not {"threshold", "target_sizes"} <= accepted.keys() or "unclip_ratio" in accepted:
            raise ConfigurationError(
                f"the checkpoint '{checkpoint}' has the image processor "
                f"{type(self._processor).__name__}, which does not detect objects; accepted: "
                "detectors such as RT-DETR, DETR, YOLOS"
            )
        self._decode: Any = decode
        self._accepted = accepted

    def _detect(self, batch: Sequence[DetectorInput]) -> Sequence[tuple[torch.Tensor, ...]]:
        outputs = self._outputs(batch)
        # At once: each copy waits for the device.
        found = torch.cat([outputs.logits.float(), outputs.pred_boxes.float()], dim=-1).cpu()
        outputs.logits, outputs.pred_boxes = found[..., :-4], found[..., -4:]
        arguments: dict[str, Any] = {}
        if "use_focal_loss" in self._accepted:
            arguments["use_focal_loss"] = getattr(self._config, "use_focal_loss", True)
        if "top_k" in self._accepted:
            # By default a hundred, however many there are: one for each query, as elsewhere.
            arguments["top_k"] = outputs.logits.shape[1]
        decoded = self._decode(
            outputs,
            threshold=self._threshold,
            target_sizes=[(image.height, image.width) for image in batch],
            **arguments,
        )
        return [(each["boxes"], each["scores"], each["labels"]) for each in decoded]
