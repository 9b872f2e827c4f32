"""`python -m starter`, which `make starter` calls."""

import os
import sys

from starter.options import THREADS

# Before numpy and torch are imported: the number of threads decides in which order sums are rounded.
os.environ |= {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}

from starter.cli import main

if __name__ == "__main__":  # worker processes that draw films import this module again
    sys.exit(main())
