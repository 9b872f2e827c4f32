"""`python -m spondylo_ml`."""

import sys

from spondylo_ml.cli import main

if __name__ == "__main__":  # processes that draw films import this module once more
    sys.exit(main())
