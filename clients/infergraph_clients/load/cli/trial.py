"""One run of several, as `profile` and `evaluate` do them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ..engine.coordinator import Interrupts
    from ..engine.run import Prepared, Run


def make_trial(console: Console, interrupts: Interrupts) -> Callable[[Prepared], Run]:
    """What does a run, and shows it on the console while it goes on.

    The run is one that was interrupted if an interrupt came before it or in it.
    """
    from ..engine.run import execute
    from ..reports.live import LiveView

    def trial(prepared: Prepared) -> Run:
        with LiveView(prepared.configuration, console) as view:
            return execute(prepared, view.update, interrupts)

    return trial
