"""`python -m infergraph_clients.infer`."""

import sys

from .cli import main

sys.exit(main())
