"""`python -m infergraph_clients.video`."""

import sys

from . import main

sys.exit(main())
