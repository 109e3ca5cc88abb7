"""Tensors and messages; `infergraph.tensors.v2` knows MLServer's types, `.media` encoded media."""

from .spec import TensorSpec
from .tensor import NUMPY_DTYPES, Message, Parameter, Tensor, datatype_of

__all__ = ["NUMPY_DTYPES", "Message", "Parameter", "Tensor", "TensorSpec", "datatype_of"]
