"""How reports write numbers."""

from __future__ import annotations


def milliseconds(value: float | None) -> str:
    """Three significant digits, or a dash."""
    if value is None:
        return "-"
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.3f}" if value < 0.9995 else f"{value:#.3g}"
