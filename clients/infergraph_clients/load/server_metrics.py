"""`ServerMetrics`: the server's own Prometheus metrics, sampled while a run goes on.

A thread asks each endpoint once in an interval and appends what it says to a CSV file, by the wall
clock that records and logs have too. `panels` makes of it what is looked at beside latencies.
"""

from __future__ import annotations

import csv
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client.parser import text_string_to_metric_families

from ..transports.exchange import EPOCH_S
from .errors import LoadError

FILE = "metrics.csv"
_COLUMNS = ("utc", "url", "metric", "labels", "value")
_LEFT_OUT = ("_bucket", "_created")
_TIMEOUT_S = 5.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Sample:
    """One value of one series.

    Attributes:
        utc: When, in seconds since the epoch.
        url: Of the endpoint.
        metric: Its name.
        labels: As sorted JSON.
        value: What it said.
    """

    utc: float
    url: str
    metric: str
    labels: str
    value: float


def scrape(url: str) -> list[Sample]:
    """What an endpoint says now, without the buckets of histograms.

    Raises:
        LoadError: it cannot be read, or does not speak Prometheus' text format.
    """
    before = time.monotonic()
    try:
        with _DIRECT.open(url, timeout=_TIMEOUT_S) as response:
            text = response.read().decode()
        utc = (before + time.monotonic()) / 2 + EPOCH_S
        return list(_samples(text, utc, url))
    except (OSError, HTTPException) as error:
        # What is no HTTP may be no text either.
        said = error if isinstance(error, OSError) else repr(error)
        reason = getattr(error, "reason", None) or said
        raise LoadError(f"metrics '{url}' cannot be read: {reason}") from None
    except ValueError as error:
        raise LoadError(f"metrics '{url}' are not Prometheus': {error}") from None


def _samples(text: str, utc: float, url: str) -> Iterator[Sample]:
    # The parser calls counters NAME_total; Triton does not.
    said = set(re.findall(r"^[\w:]+", text, re.MULTILINE))
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            if not each.name.endswith(_LEFT_OUT):
                name = each.name if each.name in said else each.name.removesuffix("_total")
                labels = json.dumps(each.labels, sort_keys=True)
                yield Sample(utc, url, name, labels, float(each.value))


class ServerMetrics:
    """A context manager: inside, a thread samples.

    Args:
        urls: Of the endpoints; none means that nothing is done.
        file: Where samples go, as CSV.
        interval_s: Seconds from sample to sample.

    Attributes:
        problems: Endpoint, or file -> how often it could not be read, or written, and why.

    Raises:
        LoadError: an endpoint cannot be read now.
    """

    def __init__(self, urls: Sequence[str], file: Path, interval_s: float = 1.0) -> None:
        self._urls = urls
        self._file = file
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server metrics", daemon=True)
        self.problems: dict[str, tuple[int, str]] = {}
        for url in urls:
            scrape(url)

    def __enter__(self) -> ServerMetrics:
        if self._urls:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._urls:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._sample()
        except OSError as error:
            problem = f"metrics '{self._file}' cannot be written: {error.strerror}"
            self.problems[str(self._file)] = (1, problem)

    def _sample(self) -> None:
        with self._file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(_COLUMNS)
            due = time.monotonic()
            while True:
                for url in self._urls:
                    try:
                        samples = scrape(url)
                    except LoadError as error:
                        self.problems[url] = (self.problems.get(url, (0, ""))[0] + 1, str(error))
                        continue
                    writer.writerows(
                        (f"{each.utc:.3f}", each.url, each.metric, each.labels, each.value)
                        for each in samples
                    )
                stream.flush()
                # One more at the end, so that the last requests are in it.
                if self._over.is_set():
                    return
                due += self._interval_s
                self._over.wait(max(due - time.monotonic(), 0))


@dataclass(frozen=True)
class Quantity:
    """What a panel shows of a metric.

    Attributes:
        panel: The panel's title and unit.
        metric: Its name.
        over: A counter: the line is what the metric grew by for each one of this.
        per_second: Whether the line is what the metric grew by in a second.
        scale: Its factor.
    """

    panel: str
    metric: str
    over: str = ""
    per_second: bool = False
    scale: float = 1.0


def _histogram(panel: str, name: str, scale: float = 1.0) -> Quantity:
    return Quantity(panel, f"{name}_sum", over=f"{name}_count", scale=scale)


_WAITING = "Waiting and in flight at the server"
_QUEUE, _COMPUTE = "Time in the server's queue, ms", "Compute of a batch, ms"
_BATCH, _CPU, _MEMORY = "Batch size", "CPU, cores", "Memory, MB"
_CPU_SHARE, _GPU = "CPU utilization, %", "GPU utilization, %"
QUANTITIES = (
    Quantity(_WAITING, "infergraph_model_queued"),
    Quantity(_WAITING, "infergraph_model_in_flight"),
    Quantity(_WAITING, "nv_inference_pending_request_count"),
    _histogram(_QUEUE, "infergraph_model_queue_seconds", 1e3),
    Quantity(_QUEUE, "nv_inference_queue_duration_us", "nv_inference_request_success", scale=1e-3),
    _histogram(_COMPUTE, "infergraph_model_compute_seconds", 1e3),
    Quantity(
        _COMPUTE, "nv_inference_compute_infer_duration_us", "nv_inference_exec_count", scale=1e-3
    ),
    _histogram(_BATCH, "infergraph_model_batch_size"),
    Quantity(_BATCH, "nv_inference_count", "nv_inference_exec_count"),
    Quantity(_CPU, "process_cpu_seconds_total", per_second=True),
    Quantity(_CPU_SHARE, "nv_cpu_utilization", scale=100),
    Quantity(_MEMORY, "process_resident_memory_bytes", scale=1e-6),
    Quantity(_MEMORY, "nv_cpu_memory_used_bytes", scale=1e-6),
    Quantity(_MEMORY, "nv_gpu_memory_used_bytes", scale=1e-6),
    Quantity(_MEMORY, "DCGM_FI_DEV_FB_USED", scale=1.048576),
    Quantity(_GPU, "nv_gpu_utilization", scale=100),
    Quantity(_GPU, "DCGM_FI_DEV_GPU_UTIL"),
)
"""Of Infergraph (and MLServer's process), Triton, and NVIDIA's exporter."""


Lines = dict[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]]
"""Name -> times by the wall clock, UTC, as datetime64[ms]; and values, NaN where nothing was."""


def read_metrics(file: Path) -> Iterator[Sample]:
    """The samples of a file; a line that breaks off is left out. LoadError if there is no file."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.reader(line for line in stream if line.endswith("\n")):
                if row[0] != _COLUMNS[0]:
                    yield Sample(float(row[0]), row[1], row[2], row[3], float(row[4]))
    except OSError as error:
        raise LoadError(f"metrics '{file}' cannot be read: {error.strerror}") from None


def panels(samples: Iterable[Sample]) -> dict[str, Lines]:
    """What the metrics say of queues, batches, compute, CPU, memory and GPU, where they do.

    Args:
        samples: In order of time.

    Returns:
        Titles, each with its unit, and what is plotted below them.
    """
    series: dict[str, dict[tuple[str, str], dict[float, float]]] = {}
    for each in samples:
        of_metric = series.setdefault(each.metric, {})
        of_metric.setdefault((each.url, each.labels), {})[each.utc] = each.value
    several = len({url for of_metric in series.values() for url, _ in of_metric}) > 1
    found: dict[str, Lines] = {}
    for quantity in QUANTITIES:
        for (url, labels), values in series.get(quantity.metric, {}).items():
            over = series.get(quantity.over, {}).get((url, labels))
            if quantity.over and over is None:
                continue
            times, y = _line(quantity, values, over)
            if np.nan_to_num(y).any():
                lines = found.setdefault(quantity.panel, {})
                name = _name(quantity, json.loads(labels), url if several else "", lines)
                lines[name] = (np.rint(times * 1e3).astype("datetime64[ms]"), y)
    return found


def _line(
    quantity: Quantity, values: Mapping[float, float], over: Mapping[float, float] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    times = np.array(list(values))
    y = np.array(list(values.values())) * quantity.scale
    if over is None and not quantity.per_second:
        return times, y
    grown = np.diff(y)
    by = np.diff(times if over is None else [over.get(time, np.nan) for time in times])
    # A server that starts again begins to count at 0.
    told = (by > 0) & (grown >= 0)
    return times[1:], np.divide(grown, by, out=np.full(len(by), np.nan), where=told)


def _name(quantity: Quantity, labels: dict[str, str], url: str, taken: Lines) -> str:
    keys = [key for key in ("model", "model_name", "gpu_uuid", "gpu", "Hostname") if key in labels]
    parts = [labels[key] for key in keys]
    if quantity.panel in (_WAITING, _MEMORY, _CPU):
        parts.append(quantity.metric.removeprefix("infergraph_model_").removeprefix("nv_"))
    name = " ".join([*parts, url]).strip() or quantity.metric
    if name in taken:
        # Such as two versions of a model.
        name += "".join(f" {key} {value}" for key, value in labels.items() if key not in keys)
    return name
