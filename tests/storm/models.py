"""Models that decode media and do no more. MLServer reloads this module: no state may live here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from infergraph.runtime import Item, Outputs, Runtime
from infergraph.tensors.audio import decode_audio
from infergraph.tensors.image import decode_image


class Look(Runtime):
    """`image` BYTES [-1, 1] -> `size` INT64 [-1, 2]: height and width in pixels."""

    def prepare(self, item: Item) -> Item:
        pixels = decode_image(item["image"], max_pixels=100_000)
        return {"size": np.array(pixels.shape[:2], np.int64)}

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> Sequence[Outputs]:
        return [dict(item) for item in items]


class Listen(Runtime):
    """`audio` BYTES [-1, 1] -> `samples` INT64 [-1, 1]: how many there are at 16 kHz."""

    def prepare(self, item: Item) -> Item:
        samples = decode_audio(item["audio"], sample_rate=16_000, max_seconds=2.0)
        return {"samples": np.array([len(samples)], np.int64)}

    def predict_batch(self, items: Sequence[Item], parameters: Any) -> Sequence[Outputs]:
        return [dict(item) for item in items]
