"""What `infergraph demo` says beside the answers."""

from pathlib import Path

from infergraph.catalog import load_catalog
from infergraph.cli.demo import _embedded
from infergraph.cli.plan import plan_servers

MODELS = Path(__file__).parents[3] / "model-settings"


def test_models_with_an_embedded_checkpoint_are_named() -> None:
    plans = plan_servers(load_catalog(MODELS), ["audio-qa"], MODELS, {}, split=True)

    assert list(_embedded(plans, {})) == ["speech-to-text", "question-answering"]
    real = {"INFERGRAPH_SPEECH_TO_TEXT__VARIANT": "whisper-tiny"}
    assert list(_embedded(plans, real)) == ["question-answering"]
