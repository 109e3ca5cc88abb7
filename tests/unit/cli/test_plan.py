from __future__ import annotations

import json
from pathlib import Path

import pytest

from infergraph.catalog import load_catalog
from infergraph.cli.plan import ServerPlan, configured_endpoints, overrides_of, plan_servers
from infergraph.errors import ConfigurationError, UnknownModel


def planned(
    models: Path,
    *names: str,
    endpoints: dict[str, dict[str, str]] | None = None,
    split: bool = False,
) -> list[ServerPlan]:
    return plan_servers(load_catalog(models), names, models, endpoints or {}, split)


def names(plan: ServerPlan) -> list[str]:
    return [servable.name for servable in plan.servables]


def test_one_server_has_a_pipeline_and_its_models(models: Path) -> None:
    (plan,) = planned(models, "chain")
    assert names(plan) == ["hear", "reply", "chain"]
    assert plan.remote == {}


def test_a_step_may_be_a_pipeline(models: Path) -> None:
    (plan,) = planned(models, "outer")
    assert names(plan) == ["hear", "reply", "outer", "chain"]


def test_a_single_model(models: Path) -> None:
    (plan,) = planned(models, "reply")
    assert names(plan) == ["reply"]


def test_split_has_a_server_per_model_and_pipelines_last(models: Path) -> None:
    *stages, last = planned(models, "outer", split=True)
    assert [names(plan) for plan in stages] == [["hear"], ["reply"]]
    assert [plan.name for plan in stages] == ["hear", "reply"]
    assert names(last) == ["outer", "chain"]
    assert last.remote == {"outer": ("hear",), "chain": ("hear", "reply")}


def test_two_pipelines_share_their_models(models: Path) -> None:
    plans = planned(models, "chain", "outer", split=True)
    assert [names(plan) for plan in plans] == [["hear"], ["reply"], ["chain", "outer"]]


def test_steps_with_endpoints_are_not_served_again(models: Path) -> None:
    url = "grpc://10.0.0.1:8081"
    (plan,) = planned(models, "chain", endpoints={"chain": {"hear": url}})
    assert names(plan) == ["reply", "chain"]
    (plan,) = planned(models, "chain", endpoints={"chain": {"*": url}}, split=True)
    assert names(plan) == ["chain"]


def test_a_step_without_a_model(models: Path, tmp_path: Path) -> None:
    file = tmp_path / "pipelines" / "chain.yaml"
    file.write_text(file.read_text().replace("name: reply", "name: replay"))
    file.write_text(file.read_text().replace("reply.outputs", "replay.outputs"))
    with pytest.raises(UnknownModel, match=r"chain\.yaml: no model 'replay' in .*: chain, hear,"):
        planned(models, "chain")


def test_endpoints_come_from_the_settings(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = models / "chain" / "model-settings.json"
    settings = json.loads(file.read_text())
    settings["parameters"]["extra"] = {"endpoints": {"hear": "grpc://a:1"}}
    file.write_text(json.dumps(settings))
    catalog = load_catalog(models)
    assert configured_endpoints(catalog, {}) == {"chain": {"hear": "grpc://a:1"}, "outer": {}}

    shared = {"reply": {"url": "grpc://s:1", "headers": {"x-a": "1"}}}
    monkeypatch.setenv("INFERGRAPH_ENDPOINTS", json.dumps(shared))
    assert configured_endpoints(catalog, {})["chain"] == {"hear": "grpc://a:1", **shared}

    monkeypatch.setenv("INFERGRAPH_CHAIN__ENDPOINTS", '{"*": "grpc://b:2"}')
    assert configured_endpoints(catalog, {})["chain"] == {"*": "grpc://b:2"}

    overrides = {"INFERGRAPH_CHAIN__ENDPOINTS": '{"*": "grpc://c:3"}'}
    assert configured_endpoints(catalog, overrides)["chain"] == {"*": "grpc://c:3"}


@pytest.mark.parametrize("value", ["grpc://a:1", "[]", "3"])
def test_endpoints_that_are_no_mapping(models: Path, value: str) -> None:
    with pytest.raises(ConfigurationError, match="pipeline 'chain': setting 'endpoints' is not"):
        configured_endpoints(load_catalog(models), {"INFERGRAPH_CHAIN__ENDPOINTS": value})


def test_overrides_become_variables(models: Path) -> None:
    catalog = {**load_catalog(models), "speech-to-text": load_catalog(models)["hear"]}
    assignments = ["hear.device=cpu", "speech-to-text.variant=a=b", "reply.fail="]
    assert overrides_of(assignments, catalog) == {
        "INFERGRAPH_HEAR__DEVICE": "cpu",
        "INFERGRAPH_SPEECH_TO_TEXT__VARIANT": "a=b",
        "INFERGRAPH_REPLY__FAIL": "",
    }


@pytest.mark.parametrize("assignment", ["hear", "hear=1", ".x=1", "hear.=1", "hear.a b=1", "=1"])
def test_assignments_that_are_none(models: Path, assignment: str) -> None:
    with pytest.raises(ConfigurationError, match=r"accepted: model\.field=value"):
        overrides_of([assignment], load_catalog(models))


def test_a_runtime_of_another_environment_is_named_before_anything_starts(models: Path) -> None:
    file = models / "reply" / "model-settings.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "implementation": "absent.Model"}))

    with pytest.raises(ConfigurationError) as caught:
        planned(models, "chain")

    assert str(caught.value) == (
        "model 'reply': the package 'absent' of its runtime 'absent.Model' is not installed in "
        "this environment; serve the model from one that has it, and name its address by "
        "--set PIPELINE.endpoints=..."
    )
    # Served elsewhere, it is nobody's concern here.
    endpoints = {"chain": {"reply": "grpc://10.0.0.1:8081"}}
    (plan,) = planned(models, "chain", endpoints=endpoints)
    assert names(plan) == ["hear", "chain"]
