"""The V2 (Open Inference) protocol: tensors, messages, and their forms over REST and gRPC.

It stands alone, on numpy, orjson and protobuf, so that servers, transports and clients share it.
"""

from .tensor import NUMPY_DTYPES, Message, Parameter, Tensor, datatype_of

__all__ = ["NUMPY_DTYPES", "Message", "Parameter", "Tensor", "datatype_of"]
