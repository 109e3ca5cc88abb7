"""`Packing`: short texts side by side in the rows of an encoder, in place of padding.

Positions are added and answers made as ever, text by text; between them, in the layers, where
nearly all is computed, texts share rows, and no token looks at another text's.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...devices import Placement, moved
from ..minibatches import call_cost, minibatches

Integers = npt.NDArray[np.int64]

# Their positions are in what goes into the layers, and these look at the mask alone.
_LAYERS = {
    "bert": "encoder",
    "camembert": "encoder",
    "distilbert": "transformer",
    "electra": "encoder",
    "roberta": "encoder",
    "xlm-roberta": "encoder",
}
_MASKS = ("eager", "sdpa")
"""The kinds of attention that take a mask of one's own."""
_WORTH = 0.95
"""What rows may cost, as a share of a row for each text: to move texts there and back costs too."""


class Packing:
    """Divides texts into batches, and those of a batch into rows; used in the model's thread alone.

    Networks of other families, and those that are compiled or that another engine computes, are
    given a row for each text.
    """

    def __init__(self, network: Any, placement: Placement) -> None:
        """Takes a look at the network, before the placement is finished.

        Args:
            network: An encoder of transformers, placed; it is changed.
            placement: Its own.
        """
        self._call = call_cost(network)
        self._rows: _Rows | None = None
        config: Any = getattr(network, "config", None)
        name = _LAYERS.get(getattr(config, "model_type", ""))
        self._packs = (
            name is not None
            and not placement.compile
            and placement.engine == "torch"
            and config._attn_implementation in _MASKS
        )
        if self._packs:
            self._size: int = config.hidden_size
            self._adds = config._attn_implementation == "eager"
            layers = getattr(network.base_model, str(name))
            layers.register_forward_pre_hook(self._pack, with_kwargs=True)
            layers.register_forward_hook(self._unpack)

    def batches(self, lengths: Sequence[int], max_size: int, most: float) -> list[list[int]]:
        """The texts of each network call, as `minibatches` gives them.

        Args:
            lengths: The tokens of each text.
            max_size: Most texts of one call.
            most: Most tokens of one, with a row for each text.
        """
        if self._packs:
            # What would be padding is filled: the fewer calls, the better.
            return minibatches(lengths, max_size, min_fill=0, call=float("inf"), most=most)
        return minibatches(lengths, max_size, call=self._call, most=most)

    @contextmanager
    def rows(self, lengths: Sequence[int]) -> Iterator[int]:
        """Has the network put these texts into rows, if it is called inside; gives their tokens.

        Args:
            lengths: The tokens of each text, in the order in which the network is given them, one
                in each row, padded at the end.
        """
        alone = len(lengths) * max(lengths)
        places = self._places(lengths) if self._packs else None
        if places is None:
            yield alone
            return
        self._rows = _Rows(lengths, *places)
        try:
            yield self._rows.index.size
        finally:
            self._rows = None

    def _places(self, lengths: Sequence[int]) -> tuple[list[int], list[int]] | None:
        """The row and the column where each text begins; None where a row for each costs least.

        Tried are rows from about the longest text's length to twice that. A row's attention costs
        the more, the longer it is.
        """
        longest, count = max(lengths), len(lengths)
        fewest = -(-sum(lengths) // longest)
        best, least = None, _WORTH * self._cost(count, longest)
        for number in range(-(-fewest // 2), min(count, fewest + fewest // 2 + 1)):
            rows, columns, width = _divided(lengths, number)
            cost = self._cost(number, width)
            if cost < least:
                best, least = (rows, columns), cost
        return best

    def _cost(self, rows: int, width: int) -> float:
        # Of a layer's multiplications, 12 of the hidden size go into a token's own vectors, and 2
        # into its attention to each token of its row.
        return rows * width * (1 + width / (6 * self._size))

    def _pack(self, module: Any, given: Any, named: dict[str, Any]) -> Any:
        rows = self._rows
        if rows is None:
            return None
        values = given[0] if given else named["hidden_states"]
        together = rows.packed(values)
        mask = rows.mask(values.device)
        if self._adds:
            mask = torch.zeros_like(mask, dtype=values.dtype).masked_fill_(
                ~mask, torch.finfo(values.dtype).min
            )
        named = {**named, "attention_mask": mask}
        if given:
            return (together, *given[1:]), named
        return given, {**named, "hidden_states": together}

    def _unpack(self, module: Any, given: Any, answer: Any) -> Any:
        if self._rows is not None:
            answer.last_hidden_state = self._rows.unpacked(answer.last_hidden_state)
        return answer


class _Rows:
    """Where texts are.

    Attributes:
        index: Of each place of the rows, where the texts have what is there, INT64 [rows, width].
    """

    def __init__(self, lengths: Sequence[int], rows: Sequence[int], columns: Sequence[int]) -> None:
        longest = max(lengths)
        ends = [column + length for column, length in zip(columns, lengths, strict=True)]
        self.index = np.zeros((max(rows) + 1, max(ends)), np.int64)
        # Padding, of both, is any token: nothing looks at it.
        self._back = np.zeros((len(lengths), longest), np.int64)
        self._texts = np.full(self.index.shape, -1)
        places = np.arange(max(self.index.size, self._back.size))
        width = self.index.shape[1]
        for text, (length, row, column) in enumerate(zip(lengths, rows, columns, strict=True)):
            self.index[row, column : column + length] = places[text * longest :][:length]
            self._back[text, :length] = places[row * width + column :][:length]
            self._texts[row, column : column + length] = text

    def packed(self, values: torch.Tensor) -> torch.Tensor:
        """[texts, longest, size] -> [rows, width, size]."""
        return _gathered(values, self.index)

    def unpacked(self, values: torch.Tensor) -> torch.Tensor:
        """[rows, width, size] -> [texts, longest, size]."""
        return _gathered(values, self._back)

    def mask(self, device: torch.device) -> torch.Tensor:
        """Which tokens look at which, BOOL [rows, 1, width, width]; padding looks at padding."""
        texts = moved(torch.from_numpy(self._texts), device)
        return (texts[:, :, None] == texts[:, None, :])[:, None]


def _gathered(values: torch.Tensor, index: Integers) -> torch.Tensor:
    places = moved(torch.from_numpy(index.reshape(-1)), values.device)
    return values.flatten(0, 1).index_select(0, places).view(*index.shape, -1)


def _divided(lengths: Sequence[int], number: int) -> tuple[list[int], list[int], int]:
    """The row and the column of each text in so many rows, and the longest row's length.

    The longest text comes first, each to the row that is shortest by then.
    """
    rows, columns = [0] * len(lengths), [0] * len(lengths)
    ends = [(0, row) for row in range(number)]
    for text in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
        column, row = ends[0]
        rows[text], columns[text] = row, column
        heapq.heapreplace(ends, (column + lengths[text], row))
    return rows, columns, max(ends)[0]
