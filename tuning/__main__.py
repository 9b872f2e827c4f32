"""`python -m tuning`."""

import sys

from tuning.cli import main

if __name__ == "__main__":  # processes that draw films import this module once more
    sys.exit(main())
