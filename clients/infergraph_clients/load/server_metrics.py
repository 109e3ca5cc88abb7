"""`ServerMetrics`: the server's own Prometheus metrics, sampled while a run goes on.

A thread asks each endpoint once in an interval and appends what it says to a CSV file, by the wall
clock that records and logs have too. `panels` makes of it what is looked at beside latencies.
"""

from __future__ import annotations

import csv
import json
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
        return [
            Sample(utc, url, each.name, json.dumps(each.labels, sort_keys=True), float(each.value))
            for family in text_string_to_metric_families(text)
            for each in family.samples
            if not each.name.endswith(_LEFT_OUT)
        ]
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise LoadError(f"metrics '{url}' cannot be read: {reason}") from None
    except ValueError as error:
        raise LoadError(f"metrics '{url}' are not Prometheus': {error}") from None


class ServerMetrics:
    """A context manager: inside, a thread samples.

    Args:
        urls: Of the endpoints; none means that nothing is done.
        file: Where samples go, as CSV.
        interval_s: Seconds from sample to sample.

    Attributes:
        problems: Endpoint -> how often it could not be read, and why it last could not.
    """

    def __init__(self, urls: Sequence[str], file: Path, interval_s: float = 1.0) -> None:
        self._urls = urls
        self._file = file
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="server metrics", daemon=True)
        self.problems: dict[str, tuple[int, str]] = {}

    def __enter__(self) -> ServerMetrics:
        """Raises LoadError if an endpoint cannot be read, before any load."""
        for url in self._urls:
            scrape(url)
        if self._urls:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._urls:
            self._thread.join()

    def _run(self) -> None:
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
_GPU = "GPU utilization, %"
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
    Quantity(_CPU, "nv_cpu_utilization"),
    Quantity(_MEMORY, "process_resident_memory_bytes", scale=1e-6),
    Quantity(_MEMORY, "nv_cpu_memory_used_bytes", scale=1e-6),
    Quantity(_MEMORY, "nv_gpu_memory_used_bytes", scale=1e-6),
    Quantity(_MEMORY, "DCGM_FI_DEV_FB_USED"),
    Quantity(_GPU, "nv_gpu_utilization", scale=100),
    Quantity(_GPU, "DCGM_FI_DEV_GPU_UTIL"),
)
"""Of Infergraph (and MLServer's process), Triton, and NVIDIA's exporter."""


@dataclass
class Panel:
    """Lines of one unit over the same seconds as the run's.

    Attributes:
        title: With the unit.
        lines: Name -> (seconds after the start, values); a gap where nothing happened.
    """

    title: str
    lines: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)


def read_metrics(file: Path) -> Iterator[Sample]:
    """The samples of a file; a line that breaks off is left out. LoadError if there is no file."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.reader(stream):
                if len(row) == len(_COLUMNS) and row[0] != _COLUMNS[0]:
                    yield Sample(float(row[0]), row[1], row[2], row[3], float(row[4]))
    except OSError as error:
        raise LoadError(f"metrics '{file}' cannot be read: {error.strerror}") from None


def panels(samples: Iterator[Sample], began: float) -> list[Panel]:
    """What the metrics say of queues, batches, compute, CPU, memory and GPU, where they do.

    Args:
        samples: In order of time.
        began: The run's start, seconds since the epoch.
    """
    series: dict[str, dict[tuple[str, str], list[Sample]]] = {}
    for each in samples:
        series.setdefault(each.metric, {}).setdefault((each.url, each.labels), []).append(each)
    found: dict[str, Panel] = {}
    urls = {url for several in series.values() for url, _ in several}
    for quantity in QUANTITIES:
        for (url, labels), values in series.get(quantity.metric, {}).items():
            over = series.get(quantity.over, {}).get((url, labels))
            if quantity.over and over is None:
                continue
            x, y = _line(quantity, values, over, began)
            if any(value == value and value != 0 for value in y):
                name = _name(quantity, labels, url if len(urls) > 1 else "")
                panel = found.setdefault(quantity.panel, Panel(quantity.panel))
                panel.lines[name] = (x, y)
    return list(found.values())


def _line(
    quantity: Quantity, values: Sequence[Sample], over: Sequence[Sample] | None, began: float
) -> tuple[list[float], list[float]]:
    x = [each.utc - began for each in values]
    if over is None and not quantity.per_second:
        return x, [each.value * quantity.scale for each in values]
    y = []
    for place in range(1, len(values)):
        grown = values[place].value - values[place - 1].value
        if over is None:
            by = values[place].utc - values[place - 1].utc
        else:
            by = over[place].value - over[place - 1].value if place < len(over) else 0.0
        # A server that starts again begins to count at 0.
        y.append(grown / by * quantity.scale if by > 0 and grown >= 0 else float("nan"))
    return x[1:], y


def _name(quantity: Quantity, labels: str, url: str) -> str:
    known: dict[str, str] = json.loads(labels)
    keys = ("model", "model_name", "gpu_uuid", "gpu", "Hostname")
    parts = [known[key] for key in keys if key in known]
    if quantity.panel in (_WAITING, _MEMORY, _CPU):
        parts.append(quantity.metric.removeprefix("infergraph_model_").removeprefix("nv_"))
    return " ".join([*parts, url]).strip() or quantity.metric
