"""`Row`: what one form of one content cost on its way to one model."""

from __future__ import annotations

from dataclasses import dataclass, field

from .contents import Kind


@dataclass(frozen=True)
class Cell:
    """A bandwidth.

    Attributes:
        bits_per_second: Of the link, each way; None is no relay at all.
        p50_ms: From the content to the decoded answer, encoding included.
        requests: Measured; 0 if the time is computed from bytes and the time without a relay.
    """

    bits_per_second: float | None
    p50_ms: float
    requests: int


@dataclass(frozen=True)
class Row:
    """Milliseconds and bytes are of one request.

    Attributes:
        model: The model that was asked.
        echoes: Whether it answers with what it gets.
        kind, size: The content.
        encoding, wire: The form.
        problem: Why there is nothing else; empty if all went well.
        answer: `same` as what was sent (echo) or as the reference's answer, or how it differs.
        up_bytes, down_bytes: TCP's payload, heads and framing included.
        encode_ms: CPU of the client to make the tensor of the content (to compress to FLAC, ...).
        client_ms: Its CPU for all else: V2's message, gzip, sending, receiving, parsing.
        server_ms: The server's CPU; None if nothing says it.
        error_ms: Standard error of the CPU of both, from the rounds.
        cells: By bandwidth, the first without a relay.
    """

    model: str
    echoes: bool
    kind: Kind
    size: str
    encoding: str
    wire: str
    problem: str = ""
    answer: str = ""
    up_bytes: int = 0
    down_bytes: int = 0
    encode_ms: float = 0.0
    client_ms: float = 0.0
    server_ms: float | None = None
    error_ms: float = 0.0
    cells: tuple[Cell, ...] = field(default=())

    @property
    def name(self) -> str:
        """As tables write it."""
        return f"{self.encoding} {self.wire}"

    @property
    def bytes(self) -> int:
        """Both ways."""
        return self.up_bytes + self.down_bytes

    def busy_ms(self, *, encoded_already: bool) -> float:
        """Milliseconds of a request that no bandwidth changes: CPU of both; without a server's
        CPU the time without a relay.

        Args:
            encoded_already: Whether the content is at hand as a file, its encoding free.
        """
        saved = self.encode_ms if encoded_already else 0.0
        if self.server_ms is None:
            return max(self.cells[0].p50_ms - saved, 0.0)
        return self.encode_ms - saved + self.client_ms + self.server_ms
