from __future__ import annotations

import pytest

from infergraph import request
from infergraph.errors import DeadlineExceeded, InvalidInput
from infergraph.request import Deadline, RequestContext, forwarded_headers, parse_timeout_ms


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(request, "time", clock)
    return clock


def test_a_deadline_counts_down_once_for_the_whole_request(clock: Clock) -> None:
    deadline = Deadline.after_ms(1500)

    assert deadline.remaining() == pytest.approx(1.5)
    clock.now += 1
    deadline.check("model 'asr'")
    assert deadline.remaining() == pytest.approx(0.5)
    clock.now += 1
    assert deadline.remaining() == pytest.approx(-0.5)


@pytest.mark.parametrize("late", [0, 0.001, 60])
def test_a_deadline_that_passed_names_the_place_and_the_budget(clock: Clock, late: float) -> None:
    deadline = Deadline.after_ms(250)
    clock.now += 0.25 + late

    with pytest.raises(DeadlineExceeded) as caught:
        deadline.check("model 'asr'")

    assert str(caught.value) == "model 'asr': the deadline of 250 ms passed"
    assert caught.value.status_code == 504


def test_contexts_do_not_share_their_headers() -> None:
    first, second = RequestContext(), RequestContext()

    assert first.headers == {}
    assert first.headers is not second.headers
    assert (first.deadline, first.trace, first.caller) == (None, False, "")


@pytest.mark.parametrize(
    "name",
    ["x-request-id", "X-Request-Id", "x-infergraph-trace", "traceparent", "TraceState", "baggage"],
)
def test_headers_that_are_handed_on(name: str) -> None:
    assert forwarded_headers({name: "value"}) == {name: "value"}


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "AUTHORIZATION",
        "proxy-authorization",
        "cookie",
        "Set-Cookie",
        "host",
        "content-type",
        "content-length",
        "user-agent",
        "ce-id",
        "infergraph-timeout-ms",
        "traceparent2",
        "xauthorization",
        "x_request_id",
        "x-api-key",
        "X-Auth-Token",
        "x-amz-security-token",
        "x-session-cookie",
        "",
    ],
)
def test_headers_that_stay_behind(name: str) -> None:
    assert forwarded_headers({name: "value", "x-kept": "1"}) == {"x-kept": "1"}


@pytest.mark.parametrize(
    ("text", "milliseconds"), [("250", 250.0), ("0.5", 0.5), (" 10 ", 10.0), ("1e3", 1000.0)]
)
def test_timeout_header(text: str, milliseconds: float) -> None:
    assert parse_timeout_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-1", "nan", "inf", "-inf", "10ms", "1_0e999"])
def test_timeout_header_that_is_no_time(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_timeout_ms(text)

    assert str(caught.value) == (
        f"header infergraph-timeout-ms: {text!r} is not a time; "
        "accepted: a number of milliseconds above 0"
    )


@pytest.mark.parametrize("text", ["1e9", "1e15", "1e300"])
def test_a_far_deadline_is_one_that_timers_can_hold(clock: Clock, text: str) -> None:
    deadline = Deadline.after_ms(parse_timeout_ms(text))

    assert deadline.remaining() == 7 * 24 * 3600
    # It is told as it was given.
    assert str(deadline.exceeded("model 'asr'")).endswith(f"of {float(text):g} ms passed")
