"""Image classification: of whole images, of prepared pixels, or of boxes in an image.

The inputs that a model declares say which: `image` BYTES [-1, 1] (an encoded JPEG, PNG or WebP), or
`pixels` FP32 [-1, 3, H, W] (as the model image-preprocess makes them), or `image` with `boxes` FP32
[-1, K, 4] and `num_detections` INT64 [-1, 1]. The outputs `label` BYTES and `score` FP32 (0 to 1)
are [-1, 1], of boxes [-1, K], with an empty label and score 0 for each row that is no box.

Of whole images and pixels, a model may declare more outputs: `probabilities` FP32 [-1, labels], and
with the setting `threshold` either `accepted` BYTES and `accepted_score` FP32 (the label and score,
if the score reaches the threshold) or else `escalate` BYTES (the label), all [-1, 1], so that
a pipeline's next steps take only the items that are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, PositiveInt

from ..devices import moved
from ..errors import InvalidInput
from ..runtime import Item, Outputs
from .class_scores import class_scores
from .minibatches import equal_batches
from .vision.boxes import crop, item_boxes
from .vision.classifiers import load_classifier
from .vision.images import BoxOptions, BoxRuntime
from .vision.ports import ROUTES, check_item, check_ports

Scores = npt.NDArray[np.float32]


class ImageClassificationOptions(BoxOptions):
    """Settings of image classification.

    Attributes:
        labels: The checkpoint's name of a label -> the name in answers; a label that is not named
            keeps its own. Names that the checkpoint does not have are for other variants.
        threshold: The least score with which an image is `accepted`.
        max_crops: Most boxes that run together, of all items of a batch.
        jpeg_draft: Whether large JPEGs that are looked at as a whole are decoded at a half, quarter
            or eighth of their sides, at least twice as large as the network takes them.
    """

    labels: dict[str, str] = Field(default_factory=dict)
    threshold: float | None = Field(default=None, ge=0, le=1)
    max_crops: PositiveInt = 32
    jpeg_draft: bool = False


class ImageClassification(BoxRuntime):
    """Gives each image or box the likeliest label of a torchvision, timm or Hugging Face network.

    An answer does not depend on the batch: only what has one shape once it is resized runs
    together.
    """

    settings_class = ImageClassificationOptions
    options: ImageClassificationOptions

    def setup(self) -> None:
        """Loads the network and the transform that goes with it.

        Raises:
            ConfigurationError: the checkpoint is no classifier or incomplete, or the declared
                tensors or the settings do not fit it or each other.
        """
        classifier = load_classifier(self.checkpoint, self.placement)
        self.network = classifier.network
        self.transform = classifier.transform
        self.independent = classifier.independent
        names = self.options.labels
        self.labels = [names.get(label, label) for label in classifier.labels]
        check_ports(
            self._input_specs,
            self._output_specs,
            threshold=self.options.threshold,
            labels=len(self.labels),
        )
        self.given = {spec.name for spec in self._output_specs} or {
            "label",
            "score",
            "probabilities",
            *(() if self.options.threshold is None else ROUTES),
        }

    def prepare(self, item: Item) -> Item:
        """Decodes the image, cuts out its boxes if it has any, and resizes.

        Raises:
            InvalidInput: the tensors are not those of one of the three ways, `image` is no image or
                too large, a box is none, or `pixels` have another size than the checkpoint takes.
            Overloaded: there is not enough memory to decode the image now.
        """
        check_item(item)
        if "pixels" in item:
            return {"ready": True, "pieces": [self._checked_pixels(item["pixels"])]}
        drafted = self.options.jpeg_draft and "boxes" not in item
        image = self.image_of(item, self.transform.enough if drafted else None)
        if "boxes" not in item:
            return {"pieces": [self.transform.resized(image)]}
        boxes = item_boxes(item, *image.shape[:2])
        pieces = [self.transform.resized(crop(image, box)) for box in boxes]
        return {"pieces": pieces, "rows": len(item["boxes"])}

    def length(self, item: Item) -> int:
        """Images of the item: its boxes, or 1."""
        return len(item["pieces"])

    @property
    def work_limit(self) -> float:
        """Images: of boxes, which may be many, as many as one network call takes."""
        return max(self.options.max_crops, self.options.max_batch_size)

    @torch.inference_mode()
    def predict_batch(self, items: Sequence[Item], parameters: Any) -> list[Outputs]:
        """The outputs of each item."""
        # Items that run together came with the same tensors.
        of_boxes, ready = "rows" in items[0], "ready" in items[0]
        scores = self._scores(
            [piece for item in items for piece in item["pieces"]],
            self.options.max_crops if of_boxes else self.options.max_batch_size,
            ready,
        )
        if not of_boxes:
            return [self._whole(row) for row in scores]
        answers: list[Outputs] = []
        start = 0
        for item in items:
            end = start + len(item["pieces"])
            answers.append(self._of_boxes(scores[start:end], item["rows"]))
            start = end
        return answers

    def _scores(self, pieces: Sequence[Any], most: int, ready: bool) -> Scores:
        """FP32 [pieces, labels]."""
        scores = np.zeros((len(pieces), len(self.labels)), np.float32)
        device, dtype = self.placement.device, self.placement.dtype
        for indices in equal_batches([tuple(piece.shape) for piece in pieces], most):
            together = [pieces[index] for index in indices]
            if ready:
                pixels = moved(torch.from_numpy(np.stack(together)), device)
            else:
                pixels = self.transform.normalized(together, device)
            logits = self.network(pixels.to(dtype))
            scores[indices] = class_scores(logits, independent=self.independent).cpu().numpy()
        return scores

    def _whole(self, scores: Scores) -> Outputs:
        best = int(scores.argmax())
        label, score = self.labels[best], scores[best]
        outputs = {"label": label, "score": score, "probabilities": scores}
        threshold = self.options.threshold
        if threshold is not None and score >= threshold:
            outputs |= {"accepted": label, "accepted_score": score}
        elif threshold is not None:
            outputs["escalate"] = label
        return {name: value for name, value in outputs.items() if name in self.given}

    def _of_boxes(self, scores: Scores, rows: int) -> Outputs:
        labels = np.full(rows, "", dtype=object)
        best = np.zeros(rows, np.float32)
        if len(scores):
            labels[: len(scores)] = [self.labels[index] for index in scores.argmax(axis=1)]
            best[: len(scores)] = scores.max(axis=1)
        return {"label": labels, "score": best}

    def _checked_pixels(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        size = self.transform.size
        if len(pixels) != 3 or (size is not None and pixels.shape[1:] != size):
            accepted = "3, any, any" if size is None else f"3, {size[0]}, {size[1]}"
            raise InvalidInput(
                f"tensor 'pixels': {list(pixels.shape)}; accepted: [{accepted}], as the checkpoint "
                "takes them"
            )
        if not np.isfinite(pixels).all():
            raise InvalidInput("tensor 'pixels': it has values that are NaN or infinite")
        return pixels
