"""`Reference`: how one part of a pipeline names the tensors of another, and how they are grouped.

==============================  ===============================================================
``step``                        all outputs of a step; the same as ``step.outputs``
``step.outputs.tensor``         one output tensor of a step
``step.inputs[.tensor]``        what a step was sent: joined and renamed, as its model saw it
``pipeline.inputs[.tensor]``    what the caller sent; the pipeline's own name alone means the same
==============================  ===============================================================

References to other pipelines, allowed in `spec.input` only, are `ExternalReference`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Port = Literal["inputs", "outputs"]
_PORTS: tuple[Port, ...] = ("inputs", "outputs")


class ReferenceSyntaxError(ValueError):
    """A reference that names nothing: `empty` when it is empty or starts with a dot."""

    def __init__(self, text: str, accepted: str) -> None:
        self.empty = not text or text.startswith(".")
        super().__init__(f"{text!r} is no reference; accepted: {accepted}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference.

    Attributes:
        source: The step's or the pipeline's name.
        port: Whether its inputs or its outputs are meant.
        tensor: One tensor's name, or None for all of them.
    """

    source: str
    port: Port
    tensor: str | None = None

    @classmethod
    def parse(cls, text: str, pipeline: str) -> Reference:
        """Parses a reference inside the pipeline so named; ReferenceSyntaxError if it is none."""
        parts = text.split(".")
        accepted = "step, step.outputs[.tensor], step.inputs[.tensor] or pipeline.inputs[.tensor]"
        if not all(parts) or len(parts) > 3:
            raise ReferenceSyntaxError(text, accepted)
        if len(parts) == 1:
            return cls(text, "inputs" if text == pipeline else "outputs")
        port = _port(parts[1])
        if port is None:
            raise ReferenceSyntaxError(text, accepted)
        return cls(parts[0], port, parts[2] if len(parts) == 3 else None)

    def __str__(self) -> str:
        end = "" if self.tensor is None else f".{self.tensor}"
        return f"{self.source}.{self.port}{end}"


@dataclass(frozen=True, slots=True)
class ExternalReference:
    """A reference to another pipeline or a step of it: ``p.outputs[.t]``, ``p.step.s.outputs[.t]``.

    Attributes:
        pipeline: The other pipeline's name.
        step: One of its steps, or None for the pipeline itself.
        port: Whether its inputs or its outputs are meant.
        tensor: One tensor's name, or None for all of them.
    """

    pipeline: str
    step: str | None
    port: Port
    tensor: str | None = None

    @classmethod
    def parse(cls, text: str) -> ExternalReference:
        """Parses a reference to another pipeline; ReferenceSyntaxError if it is none."""
        accepted = "pipeline[.outputs[.tensor]] or pipeline.step.<step>[.outputs[.tensor]]"
        parts = text.split(".")
        if not all(parts):
            raise ReferenceSyntaxError(text, accepted)
        pipeline, rest = parts[0], parts[1:]
        step = None
        if rest and rest[0] == "step":
            if len(rest) == 1:
                raise ReferenceSyntaxError(text, accepted)
            step, rest = rest[1], rest[2:]
        port = _port(rest[0]) if rest else "outputs"
        if port is None or len(rest) > 2:
            raise ReferenceSyntaxError(text, accepted)
        return cls(pipeline, step, port, rest[1] if len(rest) == 2 else None)

    def __str__(self) -> str:
        middle = "" if self.step is None else f".step.{self.step}"
        end = "" if self.tensor is None else f".{self.tensor}"
        return f"{self.pipeline}{middle}.{self.port}{end}"


@dataclass(frozen=True, slots=True)
class SourceReference:
    """What one consumer takes from one source.

    Attributes:
        source: The step's or the pipeline's name.
        port: Whether its inputs or its outputs are meant.
        tensors: The wanted tensors, in order of mention; empty means all of them.
    """

    source: str
    port: Port
    tensors: tuple[str, ...]


def group(references: Iterable[Reference]) -> tuple[SourceReference, ...]:
    """Groups references by source, in the order in which sources are first mentioned.

    Once a tensor of a source is named, plain references to that source add nothing.
    """
    grouped: dict[tuple[str, Port], dict[str, None]] = {}
    for reference in references:
        tensors = grouped.setdefault((reference.source, reference.port), {})
        if reference.tensor is not None:
            tensors[reference.tensor] = None
    return tuple(
        SourceReference(source, port, tuple(tensors)) for (source, port), tensors in grouped.items()
    )


def parse_tensor_key(key: str) -> Reference:
    """Parses a key of a `tensorMap`, always ``<step|pipeline>.<inputs|outputs>.<tensor>``."""
    parts = key.split(".")
    port = _port(parts[1]) if len(parts) == 3 and all(parts) else None
    if port is None:
        raise ReferenceSyntaxError(key, "<step or pipeline>.<inputs or outputs>.<tensor>")
    return Reference(parts[0], port, parts[2])


def _port(text: str) -> Port | None:
    return next((port for port in _PORTS if port == text), None)
