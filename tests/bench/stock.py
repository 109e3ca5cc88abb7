"""A stock MLServer model of no computation, the yardstick of the benchmarks."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class StockEcho(MLModel):
    """Hands its first input back as `output`."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        tensor = payload.inputs[0]
        return InferenceResponse(
            model_name=self.name,
            outputs=[
                ResponseOutput(
                    name="output",
                    shape=tensor.shape,
                    datatype=tensor.datatype,
                    data=tensor.data,
                )
            ],
        )
