"""Names with a generation: Seldon Core v2 calls generation 2 of its Model `resnet` `resnet_2`.

Neither its names nor those of steps hold an underscore, so that nothing else looks like it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAMED = re.compile(r"([a-z0-9](?:[-a-z0-9]*[a-z0-9])?)_([0-9]{1,18})\Z")


def plain_name(name: str) -> str:
    """A model's name without its generation: `resnet` of `resnet_2`; any other as it is."""
    found = _NAMED.match(name)
    return found[1] if found else name


def newest_first(plain: str, names: Iterable[str]) -> list[str]:
    """Of `names`, the generations of a plain name, the highest first."""
    start = f"{plain}_"
    found = [
        (int(match[2]), name)
        for name in names
        if name.startswith(start) and (match := _NAMED.match(name))
    ]
    return [name for _, name in sorted(found, reverse=True)]
