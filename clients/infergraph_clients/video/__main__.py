"""`python -m infergraph_clients.video`."""

import sys

from .cli import main

sys.exit(main())
