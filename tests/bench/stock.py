"""A stock MLServer model of no computation, the yardstick of the benchmarks."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class StockEcho(MLModel):
    """Hands its first input back as `output`, by way of an array, as MLServer's examples do."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        array = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("output", array)]
        )
