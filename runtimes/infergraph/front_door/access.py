"""`Access`: keys that open inference, control of the repository, and metrics, each by itself."""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Mapping

from ..errors import Forbidden, Unauthenticated
from ..request import KEY_HEADER, PROCESS_KEY
from .settings import FrontDoorSettings

_BEARER = "bearer "


class Area(enum.Enum):
    """What a key opens."""

    INFERENCE = "inference"
    CONTROL = "control of the model repository"
    METRICS = "metrics"


class Access:
    """Checks the key of a request: `Authorization: Bearer <key>`, or `x-api-key`.

    An area without keys is open. The routers of this very process need none for inference. Keys are
    compared in constant time, by their digests.
    """

    def __init__(self, settings: FrontDoorSettings) -> None:
        self._own = _digest(PROCESS_KEY)
        self._digests = {
            Area.INFERENCE: [_digest(key) for key in settings.inference_keys],
            Area.CONTROL: [_digest(key) for key in settings.control_keys],
            Area.METRICS: [_digest(key) for key in settings.metrics_keys],
        }

    def check(self, area: Area, headers: Mapping[str, str]) -> str:
        """Who asks, as a short text that tells callers apart; empty where all are let in.

        Args:
            area: What is asked for.
            headers: Names in lower case; REST's headers, or gRPC's metadata.

        Raises:
            Unauthenticated: no key, or one that opens nothing.
            Forbidden: a key that opens another area only.
        """
        accepted = self._digests[area]
        if not accepted:
            return ""
        key = headers.get(KEY_HEADER, "")
        given = headers.get("authorization", "")
        if given[: len(_BEARER)].lower() == _BEARER:
            key = given[len(_BEARER) :].strip()
        if not key:
            raise Unauthenticated(
                f"{area.value} needs a key; accepted: the header 'Authorization: Bearer <key>' or "
                "'x-api-key: <key>'"
            )
        digest = _digest(key)
        if _holds(accepted, digest):
            return digest.hex()[:12]
        if area is Area.INFERENCE and _holds([self._own], digest):
            return ""
        if any(_holds(digests, digest) for digests in self._digests.values()):
            raise Forbidden(f"this key does not open {area.value}")
        raise Unauthenticated("the key is not known")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _holds(digests: list[bytes], wanted: bytes) -> bool:
    found = False
    for digest in digests:
        found |= hmac.compare_digest(digest, wanted)
    return found
