"""Request parameters that are meant for one step: `<step>.<parameter>`."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import InvalidInput
from ..v2 import Parameter


def divide(
    parameters: Mapping[str, Parameter], steps: Collection[str]
) -> tuple[dict[str, Parameter], dict[str, dict[str, Parameter]]]:
    """A request's parameters without a step, and those of each step under their own names.

    Those without a step go where the pipeline's inputs go, as in Seldon. A step that is a pipeline
    divides what is left: `inner.summarization.num_beams`.

    Raises:
        InvalidInput: a parameter names a step that the pipeline does not have.
    """
    plain: dict[str, Any] = {}
    of_steps: dict[str, dict[str, Any]] = {}
    for name, value in parameters.items():
        step, dot, own = name.partition(".")
        if not dot:
            plain[name] = value
        elif step in steps:
            of_steps.setdefault(step, {})[own] = value
        else:
            close = difflib.get_close_matches(step, steps, n=1)
            hint = f"did you mean '{close[0]}.{own}'? " if close else ""
            raise InvalidInput(
                f"parameter '{name}': no step '{step}'; {hint}accepted steps: {', '.join(steps)}"
            )
    return plain, of_steps
