"""`Admission`: how much is let in at a time, whatever way it comes."""

from __future__ import annotations

from ..errors import InfergraphError, Overloaded, StageUnavailable, TooLarge
from . import metrics
from .settings import FrontDoorSettings


class Admission:
    """Counts the requests and bytes that a server holds, and refuses what is too much.

    A refusal costs nothing: it comes before a body is read, or as soon as it is too long.

    Attributes:
        in_flight: Requests that are being answered.
        bytes_held: Bytes of their bodies and messages.
    """

    def __init__(self, settings: FrontDoorSettings) -> None:
        self._settings = settings
        self.in_flight = 0
        self.bytes_held = 0
        metrics.requests_in_flight.set_function(lambda: self.in_flight)
        metrics.bytes_in_flight.set_function(lambda: self.bytes_held)

    def request(self) -> Load:
        """Lets a request in; the load is to be entered, and counts it while it is answered.

        Raises:
            Overloaded: as many as may be are in flight.
        """
        if self.in_flight >= self._settings.max_in_flight:
            raise refused(
                "in_flight",
                Overloaded(
                    f"the server answers {self.in_flight} requests, as many as it may (server "
                    "setting 'max_in_flight'); try again later"
                ),
            )
        return Load(self, self._settings)

    def model(self, name: str, in_flight: int) -> None:
        """Checks how many requests a model answers.

        Raises:
            Overloaded: as many as may be.
        """
        if in_flight >= self._settings.max_in_flight_per_model:
            raise refused(
                "in_flight_per_model",
                Overloaded(
                    f"model '{name}' answers {in_flight} requests, as many as it may (server "
                    "setting 'max_in_flight_per_model'); try again later"
                ),
            )


class Load:
    """One request that was let in, and the bytes that it holds; a context manager.

    Attributes:
        held: So many.
    """

    __slots__ = ("_admission", "_settings", "held")

    def __init__(self, admission: Admission, settings: FrontDoorSettings) -> None:
        self._admission = admission
        self._settings = settings
        self.held = 0

    def __enter__(self) -> Load:
        self._admission.in_flight += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._admission.in_flight -= 1
        self._admission.bytes_held -= self.held

    def check(self, size: int) -> None:
        """Checks a length that was announced, of which nothing is held yet.

        Raises:
            TooLarge: more than a request may have.
            Overloaded: more than there is room for now.
        """
        limit = self._settings.max_body_bytes
        if size > limit:
            raise refused(
                "body_bytes",
                TooLarge(
                    f"the body is too large: {size} bytes or more; accepted: at most {limit} bytes "
                    "(server setting 'max_body_bytes')"
                ),
            )
        self._check_room(size)

    def _check_room(self, size: int) -> None:
        room = self._settings.max_bytes_in_flight - self._admission.bytes_held + self.held
        if size > room and self._admission.bytes_held > self.held:
            raise refused(
                "bytes_in_flight",
                Overloaded(
                    f"the server holds {self._admission.bytes_held} bytes of requests, and has no "
                    f"room for {size} more (server setting 'max_bytes_in_flight'); try again later"
                ),
            )

    def hold(self, size: int) -> None:
        """Counts `size` bytes as held in all; raises as `check` does."""
        self.check(size)
        self._count(size)

    def hold_message(self, size: int) -> None:
        """Counts a gRPC message, whose size gRPC itself bounds.

        Raises:
            Overloaded: there is no room for it now.
        """
        self._check_room(size)
        self._count(size)

    def _count(self, size: int) -> None:
        self._admission.bytes_held += size - self.held
        self.held = size


def refused(cause: str, error: InfergraphError) -> InfergraphError:
    """The error, counted as a refusal by its cause."""
    metrics.refusals.labels(cause).inc()
    return error


def stopping() -> StageUnavailable:
    """The error of a pipeline that is asked for while the server stops."""
    return StageUnavailable("the server is stopping; ask another one, or later")
