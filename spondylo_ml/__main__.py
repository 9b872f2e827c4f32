"""`python -m spondylo_ml`."""

import sys

from spondylo_ml.cli import main

sys.exit(main())
