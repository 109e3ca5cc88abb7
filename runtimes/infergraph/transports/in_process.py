"""`InProcessTransport`: models and pipelines loaded in this process, called without a hop."""

from __future__ import annotations

from .. import registry
from ..declaration import ModelDeclaration
from ..errors import UnknownModel
from ..mlserver_types import declared_specs
from ..registry import IN_PROCESS, Servable
from ..request import RequestContext
from ..v2 import Message


class InProcessTransport:
    """Calls servables of the process-wide registry; arrays are handed over, not copied."""

    kind = IN_PROCESS
    endpoint = ""

    async def infer(self, model: str, message: Message, context: RequestContext) -> Message:
        """The answer of the servable of that name; see `Transport.infer`."""
        servable = _find(model)
        if context.deadline is not None:
            context.deadline.check(f"model '{model}'")
        return await servable.infer(message, context)

    async def declaration(self, model: str) -> ModelDeclaration:
        """The tensors that the servable's settings declare."""
        servable = _find(model)
        options = getattr(servable, "options", None)
        return ModelDeclaration(
            model,
            declared_specs(
                getattr(servable, "inputs", None), getattr(options, "optional_inputs", ())
            ),
            declared_specs(
                getattr(servable, "outputs", None), getattr(options, "optional_outputs", ())
            ),
        )

    async def close(self) -> None:
        """Does nothing: there is no connection."""


def _find(model: str) -> Servable:
    servable = registry.find(model)
    if servable is None:
        raise UnknownModel(f"model '{model}' is not loaded in this process")
    return servable
