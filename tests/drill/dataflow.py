"""`Dataflow`: what Seldon Core 2 makes of a Pipeline, without Kafka: joins, triggers, renames.

It knows nothing of Infergraph's own executor, which it is there to be compared with.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mlserver.grpc import dataplane_pb2 as pb

from .rendered import Object

_FIELDS = {
    "BOOL": ("bool_contents", "?"), "UINT8": ("uint_contents", "u1"),
    "UINT16": ("uint_contents", "u2"), "UINT32": ("uint_contents", "u4"),
    "UINT64": ("uint64_contents", "u8"), "INT8": ("int_contents", "i1"),
    "INT16": ("int_contents", "i2"), "INT32": ("int_contents", "i4"),
    "INT64": ("int64_contents", "i8"), "FP32": ("fp32_contents", "f4"),
    "FP64": ("fp64_contents", "f8"), "BYTES": ("bytes_contents", ""),
}  # fmt: skip
"""Datatype -> where typed contents stand, and the layout of raw ones."""
_TEXTS = ("str", "datetime")


class StepFailed(Exception):
    """A model answered with an error, which is the pipeline's answer."""


class Unanswered(Exception):
    """Seldon would never answer: no branch of the pipeline does."""


@dataclass(frozen=True)
class Tensor:
    """A tensor on its way; it has either values or raw contents.

    Attributes:
        parameters: As protobuf has them.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    parameters: Mapping[str, pb.InferParameter]
    values: Sequence[Any] | None
    raw: bytes | None

    def listed(self) -> list[Any]:
        """Its values, one by one."""
        if self.values is not None:
            return list(self.values)
        assert self.raw is not None
        if self.datatype != "BYTES":
            array = np.frombuffer(self.raw, _FIELDS[self.datatype][1])
            listed: list[Any] = array.tolist()
            return listed
        found, at = [], 0
        for _ in range(math.prod(self.shape)):
            size = int.from_bytes(self.raw[at : at + 4], "little")
            found.append(self.raw[at + 4 : at + 4 + size])
            at += 4 + size
        return found

    def packed(self) -> bytes:
        """Its raw contents."""
        if self.raw is not None:
            return self.raw
        assert self.values is not None
        if self.datatype == "BYTES":
            return b"".join(len(each).to_bytes(4, "little") + each for each in self.values)
        return np.array(self.values, _FIELDS[self.datatype][1]).tobytes()


@dataclass(frozen=True)
class Message:
    """What stands on a topic."""

    id: str
    parameters: Mapping[str, pb.InferParameter]
    tensors: Sequence[Tensor]

    def request(self, model: str) -> pb.ModelInferRequest:
        """Raw as soon as one tensor is: contents are raw or typed as a whole."""
        request = pb.ModelInferRequest(model_name=model, id=self.id)
        return _filled(request, request.inputs, request.raw_input_contents, self)

    def response(self) -> pb.ModelInferResponse:
        """The pipeline's answer, which names no model."""
        response = pb.ModelInferResponse(id=self.id)
        return _filled(response, response.outputs, response.raw_output_contents, self)


def _filled(whole: Any, tensors: Any, contents: Any, message: Message) -> Any:
    for key, value in message.parameters.items():
        whole.parameters[key].CopyFrom(value)
    is_raw = any(each.raw is not None for each in message.tensors)
    for each in message.tensors:
        added = tensors.add(name=each.name, datatype=each.datatype, shape=each.shape)
        for key, value in each.parameters.items():
            added.parameters[key].CopyFrom(value)
        if is_raw:
            contents.append(each.packed())
        else:
            getattr(added.contents, _FIELDS[each.datatype][0]).extend(each.listed())
    return whole


def read(message: Any) -> Message:
    """A ModelInferRequest or ModelInferResponse."""
    is_request = isinstance(message, pb.ModelInferRequest)
    tensors = message.inputs if is_request else message.outputs
    contents = message.raw_input_contents if is_request else message.raw_output_contents
    found = []
    for number, each in enumerate(tensors):
        raw = contents[number] if contents else None
        values = None if contents else list(getattr(each.contents, _FIELDS[each.datatype][0]))
        found.append(
            Tensor(each.name, each.datatype, list(each.shape), dict(each.parameters), values, raw)
        )
    return Message(message.id, dict(message.parameters), found)


def from_json(body: Object) -> Message:
    """A REST request: BYTES are the text that stands there, whatever its content type says."""
    tensors = []
    for each in body["inputs"]:
        values = each["data"]
        if each["datatype"] == "BYTES":
            values = [value.encode() for value in values]
        parameters = _parameters(each.get("parameters") or {})
        tensors.append(
            Tensor(each["name"], each["datatype"], each["shape"], parameters, values, None)
        )
    return Message(body.get("id", ""), _parameters(body.get("parameters") or {}), tensors)


def to_json(message: Message) -> Object:
    """A REST answer: BYTES are base64 unless their content type says that they are text."""
    outputs = []
    for each in message.tensors:
        data = each.listed()
        if each.datatype == "BYTES":
            kind = each.parameters.get("content_type")
            is_text = kind is not None and kind.string_param in _TEXTS
            data = [
                value.decode() if is_text else base64.b64encode(value).decode() for value in data
            ]
        output = {
            "name": each.name,
            "datatype": each.datatype,
            "shape": list(each.shape),
            "data": data,
        }
        if each.parameters:
            output["parameters"] = _plain(each.parameters)
        outputs.append(output)
    answer: Object = {"model_name": "", "outputs": outputs}
    if message.parameters:
        answer["parameters"] = _plain(message.parameters)
    return answer


def _parameters(given: Mapping[str, Any]) -> dict[str, pb.InferParameter]:
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param"}
    return {name: pb.InferParameter(**{kinds[type(value)]: value}) for name, value in given.items()}


def _plain(parameters: Mapping[str, pb.InferParameter]) -> dict[str, Any]:
    return {
        name: getattr(each, each.WhichOneof("parameter_choice"))
        for name, each in parameters.items()
    }


Call = Callable[[str, pb.ModelInferRequest], pb.ModelInferResponse]
"""Asks a model; raises StepFailed."""


@dataclass(frozen=True)
class _Join:
    """What a step, its triggers or the output read.

    Attributes:
        kind: inner, outer or any.
        sources: `step.outputs` and the like -> the tensors wanted of it; all if none is named.
        renames: `step.outputs.tensor` -> name.
    """

    kind: str
    sources: Mapping[str, tuple[str, ...]]
    renames: Mapping[str, str]

    @classmethod
    def of(
        cls, pipeline: str, references: Iterable[str], kind: str | None, renames: Any = None
    ) -> _Join:
        sources: dict[str, tuple[str, ...]] = {}
        for each in references:
            name, _, rest = each.partition(".")
            port, _, tensor = rest.partition(".")
            source = f"{name}.{port or ('inputs' if name == pipeline else 'outputs')}"
            sources[source] = (*sources.get(source, ()), *([tensor] if tensor else []))
        return cls(kind or "inner", sources, renames or {})

    def select(self, source: str, message: Message) -> Message | None:
        """What it takes of a source; None where the source has nothing of it."""
        wanted = self.sources[source]
        kept = [
            Tensor(
                self.renames.get(f"{source}.{each.name}", each.name),
                *(each.datatype, each.shape, each.parameters, each.values, each.raw),
            )
            for each in message.tensors
            if not wanted or each.name in wanted
        ]
        return Message(message.id, message.parameters, kept) if kept else None

    def joined(self, topics: Mapping[str, Message], *, is_late: bool = False) -> Message | None:
        """What it gives by now; with `is_late`, when the window of an outer join is over."""
        found = {
            source: selected
            for source in self.sources
            if source in topics and (selected := self.select(source, topics[source])) is not None
        }
        enough = len(found) == len(self.sources)
        if self.kind == "any" or (self.kind == "outer" and is_late):
            enough = bool(found)
        if not enough:
            return None
        parts = list(found.values())[:1] if self.kind == "any" else list(found.values())
        tensors = [tensor for part in parts for tensor in part.tensors]
        return Message(parts[0].id, parts[0].parameters, tensors)


@dataclass
class Dataflow:
    """One pipeline.

    Args:
        resource: The Pipeline.

    Attributes:
        stalls: Joins that were given up waiting for: Seldon does a minute later, once another
            request comes.
    """

    resource: Object
    stalls: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.resource["metadata"]["name"])

    def _join(self, references: Iterable[str], kind: str | None, renames: Any = None) -> _Join:
        return _Join.of(self.name, references, kind, renames)

    def run(self, request: Message, call: Call) -> Message:
        """The pipeline's answer.

        Raises:
            StepFailed: a step failed, on the way to the output or beside it.
            Unanswered: nothing is left to run, and there is no answer.
        """
        spec = self.resource["spec"]
        steps = {
            each["name"]: (
                self._join(
                    each.get("inputs") or [self.name],
                    each.get("inputsJoinType"),
                    each.get("tensorMap"),
                ),
                self._join(each.get("triggers") or [], each.get("triggersJoinType")),
            )
            for each in spec["steps"]
        }
        output = self._join(
            spec["output"]["steps"],
            spec["output"].get("stepsJoin"),
            spec["output"].get("tensorMap"),
        )
        topics = {f"{self.name}.inputs": request}
        running: dict[Future[Message], str] = {}
        with ThreadPoolExecutor(len(steps)) as threads:
            while True:
                is_late = False
                fired = self._fires(steps, topics)
                if not fired and not running:
                    if output.joined(topics) is not None:
                        break
                    is_late = True
                    fired = self._fires(steps, topics, is_late=True)
                    self.stalls += fired
                    if not fired:
                        break
                for name in fired:
                    data = self._data(steps[name], topics, is_late=is_late)
                    assert data is not None
                    topics[f"{name}.inputs"] = data
                    running[threads.submit(_answer, call, name, data)] = name
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for each in done:
                    topics[f"{running.pop(each)}.outputs"] = each.result()
        answer = output.joined(topics)
        if answer is None and output.kind == "outer":
            answer = output.joined(topics, is_late=True)
            self.stalls.append("the output")
        if answer is None:
            raise Unanswered(f"no branch of pipeline '{self.name}' answers")
        return answer

    def _fires(
        self,
        steps: Mapping[str, tuple[_Join, _Join]],
        topics: Mapping[str, Message],
        *,
        is_late: bool = False,
    ) -> list[str]:
        return [
            name
            for name, joins in steps.items()
            if f"{name}.inputs" not in topics
            and self._data(joins, topics, is_late=is_late) is not None
        ]

    @staticmethod
    def _data(
        joins: tuple[_Join, _Join], topics: Mapping[str, Message], *, is_late: bool
    ) -> Message | None:
        data, triggers = joins
        if triggers.sources and triggers.joined(topics, is_late=is_late) is None:
            return None
        return data.joined(topics, is_late=is_late)


def _answer(call: Call, step: str, data: Message) -> Message:
    return read(call(step, data.request(step)))
