from __future__ import annotations

import pytest
from prometheus_client.metrics import MetricWrapperBase

import infergraph.metrics
from infergraph.manifests.checks.metrics import Use, known_series, unknown_labels, uses

QUERIES = {
    "a": [Use("a", ())],
    'sum(a{x="1", y=~"2|3"}) + sum(b)': [Use("a", ("x", "y")), Use("b", ())],
    'sum by (x) (rate(a{y!="r(z)"}[5m])) or vector(0)': [Use("a", ("y",))],
    "histogram_quantile(0.9, sum(rate(a_bucket[1m])) by (le))": [Use("a_bucket", ())],
    "a / on(x) group_left(y) b unless c offset 5m": [Use("a", ()), Use("b", ()), Use("c", ())],
}


@pytest.mark.parametrize("query", QUERIES)
def test_the_series_of_a_query_are_found(query: str) -> None:
    assert list(uses(query)) == QUERIES[query]


def test_all_that_is_exported_is_known_with_its_labels() -> None:
    endings = {"counter": "_total", "gauge": "", "histogram": "_sum"}
    exported = {
        f"{family.name}{endings[family.type]}": frozenset(collector._labelnames)
        for collector in vars(infergraph.metrics).values()
        if isinstance(collector, MetricWrapperBase)
        for family in collector.describe()
    }

    assert len(exported) > 10
    assert exported.items() <= known_series().items()
    assert known_series()["infergraph_server_refusals_total"] == {"cause"}


def test_labels_are_those_of_the_metric_and_of_what_scrapes_it() -> None:
    use = Use("infergraph_model_refusals_total", ("model", "cause", "namespace", "pipeline"))

    assert unknown_labels(use) == ["pipeline"]
