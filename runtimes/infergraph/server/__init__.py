"""What Infergraph changes in a running MLServer, and where the two meet.

MLServer 1.7.1 has no extension points for these, so `install` replaces a few of its functions, once
per process. It refuses any other version, because the replaced functions are internal.
"""

from .answer import answer
from .draining import drain
from .errors import as_mlserver_error
from .install import SUPPORTED_MLSERVER, install

__all__ = ["SUPPORTED_MLSERVER", "answer", "as_mlserver_error", "drain", "install"]
