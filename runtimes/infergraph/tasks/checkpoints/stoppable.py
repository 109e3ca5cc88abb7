"""Makes networks stop between their layers once nobody waits for what they compute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch.nn import Module, ModuleList, Sequential

from ...batching import check_wanted

Network = TypeVar("Network", bound=Module)


def stoppable(network: Network) -> Network:
    """Makes a network check that its batch is still wanted, before it and each of its parts runs.

    The parts are its own children and all its layers (members of lists and sequences), so that what
    runs between two checks does not grow with the depth of the network nor, where it generates,
    with the number of tokens. A compiled network checks only once, before it runs as a whole.

    Args:
        network: A placed network; it is changed. It then raises BatchAbandoned, see `check_wanted`.
    """
    inner: Module = getattr(network, "_orig_mod", network)
    # Some are listed twice: a layer that is used twice, say.
    parts: list[Module] = [network, *inner.children(), *_layers(inner)]
    for part in dict.fromkeys(parts):
        part.register_forward_pre_hook(_check)
    return network


def _layers(module: Module) -> Iterator[Module]:
    """The members of the outermost lists: what a layer consists of is not divided further."""
    in_list = isinstance(module, (ModuleList, Sequential))
    for child in module.children():
        if in_list and not isinstance(child, (ModuleList, Sequential)):
            yield child
        else:
            yield from _layers(child)


def _check(module: Module, inputs: Any) -> None:
    # The compiler would trace it, and the trace never check.
    if not torch.compiler.is_compiling():
        check_wanted()
