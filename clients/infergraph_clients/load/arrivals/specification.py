"""What arrivals a run can ask for, by `kind`.

Open loop: `constant`, `poisson`, `gamma`, `bursts`, `step`, `ramp`, `sine`, `trace`, and MLPerf's
`server` and `offline`. Closed loop, where a request waits for an answer: `closed`, and MLPerf's
`single-stream` and `multi-stream`. MLPerf's scenarios are those of its inference rules
(https://github.com/mlcommons/inference_policies).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

TraceFormat = Literal[
    "auto", "rates", "azure-2019", "azure-2021", "azure-llm", "mooncake", "timestamps"
]


class _Specification(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Constant(_Specification):
    """Equal distances; `rate` in requests per second, as everywhere here."""

    kind: Literal["constant"] = "constant"
    rate: PositiveFloat


class Poisson(_Specification):
    """Independent arrivals: exponential distances."""

    kind: Literal["poisson"] = "poisson"
    rate: PositiveFloat


class Gamma(_Specification):
    """Gamma distances with a coefficient of variation: 1 is Poisson, 4 is very bursty."""

    kind: Literal["gamma"] = "gamma"
    rate: PositiveFloat
    cv: PositiveFloat


class Bursts(_Specification):
    """A Markov-modulated Poisson process of two states.

    Attributes:
        rate: Of the calm state.
        burst_rate: Of the burst.
        calm_s, burst_s: Mean durations of the states; each is exponential.
    """

    kind: Literal["bursts"] = "bursts"
    rate: NonNegativeFloat
    burst_rate: PositiveFloat
    calm_s: PositiveFloat = 10.0
    burst_s: PositiveFloat = 1.0


class _Varying(_Specification):
    cv: NonNegativeFloat = 1.0
    """Of the distances, where the rate is held still: 0 is regular, 1 is Poisson."""


class Step(_Varying):
    """One rate after another, for equal shares of the duration unless `step_s` is given.

    With `step_s`, the rates begin again from the first after the last.
    """

    kind: Literal["step"] = "step"
    rates: list[NonNegativeFloat] = Field(min_length=1)
    step_s: PositiveFloat | None = None


class Ramp(_Varying):
    """A rate that changes linearly from `start_rate` to `end_rate` over the duration."""

    kind: Literal["ramp"] = "ramp"
    start_rate: NonNegativeFloat
    end_rate: NonNegativeFloat


class Sine(_Varying):
    """`rate * (1 + amplitude * sin(2 pi t / period_s))`."""

    kind: Literal["sine"] = "sine"
    rate: PositiveFloat
    amplitude: float = Field(default=0.5, ge=0, le=1)
    period_s: PositiveFloat = 60.0


class Trace(_Varying):
    """A recorded workload, played until it or the duration ends.

    Attributes:
        file: See `traces` for the formats.
        format: `auto` goes by the file's ending and first line.
        function: Of Azure's traces of functions: the one whose calls are taken; all without it.
        start, end: Seconds of the recording: what is before and after is left out.
        scale: Multiplies the rate; of timestamps, only thinning (at most 1) is possible.
        speed: 10 plays ten times as fast, so at ten times the rate.
    """

    kind: Literal["trace"] = "trace"
    file: str
    format: TraceFormat = "auto"
    function: str | None = None
    start: NonNegativeFloat = 0.0
    end: PositiveFloat | None = None
    scale: PositiveFloat = 1.0
    speed: PositiveFloat = 1.0


class Server(_Specification):
    """MLPerf's server scenario: Poisson arrivals, judged by the tail latency (99th percentile)."""

    kind: Literal["server"] = "server"
    rate: PositiveFloat


class Offline(_Specification):
    """MLPerf's offline scenario: all requests at once, judged by the throughput.

    Attributes:
        count: Requests in all.
        concurrency: How many may be in flight, over all processes.
    """

    kind: Literal["offline"] = "offline"
    count: PositiveInt
    concurrency: PositiveInt = 64


class ClosedLoop(_Specification):
    """Users who each wait for an answer, think, and ask again.

    Attributes:
        concurrency: Users, over all processes.
        think_s: Mean seconds between an answer and the next request of the same user.
        think: The distribution of that time.
        count: Ends the run after so many requests, if that is before the duration.
    """

    kind: Literal["closed"] = "closed"
    concurrency: PositiveInt
    think_s: NonNegativeFloat = 0.0
    think: Literal["constant", "exponential"] = "exponential"
    count: PositiveInt | None = None


class SingleStream(_Specification):
    """MLPerf's single-stream scenario: one request after another, judged by the 90th percentile."""

    kind: Literal["single-stream"] = "single-stream"
    count: PositiveInt | None = None


class MultiStream(_Specification):
    """MLPerf's multi-stream scenario: one query of several requests after another.

    A query ends with its last answer, and is judged by the 99th percentile.
    """

    kind: Literal["multi-stream"] = "multi-stream"
    samples_per_query: PositiveInt = 8
    count: PositiveInt | None = None


Arrivals = Annotated[
    Constant
    | Poisson
    | Gamma
    | Bursts
    | Step
    | Ramp
    | Sine
    | Trace
    | Server
    | Offline
    | ClosedLoop
    | SingleStream
    | MultiStream,
    Field(discriminator="kind"),
]
OpenLoop = Constant | Poisson | Gamma | Bursts | Step | Ramp | Sine | Trace | Server | Offline
STATIONARY = (Constant, Poisson, Gamma, Server, ClosedLoop, SingleStream, MultiStream)
"""Kinds whose load does not change, so that a steady state can be asked for."""
