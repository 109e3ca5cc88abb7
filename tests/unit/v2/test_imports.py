from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "mlserver", "tritonclient", "grpc", "fastapi", "starlette", "PIL", "soundfile")


def test_v2_stands_alone() -> None:
    code = (
        "import sys, infergraph.v2\n"
        "from infergraph.v2 import classification, grpc, raw, request, rest, schema, values\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[]"
