"""`render`: a deployment as the files of its target, checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..errors import ConfigurationError
from . import compose, kubernetes, seldon_v1, seldon_v2
from .checks import find_faults
from .deployment import Deployment
from .documents import read_documents
from .folder import NOTES, Rendered
from .notes import notes
from .resource import Resource, dump
from .targets import Target

Files = Mapping[str, Sequence[Resource] | str]
_TARGETS: Mapping[Target, Callable[[Deployment], Files]] = {
    "seldon-v2": seldon_v2.render,
    "seldon-v1": seldon_v1.render,
    "kubernetes": kubernetes.render,
    "compose": compose.render,
}


def render(deployment: Deployment) -> Rendered:
    """All files of a deployment.

    Raises:
        ConfigurationError: an option makes an object that a cluster would refuse, such as a name
            that is too long; the text is one line.
    """
    files = {
        name: content if isinstance(content, str) else dump(content)
        for name, content in _TARGETS[deployment.options.target](deployment).items()
    }
    documents = [each for name, text in files.items() for each in read_documents(name, text)]
    for fault in find_faults(documents):
        raise ConfigurationError(f"{fault.message}; {fault.fix}")
    return Rendered({**files, NOTES: notes(deployment, list(files))}, deployment.stages)
