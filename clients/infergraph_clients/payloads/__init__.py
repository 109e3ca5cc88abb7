"""What requests hold: read from files and arguments, or made up from a model's metadata."""

from .declared import Metadata, TensorSpec, check_inputs, find_spec
from .inputs import Given, build_tensors, parse_input
from .payload import Payload, read_request

__all__ = [
    "Given",
    "Metadata",
    "Payload",
    "TensorSpec",
    "build_tensors",
    "check_inputs",
    "find_spec",
    "parse_input",
    "read_request",
]
