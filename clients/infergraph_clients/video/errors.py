"""Why a run ended early. The errors of single frames are those of `infergraph_clients.errors`.

ClientError
├── NothingAnswered 2: the first frames all failed; nothing was written
├── InputError      1: the input ended in the middle of a frame, or cannot be decoded from there on
├── OutputError     1: an output cannot be written
└── ServerGone      1: the server is no longer there
"""

from __future__ import annotations

from ..errors import ClientError


class NothingAnswered(ClientError):
    """The first frames all failed, so the rest would as well."""

    exit_status = 2

    def __init__(self, frames: int, first: ClientError) -> None:
        many = "the first frame" if frames == 1 else f"none of the first {frames} frames"
        how = "was not answered" if frames == 1 else "was answered; the first"
        super().__init__(f"{many} {how}: {first}")


class InputError(ClientError):
    """What was read until then has been written."""

    exit_status = 1


class OutputError(ClientError):
    """What was written until then is there, as far as the disk took it."""

    exit_status = 1


class ServerGone(ClientError):
    """No frame reached the server any more. What was answered has been written."""

    exit_status = 1


class UnreadableFrame(ClientError):
    """A picture of the input that cannot be decoded. Of one frame only."""

    exit_status = 1
