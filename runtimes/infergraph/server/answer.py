"""`answer`: from MLServer's request to its response, around a servable that answers messages."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse

from ..errors import InfergraphError, StageFailure
from ..request import RequestContext
from ..tensors.v2 import decode_request, encode_response
from ..v2 import Message
from .errors import as_mlserver_error
from .grpc_call import compress_if_asked

logger = logging.getLogger(__name__)


async def answer(
    model: MLModel,
    payload: InferenceRequest,
    infer: Callable[[Message, RequestContext], Awaitable[Message]],
) -> InferenceResponse:
    """The response to a V2 request, in the wire form in which it came.

    Raises:
        MLServerError: every failure, with a status and a text that is fit for the caller.
    """
    try:
        message, context, wire = decode_request(payload)
        result = await infer(message, context)
        requested = [output.name for output in payload.outputs] if payload.outputs else None
        declared = [output.name for output in model.outputs or ()]
        response = encode_response(result, model.name, model.version, wire, requested, declared)
        await compress_if_asked()
        return response
    except InfergraphError as error:
        raise as_mlserver_error(error) from None
    except Exception as error:
        logger.exception("'%s' failed", model.name)
        raise as_mlserver_error(StageFailure.unexpected(f"model '{model.name}'", error)) from None
