from __future__ import annotations

import importlib

import pytest

from infergraph_clients.infer.endpoint import Endpoint
from infergraph_clients.infer.errors import UsageError
from infergraph_clients.infer.message import Request
from infergraph_clients.infer.transport import connect, infer_arguments


def test_what_both_protocols_send_alike() -> None:
    request = Request("m", [], version="2", parameters={"trace": True, "a": "b"}, id="seven")
    assert infer_arguments(request) == {
        "model_name": "m",
        "model_version": "2",
        "request_id": "seven",
        "parameters": {"trace": True, "a": "b"},
    }


def test_tritonclients_own_parameters_are_its_arguments() -> None:
    parameters = {"sequence_id": 7, "sequence_start": True, "priority": 1, "a": 2}
    arguments = infer_arguments(Request("m", [], parameters=parameters))
    assert arguments["parameters"] == {"a": 2}
    assert {name: arguments[name] for name in ("sequence_id", "sequence_start", "priority")} == {
        "sequence_id": 7, "sequence_start": True, "priority": 1,
    }  # fmt: skip


def test_no_parameters_are_none() -> None:
    assert infer_arguments(Request("m", []))["parameters"] is None


@pytest.mark.parametrize("name", ["triton_x", "headers", "binary_data_output"])
def test_names_that_tritonclient_keeps_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"parameter '{name}': tritonclient sets it by itself"):
        infer_arguments(Request("m", [], parameters={name: 1}))


@pytest.mark.parametrize("error", [ImportError("no tritonclient"), RuntimeError("no gevent")])
def test_a_missing_client_library_is_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(UsageError) as caught:
        connect(Endpoint.parse(None, "grpc"))
    assert str(caught.value) == f"{error}; pip install 'infergraph[clients]'"
