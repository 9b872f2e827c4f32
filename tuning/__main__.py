"""`python -m tuning`."""

import sys

from tuning.cli import main

if __name__ == "__main__":  # worker processes that draw films import this module again
    sys.exit(main())
