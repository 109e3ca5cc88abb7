"""The paths by which Seldon Core 1's executor asks the nodes of a graph: `route`, `aggregate`."""

from __future__ import annotations

from mlserver import MLModel

from ..errors import InvalidInput
from ..servable import Servable
from ..v2 import rest
from ..v2.request import InferRequest
from .desk import ASIDE_BYTES
from .rest_inference import Call, RestInference, Send
from .stock import aside_if


class RestRoute(RestInference):
    """Answers which child of a node is asked, as a JSON list of one number.

    What comes is a request, or the answer of the node itself.
    """

    async def _respond(
        self, call: Call, model: MLModel, body: bytes, json_size: int | None, send: Send
    ) -> tuple[int, str]:
        node = _node(call, model, json_size)
        limits = self._desk.settings.limits
        request: InferRequest = await aside_if(
            len(body) > ASIDE_BYTES, rest.decode_node, body, limits
        )
        child = self._desk.route(node, request)
        await self._send_answer(call, send, [b"[%d]" % child], None, [])
        return 200, request.message.id


class RestAggregate(RestInference):
    """Answers what a node makes of its children's answers, a JSON list of them."""

    async def _respond(
        self, call: Call, model: MLModel, body: bytes, json_size: int | None, send: Send
    ) -> tuple[int, str]:
        node = _node(call, model, json_size)
        limits = self._desk.settings.limits
        answers: list[InferRequest] = await aside_if(
            len(body) > ASIDE_BYTES, rest.decode_nodes, body, limits
        )
        answer, request = await self._desk.aggregate(node, answers, call.context)
        return await self._send_message(call, send, node, answer, request)


def _node(call: Call, model: MLModel, json_size: int | None) -> Servable:
    if not isinstance(model, Servable):
        raise InvalidInput(
            f"model '{call.name}' is of another runtime, which is no node that routes or joins"
        )
    if json_size is not None:
        raise InvalidInput(
            f"model '{call.name}': binary tensor data came; a graph's executor sends JSON only"
        )
    return model
