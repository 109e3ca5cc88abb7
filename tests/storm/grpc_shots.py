"""Calls over gRPC: good ones, contradictory ones, and messages whose bytes were changed."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

from mlserver.grpc import dataplane_pb2 as pb

from infergraph.v2.schema import HopRequest

from . import media, oddities
from .repository import SPARE
from .shots import GrpcShot
from .tensors import TYPED_FIELDS, Tensor, good

_VARINT, _FIXED64, _BYTES, _GROUP, _FIXED32 = 0, 1, 2, 3, 5
_PARAMETERS = 4
"""The number of a request's field `parameters`."""
_TIMES = ("0", "-1", "nan", "soon", "", "1e15", "5", "250", "9" * 400)


def make(rng: random.Random, index: int) -> GrpcShot:
    """A call; two random sources in the same state make the same one."""
    kind = rng.choices(_KINDS, _WEIGHTS)[0]
    return kind(rng, f"s{index}")


def _good(rng: random.Random, id: str) -> GrpcShot:
    model, tensors, answered = good(rng)
    # One message has either form for all; FP16 has no typed one.
    typed = rng.random() < 0.3 and all(each.datatype in TYPED_FIELDS for each in tensors)
    message = infer_request(model, id, tensors, typed)
    return _infer("good", message, id, answered)


def _wrong_tensors(rng: random.Random, id: str) -> GrpcShot:
    model, tensors, _ = good(rng)
    for _ in range(rng.randint(1, 3)):
        if tensors:
            oddities.spoil(rng, tensors)
    return _infer("wrong tensors", infer_request(model, id, tensors, rng.random() < 0.3), id)


def _contradictory(rng: random.Random, id: str) -> GrpcShot:
    """Raw contents too many or too few, or both forms, or typed contents in the wrong field."""
    model, tensors, _ = good(rng)
    message = infer_request(model, id, tensors, typed=rng.random() < 0.4)
    for _ in range(rng.randint(1, 2)):
        what = rng.randrange(6)
        if what == 0:
            message.raw_input_contents.append(rng.randbytes(rng.choice((0, 4, 100))))
        elif what == 1 and message.raw_input_contents:
            del message.raw_input_contents[rng.randrange(len(message.raw_input_contents))]
        elif what == 2 and message.raw_input_contents:
            at = rng.randrange(len(message.raw_input_contents))
            raw = message.raw_input_contents[at]
            message.raw_input_contents[at] = oddities.changed(rng, raw)
        elif what == 3:
            contents = rng.choice(message.inputs).contents
            contents.fp32_contents.extend([1.0] * rng.choice((1, 5)))
        elif what == 4:
            contents = rng.choice(message.inputs).contents
            contents.int64_contents.extend([-(2**63), 2**63 - 1])
            contents.bytes_contents.append(b"\xff")
        else:
            message.outputs.add(name=rng.choice(("output", "text", "nothing", "")))
    return _infer("contradictory", message, id)


def _parameters(rng: random.Random, id: str) -> GrpcShot:
    """Parameters of all kinds, those that Triton added too, and some that are none."""
    model, tensors, _ = good(rng)
    message = infer_request(model, id, tensors, typed=False).SerializeToString()
    for _ in range(rng.randint(1, 3)):
        value = rng.choice(
            (
                lambda: _field(1, _VARINT, rng.choice((0, 1, 2, 2**64 - 1))),
                lambda: _field(2, _VARINT, rng.getrandbits(64)),
                lambda: _field(3, _BYTES, rng.choice((b"", b"x" * 5000, b"\xff\xfe", b"1"))),
                lambda: _field(4, _FIXED64, struct.pack("<d", rng.choice((0.5, float("nan"))))),
                lambda: _field(5, _VARINT, rng.getrandbits(64)),
                lambda: b"",
                lambda: _field(1, _VARINT, 1) + _field(3, _BYTES, b"both"),
            )
        )()
        names = ("trace", "binary_data_output", "classification", "content_type", "headers")
        key = rng.choice((*names, oddities.name(rng))).encode("utf-8", "surrogatepass")
        entry = _field(1, _BYTES, key) + _field(2, _BYTES, value)
        message += _field(_PARAMETERS, _BYTES, entry)
    return _infer("parameters", message, id)


def _changed(rng: random.Random, id: str) -> GrpcShot:
    """Bytes of a good message changed; what comes of them may be right, wrong, or no message."""
    model, tensors, _ = good(rng)
    message = infer_request(model, id, tensors, rng.random() < 0.5).SerializeToString()
    for _ in range(rng.randint(1, 4)):
        message = oddities.changed(rng, message)
    return _infer("changed bytes", message)


def _unknown_fields(rng: random.Random, id: str) -> GrpcShot:
    """Fields that the message does not have, or that it has, of another kind."""
    model, tensors, _ = good(rng)
    message = infer_request(model, id, tensors, typed=False).SerializeToString()
    for _ in range(rng.randint(1, 3)):
        number = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 100, 2**29 - 1))
        what = rng.randrange(5)
        if what == 0:
            extra = _field(number, _VARINT, rng.getrandbits(64))
        elif what == 1:
            extra = _field(number, _BYTES, rng.randbytes(rng.randint(0, 40)))
        elif what == 2:
            extra = _field(number, _FIXED32, rng.randbytes(4))
        elif what == 3:
            extra = _varint(number << 3 | _GROUP) * rng.choice((1, 50, 5000))
        else:
            extra = b"\xff" * 12
        message = extra + message if rng.random() < 0.5 else message + extra
    return _infer("unknown fields", message)


def _damaged_media(rng: random.Random, id: str) -> GrpcShot:
    model, name, files = rng.choice(
        (("look", "image", media.IMAGES), ("listen", "audio", media.SOUNDS))
    )
    damaged = [media.damaged(rng, rng.choice(files)) for _ in range(rng.randint(1, 2))]
    tensors = [Tensor(name, "BYTES", [len(damaged), 1], damaged, text=False)]
    return _infer("media", infer_request(model, id, tensors, rng.random() < 0.2), id)


def _names(rng: random.Random, id: str) -> GrpcShot:
    """Calls about a model or version of an odd name."""
    name = _sendable(oddities.name(rng))
    model = rng.choice((name, name, rng.choice(oddities.MODELS)))
    version = rng.choice(("", "", "1", _sendable(oddities.name(rng))))
    what = rng.randrange(5)
    if what == 0:
        return GrpcShot(
            "names", "ModelReady", _one(pb.ModelReadyRequest(name=model, version=version))
        )
    if what == 1:
        metadata = pb.ModelMetadataRequest(name=model, version=version)
        return GrpcShot("names", "ModelMetadata", _one(metadata))
    if what == 2:
        method = rng.choice(("ServerLive", "ServerReady", "ServerMetadata"))
        return GrpcShot("names", method, (rng.choice((b"", rng.randbytes(5))),))
    if what == 3:
        return GrpcShot("names", rng.choice(("Nothing", "modelInfer", "")), (b"",))
    _, tensors, _ = good(rng)
    message = infer_request(model, id, tensors, typed=False)
    message.model_version = version
    return _infer("names", message, id)


def _repository(rng: random.Random, id: str) -> GrpcShot:
    what = rng.random()
    if what < 0.3:
        index = pb.RepositoryIndexRequest(
            repository_name=_sendable(oddities.name(rng)), ready=rng.random() < 0.5
        )
        return GrpcShot("repository", "RepositoryIndex", _one(index))
    if what < 0.4:
        # What is loaded already must stay as it is; only the spare one may go.
        load = pb.RepositoryModelLoadRequest(model_name=rng.choice((*oddities.MODELS, SPARE)))
        return GrpcShot("repository", "RepositoryModelLoad", _one(load))
    name = rng.choice((SPARE, _sendable(oddities.name(rng)), _sendable(oddities.name(rng))))
    if rng.random() < 0.5:
        load = pb.RepositoryModelLoadRequest(model_name=name)
        return GrpcShot("repository", "RepositoryModelLoad", _one(load))
    unload = pb.RepositoryModelUnloadRequest(model_name=name)
    return GrpcShot("repository", "RepositoryModelUnload", _one(unload))


def _spare(rng: random.Random, id: str) -> GrpcShot:
    tensors = [Tensor("text", "BYTES", [1, 1], [b"spare"])]
    return _infer("model that comes and goes", infer_request(SPARE, id, tensors, False), id)


def _stream(rng: random.Random, id: str) -> GrpcShot:
    """None, one or several messages in one stream, good and wrong ones; at times it is left."""
    messages = []
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        model, tensors, _ = good(rng)
        if rng.random() < 0.3:
            oddities.spoil(rng, tensors)
        message = infer_request(model, id, tensors, False).SerializeToString()
        messages.append(oddities.changed(rng, message) if rng.random() < 0.1 else message)
    leaves: Any = rng.choice(("", "", "at once", "after one"))
    return GrpcShot("stream", "ModelStreamInfer", tuple(messages), leaves=leaves)


def _kept_call(rng: random.Random, id: str) -> GrpcShot:
    """A hop's call that stays open: a good frame at first, then odd ones; at times it is left."""
    model, tensors, answered = good(rng)
    frames = [_frame(rng, infer_request(model, id, tensors, False).SerializeToString(), {})]
    for _ in range(rng.choice((0, 0, 1, 2, 5))):
        model, tensors, _ = good(rng)
        oddities.spoil(rng, tensors)
        request = infer_request(model, id, tensors, False).SerializeToString()
        odd = oddities.changed(rng, request) if rng.random() < 0.3 else request
        headers = {"infergraph-timeout-ms": rng.choice(_TIMES)} if rng.random() < 0.2 else {}
        frame = _frame(rng, odd, headers)
        frames.append(oddities.changed(rng, frame) if rng.random() < 0.2 else frame)
    leaves: Any = rng.choice(("", "", "", "at once", "after one"))
    return GrpcShot("kept call", "Infer", tuple(frames), id=id, answered=answered, leaves=leaves)


def _frame(rng: random.Random, request: bytes, headers: dict[str, str]) -> bytes:
    odd = {_sendable(oddities.name(rng)): "x" * rng.choice((0, 9, 3000))}
    given = headers if rng.random() < 0.7 else {**odd, **headers}
    content: bytes = HopRequest(headers=given, request=request).SerializeToString()
    return content


def _metadata(rng: random.Random, id: str) -> GrpcShot:
    model, tensors, _ = good(rng)
    message = infer_request(model, id, tensors, typed=False)
    metadata: tuple[tuple[str, str | bytes], ...] = rng.choice(
        (
            (("infergraph-timeout-ms", rng.choice(_TIMES)),),
            (("infergraph-timeout-ms", "5"), ("infergraph-timeout-ms", "soon")),
            (("x-infergraph-trace", rng.choice(("1", "", "no"))),),
            ((f"x-{rng.getrandbits(40):x}", "v" * rng.choice((0, 10, 3000))),),
            (("x-thing-bin", rng.randbytes(30)),),
            tuple((f"x-many-{number}", "v") for number in range(60)),
            (("authorization", "Bearer " + "x" * 2000), ("traceparent", "00-0-0-00")),
            (("grpc-encoding", "gzip"), ("content-type", "application/grpc+x")),
        )
    )
    return GrpcShot(
        "odd metadata", "ModelInfer", _one(message), metadata, id, timeout=rng.choice((None, 5.0))
    )


def _left(rng: random.Random, id: str) -> GrpcShot:
    model, tensors, _ = good(rng)
    message = _one(infer_request(model, id, tensors, typed=False))
    if rng.random() < 0.5:
        return GrpcShot("left", "ModelInfer", message, id=id, leaves="at once")
    return GrpcShot("left", "ModelInfer", message, id=id, timeout=rng.choice((0.0005, 0.003)))


_FAMILIES: Sequence[tuple[Callable[[random.Random, str], GrpcShot], int]] = (
    (_good, 20),
    (_wrong_tensors, 14),
    (_contradictory, 10),
    (_parameters, 8),
    (_changed, 12),
    (_unknown_fields, 6),
    (_damaged_media, 8),
    (_names, 8),
    (_repository, 3),
    (_spare, 1),
    (_stream, 6),
    (_kept_call, 6),
    (_metadata, 6),
    (_left, 4),
)
"""What makes calls, and how often."""
_KINDS = [family for family, _ in _FAMILIES]
_WEIGHTS = [weight for _, weight in _FAMILIES]


def infer_request(
    model: str, id: str, tensors: Sequence[Tensor], typed: bool
) -> pb.ModelInferRequest:
    """A message as near to the tensors as protobuf lets it be: it has no room for some oddities."""
    message = pb.ModelInferRequest(model_name=model, id=id)
    for tensor in tensors:
        sizes = [min(max(size, -(2**63)), 2**63 - 1) for size in tensor.shape]
        name = _sendable(tensor.name)
        made = message.inputs.add(name=name, datatype=tensor.datatype, shape=sizes)
        try:
            if typed and tensor.datatype in TYPED_FIELDS:
                getattr(made.contents, TYPED_FIELDS[tensor.datatype]).extend(tensor.values)
                continue
            content = tensor.raw()
        except (struct.error, TypeError, ValueError, OverflowError):
            content = bytes(4 * len(tensor.values))
        if not typed:
            message.raw_input_contents.append(content)
    return message


def _infer(
    kind: str, message: pb.ModelInferRequest | bytes, id: str = "", answered: Any = None
) -> GrpcShot:
    sent = (message,) if isinstance(message, bytes) else _one(message)
    return GrpcShot(kind, "ModelInfer", sent, id=id, answered=answered)


def _one(message: Any) -> tuple[bytes]:
    return (message.SerializeToString(),)


def _sendable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


def _field(number: int, kind: int, value: Any) -> bytes:
    tag = _varint(number << 3 | kind)
    if kind == _VARINT:
        return tag + _varint(value)
    if kind == _BYTES:
        return tag + _varint(len(value)) + bytes(value)
    return tag + bytes(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
