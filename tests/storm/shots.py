"""One request of the storm, and what may come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .tensors import Answered


@dataclass(frozen=True)
class RestShot:
    """A request over REST, as bytes.

    Attributes:
        kind: What is odd about it, for the report.
        data: All of it, head and body.
        id: The id that it carries; an answer may carry no other one.
        answered: What its answer must be, if it is a good request.
        infers: Whether an answer is one to an inference.
        whole: Whether the bytes are a whole HTTP request. What is not may be left unanswered, and
            refused by a text that is no JSON.
        says_nothing: Whether answers without a body are right, as of HEAD and of readiness.
        pieces: It is sent in so many pieces, with a pause between them.
        leaves_after: It goes away after so many bytes, without waiting; None waits for the answer.
    """

    kind: str
    data: bytes
    id: str = ""
    answered: Answered | None = None
    infers: bool = True
    whole: bool = True
    says_nothing: bool = False
    pieces: int = 1
    leaves_after: int | None = None


@dataclass(frozen=True)
class GrpcShot:
    """A call over gRPC.

    Attributes:
        kind: What is odd about it, for the report.
        method: The name in the service; "Infer" is that of the calls that hops keep open.
        messages: One, or those of a stream.
        metadata: Headers.
        id: The id that it carries; an answer may carry no other one.
        answered: What its answer must be, or the first of several, if it is a good request.
        timeout: The call's own deadline, in seconds; None has none.
        leaves: It is given up at once: before any answer, or after the first of a stream.
    """

    kind: str
    method: str
    messages: tuple[bytes, ...]
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    id: str = ""
    answered: Answered | None = None
    timeout: float | None = None
    leaves: Literal["", "at once", "after one"] = ""

    @property
    def streams(self) -> bool:
        return self.method == "ModelStreamInfer" or self.is_kept

    @property
    def is_kept(self) -> bool:
        return self.method == "Infer"


Shot = RestShot | GrpcShot
