"""`ModelDeclaration`: what a servable says of itself, read from its folder or from its server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class ModelDeclaration:
    """A servable's name and tensors.

    Attributes:
        name: The model's name; a step of that name is served by it.
        inputs: Declared input tensors; empty when the model declares none.
        outputs: Declared output tensors; empty when the model declares none.
        implementation: Import path of the runtime; empty when only the server's answer is known.
        folder: The servable's folder, or None when only the server's answer is known.
        pipeline: The pipeline file that a router executes, or None for a model.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    implementation: str = ""
    folder: Path | None = None
    pipeline: Path | None = None

    @property
    def is_ours(self) -> bool:
        """Whether its runtime is one of this package."""
        return self.implementation.startswith(f"{__package__}.")

    def input(self, name: str) -> TensorSpec | None:
        return next((spec for spec in self.inputs if spec.name == name), None)

    def output(self, name: str) -> TensorSpec | None:
        return next((spec for spec in self.outputs if spec.name == name), None)
