"""`python -m palate`."""

import sys

from palate.cli.main import main

sys.exit(main())
