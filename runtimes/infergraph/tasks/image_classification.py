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

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, PositiveInt

from ..devices import moved
from ..errors import InvalidInput
from ..runtime import Item, Outputs
from .class_scores import class_scores
from .minibatches import equal_batches
from .vision.boxes import item_boxes, place_of
from .vision.classifiers import ImageClassifier, Piece, load_classifier
from .vision.images import BoxOptions, BoxRuntime, ReadyPixels
from .vision.on_device import ResizeOptions
from .vision.ports import ROUTES, check_item, check_ports

Scores = npt.NDArray[np.float32]


class ImageClassificationOptions(ResizeOptions, BoxOptions):
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


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is classified of an image.

    Attributes:
        pieces: The image, or its boxes, see `ImageClassifier.prepare`.
        rows: Rows of the answer for boxes; None where the image is looked at as a whole.
    """

    pieces: Sequence[Piece]
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Labeller:
    """A classifier with the labels of the answers, and the names of the outputs."""

    classifier: ImageClassifier
    given: AbstractSet[str]


class ImageClassification(BoxRuntime[Pictures | ReadyPixels, Labeller]):
    """Gives each image or box the likeliest label of a torchvision, timm or Hugging Face network.

    An answer does not depend on the batch: only what has one shape once it is resized runs
    together.
    """

    settings_class = ImageClassificationOptions
    engines = ("torch", "openvino")
    options: ImageClassificationOptions

    def setup(self) -> Labeller:
        """Loads the network and the transform that goes with it.

        Raises:
            ConfigurationError: the checkpoint is no classifier or incomplete, or the declared
                tensors or the settings do not fit it or each other.
        """
        classifier = load_classifier(self.checkpoint, self.placement, self.options)
        names = self.options.labels
        labels = [names.get(label, label) for label in classifier.labels]
        check_ports(
            self._input_specs,
            self._output_specs,
            threshold=self.options.threshold,
            labels=len(labels),
        )
        given = {spec.name for spec in self._output_specs} or {
            "label",
            "score",
            "probabilities",
            *(() if self.options.threshold is None else ROUTES),
        }
        return Labeller(replace(classifier, labels=labels), given)

    def prepare(self, item: Item) -> Pictures | ReadyPixels:
        """Decodes the image, cuts out its boxes if it has any, and resizes, unless the device does;
        checks `pixels`.

        Raises:
            InvalidInput: the tensors are not those of one of the three ways, `image` is no image or
                too large, a box is none, or `pixels` have another size than the checkpoint takes.
            Overloaded: there is not enough memory to decode the image now, or to keep it.
        """
        check_item(item)
        if "pixels" in item:
            return self._checked_pixels(item["pixels"])
        classifier = self.model.classifier
        drafted = self.options.jpeg_draft and "boxes" not in item
        image = self.image_of(item, classifier.transform.enough if drafted else None)
        if "boxes" not in item:
            return Pictures(classifier.prepare(image))
        boxes = item_boxes(item, *image.shape[:2])
        places = [place_of(box, *image.shape[:2]) for box in boxes]
        return Pictures(classifier.prepare(image, places), rows=len(item["boxes"]))

    def length(self, item: Pictures | ReadyPixels) -> int:
        """Images of the item: its boxes, or 1."""
        return len(item.pieces) if isinstance(item, Pictures) else 1

    @property
    def work_limit(self) -> float:
        """Images: of boxes, which may be many, as many as one network call takes."""
        return max(self.options.max_crops, self.options.max_batch_size)

    @torch.inference_mode()
    def predict_batch(
        self, items: Sequence[Pictures | ReadyPixels], parameters: None
    ) -> list[Outputs]:
        """The outputs of each item."""
        # Items that run together came with the same tensors: all are of one kind.
        classifier, most = self.model.classifier, self.options.max_batch_size
        if pixels := [item for item in items if not isinstance(item, Pictures)]:
            ready = moved(torch.from_numpy(np.stack(pixels)), self.placement.device)
            scores = self._scores(
                [each.shape for each in pixels],
                most,
                # All are of one shape, and so in order.
                lambda indices: ready[indices[0] : indices[-1] + 1].to(self.placement.dtype),
            )
            return [self._whole(row) for row in scores]
        pictures = [item for item in items if isinstance(item, Pictures)]
        pieces = [piece for item in pictures for piece in item.pieces]
        scores = self._scores(
            [classifier.shape(piece) for piece in pieces],
            most if pictures[0].rows is None else self.options.max_crops,
            lambda indices: classifier.pixels([pieces[index] for index in indices]),
        )
        answers: list[Outputs] = []
        start = 0
        for item in pictures:
            end = start + len(item.pieces)
            if item.rows is None:
                answers.append(self._whole(scores[start]))
            else:
                answers.append(self._of_boxes(scores[start:end], item.rows))
            start = end
        return answers

    def _scores(
        self,
        shapes: Sequence[tuple[int, ...]],
        most: int,
        pixels: Callable[[list[int]], torch.Tensor],
    ) -> Scores:
        """FP32 [pieces, labels]; pieces of one shape run together, `most` at a time.

        The answers of all come from the device at once.
        """
        classifier = self.model.classifier
        batches = equal_batches(shapes, most)
        found = [
            class_scores(classifier.network(pixels(each)), independent=classifier.independent)
            for each in batches
        ]
        scores = np.zeros((len(shapes), len(classifier.labels)), np.float32)
        if found:
            scores[[index for each in batches for index in each]] = torch.cat(found).cpu().numpy()
        return scores

    def _whole(self, scores: Scores) -> Outputs:
        best = int(scores.argmax())
        label, score = self.model.classifier.labels[best], scores[best]
        outputs = {"label": label, "score": score, "probabilities": scores}
        threshold = self.options.threshold
        if threshold is not None and score >= threshold:
            outputs |= {"accepted": label, "accepted_score": score}
        elif threshold is not None:
            outputs["escalate"] = label
        return {name: value for name, value in outputs.items() if name in self.model.given}

    def _of_boxes(self, scores: Scores, rows: int) -> Outputs:
        labels = np.full(rows, "", dtype=object)
        best = np.zeros(rows, np.float32)
        if len(scores):
            names = self.model.classifier.labels
            labels[: len(scores)] = [names[index] for index in scores.argmax(axis=1)]
            best[: len(scores)] = scores.max(axis=1)
        return {"label": labels, "score": best}

    def _checked_pixels(self, pixels: ReadyPixels) -> ReadyPixels:
        size = self.model.classifier.transform.size
        if len(pixels) != 3 or (size is not None and pixels.shape[1:] != size):
            accepted = "3, any, any" if size is None else f"3, {size[0]}, {size[1]}"
            raise InvalidInput(
                f"tensor 'pixels': {list(pixels.shape)}; accepted: [{accepted}], as the checkpoint "
                "takes them"
            )
        if not np.isfinite(pixels).all():
            raise InvalidInput("tensor 'pixels': it has values that are NaN or infinite")
        return pixels
