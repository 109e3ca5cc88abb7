"""Detectors of transformers: DETR and its kin, RT-DETR, D-FINE, YOLOS and others."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from transformers import AutoModelForObjectDetection

from ...devices import Placement, moved
from ...errors import ConfigurationError
from ..checkpoints.pretrained import load_image_processor, load_network
from .detections import Detector, DetectorInput


class TransformersDetector(Detector):
    """A checkpoint of AutoModelForObjectDetection, with the postprocessing of its own processor.

    In bf16 a box is good to about 0.4% of the image's side, in fp16 to 0.05%: the network itself
    gives boxes in these formats.
    """

    def __init__(
        self, checkpoint: str, placement: Placement, threshold: float, max_batch_size: int
    ) -> None:
        """Loads the image processor and the network.

        Raises:
            ConfigurationError: the checkpoint is no detector, or incomplete.
        """
        self._processor = load_image_processor(checkpoint)
        decode = getattr(self._processor, "post_process_object_detection", None)
        accepted = inspect.signature(decode).parameters if decode is not None else {}
        if decode is None or not {"threshold", "target_sizes"} <= accepted.keys():
            raise ConfigurationError(
                f"the checkpoint '{checkpoint}' has the image processor "
                f"{type(self._processor).__name__}, which does not detect objects; accepted: "
                "detectors such as RT-DETR, DETR, YOLOS"
            )
        self._decode = decode
        self._network = load_network(
            AutoModelForObjectDetection, checkpoint, placement, of_images=True
        )
        self._placement = placement
        network = getattr(self._network, "_orig_mod", self._network)
        self._taken = inspect.signature(network.forward).parameters.keys()
        self._arguments: dict[str, Any] = {}
        if "use_focal_loss" in accepted:
            self._arguments["use_focal_loss"] = getattr(network.config, "use_focal_loss", True)
        self._takes_top_k = "top_k" in accepted
        super().__init__(dict(network.config.id2label), threshold, max_batch_size)
        placement.finish([self._network], self.try_out)

    def _prepare(self, pixels: torch.Tensor) -> tuple[Mapping[str, torch.Tensor], Hashable]:
        inputs = self._processor(
            images=pixels.contiguous(), input_data_format="channels_first", return_tensors="pt"
        )
        taken = {name: values for name, values in inputs.items() if name in self._taken}
        return taken, tuple(taken["pixel_values"].shape)

    def _detect(
        self, batch: Sequence[DetectorInput]
    ) -> Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        device, dtype = self._placement.device, self._placement.dtype
        inputs = {
            name: moved(torch.cat([image.inputs[name] for image in batch]), device)
            for name in batch[0].inputs
        }
        inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
        outputs = self._network(**inputs)
        outputs.logits = outputs.logits.float().cpu()
        outputs.pred_boxes = outputs.pred_boxes.float().cpu()
        arguments = dict(self._arguments)
        if self._takes_top_k:
            # By default a hundred, however many there are: one for each query, as elsewhere.
            arguments["top_k"] = outputs.logits.shape[1]
        decoded = self._decode(
            outputs,
            threshold=self._threshold,
            target_sizes=[(image.height, image.width) for image in batch],
            **arguments,
        )
        return [(each["boxes"], each["scores"], each["labels"]) for each in decoded]
