"""Models that decode media and do no more. MLServer reloads this module: no state may live here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from infergraph.runtime import Item, Outputs, Runtime
from infergraph.tensors.audio import decode_audio
from infergraph.tensors.image import decode_image


class Look(Runtime[tuple[int, int]]):
    """`image` BYTES [-1, 1] -> `size` INT64 [-1, 2]: height and width in pixels."""

    def prepare(self, item: Item) -> tuple[int, int]:
        height, width, _ = decode_image(item["image"], max_pixels=100_000).shape
        return height, width

    def predict_batch(
        self, items: Sequence[tuple[int, int]], parameters: None
    ) -> Sequence[Outputs]:
        return [{"size": np.array(size, np.int64)} for size in items]


class Listen(Runtime[int]):
    """`audio` BYTES [-1, 1] -> `samples` INT64 [-1, 1]: how many there are at 16 kHz."""

    def prepare(self, item: Item) -> int:
        return len(decode_audio(item["audio"], sample_rate=16_000, max_seconds=2.0))

    def predict_batch(self, items: Sequence[int], parameters: None) -> Sequence[Outputs]:
        return [{"samples": np.array([count], np.int64)} for count in items]
