"""Requests over REST: good, odd, contradictory, cut short, and slow."""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from . import media, oddities
from .repository import SPARE
from .shots import RestShot
from .tensors import Tensor, good

Headers = dict[str, str]
_JSON = "application/json"
_LENGTH = "Inference-Header-Content-Length"
_TIMES = ("0", "-1", "nan", "inf", "soon", "", "1e15", "1e999", "5", "250", "9" * 400, "٣")
_ENDS = ("infer", "infer_stream", "generate", "generate_stream")


def make(rng: random.Random, index: int) -> RestShot:
    """A request; two random sources in the same state make the same one."""
    kind = rng.choices(_KINDS, _WEIGHTS)[0]
    return kind(rng, f"s{index}")


def _good_json(rng: random.Random, id: str) -> RestShot:
    model, tensors, answered = good(rng)
    data = request(_path(model), _body(id, tensors))
    return RestShot("JSON, good", data, id, answered)


def _good_binary(rng: random.Random, id: str) -> RestShot:
    model, tensors, answered = good(rng)
    headers, body = _binary(id, tensors)
    return RestShot("binary, good", request(_path(model), body, headers), id, answered)


def _wrong_tensors(rng: random.Random, id: str) -> RestShot:
    model, tensors, _ = good(rng)
    for _ in range(rng.randint(1, 3)):
        if tensors:
            oddities.spoil(rng, tensors)
    if rng.random() < 0.5:
        return RestShot("JSON, wrong tensors", request(_path(model), _body(id, tensors)), id)
    headers, body = _binary(id, tensors)
    return RestShot("binary, wrong tensors", request(_path(model), body, headers), id)


def _wrong_json(rng: random.Random, id: str) -> RestShot:
    """Values of another type anywhere, keys that miss or are too many or come twice."""
    model, tensors, _ = good(rng)
    content = {
        "id": id,
        "parameters": {"a": 1},
        "inputs": [each.in_json() for each in tensors],
        "outputs": [{"name": "output", "parameters": {"binary_data": False}}],
    }
    for _ in range(rng.randint(1, 3)):
        holder, key = rng.choice([*oddities.nodes(content)])
        what = rng.random()
        if what < 0.6 or isinstance(holder, list):
            holder[key] = oddities.json_value(rng)
        elif what < 0.8:
            del holder[key]
        else:
            holder[oddities.name(rng)] = holder[key]
    body = oddities.dumps(content)
    if rng.random() < 0.1:
        body = b'{"inputs":[],"id":"twice",' + body[1:]
    path = _path(model, rng.choice(_ENDS) if rng.random() < 0.2 else "infer")
    return RestShot("JSON, wrong values", request(path, body))


def _broken_json(rng: random.Random, id: str) -> RestShot:
    model, tensors, _ = good(rng)
    body = _body(id, tensors)
    for _ in range(rng.randint(1, 3)):
        body = oddities.changed(rng, body)
    if rng.random() < 0.1:
        body = rng.choice(
            (b"\xef\xbb\xbf" + body, body.decode("utf-8", "replace").encode("utf-16"))
        )
    return RestShot("JSON, broken", request(_path(model), body))


def _lying_binary(rng: random.Random, id: str) -> RestShot:
    """Lengths of the JSON or of a tensor that are not true."""
    model, tensors, _ = good(rng)
    lies = (0, -1, 1, 2**31, 2**63, 10**30, 1.5, "12", None, True, [4])
    sizes = {id: rng.choice(lies) for id in range(len(tensors)) if rng.random() < 0.4}
    headers, body = _binary(id, tensors, sizes)
    true = int(headers[_LENGTH])
    if rng.random() < 0.6:
        headers[_LENGTH] = str(
            rng.choice((0, -1, 1, true - 1, true + 1, len(body), len(body) + 1, 2**63, 2**64,
                        "x", "", " 12", "1_0", "٣", f"0{true}", f"+{true}", f"{true}, {true}"))
        )  # fmt: skip
    if rng.random() < 0.3:
        body = oddities.changed(rng, body)
    if rng.random() < 0.1:
        del headers[_LENGTH]
    return RestShot("binary, lying lengths", request(_path(model), body, headers))


def _headers(rng: random.Random, id: str) -> RestShot:
    """A good request under odd headers, which may be right all the same."""
    model, tensors, _ = good(rng)
    headers: Headers = {}
    for _ in range(rng.randint(1, 3)):
        headers.update(rng.choice(_ODD_HEADERS)(rng))
    path = _path(model, "infer_stream" if rng.random() < 0.1 else "infer")
    return RestShot("odd headers", request(path, _body(id, tensors), headers), id)


_ODD_HEADERS: Sequence[Callable[[random.Random], Headers]] = (
    lambda rng: {"Content-Type": rng.choice(("", "text/plain", "application/json; charset=latin-1",
                                             "multipart/form-data", "x" * 2000))},
    lambda rng: {"infergraph-timeout-ms": rng.choice(_TIMES)},
    lambda rng: {"x-infergraph-trace": rng.choice(("1", "0", "yes", "", "x" * 999))},
    lambda rng: {f"x-{rng.getrandbits(40):x}": "v" * rng.choice((0, 10, 4000))},
    lambda rng: {f"x-many-{number}": "v" for number in range(90)},
    lambda rng: {"traceparent": rng.choice(("", "00-0-0-00", "ü", f"00-{'0' * 32}-{'0' * 16}-01"))},
    lambda rng: {"Accept": rng.choice(("", "text/event-stream", "image/png", "*/*;q=x"))},
    lambda rng: {"Accept-Encoding": rng.choice(("gzip", "br", "gzip;q=0", "gzip;q=x", "*", ","))},
    lambda rng: {"Authorization": rng.choice(("", "Bearer", "Basic !!!", "Bearer " + "x" * 3000))},
    lambda rng: {"Expect": rng.choice(("100-continue", "200-ok"))},
    lambda rng: {"Connection": rng.choice(("close", "keep-alive", "Upgrade", ""))},
    lambda rng: {"Upgrade": rng.choice(("h2c", "websocket"))},
    lambda rng: {"ce-id": "x" * 10, "ce-specversion": rng.choice(("1.0", "9", ""))},
    lambda rng: {"Origin": rng.choice(("null", "http://ü", "http://a.example"))},
)  # fmt: skip


def _coded(rng: random.Random, id: str) -> RestShot:
    """A content coding: a right one, a wrong one, or one that swells."""
    model, tensors, _ = good(rng)
    body = _body(id, tensors)
    coding = rng.choice(
        ("gzip", "deflate", "GZIP", "identity", "br", "zstd", "gzip, gzip", "x", "")
    )
    what = rng.randrange(6)
    if what < 2:
        body = _gzipped(body) if "g" in coding.lower() else zlib.compress(body)
    elif what == 2:
        body = oddities.changed(rng, _gzipped(body))
    elif what == 3:
        body = _gzipped(body) * rng.choice((2, 10))
    elif what == 4:
        body = _EMPTY_MEMBER * rng.choice((3, 1000)) + _gzipped(body)
    else:
        body = rng.choice(_SWELLING) + _gzipped(body)
    headers = {"Content-Encoding": coding}
    return RestShot("content coding", request(_path(model), body, headers))


def _gzipped(data: bytes) -> bytes:
    # No time in the header: a seed and an index make the same bytes at any time.
    return gzip.compress(data, 1, mtime=0)


_EMPTY_MEMBER = _gzipped(b"")
_SWELLING = [_gzipped(b" " * size) for size in (10**5, 3 * 10**6)]


def _damaged_media(rng: random.Random, id: str) -> RestShot:
    model, name, files = rng.choice(
        (("look", "image", media.IMAGES), ("listen", "audio", media.SOUNDS))
    )
    damaged = [media.damaged(rng, rng.choice(files)) for _ in range(rng.randint(1, 2))]
    tensors = [Tensor(name, "BYTES", [len(damaged), 1], damaged, text=False)]
    if rng.random() < 0.3:
        return RestShot("media, JSON", request(_path(model), _body(id, tensors)), id)
    headers, body = _binary(id, tensors)
    return RestShot("media, binary", request(_path(model), body, headers), id)


def _many_values(rng: random.Random, id: str) -> RestShot:
    """Much in one request: values, strings of which one is long, tensors, items."""
    what = rng.randrange(4)
    if what == 0:
        count = rng.choice((2_000, 30_000))
        tensors = [Tensor("input", "FP32", [1, count], [0.5] * count)]
        return RestShot("many values", request(_path("numbers"), _body(id, tensors)), id)
    if what == 1:
        texts = [b"a"] * 200 + [b"b" * rng.choice((2_000, 100_000))]
        datatype = rng.choice(("FP32", "BYTES"))
        strings = [each.decode() for each in texts]
        tensor = {"name": "input", "datatype": datatype, "shape": [201], "data": strings}
        body = oddities.dumps({"id": id, "inputs": [tensor]})
        return RestShot("many values", request(_path("numbers"), body), id)
    if what == 2:
        tensors = [Tensor(f"t{number}", "BOOL", [1], [True]) for number in range(400)]
        return RestShot("many values", request(_path("anything"), _body(id, tensors)), id)
    count = rng.choice((300, 3_000))
    tensors = [Tensor("text", "BYTES", [count, 1], [b"easy"] * count)]
    model = rng.choice(("text", "per-item"))
    return RestShot("many values", request(_path(model), _body(id, tensors)), id)


def _odd_path(rng: random.Random, id: str) -> RestShot:
    _, tensors, _ = good(rng)
    name = quote(oddities.name(rng), safe=rng.choice(("", "/", "/%")))
    model = rng.choice(oddities.MODELS)
    path = rng.choice(
        (
            *(f"/v2/models/{name}/infer",) * 4,
            f"/v2/models/{name}",
            f"/v2/models/{name}/ready",
            f"/v2/models/{model}/versions/{name}/infer",
            f"/v2/models/{model}/versions/{rng.getrandbits(40)}",
            f"/v2/models/{model}/infer/",
            f"//v2/models/{model}/infer",
            f"/v2/models/{model}/{name}",
            f"/v2/models/{model}?{name}=1",
            f"/v2/models/{model}/infer?a=b#c",
            f"/{name}",
            "/",
            "*",
            f"http://elsewhere.example/v2/models/{model}/infer",
            "/v2/health/live",
            "/v2/health/ready",
            "/v2/docs/dataplane.json",
            f"/v2/models/{model}/docs",
        )
    )
    method = rng.choice(("POST", "POST", "GET", "GET", "PUT", "DELETE", "PATCH", "OPTIONS"))
    body = _body(id, tensors) if method != "GET" else b""
    says_nothing = path.endswith(("/ready", "/live"))
    data = request(path, body, method=method)
    return RestShot("odd path", data, infers=False, says_nothing=says_nothing)


def _head(rng: random.Random, id: str) -> RestShot:
    path = rng.choice(("/v2", "/v2/health/live", _path("text"), "/nowhere"))
    data = request(path, b"", {"Connection": "close"}, method="HEAD")
    return RestShot("HEAD", data, infers=False, says_nothing=True)


def _repository(rng: random.Random, id: str) -> RestShot:
    name = quote(oddities.name(rng), safe="")
    what = rng.random()
    if what < 0.3:
        body = rng.choice(
            (b"", b"{}", b'{"ready":true}', b"[]", b'{"ready":"x"}', b"\xff", b"null")
        )
        data = request("/v2/repository/index", body)
    elif what < 0.4:
        # What is loaded already must stay as it is; only the spare one may go.
        model = rng.choice((*oddities.MODELS, SPARE))
        data = request(f"/v2/repository/models/{model}/load", b"")
    else:
        model = rng.choice((SPARE, name, name))
        verb = rng.choice(("load", "unload"))
        body = rng.choice((b"", b"{}", b'{"parameters":{"unload_dependents":true}}', b"["))
        data = request(f"/v2/repository/models/{model}/{verb}", body)
    return RestShot("repository", data, infers=False, says_nothing=True)


def _spare(rng: random.Random, id: str) -> RestShot:
    tensors = [Tensor("text", "BYTES", [1, 1], [b"spare"])]
    return RestShot("model that comes and goes", request(_path(SPARE), _body(id, tensors)), id)


def _stream(rng: random.Random, id: str) -> RestShot:
    model, tensors, answered = good(rng)
    data = request(_path(model, rng.choice(_ENDS[1::2])), _body(id, tensors))
    what = rng.random()
    if what < 0.4:
        return RestShot("stream, good", data, id, answered)
    if what < 0.7:
        return RestShot("stream, left", data, id, leaves_after=len(data))
    oddities.spoil(rng, tensors)
    data = request(_path(model, "infer_stream"), _body(id, tensors))
    return RestShot("stream, wrong tensors", data, id)


def _left(rng: random.Random, id: str) -> RestShot:
    """A client that goes away: within the head, within the body, or before the answer."""
    model, tensors, _ = good(rng)
    data = request(_path(model), _body(id, tensors))
    return RestShot(
        "left", data, id, leaves_after=rng.choice((rng.randrange(len(data)), len(data)))
    )


def _slow(rng: random.Random, id: str) -> RestShot:
    model, tensors, answered = good(rng)
    data = request(_path(model), _body(id, tensors))
    return RestShot("slow body", data, id, answered, pieces=rng.randint(2, 8))


def _chunked(rng: random.Random, id: str) -> RestShot:
    model, tensors, answered = good(rng)
    body, chunks = _body(id, tensors), []
    while body:
        size = rng.randint(1, 400)
        chunks.append(b"%x\r\n%s\r\n" % (len(body[:size]), body[:size]))
        body = body[size:]
    head = head_of("POST", _path(model), {"Content-Type": _JSON, "Transfer-Encoding": "chunked"})
    data = head + b"".join(chunks) + b"0\r\n\r\n"
    return RestShot("chunked, good", data, id, answered)


def _not_http(rng: random.Random, id: str) -> RestShot:
    """Framing that contradicts itself, and bytes that are no HTTP at all."""
    model, tensors, _ = good(rng)
    body = _body(id, tensors)
    data = request(_path(model), body)
    lengths = ("-1", "x", "1e3", "", str(len(body) + 10), str(len(body) - 5), str(2**63), "5, 6")
    what = rng.randrange(7)
    if what == 0:
        length = rng.choice(lengths)
        head = head_of("POST", _path(model), {"Content-Type": _JSON, "Content-Length": length})
        data = head + body
    elif what == 1:
        coding = rng.choice(("chunked", "gzip, chunked", "x", "chunked, chunked"))
        data = head_of("POST", _path(model), {"Transfer-Encoding": coding, "Content-Length": "3"})
        data += rng.choice((b"zz\r\nabc\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"ffffffffffffffff1\r\n"))
    elif what == 2:
        end = data.index(b"\r\n\r\n")
        data = oddities.changed(rng, data[:end]) + data[end:]
    elif what == 3:
        data = data.replace(b"HTTP/1.1", rng.choice((b"HTTP/1.0", b"HTTP/9.9", b"", b"HTTP/2.0")))
    elif what == 4:
        data = data.replace(b"\r\n", rng.choice((b"\n", b"\r\n ", b"\r")))
    elif what == 5:
        big = b"x-long: " + b"v" * rng.choice((10_000, 80_000)) + b"\r\n\r\n"
        data = data.replace(b"\r\n\r\n", b"\r\n" + big, 1)
    else:
        data = rng.choice((rng.randbytes(200), b"\0" * 50, b"\r\n" * 20, b"PRI * HTTP/2.0\r\n\r\n"))
    return RestShot("framing", data, whole=False)


_FAMILIES: Sequence[tuple[Callable[[random.Random, str], RestShot], int]] = (
    (_good_json, 10),
    (_good_binary, 6),
    (_wrong_tensors, 14),
    (_wrong_json, 16),
    (_broken_json, 8),
    (_lying_binary, 10),
    (_headers, 8),
    (_coded, 6),
    (_damaged_media, 8),
    (_many_values, 1),
    (_odd_path, 8),
    (_head, 1),
    (_repository, 3),
    (_spare, 1),
    (_stream, 4),
    (_left, 3),
    (_slow, 1),
    (_chunked, 2),
    (_not_http, 4),
)
"""What makes requests, and how often."""
_KINDS = [family for family, _ in _FAMILIES]
_WEIGHTS = [weight for _, weight in _FAMILIES]


def request(path: str, body: bytes, headers: Headers | None = None, method: str = "POST") -> bytes:
    """A whole request; the headers given take the place of the usual ones."""
    usual = {"Content-Type": _JSON, "Content-Length": str(len(body))}
    return head_of(method, path, {**usual, **(headers or {})}) + body


def head_of(method: str, path: str, headers: Headers) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass")


def _path(model: str, end: str = "infer") -> str:
    return f"/v2/models/{model}/{end}"


def _body(id: str, tensors: Sequence[Tensor]) -> bytes:
    return oddities.dumps({"id": id, "inputs": [each.in_json() for each in tensors]})


def _binary(
    id: str, tensors: Sequence[Tensor], sizes: Mapping[int, object] | None = None
) -> tuple[Headers, bytes]:
    """Headers and body with the tensors' contents behind the JSON; `sizes` are told instead."""
    inputs, contents = [], []
    for index, tensor in enumerate(tensors):
        try:
            content = tensor.raw()
        except (struct.error, TypeError, OverflowError):
            content = bytes(4 * len(tensor.values))
        contents.append(content)
        size = (sizes or {}).get(index, len(content))
        head = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        inputs.append({**head, "parameters": {"binary_data_size": size}})
    asked = {"binary_data_output": True}
    json_part = oddities.dumps({"id": id, "inputs": inputs, "parameters": asked})
    headers = {"Content-Type": "application/octet-stream", _LENGTH: str(len(json_part))}
    return headers, json_part + b"".join(contents)
