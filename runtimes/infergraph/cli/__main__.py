"""`python -m infergraph.cli`."""

import sys

from . import main

sys.exit(main())
