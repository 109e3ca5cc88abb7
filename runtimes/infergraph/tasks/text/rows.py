"""`Rows`: what an encoder-decoder network remembers of the texts that it is writing, row by row."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import embedding, pad
from transformers import DynamicCache, EncoderDecoderCache


class Decoder:
    """A network that writes a token of each row, however many the rows have written before.

    Args:
        network: An encoder-decoder network of transformers; it is changed.
    """

    def __init__(self, network: Any) -> None:
        self._network = network
        self._positions: torch.Tensor | None = None
        # What its release of transformers calls the memory.
        known = inspect.signature(network.forward).parameters
        self._memory = "cache" if "cache" in known else "past_key_values"
        table = getattr(network.get_decoder(), "embed_positions", None)
        if table is not None:
            table.register_forward_hook(self._own_positions)

    def begin(
        self, batch: dict[str, torch.Tensor], start: int, width: int
    ) -> tuple[Rows, torch.Tensor]:
        """Reads texts, and writes the first token of each.

        Args:
            batch: `input_ids` and `attention_mask`, INT64 [texts, tokens], on the network's device.
            start: The token that every row begins with.
            width: How many rows each text is to have; they are alike.

        Returns:
            The rows, and the logits of their first tokens, FP32 [rows, vocabulary].
        """
        encoded = self._network.get_encoder()(**batch, return_dict=True)
        lengths: list[int] = batch["attention_mask"].sum(dim=1).tolist()
        rows = Rows(lengths, encoded)
        logits = self.step(rows, [start] * len(lengths), encoded)
        if width > 1:
            rows.take([row for row in range(len(lengths)) for _ in range(width)])
            logits = logits.repeat_interleave(width, dim=0)
        return rows, logits

    def step(self, rows: Rows, tokens: Sequence[int], encoded: Any = None) -> torch.Tensor:
        """Writes one token of each row.

        Args:
            rows: Their memory, which grows.
            tokens: The token before it, of each row.
            encoded: What the encoder gave, for the first tokens.

        Returns:
            Its logits, FP32 [rows, vocabulary].
        """
        self._positions = rows.positions()
        try:
            answer = self._network(
                encoder_outputs=rows.encoded() if encoded is None else encoded,
                attention_mask=rows.source_mask,
                decoder_input_ids=rows.tensor(tokens)[:, None],
                decoder_attention_mask=rows.written_mask(),
                use_cache=True,
                return_dict=True,
                **{self._memory: rows.memory},
            )
        finally:
            self._positions = None
        rows.grew()
        logits: torch.Tensor = answer.logits[:, -1].to(torch.float32)
        return logits

    def _own_positions(self, table: Any, inputs: Any, common: torch.Tensor) -> torch.Tensor:
        """The vectors of the rows' own positions, in place of those of a common one."""
        if self._positions is None:
            return common
        weights = table.weights if hasattr(table, "weights") else table.weight
        return embedding(self._positions[:, None] + getattr(table, "offset", 0), weights)


class Rows:
    """The memory of rows: keys and values of what each of them has read and has written.

    What was written ends in the same column for all rows, and begins where it may; what is before
    is masked. So the distance between two tokens is that of their columns, as for a lone row.

    Args:
        sources: How many tokens each row has read.
        encoded: What the encoder gave for them.

    Attributes:
        memory: What the network takes.
        source_mask: What is added to the scores of what was read, [rows, 1, 1, tokens]; None if
            all rows have read as many tokens.
    """

    def __init__(self, sources: Sequence[int], encoded: Any) -> None:
        self.memory: Any = EncoderDecoderCache(DynamicCache(), DynamicCache())
        self._sources, self._written = list(sources), [0] * len(sources)
        # None of its values are read once keys and values were made of them.
        self._encoded: Any = type(encoded)
        self._hidden: torch.Tensor = encoded.last_hidden_state[:1, :1]
        self._measure()

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def source_length(self) -> int:
        """The columns of what was read: the most that a row has read."""
        return max(self._sources, default=0)

    def tensor(self, values: Sequence[int]) -> torch.Tensor:
        """INT64, on the device of the rows."""
        return torch.tensor(values, dtype=torch.int64, device=self._hidden.device)

    def encoded(self) -> Any:
        """What has the shape of the encoder's answer for all rows."""
        hidden = self._hidden.expand(len(self), self.source_length, -1)
        return self._encoded(last_hidden_state=hidden)

    def positions(self) -> torch.Tensor | None:
        """The place of each row's next token in its text, INT64 [rows]; None if all are alike."""
        return None if self._aligned else self.tensor(self._written)

    def written_mask(self) -> torch.Tensor | None:
        """What is added to the scores of what was written, the next token included, likewise."""
        if self._aligned:
            return None
        ages = range(max(self._written), -1, -1)
        return self._mask(ages, self._written)

    def grew(self) -> None:
        """Notes that a token of each row was written."""
        self._written = [each + 1 for each in self._written]

    def join(self, others: Rows) -> None:
        """Takes other rows in, after its own ones; the others are not to be used again."""
        for mine, theirs in self._layers(others, "self_attention_cache"):
            mine.keys = _under(mine.keys, theirs.keys, left=True)
            mine.values = _under(mine.values, theirs.values, left=True)
        for mine, theirs in self._layers(others, "cross_attention_cache"):
            mine.keys = _under(mine.keys, theirs.keys, left=False)
            mine.values = _under(mine.values, theirs.values, left=False)
        self._sources += others._sources
        self._written += others._written
        self._measure()

    def take(self, rows: Sequence[int], *, reading: bool = True) -> None:
        """Keeps rows, in the order of these numbers; columns that are only padding go.

        Args:
            rows: Which; one may come several times.
            reading: Whether what they have read differs from what it was for a row's place.
        """
        index = self.tensor(rows)
        before = max(self._written)
        self._sources = [self._sources[row] for row in rows]
        self._written = [self._written[row] for row in rows]
        first, length = before - max(self._written, default=0), self.source_length
        for layer in self.memory.self_attention_cache.layers:
            layer.keys = layer.keys[:, :, first:].index_select(0, index)
            layer.values = layer.values[:, :, first:].index_select(0, index)
        if reading:
            for layer in self.memory.cross_attention_cache.layers:
                layer.keys = layer.keys[:, :, :length].index_select(0, index)
                layer.values = layer.values[:, :, :length].index_select(0, index)
            self._measure()

    def _measure(self) -> None:
        self._aligned = len(set(self._written)) <= 1
        self.source_mask = None
        if len(set(self._sources)) > 1:
            self.source_mask = self._mask(range(1, self.source_length + 1), self._sources)

    def _mask(self, columns: range, kept: Sequence[int]) -> torch.Tensor:
        """0 where a number of a column is at most that of a row, else what no score outweighs."""
        numbers = torch.arange(
            columns.start, columns.stop, columns.step, device=self._hidden.device
        )
        masked = numbers > self.tensor(kept)[:, None]
        return torch.zeros_like(masked, dtype=self._hidden.dtype).masked_fill_(
            masked, torch.finfo(self._hidden.dtype).min
        )[:, None, None]

    def _layers(self, others: Rows, name: str) -> zip[tuple[Any, Any]]:
        mine, theirs = getattr(self.memory, name), getattr(others.memory, name)
        return zip(mine.layers, theirs.layers, strict=True)


def _under(upper: torch.Tensor, lower: torch.Tensor, *, left: bool) -> torch.Tensor:
    """Rows under rows, [rows, heads, columns, size]; the fewer columns are padded on one side."""
    columns = max(upper.shape[2], lower.shape[2])
    return torch.cat(
        [
            pad(each, (0, 0, missing, 0) if left else (0, 0, 0, missing))
            for each in (upper, lower)
            for missing in [columns - each.shape[2]]
        ]
    )
